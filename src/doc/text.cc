#include "doc/text.h"

#include "base/unicode.h"

namespace knarr::doc {

std::string RepairUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const DecodedRune decoded = DecodeRune(text);
    AppendRune(out, decoded.rune);
    text.remove_prefix(decoded.length);
  }
  return out;
}

}  // namespace knarr::doc

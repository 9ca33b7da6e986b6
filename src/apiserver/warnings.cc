#include "apiserver/warnings.h"

#include <algorithm>
#include <utility>

#include "base/unicode.h"

namespace knarr::apiserver {
namespace {

std::string_view FirstRunes(std::string_view text, size_t count) {
  size_t end = 0;
  for (; count > 0 && end < text.size(); --count) end += DecodeRune(text.substr(end)).length;
  return text.substr(0, end);
}

// RFC 7234 warn-text: quoted, without what would break a header.
std::string WarningHeader(std::string_view text) {
  std::string out = "299 - \"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

}  // namespace

void Warnings::Add(std::string text) {
  if (text.empty() || (cut_off() && cut_total_ >= kTotalMax)) return;
  if (!known_.insert(text).second) return;
  const size_t length = RuneCount(text);
  total_ += length;
  cut_total_ += std::min(length, kTextMax);
  texts_.push_back(std::move(text));
}

void Warnings::Resize(size_t size) {
  if (size >= texts_.size()) return;
  const std::vector<std::string> kept(texts_.begin(), texts_.begin() + static_cast<ptrdiff_t>(size));
  *this = {};
  AddAll(kept);
}

void Warnings::WriteTo(net::Headers& headers) const {
  for (const std::string& text : texts_) {
    headers.Add("Warning", WarningHeader(cut_off() ? FirstRunes(text, kTextMax) : std::string_view(text)));
  }
}

}  // namespace knarr::apiserver

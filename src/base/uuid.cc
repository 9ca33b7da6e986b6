#include "base/uuid.h"

#include "base/strings.h"

namespace knarr {

std::string MakeUuid(const std::array<uint8_t, 16>& random) {
  std::string bytes(random.begin(), random.end());
  bytes[6] = static_cast<char>((random[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((random[8] & 0x3f) | 0x80);
  std::string text = HexEncode(bytes);
  for (const size_t at : {size_t{8}, size_t{13}, size_t{18}, size_t{23}}) text.insert(at, 1, '-');
  return text;
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (dash ? c != '-' : !hex) return false;
  }
  return true;
}

}  // namespace knarr

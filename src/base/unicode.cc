#include "base/unicode.h"

namespace knarr {
namespace {

bool IsContinuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

}  // namespace

DecodedRune DecodeRune(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return {.rune = lead, .length = 1, .valid = true};
  size_t length = 0;
  char32_t rune = 0;
  char32_t least = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
    rune = lead & 0x1f;
    least = 0x80;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    rune = lead & 0x0f;
    least = 0x800;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    rune = lead & 0x07;
    least = 0x10000;
  } else {
    return {};
  }
  if (text.size() < length) return {};
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuation(at(i))) return {};
    rune = rune << 6 | (at(i) & 0x3f);
  }
  if (rune < least || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) return {};
  return {.rune = rune, .length = length, .valid = true};
}

void AppendRune(std::string& out, char32_t rune) {
  if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) rune = kReplacementRune;
  const auto push = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (rune < 0x80) {
    push(rune);
  } else if (rune < 0x800) {
    push(0xc0 | rune >> 6);
    push(0x80 | (rune & 0x3f));
  } else if (rune < 0x10000) {
    push(0xe0 | rune >> 12);
    push(0x80 | (rune >> 6 & 0x3f));
    push(0x80 | (rune & 0x3f));
  } else {
    push(0xf0 | rune >> 18);
    push(0x80 | (rune >> 12 & 0x3f));
    push(0x80 | (rune >> 6 & 0x3f));
    push(0x80 | (rune & 0x3f));
  }
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const DecodedRune decoded = DecodeRune(text);
    if (!decoded.valid) return false;
    text.remove_prefix(decoded.length);
  }
  return true;
}

size_t RuneCount(std::string_view text) {
  size_t count = 0;
  while (!text.empty()) {
    text.remove_prefix(DecodeRune(text).length);
    ++count;
  }
  return count;
}

}  // namespace knarr

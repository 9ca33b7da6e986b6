#pragma once

// UTF-8, as Go reads it: strict (no surrogates, no overlong forms), with U+FFFD for each byte that is no part of a
// character.

#include <cstddef>
#include <string>
#include <string_view>

namespace knarr {

inline constexpr char32_t kReplacementRune = 0xfffd;

struct DecodedRune {
  char32_t rune = kReplacementRune;
  size_t length = 1;   ///< Bytes used; 1 for a bad byte.
  bool valid = false;  ///< False for a bad byte (a real U+FFFD is valid).
};

/// The first character. REQUIRES: text is not empty.
DecodedRune DecodeRune(std::string_view text);
/// Appends the character; U+FFFD for a surrogate or a number that is no character.
void AppendRune(std::string& out, char32_t rune);
bool IsValidUtf8(std::string_view text);
/// How many characters: what Go's utf8.RuneCountInString says.
size_t RuneCount(std::string_view text);
/// Go's strconv.IsPrint.
bool IsPrintable(char32_t rune);

}  // namespace knarr

#pragma once

// What the standard library lacks for text. Case and space are ASCII's. Messages of the parsers are those of Go's
// strconv and encoding packages, because they reach users inside Kubernetes' own messages.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace knarr {

/// The pieces between separators: always one more than there are separators. The views point into `text`.
std::vector<std::string_view> Split(std::string_view text, char separator);
std::vector<std::string_view> Split(std::string_view text, std::string_view separator);
/// The words between runs of white space.
std::vector<std::string_view> Fields(std::string_view text);
/// Lines without their "\n" (or "\r\n"); a last empty one is left out.
std::vector<std::string_view> Lines(std::string_view text);
/// What is before and after the first separator; nullopt when there is none.
std::optional<std::pair<std::string_view, std::string_view>> Cut(std::string_view text, std::string_view separator);
/// The same at the last separator.
std::optional<std::pair<std::string_view, std::string_view>> CutLast(std::string_view text, std::string_view separator);

/// The parts (anything that converts to string_view) with `separator` between them.
template <typename Range>
std::string Join(const Range& parts, std::string_view separator) {
  std::string out;
  bool first = true;
  for (const auto& part : parts) {
    if (!first) out += separator;
    first = false;
    out += part;
  }
  return out;
}

std::string_view TrimSpace(std::string_view text);
std::string_view TrimLeft(std::string_view text, std::string_view characters);
std::string_view TrimRight(std::string_view text, std::string_view characters);
/// Removes `prefix` from `text` if it is there, and says whether it was.
bool ConsumePrefix(std::string_view& text, std::string_view prefix);
bool ConsumeSuffix(std::string_view& text, std::string_view suffix);

std::string ToLower(std::string_view text);
std::string ToUpper(std::string_view text);
bool EqualIgnoreCase(std::string_view a, std::string_view b);
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

/// RFC 4648 with padding.
std::string Base64Encode(std::string_view bytes);
/// Takes what Go's base64.StdEncoding takes (line breaks are skipped, padding is needed): "illegal base64 data at input
/// byte 3" (BadRequest) otherwise.
Result<std::string> Base64Decode(std::string_view text);
/// The URL alphabet without padding (Go's RawURLEncoding): tokens.
std::string Base64UrlEncode(std::string_view bytes);
Result<std::string> Base64UrlDecode(std::string_view text);

/// Lower case.
std::string HexEncode(std::string_view bytes);
/// Both cases; BadRequest on an odd length or another character.
Result<std::string> HexDecode(std::string_view text);

/// Go's %q: in double quotes, with escapes for what is not printable.
std::string GoQuote(std::string_view text);

/// Percent-decoding of a URL's path or query part; `plus_is_space` for queries and forms. BadRequest ("invalid URL
/// escape \"%zz\"") on a bad escape.
Result<std::string> UrlDecode(std::string_view text, bool plus_is_space);
/// Percent-encodes all but unreserved characters (Go's url.QueryEscape, but with %20 for a space).
std::string UrlEncode(std::string_view text);

/// Go's strconv.ParseInt with base 10: "strconv.ParseInt: parsing \"x\": invalid syntax", or ": value out of range".
Result<int64_t> ParseInt64(std::string_view text);
/// Go's strconv.ParseUint: no sign.
Result<uint64_t> ParseUint64(std::string_view text);
/// ParseInt64 with the bounds of T.
template <typename T>
Result<T> ParseInt(std::string_view text);
/// Go's strconv.Atoi: as ParseInt64, but its errors begin "strconv.Atoi:".
Result<int> ParseAtoi(std::string_view text);
/// Go's strconv.ParseBool: 1, t, T, TRUE, true, True and their opposites.
Result<bool> ParseBool(std::string_view text);
/// A decimal floating-point number, finite. BadRequest otherwise.
Result<double> ParseDouble(std::string_view text);
/// An octal number of up to `most`, for file modes ("0644").
Result<uint32_t> ParseOctal(std::string_view text, uint32_t most);

Status IntegerRangeError(std::string_view text);

template <typename T>
Result<T> ParseInt(std::string_view text) {
  const int64_t value = TRY(ParseInt64(text));
  if (std::cmp_less(value, std::numeric_limits<T>::min()) || std::cmp_greater(value, std::numeric_limits<T>::max())) {
    return IntegerRangeError(text);
  }
  return static_cast<T>(value);
}

}  // namespace knarr

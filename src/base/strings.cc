#include "base/strings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/unicode.h"

namespace knarr {
namespace {

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

Status NumberError(std::string_view function, std::string_view text, std::string_view problem) {
  std::string message = "strconv.";
  message += function;
  message += ": parsing ";
  message += GoQuote(text);
  message += ": ";
  message += problem;
  return BadRequest(std::move(message));
}

constexpr std::string_view kSyntax = "invalid syntax";
constexpr std::string_view kRange = "value out of range";

// from_chars takes no '+', Go does.
template <typename T>
Result<T> ParseNumber(std::string_view function, std::string_view text, bool sign_allowed) {
  std::string_view digits = text;
  if (sign_allowed && !digits.empty() && digits[0] == '+') {
    digits.remove_prefix(1);
    if (!digits.empty() && digits[0] == '-') return NumberError(function, text, kSyntax);
  }
  T value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool all = end == digits.data() + digits.size();
  // Go notices 64 unsigned bits overflowing before it comes to a bad character, but the rest of the range after it.
  if (error == std::errc::result_out_of_range && !all && std::is_integral_v<T>) {
    uint64_t magnitude = 0;
    const char* first = digits.data() + (digits[0] == '-' ? 1 : 0);
    const std::from_chars_result whole = std::from_chars(first, digits.data() + digits.size(), magnitude);
    return NumberError(function, text, whole.ec == std::errc::result_out_of_range ? kRange : kSyntax);
  }
  if (error == std::errc::invalid_argument || !all) return NumberError(function, text, kSyntax);
  if (error == std::errc::result_out_of_range) return NumberError(function, text, kRange);
  return value;
}

}  // namespace

std::vector<std::string_view> Split(std::string_view text, char separator) {
  return Split(text, std::string_view(&separator, 1));
}

std::vector<std::string_view> Split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = separator.empty() ? std::string_view::npos : text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + separator.size());
  }
}

std::vector<std::string_view> Fields(std::string_view text) {
  std::vector<std::string_view> words;
  size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && IsSpace(text[at])) ++at;
    const size_t start = at;
    while (at < text.size() && !IsSpace(text[at])) ++at;
    if (at > start) words.push_back(text.substr(start, at - start));
  }
  return words;
}

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines = Split(text, '\n');
  if (lines.back().empty()) lines.pop_back();
  for (std::string_view& line : lines) ConsumeSuffix(line, "\r");
  return lines;
}

std::optional<std::pair<std::string_view, std::string_view>> Cut(std::string_view text, std::string_view separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  return std::pair(text.substr(0, at), text.substr(at + separator.size()));
}

std::optional<std::pair<std::string_view, std::string_view>> CutLast(std::string_view text,
                                                                     std::string_view separator) {
  const size_t at = text.rfind(separator);
  if (at == std::string_view::npos) return std::nullopt;
  return std::pair(text.substr(0, at), text.substr(at + separator.size()));
}

std::string_view TrimSpace(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view TrimLeft(std::string_view text, std::string_view characters) {
  const size_t at = text.find_first_not_of(characters);
  return at == std::string_view::npos ? std::string_view() : text.substr(at);
}

std::string_view TrimRight(std::string_view text, std::string_view characters) {
  return text.substr(0, text.find_last_not_of(characters) + 1);
}

bool ConsumePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool ConsumeSuffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

std::string ToLower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), Lower);
  return out;
}

std::string ToUpper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), Upper);
  return out;
}

bool EqualIgnoreCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return Lower(x) == Lower(y); });
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty()) return std::string(text);
  return Join(Split(text, from), to);
}

std::string GoQuote(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  const auto hex = [&](char32_t value, int digits) {
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += kHex[value >> shift & 0xf];
  };
  while (!text.empty()) {
    const DecodedRune decoded = DecodeRune(text);
    const std::string_view bytes = text.substr(0, decoded.length);
    text.remove_prefix(decoded.length);
    if (!decoded.valid) {
      out += "\\x";
      hex(static_cast<unsigned char>(bytes[0]), 2);
    } else if (decoded.rune == '"' || decoded.rune == '\\') {
      out += '\\';
      out += bytes;
    } else if (IsPrintable(decoded.rune)) {
      out += bytes;
    } else if (decoded.rune >= '\a' && decoded.rune <= '\r') {
      out += '\\';
      out += "abtnvfr"[decoded.rune - '\a'];
    } else if (decoded.rune < 0x80) {
      out += "\\x";
      hex(decoded.rune, 2);
    } else if (decoded.rune < 0x10000) {
      out += "\\u";
      hex(decoded.rune, 4);
    } else {
      out += "\\U";
      hex(decoded.rune, 8);
    }
  }
  return out + "\"";
}

Result<int64_t> ParseInt64(std::string_view text) { return ParseNumber<int64_t>("ParseInt", text, true); }

Result<uint64_t> ParseUint64(std::string_view text) { return ParseNumber<uint64_t>("ParseUint", text, false); }

Result<int> ParseAtoi(std::string_view text) { return ParseNumber<int>("Atoi", text, true); }

Status IntegerRangeError(std::string_view text) { return NumberError("ParseInt", text, kRange); }

Result<bool> ParseBool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return NumberError("ParseBool", text, kSyntax);
}

Result<double> ParseDouble(std::string_view text) {
  const Result<double> value = ParseNumber<double>("ParseFloat", text, true);
  if (value.ok() && !std::isfinite(*value)) return NumberError("ParseFloat", text, kSyntax);
  return value;
}

Result<uint32_t> ParseOctal(std::string_view text, uint32_t most) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  const bool all = end == text.data() + text.size();
  if (error == std::errc::invalid_argument || !all) return NumberError("ParseUint", text, kSyntax);
  if (error == std::errc::result_out_of_range || value > most) return NumberError("ParseUint", text, kRange);
  return value;
}

}  // namespace knarr

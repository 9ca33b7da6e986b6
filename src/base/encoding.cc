// Base64, hex and percent-encoding (declared in base/strings.h).

#include <array>

#include "base/strings.h"
#include "base/unicode.h"

namespace knarr {
namespace {

constexpr std::string_view kStdAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kUpperHexDigits = "0123456789ABCDEF";
constexpr uint8_t kNone = 0xff;

using DecodeTable = std::array<uint8_t, 256>;

constexpr DecodeTable MakeDecodeTable(std::string_view alphabet) {
  DecodeTable table{};
  table.fill(kNone);
  for (size_t i = 0; i < alphabet.size(); ++i) table[static_cast<unsigned char>(alphabet[i])] = static_cast<uint8_t>(i);
  return table;
}

constexpr DecodeTable kStdTable = MakeDecodeTable(kStdAlphabet);
constexpr DecodeTable kUrlTable = MakeDecodeTable(kUrlAlphabet);

std::string Encode(std::string_view bytes, std::string_view alphabet, bool padded) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  const auto at = [&](size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U; };
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const uint32_t group = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    const size_t digits = bytes.size() - i >= 3 ? 4 : bytes.size() - i + 1;
    for (size_t d = 0; d < digits; ++d) out += alphabet[group >> (18 - 6 * d) & 0x3f];
    if (padded) out.append(4 - digits, '=');
  }
  return out;
}

Status Corrupt(size_t at) { return BadRequest("illegal base64 data at input byte " + std::to_string(at)); }

size_t SkipBreaks(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] == '\n' || text[at] == '\r')) ++at;
  return at;
}

// The position that Go reports for padding that begins at `at`, with `digits` digits of its group read.
Ok CheckPadding(std::string_view text, size_t at, size_t digits) {
  if (digits < 2) return Corrupt(at);
  size_t next = at + 1;
  if (digits == 2) {
    next = SkipBreaks(text, next);
    if (next == text.size()) return Corrupt(text.size());
    if (text[next] != '=') return Corrupt(next - 1);
    ++next;
  }
  next = SkipBreaks(text, next);
  if (next < text.size()) return Corrupt(next);
  return {};
}

Result<std::string> Decode(std::string_view text, const DecodeTable& table, bool padded) {
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t group = 0;
  size_t digits = 0;
  const auto flush = [&] {
    group <<= 6 * (4 - digits);
    for (size_t i = 0; i + 1 < digits; ++i) out += static_cast<char>(group >> (16 - 8 * i) & 0xff);
    group = 0;
    digits = 0;
  };
  for (size_t at = SkipBreaks(text, 0); at < text.size(); at = SkipBreaks(text, at + 1)) {
    const uint8_t value = table[static_cast<unsigned char>(text[at])];
    if (value == kNone) {
      if (!padded || text[at] != '=') return Corrupt(at);
      TRY(CheckPadding(text, at, digits));
      flush();
      return out;
    }
    group = group << 6 | value;
    if (++digits == 4) flush();
  }
  // Go counts back over the digits of the unfinished group, whatever stood between them.
  if (digits == 1 || (padded && digits > 0)) return Corrupt(text.size() - digits);
  if (digits > 0) flush();
  return out;
}

// Go's %#U of the byte: "U+0078 'x'".
Status BadHexByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  std::string message = "encoding/hex: invalid byte: U+00";
  message += kUpperHexDigits[byte >> 4];
  message += kUpperHexDigits[byte & 0xf];
  if (IsPrintable(byte)) {
    message += " '";
    AppendRune(message, byte);
    message += "'";
  }
  return BadRequest(std::move(message));
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '~';
}

}  // namespace

std::string Base64Encode(std::string_view bytes) { return Encode(bytes, kStdAlphabet, true); }
Result<std::string> Base64Decode(std::string_view text) { return Decode(text, kStdTable, true); }
std::string Base64UrlEncode(std::string_view bytes) { return Encode(bytes, kUrlAlphabet, false); }
Result<std::string> Base64UrlDecode(std::string_view text) { return Decode(text, kUrlTable, false); }

std::string HexEncode(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 0xf];
  }
  return out;
}

Result<std::string> HexDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = HexValue(text[i]);
    if (high < 0) return BadHexByte(text[i]);
    if (i + 1 == text.size()) return BadRequest("encoding/hex: odd length hex string");
    const int low = HexValue(text[i + 1]);
    if (low < 0) return BadHexByte(text[i + 1]);
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

Result<std::string> UrlDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 1 < text.size() ? HexValue(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
      if (high < 0 || low < 0) return BadRequest("invalid URL escape " + GoQuote(text.substr(i, 3)));
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  return out;
}

std::string UrlEncode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (IsUnreserved(c)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kUpperHexDigits[byte >> 4];
      out += kUpperHexDigits[byte & 0xf];
    }
  }
  return out;
}

}  // namespace knarr

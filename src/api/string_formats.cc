#include "api/string_formats.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/ip.h"
#include "base/names.h"
#include "base/regex.h"
#include "base/strings.h"
#include "base/time.h"
#include "base/url.h"

namespace knarr::api {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool AreDigits(std::string_view text) { return std::ranges::all_of(text, IsDigit); }

Regex Compiled(std::string_view pattern) {
  Result<Regex> regex = Regex::Compile(pattern);
  CHECK(regex.ok());
  return *std::move(regex);
}

std::string Without(std::string_view text, std::string_view characters) {
  std::string out;
  std::ranges::copy_if(text, std::back_inserter(out),
                       [characters](char c) { return characters.find(c) == std::string_view::npos; });
  return out;
}

bool IsHostname(std::string_view text) {
  static const Regex kRegex =
      Compiled(R"(^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|)"
               R"(([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,})"
               R"(([a-zA-Z\p{L}]){2,63})$)");
  constexpr size_t kBytesMax = 255;
  constexpr size_t kLabelMax = 63;
  if (text.size() > kBytesMax || !kRegex.Search(text)) return false;
  return std::ranges::all_of(Split(text, '.'), [](std::string_view label) { return label.size() <= kLabelMax; });
}

// Eight, four, four, four and twelve digits, with or without hyphens between them. `version`: what the third part
// begins with; `variant`: the fourth begins with 8, 9, a or b.
bool IsUuid(std::string_view text, char version, bool variant) {
  std::string digits;
  for (const size_t length : {8U, 4U, 4U, 4U, 12U}) {
    if (!digits.empty()) ConsumePrefix(text, "-");
    if (text.size() < length) return false;
    digits += text.substr(0, length);
    text.remove_prefix(length);
  }
  if (!text.empty() || !std::ranges::all_of(digits, IsHex)) return false;
  constexpr std::string_view kVariants = "89abAB";
  return (version == 0 || digits[12] == version) && (!variant || kVariants.find(digits[16]) != std::string_view::npos);
}

// Leading zeros in the parts of an IPv4 address are taken for nothing.
std::string WithoutZeros(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool first = i == 0 || text[i - 1] == '.' || text[i - 1] == ':';
    if (first) {
      size_t end = i;
      while (end < text.size() && IsDigit(text[end])) ++end;
      const bool decimal = end == text.size() || text[end] == '.';
      const bool dotted = decimal && (text.substr(end).starts_with('.') || (i > 0 && text[i - 1] == '.'));
      while (dotted && text[i] == '0' && i + 1 < end) ++i;
    }
    out += text[i];
  }
  return out;
}

bool IsIpv4(std::string_view text) {
  return text.find('.') != std::string_view::npos && IpAddress::Parse(WithoutZeros(text)).ok();
}
bool IsIpv6(std::string_view text) { return text.find(':') != std::string_view::npos && IpAddress::Parse(text).ok(); }
bool IsCidr(std::string_view text) {
  const auto parts = Cut(text, "/");
  if (!parts || parts->second.empty() || !AreDigits(parts->second)) return false;
  const Result<IpAddress> address = IpAddress::Parse(WithoutZeros(parts->first));
  const Result<int64_t> bits = ParseInt64(parts->second);
  return address.ok() && bits.ok() && *bits <= address->bits();
}

// 6, 8 or 20 bytes: pairs of digits with ':' or '-' between them, fours with '.', or digits alone.
bool IsMac(std::string_view text) {
  const size_t at = text.find_first_of(":-.");
  const size_t digits = at == std::string_view::npos ? text.size() : text[at] == '.' ? 4 : 2;
  const std::vector<std::string_view> parts = at == std::string_view::npos ? std::vector{text} : Split(text, text[at]);
  if (digits % 2 != 0) return false;
  const size_t bytes = parts.size() * digits / 2;
  return (bytes == 6 || bytes == 8 || bytes == 20) && std::ranges::all_of(parts, [digits](std::string_view part) {
           return part.size() == digits && std::ranges::all_of(part, IsHex);
         });
}

int DigitAt(std::string_view text, size_t i) { return text[i] - '0'; }

bool IsIsbn10(std::string_view text) {
  const std::string digits = Without(text, " \t\n\f\r-");
  if (digits.size() != 10 || !AreDigits(std::string_view(digits).substr(0, 9))) return false;
  if (digits[9] != 'X' && !IsDigit(digits[9])) return false;
  int sum = 10 * (digits[9] == 'X' ? 10 : DigitAt(digits, 9));
  for (int i = 0; i < 9; ++i) sum += (i + 1) * DigitAt(digits, static_cast<size_t>(i));
  return sum % 11 == 0;
}

bool IsIsbn13(std::string_view text) {
  const std::string digits = Without(text, " \t\n\f\r-");
  if (digits.size() != 13 || !AreDigits(digits)) return false;
  int sum = 0;
  for (size_t i = 0; i < 12; ++i) sum += (i % 2 == 0 ? 1 : 3) * DigitAt(digits, i);
  return DigitAt(digits, 12) == (10 - sum % 10) % 10;
}

bool IsCreditCard(std::string_view text) {
  static const Regex kRegex =
      Compiled(R"(^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|)"
               R"(3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$)");
  std::string digits;
  std::ranges::copy_if(text, std::back_inserter(digits), IsDigit);
  if (!kRegex.Search(digits)) return false;
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    const int digit = DigitAt(digits, digits.size() - 1 - i) * (i % 2 == 0 ? 1 : 2);
    sum += digit >= 10 ? digit % 10 + 1 : digit;
  }
  return sum % 10 == 0;
}

bool IsSsn(std::string_view text) {
  return text.size() == 11 && AreDigits(text.substr(0, 3)) && AreDigits(text.substr(4, 2)) &&
         AreDigits(text.substr(7)) && std::string_view("- ").find(text[3]) != std::string_view::npos &&
         std::string_view("- ").find(text[6]) != std::string_view::npos;
}

bool IsHexColor(std::string_view text) {
  ConsumePrefix(text, "#");
  return (text.size() == 3 || text.size() == 6) && std::ranges::all_of(text, IsHex);
}

bool IsRgbColor(std::string_view text) {
  static const Regex kRegex =
      Compiled(R"(^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*)"
               R"((0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$)");
  return kRegex.Search(text);
}

bool IsBase64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return false;
  std::string_view body = text;
  if (!ConsumeSuffix(body, "==")) ConsumeSuffix(body, "=");
  return std::ranges::all_of(body, [](char c) { return IsLetter(c) || IsDigit(c) || c == '+' || c == '/'; });
}

bool IsDate(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00";
  if (text.size() != kForm.size() || text[4] != '-' || text[7] != '-') return false;
  if (!AreDigits(text.substr(0, 4)) || !AreDigits(text.substr(5, 2)) || !AreDigits(text.substr(8))) return false;
  return ParseTime(std::string(text) + "T00:00:00Z").ok();
}

bool IsDateTime(std::string_view text) {
  static const Regex kRegex = Compiled(R"(^[0-9]{2}:[0-9]{2}:[0-9]{2}(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$)");
  const std::string lower = ToLower(text);
  const std::vector<std::string_view> parts = Split(lower, 't');
  if (parts.size() < 2 || !IsDate(parts[0]) || !kRegex.Search(parts[1])) return false;
  return parts[1].substr(0, 2) <= "23" && parts[1].substr(3, 2) <= "59" && parts[1].substr(6, 2) <= "59";
}

bool IsTimeUnit(std::string_view unit) {
  // Of each unit the short names, which must be the whole word, and the long one, which may have an ending.
  constexpr std::string_view kShort[] = {"ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk"};
  constexpr std::string_view kLong[] = {"nano", "micro", "milli", "sec", "min", "hour", "day", "week"};
  const std::string lower = ToLower(unit);
  return std::ranges::find(kShort, lower) != std::end(kShort) ||
         std::ranges::any_of(kLong, [&lower](std::string_view name) { return lower.starts_with(name); });
}

// Go's durations, and texts with a number and a unit somewhere in them ("2 weeks and a day").
bool IsDuration(std::string_view text) {
  if (ParseDuration(text).ok()) return true;
  constexpr std::string_view kMicro = "µ";
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && IsDigit(text[end])) ++end;
    if (end == at) {
      ++at;
      continue;
    }
    const std::string_view number = text.substr(at, end - at);
    while (end < text.size() && std::string_view(" \t\n\f\r").find(text[end]) != std::string_view::npos) ++end;
    const size_t unit = end;
    while (end < text.size() && (IsLetter(text[end]) || text.substr(end).starts_with(kMicro))) {
      end += IsLetter(text[end]) ? 1 : kMicro.size();
    }
    at = end;
    if (end == unit) continue;
    if (!ParseInt64(number).ok()) return false;
    found = found || IsTimeUnit(text.substr(unit, end - unit));
  }
  return found;
}

// The part before the @: words of RFC 5322 with dots between them, or a text in quotes.
bool IsLocalPart(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return true;
  static constexpr std::string_view kMarks = "!#$%&'*+-/=?^_`{|}~";
  return std::ranges::all_of(Split(text, '.'), [](std::string_view word) {
    return !word.empty() && std::ranges::all_of(word, [](char c) {
      return IsLetter(c) || IsDigit(c) || static_cast<unsigned char>(c) >= 0x80 ||
             kMarks.find(c) != std::string_view::npos;
    });
  });
}

// "a@b.c", or such an address in angle brackets after a name.
bool IsEmail(std::string_view text) {
  text = TrimSpace(text);
  if (text.ends_with('>')) {
    const size_t open = text.rfind('<');
    if (open == std::string_view::npos) return false;
    text = text.substr(open + 1, text.size() - open - 2);
  }
  const auto parts = CutLast(text, "@");
  if (!parts || !IsLocalPart(parts->first)) return false;
  const std::string_view domain = parts->second;
  if (domain.size() > 2 && domain.front() == '[' && domain.back() == ']') return true;
  return IsLocalPart(domain) && domain.front() != '"';
}

bool IsObjectId(std::string_view text) { return text.size() == 24 && std::ranges::all_of(text, IsHex); }

struct Format {
  std::string_view name;
  bool (*holds)(std::string_view text);
};

constexpr Format kFormats[] = {
    {"bsonobjectid", IsObjectId},
    {"uri", [](std::string_view text) { return ParseRequestUri(text).problem.empty(); }},
    {"email", IsEmail},
    {"hostname", IsHostname},
    {"ipv4", IsIpv4},
    {"ipv6", IsIpv6},
    {"cidr", IsCidr},
    {"mac", IsMac},
    {"uuid", [](std::string_view text) { return IsUuid(text, 0, false); }},
    {"uuid3", [](std::string_view text) { return IsUuid(text, '3', false); }},
    {"uuid4", [](std::string_view text) { return IsUuid(text, '4', true); }},
    {"uuid5", [](std::string_view text) { return IsUuid(text, '5', true); }},
    {"isbn", [](std::string_view text) { return IsIsbn10(text) || IsIsbn13(text); }},
    {"isbn10", IsIsbn10},
    {"isbn13", IsIsbn13},
    {"creditcard", IsCreditCard},
    {"ssn", IsSsn},
    {"hexcolor", IsHexColor},
    {"rgbcolor", IsRgbColor},
    {"byte", IsBase64},
    {"password", [](std::string_view) { return true; }},
    {"date", IsDate},
    {"datetime", IsDateTime},
    {"duration", IsDuration},
    {"k8sshortname", [](std::string_view text) { return CheckDns1123Label(text).empty(); }},
    {"k8slongname", [](std::string_view text) { return CheckDns1123Subdomain(text).empty(); }},
};

const Format* FindFormat(std::string_view name) {
  const auto* found = std::ranges::find(kFormats, Without(name, "-"), &Format::name);
  return found == std::end(kFormats) ? nullptr : found;
}

}  // namespace

bool IsKnownFormat(std::string_view format) { return FindFormat(format) != nullptr; }

bool HasFormat(std::string_view format, std::string_view text) {
  const Format* found = FindFormat(format);
  CHECK(found != nullptr);
  return found->holds(text);
}

}  // namespace knarr::api

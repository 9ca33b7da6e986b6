#include "doc/yaml_resolve.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>

namespace knarr::doc {
namespace {

using Kind = YamlScalar::Kind;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

struct Word {
  std::string_view text;
  YamlScalar scalar;
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr YamlScalar kTrue{.kind = Kind::kBool, .boolean = true};
constexpr YamlScalar kFalse{.kind = Kind::kBool, .boolean = false};
constexpr YamlScalar kNothing{.kind = Kind::kNull};
constexpr YamlScalar kNan{.kind = Kind::kFloat, .number = std::numeric_limits<double>::quiet_NaN()};
constexpr YamlScalar kPlus{.kind = Kind::kFloat, .number = kInfinity};
constexpr YamlScalar kMinus{.kind = Kind::kFloat, .number = -kInfinity};

constexpr auto kWords = std::to_array<Word>({
    {"y", kTrue},       {"Y", kTrue},       {"yes", kTrue},     {"Yes", kTrue},   {"YES", kTrue},    {"true", kTrue},
    {"True", kTrue},    {"TRUE", kTrue},    {"on", kTrue},      {"On", kTrue},    {"ON", kTrue},     {"n", kFalse},
    {"N", kFalse},      {"no", kFalse},     {"No", kFalse},     {"NO", kFalse},   {"false", kFalse}, {"False", kFalse},
    {"FALSE", kFalse},  {"off", kFalse},    {"Off", kFalse},    {"OFF", kFalse},  {"", kNothing},    {"~", kNothing},
    {"null", kNothing}, {"Null", kNothing}, {"NULL", kNothing}, {".nan", kNan},   {".NaN", kNan},    {".NAN", kNan},
    {".inf", kPlus},    {".Inf", kPlus},    {".INF", kPlus},    {"+.inf", kPlus}, {"+.Inf", kPlus},  {"+.INF", kPlus},
    {"-.inf", kMinus},  {"-.Inf", kMinus},  {"-.INF", kMinus},
});
constexpr size_t kWordMax = 5;

std::optional<uint64_t> ParseDigits(std::string_view text, int base) {
  uint64_t value = 0;
  if (text.empty() || text[0] == '-') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The number with the base that its prefix names.
std::optional<uint64_t> ParsePrefixed(std::string_view text) {
  if (text.size() < 2 || text[0] != '0') return ParseDigits(text, 10);
  const char mark = static_cast<char>(text[1] | 0x20);
  if (text.size() >= 3 && mark == 'x') return ParseDigits(text.substr(2), 16);
  if (text.size() >= 3 && mark == 'o') return ParseDigits(text.substr(2), 8);
  if (text.size() >= 3 && mark == 'b') return ParseDigits(text.substr(2), 2);
  return ParseDigits(text.substr(1), 8);
}

std::optional<int64_t> Signed(std::optional<uint64_t> magnitude, bool negative) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!magnitude || *magnitude > kMost + (negative ? 1 : 0)) return std::nullopt;
  return static_cast<int64_t>(negative ? -*magnitude : *magnitude);
}

// [-+]? ( .digits | digits[.digits?] ) exponent?
bool IsFloat(std::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    return i - begin;
  };
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  const size_t whole = digits();
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

std::optional<double> ParseFloat(std::string_view text) {
  if (!IsFloat(text)) return std::nullopt;
  if (text[0] == '+') text.remove_prefix(1);
  double value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc()) return value;
  value = std::strtod(std::string(text).c_str(), nullptr);  // out of range: too small is near 0, too large no number
  if (std::fabs(value) > 1) return std::nullopt;
  return value;
}

// Underscores are dropped where they stand between digits.
std::string WithoutSeparators(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool separator =
        text[i] == '_' && i > 0 && i + 1 < text.size() && IsDigit(text[i - 1]) && IsDigit(text[i + 1]);
    if (!separator) out += text[i];
  }
  return out;
}

YamlScalar ResolveNumber(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '_');
  const bool sign = plain[0] == '-' || plain[0] == '+';
  const bool negative = plain[0] == '-';
  const std::string_view magnitude = std::string_view(plain).substr(sign ? 1 : 0);
  const auto natural = ParsePrefixed(magnitude);
  if (const auto integer = Signed(natural, negative)) return {.kind = Kind::kInt, .integer = *integer};
  if (natural && !sign) return {.kind = Kind::kUint, .natural = *natural};
  if (const auto number = ParseFloat(plain)) return {.kind = Kind::kFloat, .number = *number};
  // go-yaml's own binary notation takes a sign after the prefix.
  if (!sign && plain.size() > 3 && plain.starts_with("0b") && (plain[2] == '-' || plain[2] == '+')) {
    const auto binary = Signed(ParseDigits(std::string_view(plain).substr(3), 2), plain[2] == '-');
    if (binary) return {.kind = Kind::kInt, .integer = *binary};
  }
  return {};
}

// One or two digits of at most `most`.
bool TakeNumber(std::string_view& text, int most, int& out) {
  if (text.empty() || !IsDigit(text[0])) return false;
  const size_t count = text.size() > 1 && IsDigit(text[1]) ? 2 : 1;
  std::from_chars(text.data(), text.data() + count, out);
  text.remove_prefix(count);
  return out <= most;
}

bool Take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

bool TakeZone(std::string_view& text) {
  if (Take(text, 'Z')) return true;
  if (text.size() < 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return false;
  const auto two = [&](size_t at) { return (text[at] - '0') * 10 + text[at + 1] - '0'; };
  if (!IsDigit(text[1]) || !IsDigit(text[2]) || !IsDigit(text[4]) || !IsDigit(text[5])) return false;
  const bool good = two(1) <= 24 && two(4) <= 60;
  text.remove_prefix(6);
  return good;
}

bool IsTimestamp(std::string_view text) {
  if (text.size() < 8 || !std::all_of(text.begin(), text.begin() + 4, IsDigit) || text[4] != '-') return false;
  int year = 0;
  int month = 0;
  int day = 0;
  int ignored = 0;
  std::from_chars(text.data(), text.data() + 4, year);
  text.remove_prefix(5);
  if (!TakeNumber(text, 12, month) || month == 0 || !Take(text, '-') || !TakeNumber(text, 31, day)) return false;
  constexpr std::array<int, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (day == 0 || day > kDays[static_cast<size_t>(month - 1)] + (leap && month == 2 ? 1 : 0)) return false;
  if (text.empty()) return true;
  const bool zone = text[0] == 'T' || text[0] == 't';
  if (!zone && text[0] != ' ') return false;
  text.remove_prefix(zone ? 1 : std::min(text.find_first_not_of(' '), text.size()));
  if (!TakeNumber(text, 23, ignored) || !Take(text, ':') || !TakeNumber(text, 59, ignored) || !Take(text, ':') ||
      !TakeNumber(text, 59, ignored)) {
    return false;
  }
  if (text.size() > 1 && (text[0] == '.' || text[0] == ',') && IsDigit(text[1])) {
    text.remove_prefix(1);
    while (!text.empty() && IsDigit(text[0])) text.remove_prefix(1);
  }
  return (!zone || TakeZone(text)) && text.empty();
}

}  // namespace

YamlScalar ResolveYamlScalar(std::string_view text, bool timestamps) {
  if (text.size() <= kWordMax) {
    for (const Word& word : kWords) {
      if (word.text == text) return word.scalar;
    }
  }
  if (text.empty()) return {};
  if (text[0] == '.') {
    const auto number = ParseFloat(WithoutSeparators(text));
    return number ? YamlScalar{.kind = Kind::kFloat, .number = *number} : YamlScalar{};
  }
  if (!IsDigit(text[0]) && text[0] != '-' && text[0] != '+') return {};
  if (timestamps && IsTimestamp(text)) return {.kind = Kind::kTimestamp};
  return ResolveNumber(text);
}

bool LooksLikeBase60(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty() || !IsDigit(text[0])) return false;
  text.remove_prefix(std::min(text.find_first_not_of("0123456789_"), text.size()));
  size_t groups = 0;
  while (text.size() > 1 && text[0] == ':' && IsDigit(text[1])) {
    const bool two = text[1] <= '5' && text.size() > 2 && IsDigit(text[2]);
    text.remove_prefix(two ? 3 : 2);
    ++groups;
  }
  if (groups > 0 && Take(text, '.')) text.remove_prefix(std::min(text.find_first_not_of("0123456789_"), text.size()));
  return groups > 0 && text.empty();
}

}  // namespace knarr::doc

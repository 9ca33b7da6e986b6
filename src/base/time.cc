#include "base/time.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace knarr {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr std::string_view kLayout = "2006-01-02T15:04:05Z07:00";
constexpr std::string_view kMicroLayout = "2006-01-02T15:04:05.000000Z07:00";

bool IsDigit(std::string_view text, size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; }

// Quotes as Go's time package does in its errors: every byte that is not printable ASCII as \xNN.
std::string QuoteAscii(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || byte < ' ') {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

// Reads one RFC 3339 text from left to right, in the order and with the errors of Go's time.Parse.
class TimeParser {
 public:
  TimeParser(std::string_view text, std::string_view layout, size_t fraction_digits)
      : text_(text), rest_(text), layout_(layout), fraction_digits_(fraction_digits) {}

  Result<Timestamp> Parse() {
    if (!IsDigit(rest_, 0) || !IsDigit(rest_, 1) || !IsDigit(rest_, 2) || !IsDigit(rest_, 3)) return Mismatch("2006");
    const int year = (rest_[0] - '0') * 1000 + (rest_[1] - '0') * 100 + (rest_[2] - '0') * 10 + (rest_[3] - '0');
    rest_.remove_prefix(4);
    TRY(Literal('-'));
    const int month = TRY(Number("01", true, 1, 12, "month"));
    TRY(Literal('-'));
    const int day = TRY(Number("02", true, 0, 99, "day"));
    TRY(Literal('T'));
    const int hour = TRY(Number("15", false, 0, 23, "hour"));
    TRY(Literal(':'));
    const int minute = TRY(Number("04", true, 0, 59, "minute"));
    TRY(Literal(':'));
    const int second = TRY(Number("05", true, 0, 59, "second"));
    const int32_t nanoseconds = TRY(Fraction());
    const int offset = TRY(Zone());
    if (!rest_.empty()) return Failure(": extra text: " + QuoteAscii(rest_));

    const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok()) return Failure(": day out of range");
    const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
    return Timestamp{.seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset, .nanoseconds = nanoseconds};
  }

 private:
  Status Failure(std::string_view message) const {
    return BadRequest("parsing time " + QuoteAscii(text_) + std::string(message));
  }
  Status Mismatch(std::string_view element) const {
    return BadRequest(fmt::format("parsing time {} as {}: cannot parse {} as {}", QuoteAscii(text_),
                                  QuoteAscii(layout_), QuoteAscii(rest_), QuoteAscii(element)));
  }

  Ok Literal(char c) {
    if (rest_.empty() || rest_[0] != c) return Mismatch(std::string_view(&c, 1));
    rest_.remove_prefix(1);
    return {};
  }

  Result<int> Number(std::string_view element, bool two_digits, int least, int most, std::string_view name) {
    if (!IsDigit(rest_, 0) || (two_digits && !IsDigit(rest_, 1))) return Mismatch(element);
    int value = rest_[0] - '0';
    size_t used = 1;
    if (IsDigit(rest_, 1)) {
      value = value * 10 + (rest_[1] - '0');
      used = 2;
    }
    rest_.remove_prefix(used);
    if (value < least || value > most) return Failure(fmt::format(": {} out of range", name));
    return value;
  }

  // Digits beyond the ninth are read and dropped.
  Result<int32_t> Fraction() {
    const bool there = !rest_.empty() && (rest_[0] == '.' || rest_[0] == ',') && IsDigit(rest_, 1);
    if (!there && fraction_digits_ == 0) return 0;
    if (!there) return Mismatch(".000000");
    size_t end = 1;
    int32_t nanoseconds = 0;
    int32_t unit = static_cast<int32_t>(kNanosPerSecond / 10);
    while (IsDigit(rest_, end) && (fraction_digits_ == 0 || end <= fraction_digits_)) {
      nanoseconds += (rest_[end] - '0') * unit;
      unit /= 10;
      ++end;
    }
    if (fraction_digits_ != 0 && end != fraction_digits_ + 1) return Mismatch(".000000");
    rest_.remove_prefix(end);
    return nanoseconds;
  }

  /// Seconds east of UTC.
  Result<int> Zone() {
    if (!rest_.empty() && rest_[0] == 'Z') {
      rest_.remove_prefix(1);
      return 0;
    }
    const bool shaped = rest_.size() >= 6 && (rest_[0] == '+' || rest_[0] == '-') && rest_[3] == ':' &&
                        IsDigit(rest_, 1) && IsDigit(rest_, 2) && IsDigit(rest_, 4) && IsDigit(rest_, 5);
    if (!shaped) return Mismatch("Z07:00");
    const int hours = (rest_[1] - '0') * 10 + (rest_[2] - '0');
    const int minutes = (rest_[4] - '0') * 10 + (rest_[5] - '0');
    const bool east = rest_[0] == '+';
    rest_.remove_prefix(6);
    // Go takes offsets of 24 hours and of 60 minutes, as some people write them.
    if (minutes > 60) return Failure(": time zone offset minute out of range");
    if (hours > 24) return Failure(": time zone offset hour out of range");
    const int offset = (hours * 60 + minutes) * 60;
    return east ? offset : -offset;
  }

  std::string_view text_;
  std::string_view rest_;
  std::string_view layout_;
  size_t fraction_digits_;
};

Timestamp ToTimestamp(WallTime time) {
  const int64_t nanoseconds = time.time_since_epoch().count();
  int64_t seconds = nanoseconds / kNanosPerSecond;
  int64_t rest = nanoseconds % kNanosPerSecond;
  if (rest < 0) {
    rest += kNanosPerSecond;
    --seconds;
  }
  return {.seconds = seconds, .nanoseconds = static_cast<int32_t>(rest)};
}

std::string FormatSeconds(int64_t seconds) {
  int64_t days = seconds / 86400;
  int64_t rest = seconds % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(days))};
  const int year = static_cast<int>(date.year());
  // Every object has such a time: a format string is left to the years that nobody sees.
  std::string text = year >= 1000 && year <= 9999 ? std::to_string(year) : fmt::format("{:04}", year);
  text += "-00-00T00:00:00";
  const auto put = [&text, at = text.size() - 14](size_t offset, int64_t number) {
    text[at + offset] = static_cast<char>('0' + number / 10);
    text[at + offset + 1] = static_cast<char>('0' + number % 10);
  };
  put(0, static_cast<unsigned>(date.month()));
  put(3, static_cast<unsigned>(date.day()));
  put(6, rest / 3600);
  put(9, rest / 60 % 60);
  put(12, rest % 60);
  return text;
}

// value / unit with up to `digits` decimals, without trailing zeros: "1.5".
std::string FormatFraction(uint64_t value, uint64_t unit, int digits) {
  std::string text = std::to_string(value / unit);
  if (value % unit == 0) return text;
  std::string fraction = fmt::format("{:0{}}", value % unit, digits);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return text + "." + fraction;
}

/// The nanoseconds of a unit; 0 for a name that is none.
uint64_t DurationUnit(std::string_view name) {
  if (name == "ns") return 1;
  if (name == "us" || name == "\u00b5s" || name == "\u03bcs") return 1'000;
  if (name == "ms") return 1'000'000;
  if (name == "s") return kNanosPerSecond;
  if (name == "m") return 60 * static_cast<uint64_t>(kNanosPerSecond);
  if (name == "h") return 3600 * static_cast<uint64_t>(kNanosPerSecond);
  return 0;
}

constexpr uint64_t kDurationBound = uint64_t{1} << 63;

struct DurationTerm {
  uint64_t nanoseconds = 0;
  size_t length = 0;
};

// One "12.5ms" at the start of `text`; `whole` is for messages.
Result<DurationTerm> ParseDurationTerm(std::string_view text, std::string_view whole) {
  const auto invalid = [&] { return BadRequest("time: invalid duration " + QuoteAscii(whole)); };
  if (text[0] != '.' && !IsDigit(text, 0)) return invalid();
  size_t at = 0;
  uint64_t value = 0;
  while (IsDigit(text, at)) {
    const auto digit = static_cast<uint64_t>(text[at] - '0');
    if (value > kDurationBound / 10) return invalid();
    value = value * 10 + digit;
    if (value > kDurationBound) return invalid();
    ++at;
  }
  bool digits_seen = at > 0;
  uint64_t fraction = 0;
  double scale = 1;
  if (at < text.size() && text[at] == '.') {
    ++at;
    bool overflow = false;
    while (IsDigit(text, at)) {
      const auto digit = static_cast<uint64_t>(text[at] - '0');
      ++at;
      digits_seen = true;
      if (overflow || fraction > (kDurationBound - 1) / 10 || fraction * 10 + digit > kDurationBound) {
        overflow = true;  // further digits change nothing
        continue;
      }
      fraction = fraction * 10 + digit;
      scale *= 10;
    }
  }
  if (!digits_seen) return invalid();
  const size_t unit_start = at;
  while (at < text.size() && text[at] != '.' && !IsDigit(text, at)) ++at;
  if (at == unit_start) return BadRequest("time: missing unit in duration " + QuoteAscii(whole));
  const std::string_view name = text.substr(unit_start, at - unit_start);
  const uint64_t unit = DurationUnit(name);
  if (unit == 0) {
    return BadRequest("time: unknown unit " + QuoteAscii(name) + " in duration " + QuoteAscii(whole));
  }
  if (value > kDurationBound / unit) return invalid();
  value *= unit;
  if (fraction > 0) {
    value += static_cast<uint64_t>(static_cast<double>(fraction) * (static_cast<double>(unit) / scale));
    if (value > kDurationBound) return invalid();
  }
  return DurationTerm{.nanoseconds = value, .length = at};
}

}  // namespace

std::string FormatTime(Timestamp time) { return FormatSeconds(time.seconds) + "Z"; }
std::string FormatTime(WallTime time) { return FormatTime(ToTimestamp(time)); }

std::string FormatMicroTime(Timestamp time) {
  return FormatSeconds(time.seconds) + fmt::format(".{:06}Z", time.nanoseconds / 1000);
}
std::string FormatMicroTime(WallTime time) { return FormatMicroTime(ToTimestamp(time)); }

std::string FormatNanoTime(WallTime time) {
  const Timestamp stamp = ToTimestamp(time);
  return FormatSeconds(stamp.seconds) + fmt::format(".{:09}Z", stamp.nanoseconds);
}

Result<Timestamp> ParseTimestamp(std::string_view text) { return TimeParser(text, kLayout, 0).Parse(); }

Result<Timestamp> ParseMicroTimestamp(std::string_view text) { return TimeParser(text, kMicroLayout, 6).Parse(); }

Result<WallTime> ParseTime(std::string_view text) {
  const Timestamp stamp = TRY(ParseTimestamp(text));
  constexpr int64_t kLimit = std::numeric_limits<int64_t>::max() / kNanosPerSecond - 1;
  if (stamp.seconds > kLimit || stamp.seconds < -kLimit) {
    return BadRequest("parsing time " + QuoteAscii(text) + ": year out of range");
  }
  return WallTime(Duration(stamp.seconds * kNanosPerSecond + stamp.nanoseconds));
}

std::string FormatDuration(Duration duration) {
  const int64_t count = duration.count();
  if (count == 0) return "0s";
  const uint64_t value = count < 0 ? 0 - static_cast<uint64_t>(count) : static_cast<uint64_t>(count);
  const std::string sign = count < 0 ? "-" : "";
  if (value < 1'000) return sign + std::to_string(value) + "ns";
  if (value < 1'000'000) return sign + FormatFraction(value, 1'000, 3) + "\u00b5s";
  if (value < 1'000'000'000) return sign + FormatFraction(value, 1'000'000, 6) + "ms";
  constexpr uint64_t kSecond = 1'000'000'000;
  const uint64_t hours = value / (3600 * kSecond);
  const uint64_t minutes = value / (60 * kSecond) % 60;
  std::string text = sign;
  if (hours > 0) text += std::to_string(hours) + "h";
  if (hours > 0 || minutes > 0) text += std::to_string(minutes) + "m";
  return text + FormatFraction(value % (60 * kSecond), kSecond, 9) + "s";
}

Result<Duration> ParseDuration(std::string_view text) {
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return Duration(0);
  if (rest.empty()) return BadRequest("time: invalid duration " + QuoteAscii(text));
  uint64_t total = 0;
  while (!rest.empty()) {
    const DurationTerm term = TRY(ParseDurationTerm(rest, text));
    total += term.nanoseconds;
    if (total > kDurationBound) return BadRequest("time: invalid duration " + QuoteAscii(text));
    rest.remove_prefix(term.length);
  }
  if (negative) return Duration(static_cast<int64_t>(0 - total));
  if (total > kDurationBound - 1) return BadRequest("time: invalid duration " + QuoteAscii(text));
  return Duration(static_cast<int64_t>(total));
}

std::string FormatAge(Duration age) {
  const int64_t seconds = age.count() / kNanosPerSecond;
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return fmt::format("{}s", seconds);
  const int64_t minutes = seconds / 60;
  if (minutes < 10)
    return seconds % 60 == 0 ? fmt::format("{}m", minutes) : fmt::format("{}m{}s", minutes, seconds % 60);
  if (minutes < 180) return fmt::format("{}m", minutes);
  const int64_t hours = minutes / 60;
  if (hours < 8) return minutes % 60 == 0 ? fmt::format("{}h", hours) : fmt::format("{}h{}m", hours, minutes % 60);
  if (hours < 48) return fmt::format("{}h", hours);
  const int64_t days = hours / 24;
  if (hours < 24 * 8) return hours % 24 == 0 ? fmt::format("{}d", days) : fmt::format("{}d{}h", days, hours % 24);
  if (hours < 24 * 365 * 2) return fmt::format("{}d", days);
  const int64_t years = days / 365;
  if (hours < 24 * 365 * 8) {
    return days % 365 == 0 ? fmt::format("{}y", years) : fmt::format("{}y{}d", years, days % 365);
  }
  return fmt::format("{}y", years);
}

}  // namespace knarr

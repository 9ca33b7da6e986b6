#include "base/cron.h"

#include <fmt/format.h>

#include <span>

#include "base/strings.h"
#include "base/time_zones.h"

namespace knarr {
namespace {

struct Bounds {
  uint64_t least;
  uint64_t most;
  std::span<const std::string_view> names;  // names[0] is `least`
};

constexpr std::string_view kMonthNames[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                            "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kWeekdayNames[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr Bounds kMinutes = {0, 59, {}};
constexpr Bounds kHours = {0, 23, {}};
constexpr Bounds kDays = {1, 31, {}};
constexpr Bounds kMonths = {1, 12, kMonthNames};
constexpr Bounds kWeekdays = {0, 6, kWeekdayNames};

uint64_t Bits(uint64_t first, uint64_t last, uint64_t step) {
  uint64_t bits = 0;
  for (uint64_t i = first; i <= last; i += step) bits |= uint64_t{1} << i;
  return bits;
}
uint64_t All(const Bounds& bounds) { return Bits(bounds.least, bounds.most, 1) | CronSchedule::kStar; }

Result<uint64_t> ParseNumber(std::string_view text) {
  const Result<int64_t> number = ParseInt64(text);
  if (!number.ok()) {
    // Go reads these with another function, and says so.
    return BadRequest(fmt::format("failed to parse int from {}: {}", text, ParseAtoi(text).status().message()));
  }
  if (*number < 0) return BadRequest(fmt::format("negative number ({}) not allowed: {}", *number, text));
  return static_cast<uint64_t>(*number);
}

Result<uint64_t> ParseNumberOrName(std::string_view text, const Bounds& bounds) {
  for (size_t i = 0; i < bounds.names.size(); ++i) {
    if (EqualIgnoreCase(text, bounds.names[i])) return bounds.least + i;
  }
  return ParseNumber(text);
}

// "5", "1-5", "*", each with "/2" behind it or not.
Result<uint64_t> ParseRange(std::string_view text, const Bounds& bounds) {
  const std::vector<std::string_view> parts = Split(text, '/');
  const std::vector<std::string_view> ends = Split(parts[0], '-');
  uint64_t first = bounds.least;
  uint64_t last = bounds.most;
  uint64_t star = 0;
  if (ends[0] == "*" || ends[0] == "?") {
    star = CronSchedule::kStar;
  } else {
    first = TRY(ParseNumberOrName(ends[0], bounds));
    if (ends.size() > 2) return BadRequest(fmt::format("too many hyphens: {}", text));
    last = ends.size() == 1 ? first : TRY(ParseNumberOrName(ends[1], bounds));
  }
  uint64_t step = 1;
  if (parts.size() > 2) return BadRequest(fmt::format("too many slashes: {}", text));
  if (parts.size() == 2) {
    step = TRY(ParseNumber(parts[1]));
    // "5/2" goes on to the end.
    if (ends.size() == 1) last = bounds.most;
    if (step > 1) star = 0;
  }
  if (first < bounds.least) {
    return BadRequest(fmt::format("beginning of range ({}) below minimum ({}): {}", first, bounds.least, text));
  }
  if (last > bounds.most) {
    return BadRequest(fmt::format("end of range ({}) above maximum ({}): {}", last, bounds.most, text));
  }
  if (first > last) {
    return BadRequest(fmt::format("beginning of range ({}) beyond end of range ({}): {}", first, last, text));
  }
  if (step == 0) return BadRequest(fmt::format("step of range should be a positive number: {}", text));
  return Bits(first, last, step) | star;
}

Result<uint64_t> ParseField(std::string_view text, const Bounds& bounds) {
  uint64_t bits = 0;
  for (const std::string_view range : Split(text, ',')) {
    if (!range.empty()) bits |= TRY(ParseRange(range, bounds));
  }
  return bits;
}

Result<CronSchedule> ParseDescriptor(std::string_view text) {
  CronSchedule schedule{.minutes = 1,
                        .hours = 1,
                        .days = All(kDays),
                        .months = All(kMonths),
                        .weekdays = All(kWeekdays),
                        .every = {},
                        .time_zone = {}};
  if (text == "@yearly" || text == "@annually") {
    schedule.days = schedule.months = uint64_t{1} << 1;
  } else if (text == "@monthly") {
    schedule.days = uint64_t{1} << 1;
  } else if (text == "@weekly") {
    schedule.weekdays = 1;
  } else if (text == "@hourly") {
    schedule.hours = All(kHours);
  } else if (text.starts_with("@every ")) {
    const Result<Duration> every = ParseDuration(text.substr(std::string_view("@every ").size()));
    if (!every.ok()) {
      return BadRequest(fmt::format("failed to parse duration {}: {}", text, every.status().message()));
    }
    schedule.every = *every;
  } else if (text != "@daily" && text != "@midnight") {
    return BadRequest(fmt::format("unrecognized descriptor: {}", text));
  }
  return schedule;
}

}  // namespace

Result<CronSchedule> CronSchedule::Parse(std::string_view text) {
  if (text.empty()) return BadRequest("empty spec string");
  std::string zone;
  if (text.starts_with("TZ=") || text.starts_with("CRON_TZ=")) {
    const size_t space = text.find(' ');
    if (space == std::string_view::npos) {
      // Upstream's parser runs into its own bug here, and this is how the user gets to see it.
      return BadRequest("invalid schedule format: runtime error: slice bounds out of range [:-1]");
    }
    const size_t equals = text.find('=');
    zone = text.substr(equals + 1, space - equals - 1);
    if (!IsTimeZone(zone)) {
      return BadRequest(fmt::format("provided bad location {}: {}", zone, UnknownTimeZone(zone)));
    }
    text = TrimSpace(text.substr(space));
  }
  CronSchedule schedule;
  if (text.starts_with('@')) {
    schedule = TRY(ParseDescriptor(text));
  } else {
    const std::vector<std::string_view> fields = Fields(text);
    if (fields.size() != 5) {
      return BadRequest(fmt::format("expected exactly 5 fields, found {}: [{}]", fields.size(), Join(fields, " ")));
    }
    schedule.minutes = TRY(ParseField(fields[0], kMinutes));
    schedule.hours = TRY(ParseField(fields[1], kHours));
    schedule.days = TRY(ParseField(fields[2], kDays));
    schedule.months = TRY(ParseField(fields[3], kMonths));
    schedule.weekdays = TRY(ParseField(fields[4], kWeekdays));
  }
  schedule.time_zone = std::move(zone);
  return schedule;
}

}  // namespace knarr

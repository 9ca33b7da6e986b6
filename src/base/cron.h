#pragma once

// Cron schedules as CronJobs have them: "*/5 * * * mon-fri", "@daily", "@every 1h30m".

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"

namespace knarr {

struct CronSchedule {
  /// Set in a day field that is not restricted ("*"): a day then has to match the other day field alone.
  static constexpr uint64_t kStar = uint64_t{1} << 63;

  // Bit n: at this minute (0 to 59), hour (0 to 23), day of the month (1 to 31), month (1 to 12), day of the week
  // (0 is Sunday).
  uint64_t minutes = 0;
  uint64_t hours = 0;
  uint64_t days = 0;
  uint64_t months = 0;
  uint64_t weekdays = 0;
  /// "@every": the time between two runs; the fields mean nothing then.
  Duration every{};
  /// The time zone that the text names itself, with "TZ=" or "CRON_TZ=".
  std::string time_zone;

  /// BadRequest with the words that upstream's parser has for the mistake.
  static Result<CronSchedule> Parse(std::string_view text);
};

}  // namespace knarr

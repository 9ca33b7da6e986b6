// Cron schedules: whatever is read has only bits that its fields have room for.

#include <cstdint>

#include "base/check.h"
#include "base/cron.h"
#include "base/time_zones.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  const auto schedule = CronSchedule::Parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!schedule.ok()) {
    CHECK(!schedule.status().message().empty());
    return 0;
  }
  const uint64_t star = CronSchedule::kStar;
  CHECK((schedule->minutes & ~star) >> 60 == 0);
  CHECK((schedule->hours & ~star) >> 24 == 0);
  CHECK((schedule->days & ~star) >> 32 == 0 && (schedule->days & 1) == 0);
  CHECK((schedule->months & ~star) >> 13 == 0 && (schedule->months & 1) == 0);
  CHECK((schedule->weekdays & ~star) >> 7 == 0);
  CHECK(IsTimeZone(schedule->time_zone));
  return 0;
}

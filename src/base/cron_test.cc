#include "base/cron.h"

#include <gtest/gtest.h>

#include "base/time_zones.h"

namespace knarr {
namespace {

constexpr uint64_t kStar = CronSchedule::kStar;

uint64_t Bit(int n) { return uint64_t{1} << n; }

TEST(CronTest, ReadsFields) {
  const struct {
    const char* field;
    uint64_t hours;
  } kCases[] = {
      {"*", 0xffffff | kStar},
      {"?", 0xffffff | kStar},
      {"3", Bit(3)},
      {"1-3", Bit(1) | Bit(2) | Bit(3)},
      {"1,3", Bit(1) | Bit(3)},
      {"*/12", Bit(0) | Bit(12)},
      {"*/1", 0xffffff | kStar},
      {"20/2", Bit(20) | Bit(22)},
      {"1-9/4", Bit(1) | Bit(5) | Bit(9)},
      {",", 0},
      {"23,", Bit(23)},
      {"5/9223372036854775807", Bit(5)},
  };
  for (const auto& test : kCases) {
    const auto schedule = CronSchedule::Parse(std::string("0 ") + test.field + " * * *");
    ASSERT_TRUE(schedule.ok()) << test.field;
    EXPECT_EQ(schedule->hours, test.hours) << test.field;
    EXPECT_EQ(schedule->minutes, 1U);
    EXPECT_EQ(schedule->weekdays, 0x7f | kStar);
    EXPECT_EQ(schedule->days, 0xfffffffe | kStar);
  }
  const auto named = CronSchedule::Parse("  1\t2 31 JAN,dec Mon-fri ");
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->days, Bit(31));
  EXPECT_EQ(named->months, Bit(1) | Bit(12));
  EXPECT_EQ(named->weekdays, 0x3eU);
}

TEST(CronTest, ReadsDescriptors) {
  EXPECT_EQ(CronSchedule::Parse("@hourly")->hours, 0xffffff | kStar);
  EXPECT_EQ(CronSchedule::Parse("@daily")->hours, 1U);
  EXPECT_EQ(CronSchedule::Parse("@weekly")->weekdays, 1U);
  EXPECT_EQ(CronSchedule::Parse("@monthly")->days, Bit(1));
  EXPECT_EQ(CronSchedule::Parse("@annually")->months, Bit(1));
  EXPECT_EQ(CronSchedule::Parse("@every 1h30m")->every, 90min);
  const auto zoned = CronSchedule::Parse("CRON_TZ=Europe/Berlin  0 1 * * *");
  ASSERT_TRUE(zoned.ok());
  EXPECT_EQ(zoned->time_zone, "Europe/Berlin");
  EXPECT_EQ(zoned->hours, Bit(1));
}

TEST(CronTest, SaysWhatIsWrong) {
  const struct {
    const char* text;
    const char* message;
  } kCases[] = {
      {"", "empty spec string"},
      {"* * * *", "expected exactly 5 fields, found 4: [* * * *]"},
      {"a * * * *", R"(failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax)"},
      {"99999999999999999999 * * * *",
       R"(failed to parse int from 99999999999999999999: strconv.Atoi: parsing "99999999999999999999": )"
       "value out of range"},
      {"9999999999 * * * *", "end of range (9999999999) above maximum (59): 9999999999"},
      {"* * 0 * *", "beginning of range (0) below minimum (1): 0"},
      {"5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"},
      {"1-2-3 * * * *", "too many hyphens: 1-2-3"},
      {"*/2/3 * * * *", "too many slashes: */2/3"},
      {"*/0 * * * *", "step of range should be a positive number: */0"},
      {"*/-1 * * * *", "negative number (-1) not allowed: -1"},
      {"@never", "unrecognized descriptor: @never"},
      {"@every x", R"(failed to parse duration @every x: time: invalid duration "x")"},
      {"TZ=Mars/Base 0 * * * *", "provided bad location Mars/Base: unknown time zone Mars/Base"},
      {"TZ=../x 0 * * * *", "provided bad location ../x: time: invalid location name"},
      {"TZ=UTC", "invalid schedule format: runtime error: slice bounds out of range [:-1]"},
  };
  for (const auto& test : kCases) {
    const auto schedule = CronSchedule::Parse(test.text);
    ASSERT_FALSE(schedule.ok()) << test.text;
    EXPECT_EQ(schedule.status().message(), test.message);
  }
}

TEST(TimeZonesTest, KnowsTheDatabasesNames) {
  for (const char* name : {"", "UTC", "Local", "Europe/Berlin", "Asia/Seoul", "America/Argentina/Buenos_Aires",
                           "Etc/GMT+12", "Africa/Abidjan", "Zulu"}) {
    EXPECT_TRUE(IsTimeZone(name)) << name;
  }
  for (const char* name : {"utc", "Europe", "Europe/Atlantis", "/etc/passwd"}) EXPECT_FALSE(IsTimeZone(name)) << name;
}

}  // namespace
}  // namespace knarr

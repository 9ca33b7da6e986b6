#include "base/time.h"

#include <gtest/gtest.h>

namespace knarr {
namespace {

TEST(TimeTest, FormatsAndParses) {
  const std::pair<std::string_view, Timestamp> cases[] = {
      {"1970-01-01T00:00:00Z", {0, 0}},
      {"2026-11-21T10:00:00Z", {1795255200, 0}},
      {"2000-02-29T23:59:59Z", {951868799, 0}},
      {"1969-12-31T23:59:59Z", {-1, 0}},
      {"0000-01-01T00:00:00Z", {-62167219200, 0}},
      {"9999-12-31T23:59:59Z", {253402300799, 0}},
  };
  for (const auto& [text, stamp] : cases) {
    EXPECT_EQ(FormatTime(stamp), text);
    const Result<Timestamp> parsed = ParseTimestamp(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(*parsed, stamp) << text;
  }
}

TEST(TimeTest, OffsetsAndFractions) {
  EXPECT_EQ(*ParseTimestamp("2026-11-21T10:00:00+01:30"), (Timestamp{1795255200 - 5400, 0}));
  EXPECT_EQ(*ParseTimestamp("2026-11-21T10:00:00.5-00:30"), (Timestamp{1795255200 + 1800, 500000000}));
  EXPECT_EQ(*ParseTimestamp("2026-11-21T10:00:00.1234567891Z"), (Timestamp{1795255200, 123456789}));
  EXPECT_EQ(FormatMicroTime(*ParseTimestamp("2026-11-21T10:00:00.123456789Z")), "2026-11-21T10:00:00.123456Z");
  EXPECT_EQ(FormatNanoTime(WallTime(-1ns)), "1969-12-31T23:59:59.999999999Z");
  EXPECT_TRUE(ParseMicroTimestamp("2026-11-21T10:00:00.123456Z").ok());
  EXPECT_FALSE(ParseMicroTimestamp("2026-11-21T10:00:00Z").ok());
  EXPECT_EQ(*ParseTime("1970-01-01T00:00:01Z"), WallTime(1s));
}

TEST(TimeTest, RefusesInGosWords) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", R"(parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006")"},
      {"abc", R"(parsing time "abc" as "2006-01-02T15:04:05Z07:00": cannot parse "abc" as "2006")"},
      {"2026-13-01T00:00:00Z", R"(parsing time "2026-13-01T00:00:00Z": month out of range)"},
      {"2026-02-29T00:00:00Z", R"(parsing time "2026-02-29T00:00:00Z": day out of range)"},
      {"2026-02-01T24:00:00Z", R"(parsing time "2026-02-01T24:00:00Z": hour out of range)"},
      {"2026-02-01T00:00:00Zx", R"(parsing time "2026-02-01T00:00:00Zx": extra text: "x")"},
      {"2026-02-01 00:00:00Z",
       R"(parsing time "2026-02-01 00:00:00Z" as "2006-01-02T15:04:05Z07:00": cannot parse " 00:00:00Z" as "T")"},
      {"2026-02-01T00:00:00",
       R"(parsing time "2026-02-01T00:00:00" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00")"},
  };
  for (const auto& [text, message] : cases) {
    const Result<Timestamp> parsed = ParseTimestamp(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.status().message(), message);
  }
  EXPECT_TRUE(ParseTime("9999-12-31T23:59:59Z").Failed(Reason::kBadRequest));
}

TEST(TimeTest, Durations) {
  const std::pair<Duration, std::string_view> cases[] = {
      {0s, "0s"},
      {1ns, "1ns"},
      {1500ns, "1.5\u00b5s"},
      {300ms, "300ms"},
      {90s, "1m30s"},
      {90min, "1h30m0s"},
      {-1500ms, "-1.5s"},
      {1h + 1ns, "1h0m0.000000001s"},
      {Duration::min(), "-2562047h47m16.854775808s"},
  };
  for (const auto& [duration, text] : cases) {
    EXPECT_EQ(FormatDuration(duration), text);
    const Result<Duration> parsed = ParseDuration(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(*parsed, duration) << text;
  }
  EXPECT_EQ(*ParseDuration("1.5h"), 90min);
  EXPECT_EQ(*ParseDuration("+.5s"), 500ms);
  EXPECT_EQ(*ParseDuration("0"), 0s);
  EXPECT_EQ(ParseDuration("").status().message(), "time: invalid duration \"\"");
  EXPECT_EQ(ParseDuration("5").status().message(), "time: missing unit in duration \"5\"");
  EXPECT_EQ(ParseDuration("5d").status().message(), "time: unknown unit \"d\" in duration \"5d\"");
  EXPECT_FALSE(ParseDuration("9223372036854775808ns").ok());
  EXPECT_FALSE(ParseDuration("3000000h").ok());
}

TEST(TimeTest, Ages) {
  const std::pair<Duration, std::string_view> cases[] = {
      {-2s, "<invalid>"},   {-1500ms, "0s"},       {0s, "0s"},
      {119s, "119s"},       {120s, "2m"},          {192s, "3m12s"},
      {10min + 5s, "10m"},  {179min, "179m"},      {3h, "3h"},
      {5h + 2min, "5h2m"},  {47h, "47h"},          {48h, "2d"},
      {76h, "3d4h"},        {24h * 8, "8d"},       {24h * 729, "729d"},
      {24h * 740, "2y10d"}, {24h * 365 * 3, "3y"}, {24h * 365 * 9, "9y"},
  };
  for (const auto& [age, text] : cases) EXPECT_EQ(FormatAge(age), text);
}

}  // namespace
}  // namespace knarr

#include "node/shutdown.h"

#include <gtest/gtest.h>

namespace knarr::node {
namespace {

using Periods = std::vector<ShutdownPeriod>;

TEST(Shutdown, FlagsMakePeriods) {
  struct Case {
    ShutdownFlags flags;
    Periods periods;
  };
  const Case cases[] = {
      {{}, {}},
      {{30s, 10s, ""}, {{0, 20}, {2000000000, 10}}},
      {{30s, 0s, ""}, {{0, 30}, {2000000000, 0}}},
      {{10s, 10s, ""}, {{0, 0}, {2000000000, 10}}},
      {{0s, 0s, "100000=1m,-5=3s,0=0s"}, {{-5, 3}, {0, 0}, {100000, 60}}},
  };
  for (const Case& c : cases) {
    const auto parsed = ParseShutdown(c.flags);
    ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
    EXPECT_EQ(*parsed, c.periods);
  }
  EXPECT_EQ(TotalOf({{0, 20}, {5, 10}}), 30s);
}

TEST(Shutdown, FlagsThatMakeNoSense) {
  struct Case {
    ShutdownFlags flags;
    const char* message;
  };
  const Case cases[] = {
      {{1s, 2s, ""}, "invalid configuration: shutdownGracePeriodCriticalPods {2s} must be <= shutdownGracePeriod {1s}"},
      {{1ms, 0s, ""}, "invalid configuration: shutdownGracePeriod {1ms} must be either zero or otherwise >= 1 sec"},
      {{2s, 1ms, ""},
       "invalid configuration: shutdownGracePeriodCriticalPods {1ms} must be either zero or otherwise >= 1 sec"},
      {{1s, 0s, "0=5s"},
       "invalid configuration: Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the "
       "same "
       "time"},
      {{0s, 0s, "5"}, R"(--shutdown-grace-period-by-pod-priority: "5": want priority=duration)"},
      {{0s, 0s, "0=5s,0=6s"}, "--shutdown-grace-period-by-pod-priority: priority 0 is given twice"},
      {{0s, 0s, "0=1500ms"}, R"(--shutdown-grace-period-by-pod-priority: "0=1500ms": want whole seconds)"},
      {{0s, 0s, "0=-1s"}, R"(--shutdown-grace-period-by-pod-priority: "0=-1s": want whole seconds)"},
  };
  for (const Case& c : cases) {
    const auto parsed = ParseShutdown(c.flags);
    EXPECT_EQ(parsed.ok() ? "" : parsed.status().message(), c.message);
  }
  EXPECT_FALSE(ParseShutdown({0s, 0s, "high=5s"}).ok());
  EXPECT_FALSE(ParseShutdown({0s, 0s, "5000000000=5s"}).ok());
}

TEST(Shutdown, APodGoesWithThePeriodAtOrBelowItsPriority) {
  const Periods periods = {{10, 1}, {100, 1}, {1000, 1}};
  const std::pair<int32_t, size_t> cases[] = {{-1, 0},  {9, 0},   {10, 0},   {11, 0},  {99, 0},
                                              {100, 1}, {999, 1}, {1000, 2}, {5000, 2}};
  for (const auto& [priority, period] : cases) EXPECT_EQ(PeriodOf(periods, priority), period) << priority;
}

}  // namespace
}  // namespace knarr::node

#include "rt/sim.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "rt/file_system.h"
#include "rt/process.h"
#include "rt/sync.h"

namespace knarr::rt {
namespace {

// A small world with timers, queues and random draws: its order of events.
struct Trace {
  uint64_t hash = 0;
  std::string order;
  std::vector<std::string> lines;
};

Trace Play(uint64_t seed) {
  Trace trace;
  const auto runtime = SimRuntime::Create({.seed = seed});
  runtime->SetTrace([&](std::string_view line) { trace.lines.emplace_back(line); });
  runtime->Run([&] {
    Queue<int> queue(*runtime, 2);
    TaskGroup group(*runtime, "world");
    for (int i = 0; i < 5; ++i) {
      group.Spawn("producer", [&, i] {
        for (int k = 0; k < 10; ++k) {
          (void)runtime->Sleep(std::chrono::microseconds(runtime->Random() % 100));
          EXPECT_TRUE(queue.Push(i).ok());
        }
      });
    }
    for (int i = 0; i < 50; ++i) trace.order += static_cast<char>('0' + *queue.Pop());
    group.Join();
  });
  trace.hash = runtime->trace_hash();
  return trace;
}

TEST(SimTest, SameSeedSameTrace) {
  const Trace first = Play(7);
  const Trace again = Play(7);
  EXPECT_EQ(first.hash, again.hash);
  EXPECT_EQ(first.order, again.order);
  EXPECT_EQ(first.lines, again.lines);
  EXPECT_FALSE(first.lines.empty());
}

TEST(SimTest, SeedsDiffer) {
  std::vector<uint64_t> hashes;
  std::vector<std::string> orders;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Trace trace = Play(seed);
    hashes.push_back(trace.hash);
    orders.push_back(trace.order);
  }
  std::ranges::sort(hashes);
  std::ranges::sort(orders);
  EXPECT_EQ(std::ranges::unique(hashes).size(), 0U);
  EXPECT_EQ(std::ranges::unique(orders).size(), 0U);
}

TEST(SimTest, ReadyFibersRunInAnyOrder) {
  std::vector<std::string> orders;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    std::string order;
    const auto runtime = SimRuntime::Create({.seed = seed});
    runtime->Run([&] {
      TaskGroup group(*runtime, "group");
      for (const char c : {'a', 'b', 'c'}) group.Spawn("fiber", [&order, c] { order += c; });
      group.Join();
    });
    orders.push_back(order);
  }
  std::ranges::sort(orders);
  const auto rest = std::ranges::unique(orders);
  EXPECT_EQ(orders.size() - rest.size(), 6U);
}

TEST(SimTest, DaysPassAtOnce) {
  const auto runtime = SimRuntime::Create({});
  runtime->Run([&] {
    const WallTime start = runtime->Wall();
    EXPECT_EQ(FormatTime(start), "2019-12-20T00:00:00Z");
    EXPECT_TRUE(runtime->Sleep(24h * 30).ok());
    EXPECT_EQ(runtime->Wall() - start, 24h * 30);
  });
}

TEST(SimTest, TheClockIsSet) {
  const auto runtime = SimRuntime::Create({});
  runtime->Run([&] {
    const MonoTime began = runtime->Mono();
    runtime->StepClock(24h * 30);
    EXPECT_EQ(FormatTime(runtime->Wall()), "2020-01-19T00:00:00Z");
    EXPECT_EQ(runtime->Mono(), began);
  });
}

TEST(SimDeathTest, ALivelockEnds) {
  const auto spin = [] {
    const auto runtime = SimRuntime::Create({});
    runtime->Run([&] {
      for (;;) runtime->Yield();
    });
  };
  EXPECT_DEATH(spin(), "livelock");
}

TEST(SimTest, RunsAgain) {
  const auto runtime = SimRuntime::Create({});
  int runs = 0;
  runtime->Run([&] { ++runs; });
  runtime->Run([&] {
    EXPECT_TRUE(runtime->Sleep(1s).ok());
    ++runs;
  });
  EXPECT_EQ(runs, 2);
}

TEST(SimTest, DeadlockNamesTheFibers) {
  EXPECT_DEATH(
      {
        const auto runtime = SimRuntime::Create({});
        runtime->Run([&] {
          Event never(*runtime);
          TaskGroup group(*runtime, "group");
          group.Spawn("stuck", [&] { (void)never.Wait(); });
          group.Join();
        });
      },
      "deadlock: every fiber waits for ever: group/stuck, main");
}

TEST(SimTest, UnjoinedGroupDies) {
  EXPECT_DEATH(
      {
        const auto runtime = SimRuntime::Create({});
        runtime->Run([&] {
          TaskGroup group(*runtime, "leaky");
          group.Spawn("sleeper", [&] { (void)runtime->Sleep(1h); });
        });
      },
      "task group leaky was not joined");
}

TEST(SimTest, RefusesProcesses) {
  const auto runtime = SimRuntime::Create({});
  runtime->Run([&] {
    EXPECT_EQ(runtime->processes().Run({.argv = {"crun"}}).status().message(),
              "start crun: a simulation has no processes");
    EXPECT_TRUE(runtime->processes().Start({}).Failed(Reason::kForbidden));
    EXPECT_TRUE(runtime->processes().WaitForeign(1).Failed(Reason::kForbidden));
  });
}

}  // namespace
}  // namespace knarr::rt

#include "rt/runtime.h"

#include "rt/sync.h"
#include "rt/test_worlds.h"

namespace knarr::rt {
namespace {

class RuntimeTest : public WorldTest {};
INSTANTIATE_WORLDS(RuntimeTest);

TEST_P(RuntimeTest, SleepsForAtLeastTheTime) {
  In([](Runtime& runtime) {
    const MonoTime start = runtime.Mono();
    EXPECT_TRUE(runtime.Sleep(5ms).ok());
    EXPECT_GE(runtime.Mono() - start, 5ms);
    EXPECT_TRUE(runtime.Sleep(0ms).ok());
    EXPECT_TRUE(runtime.Sleep(-1ms).ok());
  });
}

TEST_P(RuntimeTest, TimersWakeInTheirOrder) {
  In([](Runtime& runtime) {
    TaskGroup group(runtime, "sleepers");
    std::vector<int> woken;
    for (const int delay : {30, 10, 20, 5, 25}) {
      group.Spawn("sleeper", [&runtime, &woken, delay] {
        EXPECT_TRUE(runtime.Sleep(std::chrono::milliseconds(delay)).ok());
        woken.push_back(delay);
      });
    }
    group.Join();
    EXPECT_EQ(woken, (std::vector<int>{5, 10, 20, 25, 30}));
  });
}

TEST_P(RuntimeTest, UnparkBeforeParkIsRemembered) {
  In([](Runtime& runtime) {
    runtime.Unpark(runtime.current());
    EXPECT_TRUE(runtime.Park().ok());
    EXPECT_TRUE(runtime.Park(runtime.Mono() + 1ms).Failed(Reason::kTimeout));
  });
}

TEST_P(RuntimeTest, YieldLetsOthersRun) {
  In([](Runtime& runtime) {
    TaskGroup group(runtime, "group");
    int ran = 0;
    for (int i = 0; i < 10; ++i) group.Spawn("other", [&] { ++ran; });
    while (ran < 10) runtime.Yield();
    group.Join();
  });
}

TEST_P(RuntimeTest, StopEndsEveryWaitOfTheGroup) {
  In([](Runtime& runtime) {
    TaskGroup group(runtime, "group");
    int cancelled = 0;
    Event never(runtime);
    group.Spawn("sleeps", [&] { cancelled += runtime.Sleep(1h).Failed(Reason::kCancelled) ? 1 : 0; });
    group.Spawn("waits", [&] { cancelled += never.Wait().Failed(Reason::kCancelled) ? 1 : 0; });
    group.Spawn("parks", [&] { cancelled += runtime.Park().Failed(Reason::kCancelled) ? 1 : 0; });
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    EXPECT_EQ(group.size(), 3U);
    EXPECT_NE(runtime.FiberNames().find("group/parks"), std::string::npos);
    group.StopAndJoin();
    EXPECT_EQ(cancelled, 3);
    // A fiber that is spawned later starts cancelled.
    group.Spawn("late", [&] { cancelled += runtime.CheckCancelled().Failed(Reason::kCancelled) ? 1 : 0; });
    group.Join();
    EXPECT_EQ(cancelled, 4);
  });
}

TEST_P(RuntimeTest, GroupMadeInAFiberStopsWithIt) {
  In([](Runtime& runtime) {
    TaskGroup outer(runtime, "outer");
    Ok seen;
    outer.Spawn("maker", [&] {
      TaskGroup inner(runtime, "inner");
      inner.Spawn("waiter", [&] { seen = runtime.Sleep(1h); });
      inner.Join();
    });
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    outer.StopAndJoin();
    EXPECT_TRUE(seen.Failed(Reason::kCancelled));
  });
}

TEST_P(RuntimeTest, ScopeDeadlineIsATimeout) {
  In([](Runtime& runtime) {
    {
      const CancelScope scope(runtime, 2ms);
      EXPECT_TRUE(runtime.Sleep(1h).Failed(Reason::kTimeout));
      EXPECT_TRUE(runtime.CheckCancelled().Failed(Reason::kTimeout));
      EXPECT_TRUE(runtime.Park().Failed(Reason::kTimeout));
    }
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    {
      const CancelScope scope(runtime, Duration::max());
      EXPECT_TRUE(runtime.Sleep(1ms).ok());
    }
  });
}

TEST_P(RuntimeTest, InnerScopeDoesNotOutliveOuterDeadline) {
  In([](Runtime& runtime) {
    const CancelScope outer(runtime, 2ms);
    const CancelScope inner(runtime, 1h);
    EXPECT_TRUE(runtime.Sleep(1h).Failed(Reason::kTimeout));
  });
}

TEST_P(RuntimeTest, ScopeStoppedByAnotherFiber) {
  In([](Runtime& runtime) {
    CancelScope scope(runtime);
    TaskGroup group(runtime, "group");
    // The group lies inside the scope, so its own wait ends too.
    group.Spawn("stopper", [&] { scope.Stop(); });
    EXPECT_TRUE(runtime.Sleep(1h).Failed(Reason::kCancelled));
    EXPECT_TRUE(scope.stopped());
    EXPECT_TRUE(group.stopped());
    group.Join();
  });
}

TEST_P(RuntimeTest, ShieldHoldsOffStopsAndDeadlines) {
  In([](Runtime& runtime) {
    CancelScope scope(runtime, 1ms);
    scope.Stop();
    {
      const Shield shield(runtime);
      EXPECT_TRUE(runtime.Sleep(3ms).ok());
      const CancelScope inside(runtime, 1ms);
      EXPECT_TRUE(runtime.Sleep(1h).Failed(Reason::kTimeout));
    }
    EXPECT_TRUE(runtime.Sleep(1ms).Failed(Reason::kCancelled));
  });
}

TEST_P(RuntimeTest, ClosedScopeNoLongerEndsItsGroup) {
  In([](Runtime& runtime) {
    std::unique_ptr<TaskGroup> group;
    Ok seen;
    {
      const CancelScope scope(runtime, 2ms);
      group = std::make_unique<TaskGroup>(runtime, "group");
      group->Spawn("sleeper", [&] { seen = runtime.Sleep(10ms); });
      runtime.Yield();
    }
    group->Join();
    EXPECT_TRUE(seen.ok());
  });
}

TEST_P(RuntimeTest, BlockingWorkRunsWhileOthersDo) {
  In([](Runtime& runtime) {
    TaskGroup group(runtime, "group");
    int ran = 0;
    group.Spawn("other", [&] { ++ran; });
    int worked = 0;
    runtime.Blocking([&] { worked = 1; });
    EXPECT_EQ(worked, 1);
    group.Join();
    EXPECT_EQ(ran, 1);
  });
}

TEST_P(RuntimeTest, PostRunsAFiber) {
  In([](Runtime& runtime) {
    OneShot<int> answer(runtime);
    runtime.Post([&] {
      EXPECT_TRUE(runtime.Sleep(1ms).ok());
      answer.Set(42);
    });
    EXPECT_EQ(**answer.Wait(), 42);
    EXPECT_FALSE(answer.Set(43));
  });
}

TEST_P(RuntimeTest, ManyFibers) {
  In([](Runtime& runtime) {
    TaskGroup group(runtime, "many");
    int sum = 0;
    for (int i = 0; i < 1000; ++i) {
      group.Spawn("one", [&, i] {
        (void)runtime.Sleep(std::chrono::microseconds(i % 7 * 100));
        ++sum;
      });
    }
    group.Join();
    EXPECT_EQ(sum, 1000);
  });
}

TEST_P(RuntimeTest, RandomDiffers) {
  In([](Runtime& runtime) {
    EXPECT_NE(runtime.Random(), runtime.Random());
    char bytes[37] = {};
    runtime.RandomBytes(bytes, sizeof bytes);
    EXPECT_NE(std::string(bytes, sizeof bytes), std::string(sizeof bytes, '\0'));
  });
}

}  // namespace
}  // namespace knarr::rt

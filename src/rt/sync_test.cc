#include "rt/sync.h"

#include "rt/test_worlds.h"

namespace knarr::rt {
namespace {

class SyncTest : public WorldTest {};
INSTANTIATE_WORLDS(SyncTest);

TEST_P(SyncTest, EventWakesAll) {
  In([](Runtime& runtime) {
    Event event(runtime);
    TaskGroup group(runtime, "group");
    int woken = 0;
    for (int i = 0; i < 5; ++i) group.Spawn("waiter", [&] { woken += event.Wait().ok() ? 1 : 0; });
    runtime.Yield();
    event.Set();
    group.Join();
    EXPECT_EQ(woken, 5);
    EXPECT_TRUE(event.Wait().ok());
    event.Reset();
    EXPECT_TRUE(event.Wait(runtime.Mono() + 1ms).Failed(Reason::kTimeout));
  });
}

TEST_P(SyncTest, QueueKeepsOrderAndBound) {
  In([](Runtime& runtime) {
    Queue<int> queue(runtime, 3);
    TaskGroup group(runtime, "group");
    std::vector<int> got;
    group.Spawn("reader", [&] {
      while (true) {
        const Result<int> item = queue.Pop();
        if (!item.ok()) break;
        got.push_back(*item);
        EXPECT_LE(queue.size(), 3U);
        if (*item % 3 == 0) runtime.Yield();
      }
    });
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(queue.Push(i).ok());
    queue.Close();
    EXPECT_TRUE(queue.Push(1).Failed(Reason::kCancelled));
    EXPECT_FALSE(queue.TryPush(1));
    group.Join();
    ASSERT_EQ(got.size(), 50U);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(got[static_cast<size_t>(i)], i);
  });
}

TEST_P(SyncTest, TryPushRefusesWhenFull) {
  In([](Runtime& runtime) {
    Queue<int> queue(runtime, 2);
    EXPECT_TRUE(queue.TryPush(1));
    EXPECT_TRUE(queue.TryPush(2));
    EXPECT_FALSE(queue.TryPush(3));
    EXPECT_EQ(*queue.Pop(), 1);
    EXPECT_EQ(*queue.Pop(), 2);
    EXPECT_TRUE(queue.Pop(runtime.Mono() + 1ms).Failed(Reason::kTimeout));
  });
}

// A reader that is woken by an item and stopped before it runs must not swallow the wake-up.
TEST_P(SyncTest, CancelledReaderPassesTheItemOn) {
  In([](Runtime& runtime) {
    Queue<int> queue(runtime, 4);
    TaskGroup doomed(runtime, "doomed");
    TaskGroup alive(runtime, "alive");
    int taken = 0;
    int taken_by_doomed = 0;
    doomed.Spawn("reader", [&] { taken_by_doomed += queue.Pop().ok() ? 1 : 0; });
    EXPECT_TRUE(runtime.Sleep(1ms).ok());  // the doomed one is first in line
    alive.Spawn("reader", [&] { taken += queue.Pop(runtime.Mono() + 1s).ok() ? 1 : 0; });
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    doomed.Stop();                  // woken by the stop …
    EXPECT_TRUE(queue.TryPush(7));  // … and notified before it runs
    doomed.Join();
    alive.Join();
    EXPECT_EQ(taken + taken_by_doomed, 1);
    EXPECT_EQ(taken, 1);
  });
}

TEST_P(SyncTest, NotifiedThenStoppedTakesTheItem) {
  In([](Runtime& runtime) {
    Queue<int> queue(runtime, 4);
    TaskGroup group(runtime, "group");
    bool got = false;
    group.Spawn("reader", [&] { got = queue.Pop().ok(); });
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    EXPECT_TRUE(queue.TryPush(7));
    group.StopAndJoin();
    EXPECT_TRUE(got != (queue.size() == 1));
  });
}

TEST_P(SyncTest, MutexIsFirstComeFirstServed) {
  In([](Runtime& runtime) {
    Mutex mutex(runtime);
    TaskGroup group(runtime, "group");
    std::vector<int> order;
    {
      const auto guard = MUST(mutex.Lock());
      for (int i = 0; i < 5; ++i) {
        group.Spawn("locker", [&, i] {
          const auto mine = MUST(mutex.Lock());
          order.push_back(i);
          runtime.Yield();
          EXPECT_TRUE(mutex.locked());
        });
        EXPECT_TRUE(runtime.Sleep(1ms).ok());
      }
    }
    // Nobody overtakes those who wait.
    const auto last = MUST(mutex.Lock());
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
    group.Join();
  });
}

TEST_P(SyncTest, CancelledLockerHandsTheMutexOn) {
  In([](Runtime& runtime) {
    for (const bool another : {true, false}) {
      Mutex mutex(runtime);
      TaskGroup doomed(runtime, "doomed");
      TaskGroup alive(runtime, "alive");
      bool locked = false;
      {
        const auto guard = MUST(mutex.Lock());
        doomed.Spawn("locker", [&] { EXPECT_FALSE(mutex.Lock().ok()); });
        EXPECT_TRUE(runtime.Sleep(1ms).ok());
        if (another) alive.Spawn("locker", [&] { locked = mutex.Lock().ok(); });
        EXPECT_TRUE(runtime.Sleep(1ms).ok());
        doomed.Stop();  // woken by the stop, then handed the mutex by the guard's end
      }
      doomed.Join();
      alive.Join();
      EXPECT_EQ(locked, another);
      EXPECT_FALSE(mutex.locked());
      EXPECT_TRUE(mutex.Lock().ok());
    }
  });
}

TEST_P(SyncTest, TimedOutWaiterLeavesTheQueue) {
  In([](Runtime& runtime) {
    WaitQueue queue(runtime);
    EXPECT_TRUE(queue.Wait(runtime.Mono() + 1ms).Failed(Reason::kTimeout));
    EXPECT_TRUE(queue.empty());
    EXPECT_FALSE(queue.NotifyOne());
  });
}

// A stale Unpark must not look like a notification.
TEST_P(SyncTest, SpuriousUnparkIsNoNotification) {
  In([](Runtime& runtime) {
    WaitQueue queue(runtime);
    runtime.Unpark(runtime.current());
    EXPECT_TRUE(queue.Wait(runtime.Mono() + 1ms).Failed(Reason::kTimeout));
    runtime.Unpark(runtime.current());
    const MonoTime start = runtime.Mono();
    EXPECT_TRUE(runtime.Sleep(2ms).ok());
    EXPECT_GE(runtime.Mono() - start, 2ms);
  });
}

// Producers, consumers and cancellations at random: every item is taken exactly once.
TEST_P(SyncTest, QueueUnderCancellationLosesNothing) {
  In([](Runtime& runtime) {
    Queue<int> queue(runtime, 2);
    std::vector<int> seen(200, 0);
    TaskGroup producers(runtime, "producers");
    for (int p = 0; p < 4; ++p) {
      producers.Spawn("producer", [&, p] {
        for (int i = 0; i < 50; ++i) EXPECT_TRUE(queue.Push(p * 50 + i).ok());
      });
    }
    TaskGroup consumers(runtime, "consumers");
    bool done = false;
    consumers.Spawn("steady", [&] {
      while (const Result<int> item = queue.Pop()) ++seen[static_cast<size_t>(*item)];
    });
    consumers.Spawn("churn", [&] {
      while (!done) {
        TaskGroup doomed(runtime, "doomed");
        for (int i = 0; i < 3; ++i) {
          doomed.Spawn("consumer", [&] {
            while (const Result<int> item = queue.Pop()) ++seen[static_cast<size_t>(*item)];
          });
        }
        for (uint64_t i = runtime.Random() % 4; i > 0; --i) runtime.Yield();
        doomed.StopAndJoin();
        (void)runtime.Sleep(10us);
      }
    });
    producers.Join();
    while (!queue.empty()) (void)runtime.Sleep(10us);
    done = true;
    queue.Close();
    consumers.Join();
    for (const int count : seen) EXPECT_EQ(count, 1);
  });
}

}  // namespace
}  // namespace knarr::rt

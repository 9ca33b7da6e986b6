#include "rt/real.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "rt/edges.h"
#include "rt/file_system.h"
#include "rt/process.h"
#include "rt/sync.h"

namespace knarr::rt {
namespace {

void InReal(const std::function<void(RealRuntime& runtime)>& body) {
  const auto runtime = RealRuntime::Create({}, BlockingPool::Create(4));
  runtime->Run([&] { body(*runtime); });
}

TEST(RealTest, PostFromOtherThreads) {
  InReal([](RealRuntime& runtime) {
    constexpr int kThreads = 4;
    constexpr int kPosts = 1000;
    int ran = 0;
    Event all(runtime);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        EXPECT_FALSE(runtime.OnThisThread());
        for (int i = 0; i < kPosts; ++i) {
          runtime.Post([&] {
            EXPECT_TRUE(runtime.OnThisThread());
            if (++ran == kThreads * kPosts) all.Set();
          });
        }
      });
    }
    EXPECT_TRUE(all.Wait(runtime.Mono() + 30s).ok());
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(ran, kThreads * kPosts);
  });
}

// More tasks than a process may have mappings: they must not each hold a stack while they wait for their turn.
TEST(RealTest, BurstOfTasksSharesStacks) {
  InReal([](RealRuntime& runtime) {
    constexpr int kTasks = 100'000;
    int ran = 0;
    runtime.Blocking([&] {
      for (int i = 0; i < kTasks; ++i) runtime.Post([&] { ++ran; });
    });
    while (ran < kTasks) runtime.Yield();
  });
}

// What a pool thread leaves may end the loop before that thread has woken it.
TEST(RealTest, EndsWhileThreadsWakeIt) {
  const auto pool = BlockingPool::Create(4);
  int ran = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto runtime = RealRuntime::Create({}, pool);
    runtime->Run([&] { runtime->Blocking([&] { ++ran; }); });
  }
  EXPECT_EQ(ran, 2000);
}

TEST(RealTest, ForkedProcessDrawsItsOwnNumbers) {
  InReal([](RealRuntime& runtime) {
    (void)runtime.Random();
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
      const std::array<uint64_t, 2> drawn = {runtime.Random(), runtime.Random()};
      _exit(write(ends[1], drawn.data(), sizeof drawn) == sizeof drawn ? 0 : 1);
    }
    ASSERT_GT(child, 0);
    std::array<uint64_t, 2> theirs{};
    EXPECT_EQ(read(ends[0], theirs.data(), sizeof theirs), static_cast<ssize_t>(sizeof theirs));
    EXPECT_EQ(waitpid(child, nullptr, 0), child);
    EXPECT_NE(theirs[0], runtime.Random());
    EXPECT_NE(theirs[1], runtime.Random());
    close(ends[0]);
    close(ends[1]);
  });
}

TEST(RealTest, CallOnAnotherRuntime) {
  const auto pool = BlockingPool::Create(2);
  const auto other = RealRuntime::Create({.name = "other"}, pool);
  other->StartThread();
  const auto here = RealRuntime::Create({}, pool);
  here->Run([&] {
    int state = 0;  // touched only on the other thread
    TaskGroup group(*here, "callers");
    for (int i = 0; i < 20; ++i) {
      group.Spawn("caller", [&] {
        for (int k = 0; k < 50; ++k) {
          EXPECT_TRUE(CallOn(*here, *other, [&] {
            ++state;
            return other->OnThisThread();
          }));
          CallOn(*here, *other, [&] { other->Yield(); });
        }
      });
    }
    group.Join();
    EXPECT_EQ(CallOn(*here, *other, [&] { return state; }), 1000);
    EXPECT_EQ(CallOn(*here, *here, [] { return 5; }), 5);
  });
  other->StopThread();
}

TEST(RealTest, WaitFdSeesDataThatIsThereAlready) {
  InReal([](RealRuntime& runtime) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    ASSERT_EQ(write(ends[1], "ab", 2), 2);
    char byte = 0;
    EXPECT_TRUE(runtime.WaitFd(ends[0], FdEvent::kReadable).ok());
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    // The second byte is no new event, but it is still there.
    EXPECT_TRUE(runtime.WaitFd(ends[0], FdEvent::kReadable).ok());
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    {
      const CancelScope scope(runtime, 2ms);
      EXPECT_TRUE(runtime.WaitFd(ends[0], FdEvent::kReadable).Failed(Reason::kTimeout));
    }
    EXPECT_TRUE(runtime.WaitFd(ends[0], FdEvent::kWritable).ok());
    runtime.ForgetFd(ends[0]);
    close(ends[0]);
    close(ends[1]);
  });
}

TEST(RealTest, BothDirectionsAtOnce) {
  InReal([](RealRuntime& runtime) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    const std::string chunk(1 << 16, 'x');
    while (write(ends[0], chunk.data(), chunk.size()) > 0) {
    }
    TaskGroup group(runtime, "group");
    int steps = 0;
    group.Spawn("reader", [&] {
      EXPECT_TRUE(runtime.WaitFd(ends[0], FdEvent::kReadable).ok());
      ++steps;
    });
    group.Spawn("writer", [&] {
      EXPECT_TRUE(runtime.WaitFd(ends[0], FdEvent::kWritable).ok());
      ++steps;
    });
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    EXPECT_EQ(steps, 0);
    ASSERT_EQ(write(ends[1], "a", 1), 1);
    while (steps < 1) ASSERT_TRUE(runtime.Sleep(1ms).ok());
    std::string buffer(1 << 20, '\0');
    while (read(ends[1], buffer.data(), buffer.size()) > 0) {
    }
    group.Join();
    EXPECT_EQ(steps, 2);
    runtime.ForgetFd(ends[0]);
    close(ends[0]);
    close(ends[1]);
  });
}

TEST(RealTest, EdgesAreToldOnceAndNoneIsLost) {
  InReal([](RealRuntime& runtime) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    ASSERT_EQ(write(ends[1], "a", 1), 1);
    {
      Edges edges(runtime, ends[0]);
      bool parked = false;
      // What was there before counts as an edge.
      EXPECT_TRUE(edges.Wait(FdEvent::kReadable, parked).ok());
      {
        const CancelScope scope(runtime, 5ms);
        EXPECT_TRUE(edges.Wait(FdEvent::kReadable, parked).Failed(Reason::kTimeout));
      }
      // One that comes while nobody waits is kept for the next wait.
      ASSERT_EQ(write(ends[1], "b", 1), 1);
      EXPECT_TRUE(runtime.Sleep(5ms).ok());
      EXPECT_TRUE(edges.Wait(FdEvent::kReadable, parked).ok());
      EXPECT_FALSE(parked);
      // One that comes while somebody waits wakes it.
      TaskGroup group(runtime, "group");
      bool woken = false;
      group.Spawn("reader", [&] {
        bool waited = false;
        EXPECT_TRUE(edges.Wait(FdEvent::kReadable, waited).ok());
        EXPECT_TRUE(waited);
        woken = true;
      });
      EXPECT_TRUE(runtime.Sleep(1ms).ok());
      EXPECT_FALSE(woken);
      ASSERT_EQ(write(ends[1], "c", 1), 1);
      group.Join();
      // The peer's end is told again and again: bytes and end may come as one edge.
      close(ends[1]);
      EXPECT_TRUE(runtime.Sleep(5ms).ok());
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(edges.Wait(FdEvent::kReadable, parked).ok());
    }
    close(ends[0]);
  });
}

TEST(RealTest, ForgetFdEndsAWait) {
  InReal([](RealRuntime& runtime) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    TaskGroup group(runtime, "group");
    Ok seen;
    group.Spawn("reader", [&] { seen = runtime.WaitFd(ends[0], FdEvent::kReadable); });
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    runtime.ForgetFd(ends[0]);
    group.Join();
    EXPECT_TRUE(seen.Failed(Reason::kCancelled));
    close(ends[0]);
    close(ends[1]);
    // The number is used again, without having been forgotten since.
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    group.Spawn("reader", [&] { seen = runtime.WaitFd(ends[0], FdEvent::kReadable); });
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    group.Join();
    EXPECT_TRUE(seen.ok());
    close(ends[0]);
    close(ends[1]);
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);  // closed without ForgetFd
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    EXPECT_TRUE(runtime.WaitFd(ends[0], FdEvent::kReadable).ok());
    close(ends[0]);
    close(ends[1]);
    EXPECT_FALSE(runtime.WaitFd(ends[0], FdEvent::kReadable).ok());
  });
}

TEST(RealTest, WaitSignal) {
  InReal([](RealRuntime& runtime) {
    TaskGroup group(runtime, "group");
    Result<int> got = Internal("none");
    group.Spawn("waiter", [&] { got = runtime.WaitSignal({SIGUSR1, SIGUSR2}); });
    EXPECT_TRUE(runtime.Sleep(1ms).ok());
    kill(getpid(), SIGUSR2);
    group.Join();
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(*got, SIGUSR2);
  });
}

TEST(RealTest, IdleLoopDoesNotWake) {
  InReal([](RealRuntime& runtime) {
    EXPECT_TRUE(runtime.Sleep(20ms).ok());
    const auto switches = [] {
      const std::string status = MUST(RealRuntime::Create({}, BlockingPool::Create(1))
                                          ->files()
                                          .ReadFile("/proc/self/task/" + std::to_string(gettid()) + "/status"));
      const size_t at = status.find("\nvoluntary_ctxt_switches:");
      return std::stol(status.substr(at + 25));
    };
    const long before = switches();
    EXPECT_TRUE(runtime.Sleep(300ms).ok());
    EXPECT_LE(switches() - before, 2);
  });
}

TEST(RealTest, BlockingRunsInParallel) {
  InReal([](RealRuntime& runtime) {
    TaskGroup group(runtime, "group");
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    for (int i = 0; i < 8; ++i) {
      group.Spawn("worker", [&] {
        runtime.Blocking([&] {
          const int now = ++inside;
          int seen = most.load();
          while (now > seen && !most.compare_exchange_weak(seen, now)) {
          }
          usleep(20000);
          --inside;
        });
      });
    }
    group.Join();
    EXPECT_GT(most.load(), 1);
    EXPECT_LE(most.load(), 4);
  });
}

TEST(RealTest, FilesOutsideAFiberWorkInPlace) {
  const auto runtime = RealRuntime::Create({}, BlockingPool::Create(1));
  EXPECT_TRUE(runtime->files().ReadFile("/proc/self/stat").ok());
  EXPECT_TRUE(runtime->files().ReadFile("/nonexistent/x").Failed(Reason::kNotFound));
}

}  // namespace
}  // namespace knarr::rt

// The runtime's own costs: switches, wake-ups between threads, descriptors, processes, idling, memory per fiber, and
// Result against exceptions. One JSON line per figure.

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "rt/file_system.h"
#include "rt/process.h"
#include "rt/real.h"
#include "rt/sim.h"
#include "rt/sync.h"

namespace knarr::rt {
namespace {

void Print(const char* name, double value, const char* unit) {
  std::printf("{\"bench\":\"rt\",\"name\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"}\n", name, value, unit);
  std::fflush(stdout);
}

template <typename Work>
void Time(Runtime& runtime, const char* name, int count, Work work) {
  const MonoTime start = runtime.Mono();
  work(count);
  Print(name, static_cast<double>((runtime.Mono() - start).count()) / count, "ns");
}

void InReal(const std::function<void(RealRuntime& runtime)>& body) {
  const auto runtime = RealRuntime::Create({}, BlockingPool::Create(4));
  runtime->Run([&] { body(*runtime); });
}

double ResidentKilobytes() {
  std::ifstream status("/proc/self/smaps_rollup");
  for (std::string word; status >> word;) {
    if (word != "Pss:") continue;
    double kilobytes = 0;
    status >> kilobytes;
    return kilobytes;
  }
  return 0;
}

void Switches(RealRuntime& runtime) {
  Time(runtime, "yield", 1'000'000, [&](int count) {
    for (int i = 0; i < count; ++i) runtime.Yield();
  });
  Time(runtime, "park_unpark_round_trip", 500'000, [&](int count) {
    Fiber* main = runtime.current();
    Fiber* other = nullptr;
    TaskGroup group(runtime, "bench");
    group.Spawn("other", [&] {
      other = runtime.current();
      while (runtime.Park().ok()) runtime.Unpark(main);
    });
    runtime.Yield();
    for (int i = 0; i < count; ++i) {
      runtime.Unpark(other);
      (void)runtime.Park();
    }
    group.StopAndJoin();
  });
  Time(runtime, "spawn_and_end", 200'000, [&](int count) {
    TaskGroup group(runtime, "bench");
    for (int i = 0; i < count; i += 100) {
      for (int k = 0; k < 100; ++k) group.Spawn("x", [] {});
      group.Join();
    }
  });
  Time(runtime, "scope_with_deadline_and_wait", 200'000, [&](int count) {
    for (int i = 0; i < count; ++i) {
      const CancelScope scope(runtime, 10s);
      runtime.Unpark(runtime.current());
      (void)runtime.Park();
    }
  });
}

void OtherThreads(RealRuntime& runtime) {
  const auto other = RealRuntime::Create({.name = "other"}, BlockingPool::Create(1));
  other->StartThread();
  Time(runtime, "call_on_round_trip", 50'000, [&](int count) {
    for (int i = 0; i < count; ++i) CallOn(runtime, *other, [] {});
  });
  Time(runtime, "call_on_64_at_once", 200'000, [&](int count) {
    TaskGroup group(runtime, "bench");
    for (int f = 0; f < 64; ++f) {
      group.Spawn("caller", [&] {
        for (int i = 0; i < count / 64; ++i) CallOn(runtime, *other, [] {});
      });
    }
    group.Join();
  });
  Time(runtime, "post_burst", 200'000, [&](int count) {
    for (int i = 0; i < count; ++i) other->Post([] {});
    CallOn(runtime, *other, [] {});
  });
  Time(runtime, "blocking_round_trip", 50'000, [&](int count) {
    for (int i = 0; i < count; ++i) runtime.Blocking([] {});
  });
  other->StopThread();
}

void Descriptors(RealRuntime& runtime) {
  Time(runtime, "socket_ping_pong_between_fibers", 50'000, [&](int count) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return;
    const auto echo = [&](int fd, int rounds, bool first) {
      char byte = 'x';
      if (first && write(fd, &byte, 1) != 1) return;
      for (int i = 0; i < rounds; ++i) {
        while (read(fd, &byte, 1) != 1) (void)runtime.WaitFd(fd, FdEvent::kReadable);
        if (write(fd, &byte, 1) != 1) return;
      }
    };
    TaskGroup group(runtime, "bench");
    group.Spawn("echo", [&] { echo(ends[1], count, false); });
    echo(ends[0], count - 1, true);
    group.StopAndJoin();
    for (const int fd : ends) {
      runtime.ForgetFd(fd);
      close(fd);
    }
  });
}

void ProcessesAndFiles(RealRuntime& runtime) {
  ProcessSpec spec;
  spec.argv = {"/bin/true"};
  Time(runtime, "run_true", 200, [&](int count) {
    for (int i = 0; i < count; ++i) (void)runtime.processes().Run(spec);
  });
  std::vector<char> ballast(512 << 20, 'x');
  Time(runtime, "run_true_from_512_MiB", 200, [&](int count) {
    for (int i = 0; i < count; ++i) (void)runtime.processes().Run(spec);
  });
  Time(runtime, "read_proc_file", 20'000, [&](int count) {
    for (int i = 0; i < count; ++i) (void)runtime.files().ReadFile("/proc/self/stat");
  });
}

void Idle(RealRuntime& runtime) {
  rusage before{};
  rusage after{};
  (void)runtime.Sleep(50ms);
  getrusage(RUSAGE_SELF, &before);
  (void)runtime.Sleep(2s);
  getrusage(RUSAGE_SELF, &after);
  Print("idle_wakeups_in_2s", static_cast<double>(after.ru_nvcsw - before.ru_nvcsw), "count");
}

void Memory(RealRuntime& runtime) {
  constexpr int kFibers = 10'000;
  const double before = ResidentKilobytes();
  TaskGroup group(runtime, "bench");
  for (int i = 0; i < kFibers; ++i) group.Spawn("waiter", [&] { (void)runtime.Sleep(1h); });
  runtime.Yield();
  (void)runtime.Sleep(10ms);
  Print("memory_per_waiting_fiber", (ResidentKilobytes() - before) / kFibers, "KiB");
  group.StopAndJoin();
  Print("memory_left_after_10000_fibers", ResidentKilobytes() - before, "KiB");
}

// A failure that passes five frames, as a Result and as an exception, and the same call when nothing fails.
[[gnu::noinline]] Result<int> ResultLeaf(int n, bool fails) {
  if (fails) return NotFound("pods \"a\" not found");
  return n;
}
template <int kDepth>
[[gnu::noinline]] Result<int> ResultFrame(int n, bool fails) {
  if constexpr (kDepth == 0) {
    return ResultLeaf(n, fails);
  } else {
    return TRY(ResultFrame<kDepth - 1>(n, fails)) + 1;
  }
}
[[gnu::noinline]] int ThrowLeaf(int n, bool fails) {
  if (fails) throw std::runtime_error("pods \"a\" not found");
  return n;
}
template <int kDepth>
[[gnu::noinline]] int ThrowFrame(int n, bool fails) {
  if constexpr (kDepth == 0) {
    return ThrowLeaf(n, fails);
  } else {
    return ThrowFrame<kDepth - 1>(n, fails) + 1;
  }
}

void Errors(RealRuntime& runtime) {
  volatile int sink = 0;
  for (const bool fails : {false, true}) {
    Time(runtime, fails ? "result_through_5_frames_failing" : "result_through_5_frames", 1'000'000, [&](int count) {
      for (int i = 0; i < count; ++i) sink = sink + ResultFrame<5>(i, fails).value_or(1);
    });
    Time(runtime, fails ? "exception_through_5_frames_failing" : "exception_through_5_frames", 200'000, [&](int count) {
      for (int i = 0; i < count; ++i) {
        try {
          sink = sink + ThrowFrame<5>(i, fails);
        } catch (const std::runtime_error&) {
          sink = sink + 1;
        }
      }
    });
  }
}

void Simulation() {
  const auto real = RealRuntime::Create({}, BlockingPool::Create(1));
  const auto sim = SimRuntime::Create({});
  Time(*real, "sim_sleep", 500'000, [&](int count) {
    sim->Run([&] {
      TaskGroup group(*sim, "bench");
      for (int f = 0; f < 1000; ++f) {
        group.Spawn("sleeper", [&] {
          for (int i = 0; i < count / 1000; ++i) (void)sim->Sleep(Duration(sim->Random() % 1'000'000));
        });
      }
      group.Join();
    });
  });
}

}  // namespace
}  // namespace knarr::rt

int main() {
  using namespace knarr::rt;
  InReal([](RealRuntime& runtime) {
    Memory(runtime);
    Switches(runtime);
    OtherThreads(runtime);
    Descriptors(runtime);
    Errors(runtime);
    ProcessesAndFiles(runtime);
  });
  InReal(Idle);
  Simulation();
  return 0;
}

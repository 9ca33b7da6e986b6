#pragma once

// The runtime on a real kernel: a thread with an event loop, timers and fibers, and a blocking pool shared by all
// runtimes of the program. It uses no CPU while nothing happens.

#include <functional>
#include <memory>
#include <string>

#include "rt/runtime.h"

namespace knarr::rt {

struct RealOptions {
  std::string name = "main";       ///< thread name
  size_t fiber_stack = 256 << 10;  ///< bytes of address space a fiber; pages are touched on use, guarded below
};

/// The threads that run Runtime::Blocking's work, started on first use and ended after a while idle.
class BlockingPool {
 public:
  static std::shared_ptr<BlockingPool> Create(size_t threads_max);
  virtual ~BlockingPool() = default;
  virtual void Submit(std::function<void()> work) = 0;
};

class RealRuntime : public Runtime {
 public:
  static std::unique_ptr<RealRuntime> Create(RealOptions options, std::shared_ptr<BlockingPool> pool);

  /// Runs `body` as the first fiber on the calling thread, and the loop until `body` and every other fiber has ended.
  virtual void Run(std::function<void()> body) = 0;
  /// Starts a thread that serves Post until StopThread. Fibers still alive then must belong to stopped groups.
  virtual void StartThread() = 0;
  virtual void StopThread() = 0;
  /// Suspends the current fiber until one of the signals arrives; the signals are blocked for the whole process.
  virtual Result<int> WaitSignal(std::initializer_list<int> signals) = 0;
};

}  // namespace knarr::rt

#pragma once

// The runtime of a simulation: one thread, virtual time, and a seed that decides every choice (which ready fiber runs
// next, every random number). The same seed gives the same trace, bit for bit.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "rt/runtime.h"

namespace knarr::rt {

struct SimOptions {
  uint64_t seed = 1;
  WallTime start{std::chrono::hours(24 * 365 * 50)};  ///< wall time at the beginning
  size_t fiber_stack = 256 << 10;
};

class SimRuntime : public Runtime {
 public:
  static std::unique_ptr<SimRuntime> Create(SimOptions options);

  /// Runs `body` as a fiber, and the world, until `body` ends. Time moves when no fiber is ready. CHECK-fails, printing
  /// the fibers' names, when all of them wait for ever (a deadlock), and when they had twenty million turns in one
  /// moment (a livelock).
  virtual void Run(std::function<void()> body) = 0;
  /// Somebody sets the machine's clock: wall time is so much later at once, and nothing happens because of it.
  virtual void StepClock(Duration by) = 0;
  /// A hash over every scheduling step and random draw so far: equal for equal seeds.
  virtual uint64_t trace_hash() const = 0;
  /// Called with "time fiber event" for each step, when set.
  virtual void SetTrace(std::function<void(std::string_view line)> trace) = 0;
};

}  // namespace knarr::rt

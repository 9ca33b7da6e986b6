#pragma once

// The one seam between Knarr and time, chance, threads and the kernel's waiting.
//
// Everything above rt/ is plain blocking code on stackful fibers (Boost.Context). A fiber belongs to one Runtime, and a
// Runtime is one thread: its fibers run one at a time and switch only where they wait, so state that only they touch
// needs no lock, but nothing may be assumed of it across a wait without looking again. RealRuntime waits in an event
// loop (rt/real.h); SimRuntime has virtual time and a seed, and replays bit for bit (rt/sim.h).
//
// Cancellation: each fiber carries a chain of CancelScopes (its TaskGroup's, then any it opened itself). A wait in a
// fiber whose chain is stopped, or whose chain's deadline passes, returns at once with Cancelled or Timeout: no token
// is passed by hand, and every wait is a place where a fiber can end. A Shield holds that off while cleaning up.
//
// Threads: all members are for the runtime's own thread unless they say "any thread".

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"

namespace knarr::rt {

class Fiber;
class Fibers;
struct GroupState;
struct ScopeState;
class FileSystem;
class Processes;

/// A wake-up that another thread will send. The waiting fiber keeps it on its stack and parks until `done`:
///   RemoteWake wake{runtime.current()};  …hand &wake to the other thread…
///   while (!wake.done) (void)runtime.Park();                              // under a Shield
struct RemoteWake {
  Fiber* fiber = nullptr;
  bool done = false;  ///< Set on the runtime's own thread.
  RemoteWake* next = nullptr;
};

/// What a descriptor is waited for.
enum class FdEvent : uint8_t { kReadable, kWritable };

class Runtime {
 public:
  virtual ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Any thread.
  virtual MonoTime Mono() const = 0;
  /// Any thread.
  virtual WallTime Wall() const = 0;
  /// Uniform 64 bits; not for keys or tokens (see RandomBytes). Any thread.
  virtual uint64_t Random() = 0;
  /// Cryptographically strong in the real runtime; drawn from the seed in the simulated one. Any thread.
  virtual void RandomBytes(void* out, size_t size) = 0;

  /// Suspends the current fiber. Timeout when a scope's deadline passes first, Cancelled when a scope is stopped.
  Ok Sleep(Duration duration);
  /// Lets every other ready fiber run first. Never fails: a loop that yields checks Cancelled() itself.
  void Yield();
  /// Ok while the current fiber may go on; Cancelled or Timeout otherwise.
  Ok CheckCancelled();

  /// Suspends the current fiber until Unpark, the time, or cancellation. Timeout only from `until` or a scope's
  /// deadline. The primitive under every other wait; prefer those in rt/sync.h.
  Ok Park(MonoTime until = MonoTime::max());
  /// Makes a parked fiber ready; if it is not parked, its next Park returns at once.
  void Unpark(Fiber* fiber);
  /// The names of all fibers that have not ended, for a person who asks what a program waits for.
  std::string FiberNames() const;
  /// The fiber that runs now, nullptr outside any.
  Fiber* current() const { return current_; }

  /// Runs `task` as a fiber of this runtime, without a group: it must end by itself. Any thread.
  virtual void Post(std::function<void()> task) = 0;
  /// Sets wake->done on this runtime's thread and unparks its fiber. Does not allocate. Any thread.
  virtual void Wake(RemoteWake* wake) = 0;

  /// Runs `work` on the small blocking pool (mounts, forks, disk) and suspends the current fiber until it is done.
  /// Never cancelled midway: a scope that ends meanwhile is seen at the next wait. In simulation: runs in place.
  virtual void Blocking(const std::function<void()>& work) = 0;

  /// Suspends until the descriptor is ready (one fiber a descriptor and direction). Simulated runtimes have no
  /// descriptors and CHECK-fail.
  virtual Ok WaitFd(int fd, FdEvent event) = 0;
  /// REQUIRES: called before a descriptor that was waited on is closed.
  virtual void ForgetFd(int fd) = 0;

  /// Files and processes of this world: the kernel's, or simulated.
  virtual FileSystem& files() = 0;
  virtual Processes& processes() = 0;

  virtual bool OnThisThread() const = 0;

 protected:
  Runtime();

 private:
  friend class CancelScope;
  friend class Fibers;
  friend class Shield;
  friend class TaskGroup;
  Fiber* current_ = nullptr;

 protected:
  std::unique_ptr<Fibers> fibers_;
};

/// Runs `function` as a fiber of `target` and waits for its result on the current fiber of `here`. In place when both
/// are the same runtime. Not cancelled midway. Defined in rt/sync.h.
template <typename Function>
auto CallOn(Runtime& here, Runtime& target, Function function) -> decltype(function());

/// A stretch of the current fiber's life with its own end: stopped by hand, or at a deadline.
///   { CancelScope scope(runtime, 5s); TRY(client.Get(…)); }   // at most five seconds
class CancelScope {
 public:
  /// Opens a scope on the current fiber, inside its present one.
  CancelScope(Runtime& runtime, Duration timeout);
  explicit CancelScope(Runtime& runtime);
  ~CancelScope();
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;

  /// Ends the scope: every wait inside it returns Cancelled. May be called by any fiber of the runtime.
  void Stop();
  bool stopped() const;

 private:
  Fiber* fiber_;
  std::shared_ptr<ScopeState> state_;
};

/// While it lives, the current fiber's waits are not cancelled and see no deadline: for cleaning up. Keep it short.
/// Scopes opened inside it work as usual.
class Shield {
 public:
  explicit Shield(Runtime& runtime);
  ~Shield();
  Shield(const Shield&) = delete;
  Shield& operator=(const Shield&) = delete;

 private:
  Fiber* fiber_;
};

/// Owns background fibers. Stop() asks them to end, Join() waits until they have; the destructor CHECKs that. A group
/// made inside a fiber is stopped when that fiber's own scope is.
class TaskGroup {
 public:
  TaskGroup(Runtime& runtime, std::string name);
  /// CHECKs that no fiber is left.
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts a fiber. After Stop() it is started cancelled. `name` shows in traces and stack dumps.
  void Spawn(std::string_view name, std::function<void()> body);
  /// Asks every fiber of the group to end: their waits return Cancelled.
  void Stop();
  /// Suspends until every fiber of the group has ended. Is not cancelled.
  void Join();
  /// Stop() and Join().
  void StopAndJoin();
  size_t size() const;
  bool stopped() const;

 private:
  std::shared_ptr<GroupState> state_;
};

}  // namespace knarr::rt

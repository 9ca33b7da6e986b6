#pragma once

// What fibers of one runtime wait on. None of these is for use between threads (Runtime::Post and CallOn are), except
// where it says so. Every wait returns Cancelled or Timeout as rt/runtime.h describes.

#include <deque>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "rt/runtime.h"

namespace knarr::rt {

/// A condition to wait for: the fiber rechecks its predicate after each wake-up. A fiber that was notified and
/// cancelled at once passes the notification on.
class WaitQueue {
 public:
  explicit WaitQueue(Runtime& runtime) : runtime_(runtime) {}
  /// CHECKs that nobody waits.
  ~WaitQueue();
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  /// Until a notification. REQUIRES: the queue outlives the wait.
  Ok Wait(MonoTime until = MonoTime::max());
  /// The same, for who keeps a notification that came together with an error: `notified` says whether one did, and it
  /// is not passed on.
  Ok WaitNoting(bool& notified, MonoTime until = MonoTime::max());
  template <typename Predicate>
  Ok WaitUntil(Predicate predicate, MonoTime until = MonoTime::max()) {
    while (!predicate()) TRY(Wait(until));
    return {};
  }
  /// Wakes the longest-waiting fiber, if any; whether there was one.
  bool NotifyOne();
  void NotifyAll();
  bool empty() const { return first_ == nullptr; }
  Runtime& runtime() const { return runtime_; }

 private:
  struct Waiter;  // on the waiting fiber's stack
  void Remove(Waiter* waiter);
  Runtime& runtime_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
};

/// Once set, stays set until Reset.
class Event {
 public:
  explicit Event(Runtime& runtime) : queue_(runtime) {}
  void Set() {
    set_ = true;
    queue_.NotifyAll();
  }
  void Reset() { set_ = false; }
  bool is_set() const { return set_; }
  Ok Wait(MonoTime until = MonoTime::max()) {
    return queue_.WaitUntil([this] { return set_; }, until);
  }

 private:
  WaitQueue queue_;
  bool set_ = false;
};

/// A value that is set once and waited for: the result of a fiber.
template <typename T>
class OneShot {
 public:
  explicit OneShot(Runtime& runtime) : queue_(runtime) {}
  /// False, and no change, when it was set before.
  bool Set(T value) {
    if (value_.has_value()) return false;
    value_.emplace(std::move(value));
    queue_.NotifyAll();
    return true;
  }
  bool is_set() const { return value_.has_value(); }
  /// The value once it is there; it stays inside. The pointer is good as long as this object.
  Result<T*> Wait(MonoTime until = MonoTime::max()) {
    TRY(queue_.WaitUntil([this] { return value_.has_value(); }, until));
    return &*value_;
  }

 private:
  WaitQueue queue_;
  std::optional<T> value_;
};

/// Mutual exclusion between fibers that must hold state across a wait. First come, first served: Unlock hands the mutex
/// to the fiber that waits longest, so that nobody overtakes it.
class Mutex {
 public:
  explicit Mutex(Runtime& runtime) : queue_(runtime) {}
  /// Unlocks when destroyed.
  class Guard {
   public:
    explicit Guard(Mutex* mutex) : mutex_(mutex) {}
    Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (mutex_ != nullptr) mutex_->Unlock();
    }

   private:
    Mutex* mutex_;
  };
  Result<Guard> Lock() {
    if (!locked_) {
      TRY(queue_.runtime().CheckCancelled());
      locked_ = true;
      return Guard(this);
    }
    bool handed_over = false;
    const Ok waited = queue_.WaitNoting(handed_over);
    if (!waited.ok()) {
      if (handed_over) Unlock();
      return waited.status();
    }
    return Guard(this);
  }
  bool locked() const { return locked_; }

 private:
  void Unlock() { locked_ = queue_.NotifyOne(); }
  WaitQueue queue_;
  bool locked_ = false;
};

/// A bounded queue between fibers. Push waits while it is full; TryPush refuses.
template <typename T>
class Queue {
 public:
  Queue(Runtime& runtime, size_t bound) : readers_(runtime), writers_(runtime), bound_(bound) {}

  Ok Push(T item) {
    TRY(writers_.WaitUntil([this] { return closed_ || items_.size() < bound_; }));
    if (closed_) return Cancelled("queue closed");
    items_.push_back(std::move(item));
    readers_.NotifyOne();
    return {};
  }
  /// False when full or closed.
  bool TryPush(T item) {
    if (closed_ || items_.size() >= bound_) return false;
    items_.push_back(std::move(item));
    readers_.NotifyOne();
    return true;
  }
  /// The next item; Cancelled once the queue is closed and empty; Timeout at `until`.
  Result<T> Pop(MonoTime until = MonoTime::max()) {
    TRY(readers_.WaitUntil([this] { return closed_ || !items_.empty(); }, until));
    if (items_.empty()) return Cancelled("queue closed");
    T item = std::move(items_.front());
    items_.pop_front();
    writers_.NotifyOne();
    return item;
  }
  /// Readers get what is left, then Cancelled; writers get Cancelled at once.
  void Close() {
    closed_ = true;
    readers_.NotifyAll();
    writers_.NotifyAll();
  }
  bool closed() const { return closed_; }
  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  size_t bound() const { return bound_; }

 private:
  WaitQueue readers_;
  WaitQueue writers_;
  std::deque<T> items_;
  size_t bound_;
  bool closed_ = false;
};

template <typename Function>
auto CallOn(Runtime& here, Runtime& target, Function function) -> decltype(function()) {
  using R = decltype(function());
  if (&here == &target) return function();
  CHECK(here.current() != nullptr);
  const Shield shield(here);
  RemoteWake wake{.fiber = here.current()};
  const auto wait = [&] {
    while (!wake.done) (void)here.Park();
  };
  if constexpr (std::is_void_v<R>) {
    target.Post([&] {
      function();
      here.Wake(&wake);
    });
    wait();
  } else {
    std::optional<R> result;
    target.Post([&] {
      result.emplace(function());
      here.Wake(&wake);
    });
    wait();
    return std::move(*result);
  }
}

}  // namespace knarr::rt

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

/// A condition to wait for: the fiber rechecks its predicate after each wake-up.
class WaitQueue {
 public:
  explicit WaitQueue(Runtime& runtime) : runtime_(runtime) {}
  /// CHECKs that nobody waits.
  ~WaitQueue();
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  Ok Wait(MonoTime until = MonoTime::max());
  template <typename Predicate>
  Ok WaitUntil(Predicate predicate, MonoTime until = MonoTime::max()) {
    while (!predicate()) TRY(Wait(until));
    return {};
  }
  /// Wakes the longest-waiting fiber, if any.
  void NotifyOne();
  void NotifyAll();
  Runtime& runtime() const { return runtime_; }

 private:
  Runtime& runtime_;
  std::deque<Fiber*> waiters_;
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

/// Mutual exclusion between fibers that must hold state across a wait. First come, first served.
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
    TRY(queue_.WaitUntil([this] { return !locked_; }));
    locked_ = true;
    return Guard(this);
  }

 private:
  void Unlock() {
    locked_ = false;
    queue_.NotifyOne();
  }
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
  Fiber* waiter = here.current();
  CHECK(waiter != nullptr);
  Shield shield(here);
  bool done = false;
  auto finish = [&] {
    here.Post([&] {
      done = true;
      here.Unpark(waiter);
    });
  };
  if constexpr (std::is_void_v<R>) {
    target.Post([&] {
      function();
      finish();
    });
    while (!done) (void)here.Park();
  } else {
    std::optional<R> result;
    target.Post([&] {
      result.emplace(function());
      finish();
    });
    while (!done) (void)here.Park();
    return std::move(*result);
  }
}

}  // namespace knarr::rt

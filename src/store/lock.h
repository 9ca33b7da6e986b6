#pragma once

// A lock for the few words that threads share here (the published state, a watcher's queue). Held for nanoseconds, so
// it spins a little first and then sleeps in the kernel; it never covers a wait of a fiber.

#include <atomic>
#include <cstdint>

namespace knarr::store {

class Lock {
 public:
  class Guard {
   public:
    explicit Guard(Lock& lock) : lock_(lock) { lock_.Acquire(); }
    ~Guard() { lock_.Release(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Lock& lock_;
  };

 private:
  void Acquire() {
    for (int i = 0; i < kSpins; i++) {
      uint32_t free = kFree;
      if (state_.compare_exchange_weak(free, kHeld, std::memory_order_acquire)) return;
    }
    while (state_.exchange(kAwaited, std::memory_order_acquire) != kFree) state_.wait(kAwaited);
  }
  void Release() {
    if (state_.exchange(kFree, std::memory_order_release) == kAwaited) state_.notify_one();
  }

  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kHeld = 1;
  static constexpr uint32_t kAwaited = 2;
  static constexpr int kSpins = 100;
  std::atomic<uint32_t> state_{kFree};
};

}  // namespace knarr::store

#pragma once

// The bound on requests that are being answered at once: one for those that change something, one for all others, so
// that neither can keep the other out. What streams does not count.

#include <atomic>
#include <cstddef>
#include <optional>

namespace knarr::apiserver {

class InFlight {
 public:
  InFlight(size_t read_max, size_t write_max) : read_max_(read_max), write_max_(write_max) {}

  /// One request's place, for as long as it lives.
  class Place {
   public:
    explicit Place(std::atomic<size_t>* count) : count_(count) {}
    ~Place() {
      if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_relaxed);
    }
    Place(Place&& other) noexcept : count_(other.count_) { other.count_ = nullptr; }
    Place& operator=(Place&&) = delete;

   private:
    std::atomic<size_t>* count_;
  };

  /// nullopt when all places are taken; whoever must always get through takes one beyond them.
  std::optional<Place> Enter(bool writes, bool always) {
    std::atomic<size_t>& count = writes ? writing_ : reading_;
    if (count.fetch_add(1, std::memory_order_relaxed) < (writes ? write_max_ : read_max_) || always) {
      return Place(&count);
    }
    count.fetch_sub(1, std::memory_order_relaxed);
    return std::nullopt;
  }

  size_t reading() const { return reading_.load(std::memory_order_relaxed); }
  size_t writing() const { return writing_.load(std::memory_order_relaxed); }

 private:
  const size_t read_max_;
  const size_t write_max_;
  std::atomic<size_t> reading_{0};
  std::atomic<size_t> writing_{0};
};

}  // namespace knarr::apiserver

#pragma once

// Whether a history of concurrent operations on one register could have happened one after another: the method of Wing
// and Gong with Lowe's memory of what was tried, as Porcupine does it. Keys are independent of each other, so each has
// a history of its own.

#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace knarr::sim {

/// One operation as its client saw it. Values are told apart: no value is written twice; "" is none.
struct Operation {
  enum class Kind : uint8_t { kRead, kWrite, kCompareAndSet };
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
  Kind kind = Kind::kRead;
  std::string value;      ///< that was read, or is written
  std::string expects;    ///< of kCompareAndSet
  uint64_t call = 0;      ///< moments, in one order for all clients
  uint64_t ret = kNever;  ///< kNever: it is not known whether it took place; it may at any time from its call on
};

/// False: in no order of these does each give what it gave.
class RegisterHistory {
 public:
  explicit RegisterHistory(std::vector<Operation> operations) : operations_(std::move(operations)) {}

  bool IsLinearizable() {
    done_.assign(operations_.size(), false);
    left_ = 0;
    for (const Operation& operation : operations_) left_ += operation.ret != Operation::kNever;
    return Search("");
  }

 private:
  /// An operation may be next when none that is left returned before it was called.
  bool Search(const std::string& state) {
    if (left_ == 0) return true;
    if (!tried_.emplace(done_, state).second) return false;
    uint64_t first_return = Operation::kNever;
    for (size_t i = 0; i < operations_.size(); i++) {
      if (!done_[i]) first_return = std::min(first_return, operations_[i].ret);
    }
    for (size_t i = 0; i < operations_.size(); i++) {
      const Operation& operation = operations_[i];
      if (done_[i] || operation.call > first_return) continue;
      std::string next = state;
      if (!Step(operation, next)) continue;
      const bool known = operation.ret != Operation::kNever;
      // What is not known and changes nothing need not have happened.
      if (!known && next == state) continue;
      done_[i] = true;
      left_ -= known;
      const bool found = Search(next);
      done_[i] = false;
      left_ += known;
      if (found) return true;
    }
    return false;
  }

  static bool Step(const Operation& operation, std::string& state) {
    switch (operation.kind) {
      case Operation::Kind::kRead:
        return operation.value == state;
      case Operation::Kind::kCompareAndSet:
        if (operation.expects != state) return operation.ret == Operation::kNever;
        break;
      case Operation::Kind::kWrite:
        break;
    }
    state = operation.value;
    return true;
  }

  const std::vector<Operation> operations_;
  std::vector<bool> done_;
  size_t left_ = 0;
  std::set<std::pair<std::vector<bool>, std::string>> tried_;
};

}  // namespace knarr::sim

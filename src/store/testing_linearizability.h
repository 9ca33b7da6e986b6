#pragma once

// For tests only: whether what several clients were told of one key can have happened one after the other, each between
// its call and its return (Wing and Gong's search, with Lowe's memory of states that led nowhere).

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace knarr::store {

/// One call about a key, whose values are different for each write.
struct RegisterCall {
  enum class Kind : uint8_t { kRead, kWrite, kSwap, kFailedSwap };
  using Value = std::optional<std::string>;  ///< nullopt: not there
  static constexpr int64_t kNever = INT64_MAX;

  Kind kind = Kind::kRead;
  Value value;                ///< read, or written
  Value expected;             ///< of a swap: what must be there; of one that failed: what is not
  int64_t called = 0;         ///< by one counter for all calls and returns
  int64_t returned = kNever;  ///< never: it is not known whether it happened, or when
};

class RegisterHistory {
 public:
  void Add(RegisterCall call) { calls_.push_back(std::move(call)); }
  size_t size() const { return calls_.size(); }

  bool Linearizable() {
    Number();
    done_.assign(calls_.size(), false);
    dead_.clear();
    return Search(0);
  }

 private:
  void Number() {
    std::map<std::string, int> numbers;
    const auto number = [&](const RegisterCall::Value& value) {
      if (!value.has_value()) return 0;
      return numbers.try_emplace(*value, static_cast<int>(numbers.size()) + 1).first->second;
    };
    std::ranges::sort(calls_, {}, &RegisterCall::called);
    values_.clear();
    for (const RegisterCall& call : calls_) values_.emplace_back(number(call.value), number(call.expected));
  }

  /// The state behind the call; nullopt: it can't have happened in this one.
  std::optional<int> Step(size_t at, int state) const {
    const auto [value, expected] = values_[at];
    switch (calls_[at].kind) {
      case RegisterCall::Kind::kRead:
        return value == state ? std::optional(state) : std::nullopt;
      case RegisterCall::Kind::kWrite:
        return value;
      case RegisterCall::Kind::kSwap:
        return expected == state ? std::optional(value) : std::nullopt;
      case RegisterCall::Kind::kFailedSwap:
        return expected != state ? std::optional(state) : std::nullopt;
    }
    return std::nullopt;
  }

  bool Search(int state) {
    // Calls that nobody knows the end of may never have happened.
    int64_t first_return = RegisterCall::kNever;
    for (size_t i = 0; i < calls_.size(); ++i) {
      if (!done_[i]) first_return = std::min(first_return, calls_[i].returned);
    }
    if (first_return == RegisterCall::kNever) return true;
    if (!dead_.emplace(done_, state).second) return false;
    for (size_t i = 0; i < calls_.size() && calls_[i].called < first_return; ++i) {
      if (done_[i]) continue;
      const std::optional<int> next = Step(i, state);
      if (!next.has_value()) continue;
      done_[i] = true;
      const bool found = Search(*next);
      done_[i] = false;
      if (found) return true;
    }
    return false;
  }

  std::vector<RegisterCall> calls_;
  std::vector<std::pair<int, int>> values_;
  std::vector<bool> done_;
  std::set<std::pair<std::vector<bool>, int>> dead_;
};

}  // namespace knarr::store

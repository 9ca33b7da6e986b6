#pragma once

// What happened in a simulated run, and what should not have: the workload's steps, every change in the store, and the
// broken invariants. Kept bounded; printed when a seed fails.

#include <deque>
#include <string>
#include <vector>

#include "rt/runtime.h"

namespace knarr::sim {

class Journal {
 public:
  explicit Journal(rt::Runtime& runtime) : runtime_(runtime), start_(runtime.Mono()) {}

  /// One line, with the virtual time before it. The last kLinesMost are kept.
  void Note(std::string text);
  /// A broken invariant. The first kViolationsMost are kept.
  void Violation(std::string text);
  bool failed() const { return !violations_.empty(); }
  const std::vector<std::string>& violations() const { return violations_; }
  /// All that is kept, then the violations.
  std::string ToString() const;

 private:
  std::string Stamp() const;
  static constexpr size_t kLinesMost = 3000;
  static constexpr size_t kViolationsMost = 20;
  rt::Runtime& runtime_;
  MonoTime start_;
  std::deque<std::string> lines_;
  std::vector<std::string> violations_;
};

}  // namespace knarr::sim

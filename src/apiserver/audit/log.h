#pragma once

// The audit log: lines of JSON in a file that is rotated by size. Requests never wait for it: they put a line into a
// queue, and a fiber of the world's brings the queue to the disk. When the disk can't keep up, the queue's bound is
// reached and further lines are dropped and counted.

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/apiserver.h"
#include "apiserver/audit/policy.h"
#include "base/metrics.h"
#include "rt/file_system.h"
#include "rt/sync.h"
#include "store/lock.h"

namespace knarr::apiserver {

class AuditLog {
 public:
  /// Null when there is no policy or no file: nothing is logged. Errors say what is wrong with the policy or the file.
  static Result<std::unique_ptr<AuditLog>> Create(rt::Runtime& world, const AuditOptions& options);
  AuditLog(rt::Runtime& world, AuditOptions options, AuditPolicy policy);
  ~AuditLog();

  void AddMetrics(knarr::Registry& metrics);
  /// World fiber.
  void Start();
  /// Writes out what is queued. World fiber.
  void Stop();

  const AuditPolicy& policy() const { return policy_; }
  /// A request of this level has come.
  void Count(AuditLevel level) {
    if (levels_[0] != nullptr) levels_[static_cast<size_t>(level)]->Add();
  }
  /// A line without its end. Any of the server's threads; never waits.
  void Write(std::string line);
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void Drop(size_t lines);
  void Drain();
  Ok WriteOut(const std::string& text);
  Ok OpenFile();
  Ok Rotate();
  Ok RemoveOld();

  rt::Runtime& world_;
  const AuditOptions options_;
  const AuditPolicy policy_;
  std::atomic<uint64_t> dropped_{0};
  Counter* events_ = nullptr;
  std::array<Counter*, 4> levels_{};
  Counter* errors_ = nullptr;

  store::Lock lock_;
  std::vector<std::string> queue_;  ///< under the lock
  size_t queued_bytes_ = 0;         ///< under the lock
  bool stopped_ = false;            ///< under the lock

  // Of the world:
  rt::Event wake_;
  rt::TaskGroup tasks_;
  std::unique_ptr<rt::File> file_;
  int64_t file_size_ = 0;
  bool failing_ = false;
};

}  // namespace knarr::apiserver

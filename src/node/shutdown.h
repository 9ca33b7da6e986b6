#pragma once

// What a node does when its machine is about to go down: who tells it, and how long which pods get. What is done is in
// agent_shutdown.cc.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace knarr::node {

/// Pods of this priority and up, as far as the next period, get so long to end.
struct ShutdownPeriod {
  int32_t priority = 0;
  int64_t seconds = 0;
  bool operator==(const ShutdownPeriod&) const = default;
};

/// As given on the command line.
struct ShutdownFlags {
  Duration grace{};           ///< for all pods together; 0: none is ended
  Duration grace_critical{};  ///< what of it is kept for the critical ones
  std::string by_priority;    ///< "0=60s,100000=30s", instead of both
};
/// Lowest priority first; none when the flags say nothing. BadRequest in the kubelet's words.
Result<std::vector<ShutdownPeriod>> ParseShutdown(const ShutdownFlags& flags);
Duration TotalOf(const std::vector<ShutdownPeriod>& periods);
/// Which period is the one of pods of this priority. REQUIRES: there is one.
size_t PeriodOf(const std::vector<ShutdownPeriod>& periods, int32_t priority);

/// Who knows that the machine is about to go down, and waits with it.
class ShutdownSource {
 public:
  virtual ~ShutdownSource() = default;
  /// From now on a shutdown is told of, and waits until Release, `delay` at most. To be called again after an error.
  virtual Ok Begin(Duration delay) = 0;
  /// Waits for news. True: the machine is about to go down; false: it is not any more.
  virtual Result<bool> Next() = 0;
  /// The next shutdown waits, too.
  virtual Ok Hold() = 0;
  /// The shutdown need not wait any longer.
  virtual void Release() = 0;
};

}  // namespace knarr::node

#pragma once

// One simulated run of a control plane: a seed, a workload under faults, then calm, and the checks.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace knarr::sim {

struct RunOptions {
  uint64_t seed = 1;
  int steps_most = 100;
  bool keep_journal = false;  ///< also of a run that went well
  /// Told of every step of every fiber, when set.
  std::function<void(std::string_view line)> trace;
};

struct RunResult {
  bool ok = false;
  uint64_t trace_hash = 0;  ///< equal for equal seeds
  uint64_t changes = 0;
  Duration virtual_time{};
  Duration converged_after{};
  std::string journal;  ///< what happened, when it is not ok or was asked for
};

RunResult RunControlPlane(const RunOptions& options);

}  // namespace knarr::sim

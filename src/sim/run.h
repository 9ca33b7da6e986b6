#pragma once

// A scenario in a simulated cluster: everything is checked at every change, whatever the scenario expects. A generated
// one (sim/generate.h) is a workload under faults, then calm, and a look at where the cluster came to rest.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/time.h"
#include "sim/scenario.h"

namespace knarr::sim {

struct RunOptions {
  bool keep_journal = false;  ///< also of a run that went well
  /// The run is broken off when so much virtual time has passed; zero: never.
  Duration until{};
  /// Told of every step of every fiber, when set.
  std::function<void(std::string_view line)> trace;
  /// A file that a scenario names.
  std::function<Result<std::string>(const std::string& path)> read_file;
};

struct RunResult {
  bool ok = false;
  bool skipped = false;
  uint64_t trace_hash = 0;  ///< equal for equal seeds
  uint64_t changes = 0;
  Duration virtual_time{};
  Duration converged_after{};  ///< the last time it was asked to
  std::string why;             ///< it failed or was skipped
  std::string journal;         ///< what happened, when it is not ok or was asked for
  /// How often what happens seldom did (Auditor::probes).
  std::map<std::string, uint64_t, std::less<>> probes;
};

RunResult RunScenario(const Scenario& scenario, const RunOptions& options);

/// What is alike in failures of one cause: the text of why without names and numbers.
std::string FailureClass(std::string_view why);

/// The scenario with as few statements as can be left out of it while `fails` says that it still fails.
Scenario Shrink(const Scenario& scenario, const std::function<bool(const Scenario& smaller)>& fails);

}  // namespace knarr::sim

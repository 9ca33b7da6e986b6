#pragma once

// The stage of a simulation: a cluster whose machines and networks fail when the scenario says so.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "sim/auditor.h"
#include "sim/cluster.h"
#include "sim/player.h"
#include "sim/prober.h"

namespace knarr::sim {

class SimulatedStage : public Stage {
 public:
  /// All outlive it.
  SimulatedStage(rt::Runtime& runtime, Cluster& cluster, Auditor& auditor, Prober& prober, Journal& journal,
                 std::function<Result<std::string>(const std::string& path)> read_file);

  rt::Runtime& runtime() override { return runtime_; }
  client::Client& client() override { return cluster_.client(); }
  bool simulated() const override { return true; }
  Ok MakeNodes(const Statement& statement) override;
  Ok Direct(const Statement& statement) override;
  void Note(const std::string& text) override { journal_.Note(text); }
  bool Excuses(const Status& status) const override;
  bool failed() const override { return journal_.failed(); }
  Result<std::string> ReadFile(const std::string& path) override;
  Duration converged_after() const { return converged_after_; }

 private:
  Ok Fault(const Statement& statement);
  Ok CrashServer(Duration after);
  Ok Deafen(const Statement& statement);
  Ok FaultNode(const std::string& target, const std::string& what);
  Ok FaultDisk(const std::string& what);
  Ok FaultLost(const std::string& what);
  Ok SetFaults(const Statement& statement);
  Ok Calm();
  /// For how long the control plane has run without a fault.
  Duration Undisturbed() const;
  Ok Converge();
  Result<std::vector<std::string>> FolderProblems();
  Ok Rest();
  Ok Count(const Statement& statement);
  Ok Rush(const Statement& statement);
  void Together(int64_t fibers, const std::function<void(int64_t fiber)>& act);
  void CheckWaiting(const std::vector<std::string>& problems);

  rt::Runtime& runtime_;
  Cluster& cluster_;
  Auditor& auditor_;
  Prober& prober_;
  Journal& journal_;
  std::function<Result<std::string>(const std::string& path)> read_file_;
  std::string lives_;
  bool faulty_ = false;
  MonoTime disturbed_{};  ///< the last time that something ended which disturbs the control plane
  FaultPlan plan_;
  Duration converged_after_{};
  std::map<std::string, MonoTime> waiting_;  // pods that would fit, since when
};

}  // namespace knarr::sim

#include "sim/run.h"

#include <fmt/format.h>

#include <map>

#include "rt/sim.h"
#include "sim/auditor.h"
#include "sim/cluster.h"
#include "sim/convergence.h"
#include "sim/witness.h"
#include "sim/workload.h"

namespace knarr::sim {
namespace {

// How long a calm cluster may take to come to rest: what was expected and never seen is given up after five minutes.
constexpr Duration kConvergeMost = 7min;
constexpr Duration kLook = 2s;
// How long a pod may wait that would fit: the informers' longest pause between tries, and the longest back-off.
constexpr Duration kWaitMost = 90s;
// A cluster at rest stays so, and writes nothing.
constexpr Duration kRest = 6min;
// While watches break and come late, a scheduler may not know for this long that a node was closed.
constexpr Duration kStaleUnderFaults = 150s;
constexpr Duration kStaleWhenCalm = 1s;

class ControlPlaneRun {
 public:
  ControlPlaneRun(rt::SimRuntime& runtime, const RunOptions& options, RunResult& result)
      : runtime_(runtime), options_(options), result_(result), journal_(runtime) {}

  void Run() {
    const MonoTime start = runtime_.Mono();
    const bool slow_disk = runtime_.Random() % 2 == 0;
    cluster_ = std::make_unique<Cluster>(runtime_, journal_,
                                         ClusterOptions{.commit_time = slow_disk ? Duration(2ms) : Duration(0)});
    Auditor auditor(runtime_, cluster_->store(), journal_);
    Witness steady(runtime_, cluster_->client(), journal_, "steady watcher", 0);
    Witness fickle(runtime_, cluster_->client(), journal_, "fickle watcher", 5);
    auditor.Start();
    steady.Start();
    fickle.Start();
    cluster_->StartControlPlane();
    const bool done = Storm(auditor) && Converge(auditor) && Rest(auditor);
    if (done) {
      (void)auditor.CatchUp();
      (void)steady.Check(auditor);
      (void)fickle.Check(auditor);
    }
    result_.changes = auditor.changes();
    result_.virtual_time = runtime_.Mono() - start;
    result_.trace_hash = runtime_.trace_hash();
    result_.ok = !journal_.failed();
    if (!result_.ok || options_.keep_journal) result_.journal = journal_.ToString();
    steady.Stop();
    fickle.Stop();
    cluster_->Stop();
    auditor.Stop();
  }

 private:
  /// The workload under faults.
  bool Storm(Auditor& auditor) {
    Workload workload(runtime_, *cluster_, journal_);
    workload.MakeNodes();
    const FaultPlan plan = FaultPlan::Draw(runtime_);
    journal_.Note("faults: " + plan.ToString());
    cluster_->SetFaults(&plan);
    auditor.SetStaleness(kStaleUnderFaults);
    workload.Begin();
    const int steps = 10 + static_cast<int>(runtime_.Random() % static_cast<uint64_t>(options_.steps_most));
    const Duration gap_most = Duration(1s) * static_cast<int64_t>(1 + runtime_.Random() % 8);
    for (int i = 0; i < steps && !journal_.failed(); ++i) {
      workload.Step();
      // Steps often come in bursts.
      const bool pause = runtime_.Random() % 2 == 0;
      if (pause) (void)runtime_.Sleep(Duration(runtime_.Random() % static_cast<uint64_t>(gap_most.count())));
    }
    if (!journal_.failed()) workload.Calm();
    return !journal_.failed();
  }

  bool Converge(Auditor& auditor) {
    const MonoTime calm = runtime_.Mono();
    std::vector<std::string> problems;
    while (runtime_.Mono() - calm < kConvergeMost && !journal_.failed()) {
      (void)runtime_.Sleep(kLook);
      // What was on its way when the faults ended has arrived by then.
      if (runtime_.Mono() - calm > kStaleUnderFaults) auditor.SetStaleness(kStaleWhenCalm);
      problems = Unconverged(cluster_->store());
      CheckWaiting(problems);
      if (!problems.empty()) continue;
      result_.converged_after = runtime_.Mono() - calm;
      journal_.Note("converged");
      return !journal_.failed();
    }
    for (const std::string& problem : problems) journal_.Violation("not converged: " + problem);
    return false;
  }

  /// A pod for which there is room may not be left to the scheduler's five-minute round.
  void CheckWaiting(const std::vector<std::string>& problems) {
    std::map<std::string, MonoTime> now;
    for (const std::string& problem : problems) {
      if (problem.find("would fit") == std::string::npos) continue;
      const auto before = waiting_.find(problem);
      const MonoTime since = before != waiting_.end() ? before->second : runtime_.Mono();
      if (runtime_.Mono() - since > kWaitMost) journal_.Violation(problem + ", and is not placed");
      now.emplace(problem, since);
    }
    waiting_ = std::move(now);
  }

  bool Rest(Auditor& auditor) {
    (void)runtime_.Sleep(kRest);
    (void)auditor.CatchUp();
    const uint64_t before = auditor.changes();
    for (const std::string& problem : Unconverged(cluster_->store())) journal_.Violation("left its rest: " + problem);
    (void)runtime_.Sleep(kRest);
    (void)auditor.CatchUp();
    if (auditor.changes() != before) {
      journal_.Violation(fmt::format("{} changes while at rest", auditor.changes() - before));
    }
    return !journal_.failed();
  }

  rt::SimRuntime& runtime_;
  const RunOptions& options_;
  RunResult& result_;
  Journal journal_;
  std::unique_ptr<Cluster> cluster_;
  std::map<std::string, MonoTime> waiting_;  // pods that would fit, since when
};

}  // namespace

RunResult RunControlPlane(const RunOptions& options) {
  RunResult result;
  const std::unique_ptr<rt::SimRuntime> runtime = rt::SimRuntime::Create({.seed = options.seed});
  if (options.trace) runtime->SetTrace(options.trace);
  runtime->Run([&] { ControlPlaneRun(*runtime, options, result).Run(); });
  return result;
}

}  // namespace knarr::sim

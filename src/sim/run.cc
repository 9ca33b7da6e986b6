#include "sim/run.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "rt/sim.h"
#include "sim/auditor.h"
#include "sim/cluster.h"
#include "sim/player.h"
#include "sim/prober.h"
#include "sim/simulated_stage.h"
#include "sim/witness.h"

namespace knarr::sim {
namespace {

constexpr Duration kSlowDisk = 2ms;

uint64_t SeedOf(const Scenario& scenario) {
  for (const Statement& statement : scenario.statements) {
    if (statement.verb == "seed") return ParseUint64(statement.words[0]).ok() ? *ParseUint64(statement.words[0]) : 1;
  }
  return 1;
}

bool HasSlowDisk(const Scenario& scenario) {
  return std::ranges::any_of(scenario.statements,
                             [](const Statement& s) { return s.verb == "disk" && s.words[0] == "slow"; });
}

class SimulatedRun {
 public:
  SimulatedRun(rt::SimRuntime& runtime, const Scenario& scenario, const RunOptions& options, RunResult& result)
      : runtime_(runtime), scenario_(scenario), options_(options), result_(result), journal_(runtime) {}

  void Run() {
    const MonoTime start = runtime_.Mono();
    Cluster cluster(runtime_, journal_, {.commit_time = HasSlowDisk(scenario_) ? kSlowDisk : Duration(0)});
    Auditor auditor(runtime_, cluster.store(), journal_, cluster.running());
    cluster.SetAuditor(&auditor);
    Witness steady(runtime_, cluster.client(), cluster.store(), journal_, "steady watcher", 0);
    Witness fickle(runtime_, cluster.client(), cluster.store(), journal_, "fickle watcher", 5);
    Prober prober(runtime_, cluster.client(), journal_);
    auditor.Start();
    steady.Start();
    fickle.Start();
    cluster.StartControlPlane();
    prober.Start();
    SimulatedStage stage(runtime_, cluster, auditor, prober, journal_, options_.read_file);
    PlayAll(stage);
    if (!journal_.failed() && !broken_off_) {
      (void)auditor.CatchUp();
      (void)steady.Check(auditor);
      (void)fickle.Check(auditor);
    }
    result_.converged_after = stage.converged_after();
    result_.changes = auditor.changes();
    result_.virtual_time = runtime_.Mono() - start;
    result_.trace_hash = runtime_.trace_hash();
    result_.probes = auditor.probes();
    result_.ok = !journal_.failed() && !result_.skipped && result_.why.empty();
    if (journal_.failed()) result_.why = journal_.violations().front();
    if (!result_.ok || options_.keep_journal) result_.journal = journal_.ToString();
    prober.Stop();
    steady.Stop();
    fickle.Stop();
    cluster.Stop();
    auditor.Stop();
  }

 private:
  void PlayAll(SimulatedStage& stage) {
    const Duration until = options_.until > Duration::zero() ? options_.until : Duration(24h * 365);
    const rt::CancelScope scope(runtime_, until);
    const PlayResult played = Play(scenario_, stage, {});
    broken_off_ = !runtime_.CheckCancelled().ok();
    if (broken_off_) {
      journal_.Note("broken off");
      return;
    }
    result_.skipped = played.outcome == PlayResult::Outcome::kSkipped;
    if (played.outcome != PlayResult::Outcome::kPassed) result_.why = played.message;
    if (played.outcome == PlayResult::Outcome::kFailed && !journal_.failed()) journal_.Violation(played.message);
  }

  rt::SimRuntime& runtime_;
  const Scenario& scenario_;
  const RunOptions& options_;
  RunResult& result_;
  Journal journal_;
  bool broken_off_ = false;
};

Scenario Without(const Scenario& scenario, size_t from, size_t count) {
  Scenario out{scenario.name, {}};
  for (size_t i = 0; i < scenario.statements.size(); ++i) {
    if (i < from || i >= from + count) out.statements.push_back(scenario.statements[i]);
  }
  return out;
}

}  // namespace

RunResult RunScenario(const Scenario& scenario, const RunOptions& options) {
  RunResult result;
  const std::unique_ptr<rt::SimRuntime> runtime = rt::SimRuntime::Create({.seed = SeedOf(scenario)});
  if (options.trace) runtime->SetTrace(options.trace);
  runtime->Run([&] { SimulatedRun(*runtime, scenario, options, result).Run(); });
  return result;
}

std::string FailureClass(std::string_view why) {
  std::string out;
  for (const std::string_view word : Split(why, ' ')) {
    const bool varies = std::ranges::any_of(word, [](char c) { return c == '/' || (c >= '0' && c <= '9'); });
    if (word.empty() || varies) continue;
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

// Large pieces first, then ever smaller ones, until no single statement can go.
Scenario Shrink(const Scenario& scenario, const std::function<bool(const Scenario& smaller)>& fails) {
  Scenario out = scenario;
  size_t piece = std::max<size_t>(1, out.statements.size() / 2);
  while (true) {
    bool shorter = false;
    for (size_t from = 0; from < out.statements.size();) {
      Scenario smaller = Without(out, from, piece);
      const bool smaller_at_all = smaller.statements.size() < out.statements.size() && !smaller.statements.empty();
      if (smaller_at_all && fails(smaller)) {
        out = std::move(smaller);
        shorter = true;
      } else {
        from += piece;
      }
    }
    if (piece == 1 && !shorter) return out;
    piece = std::max<size_t>(1, piece / 2);
  }
}

}  // namespace knarr::sim

#include "sim/simulated_stage.h"

#include <fmt/format.h>

#include <set>

#include "api/core_v1.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "doc/json.h"
#include "rt/file_system.h"
#include "sim/convergence.h"

namespace knarr::sim {
namespace {

using client::ObjectName;

// How long a calm cluster may take to come to rest: what was expected and never seen is given up after five minutes.
constexpr Duration kConvergeMost = 7min;
constexpr Duration kLook = 2s;
constexpr int kNodeLooks = 100;
// The store looks every few seconds whether a full disk has room again.
constexpr Duration kDiskHealsMost = 60s;
constexpr Duration kDiskExcuses = 5s;
// The longest pause between two tries of anybody.
constexpr Duration kPauseMost = 70s;
// How long a pod may wait that would fit: the informers' longest pause between tries, and the longest back-off.
constexpr Duration kWaitMost = 90s;
// A cluster at rest stays so, and writes nothing.
constexpr Duration kRest = 6min;
// While watches break and come late, a scheduler may not know for this long that a node was closed.
constexpr Duration kStaleUnderFaults = 150s;
constexpr Duration kStaleWhenCalm = 1s;

Result<int> Number(const Statement& statement, std::string_view option, int other) {
  const std::string text = statement.Option(option);
  if (text.empty()) return other;
  return ParseInt<int>(text).Context(option);
}

Ok Drop(const Result<api::ObjectPtr>& result) { return result.ok() ? Ok() : Ok(result.status()); }

}  // namespace

SimulatedStage::SimulatedStage(rt::Runtime& runtime, Cluster& cluster, Auditor& auditor, Prober& prober,
                               Journal& journal,
                               std::function<Result<std::string>(const std::string& path)> read_file)
    : runtime_(runtime),
      cluster_(cluster),
      auditor_(auditor),
      prober_(prober),
      journal_(journal),
      read_file_(std::move(read_file)) {
  auditor_.SetStaleness(kStaleWhenCalm);
}

Result<std::string> SimulatedStage::ReadFile(const std::string& path) {
  if (!read_file_) return NotFound(path + ": no files here");
  return read_file_(path);
}

Ok SimulatedStage::MakeNodes(const Statement& statement) {
  const auto count = static_cast<int>(TRY(ParseUint64(statement.words[0])));
  if (count > 1000) return BadRequest("at most 1000 nodes");
  for (int i = 0; i < count; ++i) {
    HollowNodeOptions options;
    options.index = static_cast<int>(cluster_.nodes().size());
    options.zone = statement.Option("zone", options.index % 2 == 0 ? "a" : "b");
    options.cpu_milli = static_cast<int>(TRY(Quantity::Parse(statement.Option("cpu", "2"))).MilliValue());
    options.memory_mib = static_cast<int>(TRY(Quantity::Parse(statement.Option("memory", "4Gi"))).Value() >> 20);
    options.pods = TRY(Number(statement, "pods", options.pods));
    options.crash = TRY(Number(statement, "crash", 0));
    options.fail = TRY(Number(statement, "fail", 0));
    if (!lives_.empty()) options.cycles = TRY(hollow::LifeCycles::Parse(lives_)).pods;
    HollowNode& node = cluster_.AddNode(options);
    if (faulty_) {
      node.faults().plan = plan_;
      node.faults().on = true;
    }
    node.Start();
    // As one that waits for its machines: a scenario may name them at once.
    for (int look = 0; look < kNodeLooks; ++look) {
      if (client().Get(api::core_v1::NodeInfo(), {"", node.name()}).ok()) break;
      TRY(runtime_.Sleep(100ms));
    }
  }
  return {};
}

Ok SimulatedStage::Direct(const Statement& statement) {
  if (statement.verb == "fault") return Fault(statement);
  if (statement.verb == "faults") return SetFaults(statement);
  if (statement.verb == "calm") return Calm();
  if (statement.verb == "count") return Count(statement);
  if (statement.verb == "rush") return Rush(statement);
  if (statement.verb == "converge") {
    prober_.Rest(true);
    Ok done = Converge();
    if (done.ok()) done = Rest();
    prober_.Rest(false);
    return done;
  }
  if (statement.verb == "pods-live") {
    lives_ = "pods:\n" + statement.body;
    return hollow::LifeCycles::Parse(lives_).ok() ? Ok() : Ok(hollow::LifeCycles::Parse(lives_).status());
  }
  return {};  // "disk": the cluster was made with it
}

Ok SimulatedStage::SetFaults(const Statement& statement) {
  plan_ = FaultPlan();
  const auto read = [&](std::string_view option, int& out) -> Ok {
    out = TRY(Number(statement, option, 0));
    return {};
  };
  TRY(read("refuse", plan_.refuse));
  TRY(read("conflict", plan_.conflict));
  TRY(read("lose", plan_.lose));
  TRY(read("slow", plan_.slow));
  TRY(read("break", plan_.break_));
  TRY(read("expire", plan_.expire));
  TRY(read("late", plan_.late));
  TRY(read("twice", plan_.twice));
  plan_.slow_most = TRY(ParseDuration(statement.Option("slow-most", "2s")));
  faulty_ = statement.words.empty();
  cluster_.SetFaults(faulty_ ? &plan_ : nullptr);
  disturbed_ = runtime_.Mono();
  auditor_.SetStaleness(faulty_ ? kStaleUnderFaults : kStaleWhenCalm);
  return {};
}

Ok SimulatedStage::Fault(const Statement& statement) {
  const std::string& target = statement.words[0];
  const std::string what = statement.words.size() > 1 ? statement.words[1] : "";
  if (target == "lost") return FaultLost(what);
  if (target == "disk") return FaultDisk(what);
  if (target == "control-plane" && what == "restart") {
    cluster_.StopControlPlane();
    const Duration after = TRY(ParseDuration(statement.Option("after", "1s")));
    TRY(runtime_.Sleep(after));
    cluster_.StartControlPlane();
    disturbed_ = runtime_.Mono();
    return {};
  }
  if (target == "server") return CrashServer(TRY(ParseDuration(statement.Option("after", "1s"))));
  return what == "deaf" ? Deafen(statement) : FaultNode(target, what);
}

Ok SimulatedStage::CrashServer(Duration after) {
  // A process that starts on a full disk is another story: it does not get far.
  if (cluster_.disk().full || !cluster_.store().Health().ok()) return {};
  cluster_.server().Crash();
  TRY(runtime_.Sleep(after));
  cluster_.server().Start();
  disturbed_ = std::max(disturbed_, runtime_.Mono());
  return {};
}

Ok SimulatedStage::Deafen(const Statement& statement) {
  Faults& faults = cluster_.FaultsOf(statement.words[0] == "controllers");
  const Duration lasts = TRY(ParseDuration(statement.Option("after", "30s")));
  faults.deaf_to = statement.Option("to");
  faults.deaf_until = runtime_.Mono() + lasts;
  disturbed_ = std::max(disturbed_, faults.deaf_until);
  auditor_.SetStaleness(kStaleUnderFaults);
  return {};
}

Ok SimulatedStage::FaultNode(const std::string& text, const std::string& what) {
  const Target target = TRY(Target::Parse(text));
  HollowNode* node = nullptr;
  auto& nodes = cluster_.nodes();
  if (target.pick && !nodes.empty()) node = nodes[*target.pick % nodes.size()].get();
  for (auto& each : nodes) {
    if (each->name() == target.name) node = each.get();
  }
  if (node == nullptr) return NotFound("no node is called " + target.name);
  if (what == "crash") {
    node->Stop();
  } else if (what == "cut") {
    node->faults().cut = true;
  } else if (what == "heal") {
    node->faults().cut = false;
    node->Start();
  } else {
    return BadRequest("fault node/NAME crash|cut|heal");
  }
  auditor_.NodeFault(node->name(), what != "heal");
  return {};
}

Ok SimulatedStage::FaultDisk(const std::string& what) {
  SimDisk& disk = cluster_.disk();
  if (what == "full") {
    disk.full = true;
    return {};
  }
  if (what != "heal") return BadRequest("fault disk full|heal");
  disk.full = false;
  // By itself, and soon.
  const MonoTime until = runtime_.Mono() + kDiskHealsMost;
  while (!cluster_.store().Health().ok()) {
    if (runtime_.Mono() > until) {
      journal_.Violation("the disk has room again, and the store stays read-only");
      return Timeout("the store does not heal");
    }
    TRY(runtime_.Sleep(100ms));
  }
  return {};
}

bool SimulatedStage::Excuses(const Status& /*status*/) const {
  const SimDisk& disk = cluster_.disk();
  return disk.full || runtime_.Mono() - disk.refused < kDiskExcuses;
}

/// One of those that are down.
Ok SimulatedStage::FaultLost(const std::string& what) {
  for (auto& node : cluster_.nodes()) {
    if (what == "heal" && (!node->up() || node->faults().cut)) {
      node->faults().cut = false;
      node->Start();
      auditor_.NodeFault(node->name(), false);
      return {};
    }
    if (what == "remove" && !node->up()) {
      const Ok gone = Drop(client().Delete(api::core_v1::NodeInfo(), {"", node->name()}));
      return gone.Failed(Reason::kNotFound) ? Ok() : gone;
    }
  }
  return {};
}

Duration SimulatedStage::Undisturbed() const {
  const SimDisk& disk = cluster_.disk();
  if (faulty_ || disk.full) return {};
  // Whoever was refused tries again after a pause.
  const MonoTime refused = disk.refused == MonoTime{} ? MonoTime{} : disk.refused + kPauseMost;
  return std::max(Duration(0), runtime_.Mono() - std::max(disturbed_, refused));
}

Ok SimulatedStage::Calm() {
  const std::vector<std::string> late =
      Overdue(cluster_.store(), auditor_.Silent(), Undisturbed(), runtime_.Mono() - auditor_.last_change(),
              runtime_.Wall());
  for (const std::string& problem : late) journal_.Violation("overdue: " + problem);
  if (faulty_) disturbed_ = runtime_.Mono();
  faulty_ = false;
  cluster_.SetFaults(nullptr);
  TRY(FaultDisk("heal"));
  for (auto& node : cluster_.nodes()) {
    node->Calm();
    node->Start();
    auditor_.NodeFault(node->name(), false);
    const Ok opened = Drop(client().Patch(api::core_v1::NodeInfo(), {"", node->name()}, client::PatchType::kMerge,
                                          R"({"spec":{"unschedulable":null}})"));
    if (!opened.ok() && !IsOrdinaryRefusal(opened.status())) return opened;
  }
  // What was held is let go.
  const client::ObjectList maps = TRY(client().List(api::core_v1::ConfigMapInfo(), ""));
  for (const api::ObjectPtr& map : maps.items) {
    if (!api::Mentions(map->json(), kHoldFinalizer)) continue;
    auditor_.Releases(std::string(map->uid()));
    const std::string patch =
        fmt::format(R"({{"metadata":{{"$deleteFromPrimitiveList/finalizers":["{}"]}}}})", kHoldFinalizer);
    const Ok released =
        Drop(client().Patch(api::core_v1::ConfigMapInfo(), {std::string(map->ns()), std::string(map->name())},
                            client::PatchType::kStrategicMerge, patch));
    if (!released.ok() && !IsOrdinaryRefusal(released.status())) return released;
  }
  return {};
}

/// A pod for which there is room may not be left to the scheduler's five-minute round, nor a count to its recount.
void SimulatedStage::CheckWaiting(const std::vector<std::string>& problems) {
  std::map<std::string, MonoTime> now;
  for (const std::string& problem : problems) {
    if (problem.find("would fit") == std::string::npos && problem.find("quota") == std::string::npos) continue;
    const auto before = waiting_.find(problem);
    const MonoTime since = before != waiting_.end() ? before->second : runtime_.Mono();
    if (runtime_.Mono() - since > kWaitMost) journal_.Violation(problem + ", and nobody sees to it");
    now.emplace(problem, since);
  }
  waiting_ = std::move(now);
}

Ok SimulatedStage::Converge() {
  const MonoTime calm = runtime_.Mono();
  std::vector<std::string> problems;
  while (runtime_.Mono() - calm < kConvergeMost && !journal_.failed()) {
    TRY(runtime_.Sleep(kLook));
    // What was on its way when the faults ended has arrived by then.
    if (runtime_.Mono() - calm > kStaleUnderFaults) auditor_.SetStaleness(kStaleWhenCalm);
    problems = Unconverged(cluster_.store());
    for (std::string& problem : TRY(FolderProblems())) problems.push_back(std::move(problem));
    CheckWaiting(problems);
    if (!problems.empty()) continue;
    converged_after_ = runtime_.Mono() - calm;
    journal_.Note("converged");
    return {};
  }
  for (const std::string& problem : problems) journal_.Violation("not converged: " + problem);
  return Timeout("not converged");
}

/// What lies on the nodes' disks is just the folders of the volumes there are.
Result<std::vector<std::string>> SimulatedStage::FolderProblems() {
  std::vector<std::string> out;
  std::set<std::string> wanted;
  const client::ObjectList volumes = TRY(client().List(api::core_v1::PersistentVolumeInfo(), ""));
  for (const api::ObjectPtr& object : volumes.items) {
    const auto local = api::core_v1::PersistentVolume(object->tree()).spec().local();
    if (local) wanted.emplace(local.path());
  }
  for (const auto& node : cluster_.nodes()) {
    for (const std::string& folder : {node->storage(), node->storage() + "/.begun"}) {
      const auto entries = runtime_.files().List(folder);
      if (entries.Failed(Reason::kNotFound)) continue;  // nothing was ever made there
      if (!entries.ok()) return entries.status();
      for (const rt::DirectoryEntry& entry : *entries) {
        const std::string path = folder + "/" + entry.name;
        if (entry.name != ".begun" && wanted.erase(path) == 0) out.push_back("nobody needs " + path);
      }
    }
  }
  for (const std::string& path : wanted) out.push_back("there is no " + path);
  return out;
}

Ok SimulatedStage::Rest() {
  TRY(runtime_.Sleep(kRest));
  TRY(auditor_.CatchUp());
  const uint64_t before = auditor_.changes();
  for (const std::string& problem : Unconverged(cluster_.store())) journal_.Violation("left its rest: " + problem);
  TRY(runtime_.Sleep(kRest));
  TRY(auditor_.CatchUp());
  if (auditor_.changes() != before) {
    journal_.Violation(fmt::format("{} changes while at rest", auditor_.changes() - before));
  }
  auditor_.SetStaleness(kStaleWhenCalm);
  return {};
}

void SimulatedStage::Together(int64_t fibers, const std::function<void(int64_t fiber)>& act) {
  rt::TaskGroup group(runtime_, "together");
  for (int64_t i = 0; i < fibers; ++i) group.Spawn("together", [&act, i] { act(i); });
  group.Join();
}

/// Many make an object each, and every second one takes it away again: what they share, as a quota, is counted right.
Ok SimulatedStage::Rush(const Statement& statement) {
  const api::KindInfo& kind = api::core_v1::ConfigMapInfo();
  const std::string ns = statement.Option("in", "default");
  Ok failed;
  const auto note = [&](const Ok& done) {
    if (!done.ok() && !IsOrdinaryRefusal(done.status())) failed = done;
  };
  Together(TRY(ParseInt64(statement.words[0])), [&](int64_t i) {
    const std::string name = fmt::format("rush-{}", i);
    const doc::Document map = MUST(doc::ParseJson(fmt::format(R"({{"metadata":{{"name":"{}"}}}})", name)));  // ours
    note(Drop(client().Delete(kind, {ns, name})));
    note(Drop(client().Create(kind, ns, map.root)));
    if (i % 2 == 1) note(Drop(client().Delete(kind, {ns, name})));
  });
  return failed;
}

/// Several fibers make one object, one of them succeeds, and raise the number in it, each some times; every rise that
/// was acknowledged counts.
Ok SimulatedStage::Count(const Statement& statement) {
  const api::KindInfo& kind = api::core_v1::ConfigMapInfo();
  const ObjectName name{"default", "tally"};
  const doc::Document fresh = MUST(doc::ParseJson(R"({"metadata":{"name":"tally"},"data":{"n":"0"}})"));
  const Ok gone = Drop(client().Delete(kind, name));
  if (!gone.ok() && !IsOrdinaryRefusal(gone.status())) return gone;
  const int64_t fibers = TRY(ParseInt64(statement.words[0]));
  Ok failed;
  int64_t made = 0;
  Together(fibers, [&](int64_t) {
    const Ok created = Drop(client().Create(kind, name.ns, fresh.root));
    if (created.ok()) made++;
    if (!created.ok() && !IsOrdinaryRefusal(created.status())) failed = created;
  });
  TRY(std::move(failed));
  if (made > 1) journal_.Violation(fmt::format("{} was made {} times at once", name.ToString(), made));
  const auto number = [&]() -> Result<int64_t> {
    const api::ObjectPtr map = TRY(client().Get(kind, name));
    return ParseInt64(map->tree().Get("data", "n").AsString());
  };
  const Result<int64_t> before = number();
  if (!before.ok()) return {};  // it was deleted, or is being
  int64_t raised = 0;
  Together(fibers, [&](int64_t) {
    for (int round = 0; round < 3; ++round) {
      const Result<api::ObjectPtr> written =
          client::UpdateWithRetry(runtime_, client(), kind, name, "", [&](doc::Document& document) {
            doc::Value& data = document.root.Ensure(document.arena, "data");
            const int64_t now = ParseInt64(data.At("n").AsString()).ok() ? *ParseInt64(data.At("n").AsString()) : 0;
            data.Set(document.arena, "n", doc::Value::String(document.arena, std::to_string(now + 1)));
            runtime_.Yield();
            return true;
          });
      if (written.ok()) raised++;
    }
  });
  const Result<int64_t> after = number();
  if (after.ok() && *after != *before + raised) {
    journal_.Violation(fmt::format("a number that was {} and raised {} times is {}", *before, raised, *after));
  }
  return {};
}

}  // namespace knarr::sim

#include "scheduler/scheduler.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace knarr::scheduler {
namespace {

using api::ObjectPtr;
using api::core_v1::Pod;
using client::EventKind;
using client::ObjectName;

// Bindings and conditions being written at once.
constexpr size_t kWritesMost = 128;
// Pods whose volumes are being bound at once; more wait their turn.
constexpr size_t kVolumeWaitsMost = 512;
// How often the server is asked whether a binding took effect whose answer was lost.
constexpr Duration kLookFirst = 100ms;
constexpr Duration kLookMost = 5s;
// How often a pod's condition is written again when that failed: the next try to place it may be minutes away.
constexpr Duration kTellFirst = 500ms;
constexpr int kTellTries = 6;

ObjectName NameOf(const api::Object& object) { return {std::string(object.ns()), std::string(object.name())}; }

bool IsFinished(Pod pod) { return pod.status().phase() == "Succeeded" || pod.status().phase() == "Failed"; }

/// Whether a node's change can make room for a pod that fitted nowhere: a heartbeat can't.
bool MayHelp(const ObjectPtr& before, const ObjectPtr& after) {
  if (before == nullptr || after == nullptr) return after != nullptr;
  auto part = [](const ObjectPtr& node, auto... path) -> const doc::Value& { return node->tree().Get(path...); };
  return !part(before, "spec").Equals(part(after, "spec")) ||
         !part(before, "metadata", "labels").Equals(part(after, "metadata", "labels")) ||
         !part(before, "status", "allocatable").Equals(part(after, "status", "allocatable"));
}

}  // namespace

Scheduler::Scheduler(rt::Runtime& runtime, client::Client& client, client::InformerFactory& informers,
                     client::EventRecorder& events, std::string name)
    : runtime_(runtime),
      client_(client),
      events_(events),
      name_(std::move(name)),
      pods_(informers.For(api::core_v1::PodInfo())),
      nodes_(informers.For(api::core_v1::NodeInfo())),
      plugins_(DefaultPlugins()),
      queue_(runtime),
      volumes_(runtime, client, informers),
      write_ended_(runtime),
      tasks_(runtime, "scheduler") {
  nodes_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) { NodeChanged(before, after); });
  pods_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) { PodChanged(before, after); });
  volumes_.claims().AddHandler(
      [this](const ObjectPtr& before, const ObjectPtr& after) { ClaimChanged(before, after); });
  const auto has_claims = [](const PodInfo& pod) { return !pod.claims.empty(); };
  volumes_.volumes().AddHandler([this, has_claims](const ObjectPtr&, const ObjectPtr& after) {
    if (after != nullptr) queue_.MoveIf(has_claims);
  });
  volumes_.classes().AddHandler([this, has_claims](const ObjectPtr& before, const ObjectPtr& after) {
    if (after == nullptr) return;
    const auto where = [](const ObjectPtr& each) -> const doc::Value& { return each->tree().At("allowedTopologies"); };
    if (before == nullptr || !where(before).Equals(where(after))) queue_.MoveIf(has_claims);
  });
}

Scheduler::~Scheduler() = default;

/// A claim that is new, or bound now, is just what some pod waited for.
void Scheduler::ClaimChanged(const ObjectPtr& before, const ObjectPtr& after) {
  if (after == nullptr) return;
  const auto bound = [](const ObjectPtr& claim) {
    return claim != nullptr && api::IsFullyBound(api::core_v1::PersistentVolumeClaim(claim->tree()));
  };
  const std::string key = KeyOf(*after);
  const bool now = before == nullptr || (bound(after) && !bound(before));
  queue_.MoveIf(
      [&](const PodInfo& pod) { return std::ranges::find(pod.claims, key) != pod.claims.end(); },
      now ? Queue::When::kNow : Queue::When::kAfterBackOff);
}

void Scheduler::Start() {
  tasks_.Spawn("scheduler", [this] { Run(); });
}

void Scheduler::Stop() { tasks_.StopAndJoin(); }

bool Scheduler::IsOurs(const api::Object& pod) const {
  const std::string_view wanted = Pod(pod.tree()).spec().scheduler_name();
  return wanted == name_ || (wanted.empty() && name_ == "default-scheduler");
}

void Scheduler::NodeChanged(const ObjectPtr& before, const ObjectPtr& after) {
  if (after == nullptr) {
    snapshot_.RemoveNode(before->name());
    return;
  }
  Ok set = snapshot_.SetNode(after);
  if (!set.ok()) LOG_WARN("node left out of scheduling", {"node", after->name()}, {"error", set.status()});
  if (MayHelp(before, after)) TryAgainFor(after->name());
}

void Scheduler::TryAgainFor(std::string_view node) {
  const NodeInfo* info = snapshot_.Find(node);
  if (info == nullptr) return;
  // What a pod's claims allow is looked at when it is tried.
  queue_.MoveIf([&](const PodInfo& pod) { return !pod.claims.empty() || Fits(pod, *info, plugins_); });
}

void Scheduler::PodChanged(const ObjectPtr& before, const ObjectPtr& after) {
  const api::Object& any = after != nullptr ? *after : *before;
  Pod pod(any.tree());
  const bool placed = !pod.spec().node_name().empty();
  if (after == nullptr || IsFinished(pod)) {
    queue_.Remove(any.uid());
    TryAgainFor(snapshot_.RemovePod(any.uid()));  // what it held is free
    return;
  }
  if (placed) {
    queue_.Done(any.uid());
    snapshot_.SetPod(PodInfo::Make(after), pod.spec().node_name());
    return;
  }
  if (!IsOurs(any) || any.deleting()) {
    queue_.Remove(any.uid());
    return;
  }
  // Our own note that it fits nowhere is no reason to try again.
  if (before != nullptr && before->tree().At("spec").Equals(after->tree().At("spec")) &&
      before->tree().Get("metadata", "labels").Equals(after->tree().Get("metadata", "labels"))) {
    return;
  }
  queue_.Add(after);
}

void Scheduler::Run() {
  if (!nodes_.WaitSynced().ok() || !pods_.WaitSynced().ok() || !volumes_.WaitSynced().ok()) return;
  while (true) {
    // Writes of earlier pods go on meanwhile, but not without bound.
    if (!write_ended_.WaitUntil([this] { return writes_ < kWritesMost; }).ok()) return;
    Result<PodInfoPtr> pod = queue_.Pop();
    if (!pod.ok()) return;
    ScheduleOne(*pod);
    // A decision takes up to milliseconds with thousands of nodes: others have their turns in between.
    runtime_.Yield();
  }
}

Placement Scheduler::Choose(const PodInfo& pod) {
  // Pods of a controller come together, and where there was no place for one, there is none for the next.
  if (refused_.has_value() && refused_at_ == snapshot_.generation() && pod.AsksTheSame(*refused_)) {
    return {.node = "", .message = refusal_, .feasible = 0};
  }
  Placement out = Place(pod, snapshot_, plugins_, runtime_.Random());
  if (out.node.empty() && pod.claims.empty()) {
    refused_ = pod;
    refused_at_ = snapshot_.generation();
    refusal_ = out.message;
  }
  return out;
}

void Scheduler::ScheduleOne(const PodInfoPtr& queued) {
  ObjectPtr pod = pods_.Get(NameOf(*queued->object));
  if (pod == nullptr || pod->uid() != queued->object->uid() || !Pod(pod->tree()).spec().node_name().empty()) {
    queue_.Remove(queued->object->uid());
    return;
  }
  if (!Pod(pod->tree()).spec().scheduling_gates().empty()) {
    queue_.SetUnschedulable(pod);
    return;
  }
  PodInfo info = pod == queued->object ? *queued : PodInfo::Make(pod);
  if (!info.claims.empty()) {
    info.volumes = std::make_shared<const PodVolumes>(volumes_.Look(info.pod(), snapshot_.claim_users()));
  }
  Placement placement = Choose(info);
  if (placement.node.empty()) {
    queue_.SetUnschedulable(pod);
    Refuse(pod, std::move(placement.message));
    return;
  }
  VolumePlan plan;
  if (info.volumes != nullptr) {
    plan = PlanVolumes(*info.volumes, snapshot_.Find(placement.node)->text());
  }
  if (!plan.empty() && volume_waits_ >= kVolumeWaitsMost) {
    queue_.Retry(pod);
    return;
  }
  snapshot_.SetPod(std::move(info), placement.node);
  if (plan.empty()) {
    SpawnWrite("bind", [this, pod, node = std::move(placement.node)] { Bind(pod, node); });
    return;
  }
  volumes_.Assume(std::string(pod->uid()), placement.node, plan);
  volume_waits_++;
  tasks_.Spawn("bind volumes", [this, pod, node = std::move(placement.node), plan = std::move(plan)]() mutable {
    BindVolumes(pod, node, std::move(plan));
    volume_waits_--;
  });
}

void Scheduler::Refuse(const ObjectPtr& pod, std::string message) {
  SpawnWrite("tell", [this, pod, message = std::move(message)] {
    events_.Record(client::EventTarget::Of(api::core_v1::PodInfo(), *pod), EventKind::kWarning, "FailedScheduling",
                   message);
    Ok told = TellUnschedulable(pod, message);
    Duration pause = kTellFirst;
    for (int i = 1; i < kTellTries && !told.ok() && client::OutcomeUnknown(told.status()); ++i) {
      if (!runtime_.Sleep(pause).ok()) return;
      pause *= 2;
      told = TellUnschedulable(pod, message);
    }
    if (!told.ok() && !told.Failed(Reason::kCancelled) && !told.Failed(Reason::kNotFound)) {
      LOG_WARN("condition not written", {"pod", KeyOf(*pod)}, {"error", told.status()});
    }
  });
}

void Scheduler::BindVolumes(const ObjectPtr& pod, const std::string& node, VolumePlan plan) {
  const Ok carried = volumes_.Carry(*pod, node, plan);
  if (carried.ok()) Bind(pod, node);
  volumes_.Forget(std::string(pod->uid()));
  if (carried.ok() || carried.Failed(Reason::kCancelled)) return;
  const ObjectPtr now = pods_.Get(NameOf(*pod));
  if (now == nullptr || now->uid() != pod->uid()) return TakeBack(pod);
  events_.Record(client::EventTarget::Of(api::core_v1::PodInfo(), *pod), EventKind::kWarning, "FailedScheduling",
                 fmt::format("running PreBind plugin \"VolumeBinding\": {}", carried.status().message()));
  TakeBack(pod);
}

void Scheduler::SpawnWrite(std::string_view name, std::function<void()> write) {
  writes_++;
  tasks_.Spawn(name, [this, write = std::move(write)] {
    write();
    writes_--;
    write_ended_.NotifyOne();
  });
}

Result<ObjectPtr> Scheduler::LookAfterBind(const api::Object& pod, const std::string& node, const Status& failure) {
  Duration pause = kLookFirst;
  while (true) {
    Result<ObjectPtr> live = client_.Get(api::core_v1::PodInfo(), NameOf(pod));
    if (live.ok()) {
      if ((*live)->uid() != pod.uid()) return NotFound("the pod was made anew");
      const std::string_view bound = Pod((*live)->tree()).spec().node_name();
      if (bound == node) return live;
      return bound.empty() ? failure : Conflict("the pod was bound elsewhere");
    }
    if (live.Failed(Reason::kNotFound) || live.Failed(Reason::kCancelled)) return live;
    TRY(runtime_.Sleep(pause));
    pause = std::min(pause * 2, kLookMost);
  }
}

void Scheduler::Bind(const ObjectPtr& pod, const std::string& node) {
  doc::Document document;
  api::core_v1::BindingEdit binding(document);
  binding.metadata().set_name(pod->name()).set_ns(pod->ns()).set_uid(pod->uid());
  binding.target().set_api_version("v1").set_kind("Node").set_name(node);
  Result<ObjectPtr> bound = client_.CreateSub(api::core_v1::PodInfo(), NameOf(*pod), "binding", document.root);
  // Taking back what was assumed although the node has the pod would give its place away twice.
  if (!bound.ok() && client::OutcomeUnknown(bound.status())) bound = LookAfterBind(*pod, node, bound.status());
  if (bound.ok()) {
    events_.Record(client::EventTarget::Of(api::core_v1::PodInfo(), *pod), EventKind::kNormal, "Scheduled",
                   fmt::format("Successfully assigned {}/{} to {}", pod->ns(), pod->name(), node));
    return;
  }
  if (bound.Failed(Reason::kCancelled)) return;
  // Also when the server knows of no such pod: one that is gone leaves the queue when the watch says so, and one that a
  // server has yet to hear of would otherwise never be tried again.
  if (!bound.Failed(Reason::kConflict)) {
    LOG_WARN("pod not bound; trying again", {"pod", KeyOf(*pod)}, {"node", node}, {"error", bound.status()});
  }
  TakeBack(pod);
}

/// What was assumed is taken back, unless the watch says by now that it is bound.
void Scheduler::TakeBack(const ObjectPtr& pod) {
  ObjectPtr now = pods_.Get(NameOf(*pod));
  const bool gone = now == nullptr || now->uid() != pod->uid();
  if (gone || Pod(now->tree()).spec().node_name().empty()) TryAgainFor(snapshot_.RemovePod(pod->uid()));
  if (gone) {
    queue_.Remove(pod->uid());
    return;
  }
  queue_.Retry(pod);
}

Ok Scheduler::TellUnschedulable(const ObjectPtr& pod, const std::string& message) {
  const WallTime now = runtime_.Wall();
  Result<ObjectPtr> written = client::UpdateWithRetry(
      runtime_, client_, api::core_v1::PodInfo(), NameOf(*pod), "status", [&](doc::Document& document) {
        api::core_v1::PodEdit edit(document);
        if (edit.metadata().uid() != pod->uid() || !edit.spec().node_name().empty()) return false;
        auto conditions = edit.status().conditions();
        size_t at = 0;
        while (at < conditions.size() && conditions[at].type() != "PodScheduled") ++at;
        auto condition = at < conditions.size() ? conditions[at] : conditions.Add();
        if (condition.status() == "False" && condition.message() == message) return false;
        if (condition.status() != "False") condition.set_last_transition_time(now);
        condition.set_type("PodScheduled").set_status("False").set_reason("Unschedulable").set_message(message);
        return true;
      });
  return written.ok() ? Ok() : Ok(written.status());
}

}  // namespace knarr::scheduler

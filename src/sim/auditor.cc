#include "sim/auditor.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "api/tolerations.h"
#include "controller/framework/controller.h"
#include "controller/framework/pods.h"
#include "scheduler/volumes.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using api::core_v1::Pod;

constexpr Duration kLookAgain = 1ms;
// For so long the scheduler waits for the volumes of a pod that it has decided about.
constexpr Duration kVolumesMost = 10min;
constexpr std::string_view kPods = "/registry/core/pods/";
constexpr std::string_view kNodes = "/registry/core/nodes/";
constexpr std::string_view kClaims = "/registry/core/persistentvolumeclaims/";
constexpr std::string_view kVolumes = "/registry/core/persistentvolumes/";
constexpr std::string_view kEvents = "/registry/core/events/";
constexpr std::string_view kLeases = "/registry/coordination.k8s.io/leases/";

bool IsSetKey(std::string_view key) {
  return key.starts_with("/registry/apps/replicasets/") || key.starts_with("/registry/core/replicationcontrollers/");
}

/// Whether the pod counts towards what a node has given away.
bool Holds(const ObjectPtr& pod) {
  return pod != nullptr && !Pod(pod->tree()).spec().node_name().empty() && !controller::IsFinished(Pod(pod->tree()));
}

scheduler::Resources Requests(const api::Object& pod) { return scheduler::PodRequests(Pod(pod.tree())); }

/// Whether the node's own marks keep the pod away.
bool Closed(const ObjectPtr& node, Pod pod) {
  if (node == nullptr) return true;
  api::core_v1::Node view(node->tree());
  if (view.spec().unschedulable() && !api::Tolerates(pod, {"node.kubernetes.io/unschedulable", "", "NoSchedule"})) {
    return true;
  }
  for (auto taint : view.spec().taints()) {
    if (taint.effect() != "PreferNoSchedule" && !api::Tolerates(pod, api::TaintText::Of(taint))) return true;
  }
  return false;
}

/// The one form of required affinity that workloads use: requirements of one term, In or NotIn.
bool AffinityForbids(Pod pod, const ObjectPtr& node) {
  auto required = pod.spec().affinity().node_affinity().required_during_scheduling_ignored_during_execution();
  if (!required || node == nullptr) return false;
  const api::core_v1::NodeSelector selector = required;
  for (auto term : selector.node_selector_terms()) {
    for (auto requirement : term.match_expressions()) {
      const auto value = api::core_v1::Node(node->tree()).metadata().labels().Find(requirement.key());
      bool listed = false;
      for (std::string_view each : requirement.values()) listed |= value && *value == each;
      if (listed != (requirement.operator_() == "In")) return true;
    }
  }
  return false;
}

/// The controlling set of an active pod; "" when it is not active or has none.
std::string ActiveOwner(const ObjectPtr& pod) {
  if (pod == nullptr || !controller::IsActive(Pod(pod->tree()))) return "";
  auto owner = controller::ControllerOf(*pod);
  return owner ? std::string(owner->uid) : "";
}

}  // namespace

Auditor::Auditor(rt::Runtime& runtime, store::Store& store, Journal& journal, const RunningPods& running)
    : runtime_(runtime), store_(store), journal_(journal), running_(running), tasks_(runtime, "auditor") {}

void Auditor::Start() {
  tasks_.Spawn("auditor", [this] { Run(); });
}

void Auditor::Stop() { tasks_.StopAndJoin(); }

Ok Auditor::CatchUp() {
  const store::Revision now = store_.Latest()->revision();
  while (seen_ < now) TRY(runtime_.Sleep(1ms));
  return {};
}

void Auditor::Run() {
  while (true) {
    const Ok ended = Watch();
    // The process that had the store ended, and another will have it.
    if (ended.Failed(Reason::kServiceUnavailable)) {
      if (runtime_.Sleep(kLookAgain).ok()) continue;
      return;
    }
    if (!ended.Failed(Reason::kCancelled)) journal_.Violation("store watch: " + ended.status().ToString());
    return;
  }
}

/// From what was seen last on: what one process has told of as a whole, the next does not tell again.
Ok Auditor::Watch() {
  const std::unique_ptr<store::Watch> watch =
      TRY(store_.StartWatch(runtime_, {.prefix = "/registry/", .after = seen_}));
  while (true) {
    for (const store::EventPtr& event : TRY(watch->Next())) See(*event);
  }
}

void Auditor::See(const store::Event& event) {
  const std::string_view key = event.key;
  if (event.revision < seen_) {
    journal_.Violation(fmt::format("revision {} of {} came after {}", event.revision, key, seen_));
  }
  seen_ = event.revision;
  if (key.starts_with(kEvents)) SeeEvent(event);
  if (key.starts_with(kEvents) || key.starts_with(kLeases)) return;
  changes_++;
  last_change_ = runtime_.Mono();
  const bool deleted = event.type == store::Event::Type::kDelete;
  const bool pod = key.starts_with(kPods);
  const bool set = IsSetKey(key);
  const bool node = key.starts_with(kNodes);
  ObjectPtr after = deleted ? nullptr : api::Object::FromBytes(event.value);
  NoteChange(event, after);
  ObjectPtr& known = objects_[event.key];
  ObjectPtr before = known;
  if ((event.previous != nullptr) != (before != nullptr)) {
    journal_.Violation(fmt::format("{}: the change {} what was there before", key, before ? "forgets" : "makes up"));
  }
  SeeAny(event, before, after);
  if (before != nullptr && after != nullptr && before->uid() != after->uid()) {
    journal_.Violation(fmt::format("{} became another object without being deleted", key));
  }
  if (before != nullptr && after != nullptr && before->deleting() && !after->deleting()) {
    journal_.Violation(fmt::format("{} came back from deletion", key));
  }
  if (pod) SeePod(key, before, after);
  if (set) SeeSet(after);
  if (node) SeeNode(before, after);
  if (key.starts_with(kClaims)) SeeClaim(key, before, after);
  if (key.starts_with(kVolumes)) SeeVolume(key, before, after);
  if (deleted) {
    objects_.erase(event.key);
  } else {
    known = std::move(after);
  }
}

void Auditor::NoteChange(const store::Event& event, const ObjectPtr& after) {
  const char* type = event.type == store::Event::Type::kDelete ? "DELETED"
                     : event.previous == nullptr               ? "ADDED"
                                                               : "MODIFIED";
  std::string line = fmt::format("{} {} {}", event.revision, type, event.key);
  if (event.key.starts_with(kPods)) pod_changes_.push_back(line);
  if (after != nullptr && event.key.starts_with(kPods)) {
    Pod pod(after->tree());
    line += fmt::format(" node={} phase={} ip={} ready={}{}", pod.spec().node_name(), pod.status().phase(),
                        pod.status().pod_ip(), controller::IsReady(pod), after->deleting() ? " deleting" : "");
  } else if (after != nullptr && IsSetKey(event.key)) {
    line += fmt::format(" replicas={} status.replicas={}{}", after->tree().Get("spec", "replicas").AsInt(),
                        after->tree().Get("status", "replicas").AsInt(), after->deleting() ? " deleting" : "");
  }
  journal_.Note(std::move(line));
}

void Auditor::SeePod(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  const std::string_view node_before = before == nullptr ? "" : Pod(before->tree()).spec().node_name();
  const std::string_view node_after = after == nullptr ? "" : Pod(after->tree()).spec().node_name();
  if (after != nullptr && !node_before.empty() && node_before != node_after) {
    journal_.Violation(fmt::format("{} moved from node {} to \"{}\"", key, node_before, node_after));
  }
  if (Holds(before)) {
    used_[std::string(node_before)].Subtract(Requests(*before));
    nodes_[std::string(node_before)].pods--;
  }
  if (after != nullptr && node_before.empty() && !node_after.empty()) SeeBound(key, *after);
  if (Holds(after)) {
    used_[std::string(node_after)].Add(Requests(*after));
    nodes_[std::string(node_after)].pods++;
  }
  if (after != nullptr && controller::IsReady(Pod(after->tree()))) ever_ready_.emplace(after->uid());
  SeePorts(key, before, after);
  SeeAddress(key, before, after);
  SeeOwner(key, before, after);
}

void Auditor::SeeBound(std::string_view key, const api::Object& object) {
  Pod pod(object.tree());
  const std::string name(pod.spec().node_name());
  auto at = nodes_.find(name);
  if (at == nodes_.end()) return journal_.Violation(fmt::format("{} bound to node {} that never was", key, name));
  const Node& node = at->second;
  scheduler::Resources used = used_[name];
  used.Add(Requests(object));
  const scheduler::Resources& have = node.allocatable;
  if (used.cpu_milli > have.cpu_milli || used.memory > have.memory || node.pods >= have.pods) {
    journal_.Violation(
        fmt::format("{} bound to node {} that has no room: cpu {}m of {}m, memory {} of {}, {} pods of {}", key, name,
                    used.cpu_milli, have.cpu_milli, used.memory, have.memory, node.pods + 1, have.pods));
  }
  const std::string_view scheduler = pod.spec().scheduler_name();
  const bool by_hand = by_hand_.contains(KeyOf(object));
  if (scheduler != "default-scheduler" && !scheduler.empty() && !by_hand) {
    journal_.Violation(fmt::format("{} bound, which is another scheduler's", key));
  }
  if (!pod.spec().scheduling_gates().empty()) journal_.Violation(fmt::format("{} bound with its gates closed", key));
  SeeVolumesOf(key, object, node.object);
  if (AffinityForbids(pod, node.object)) {
    journal_.Violation(fmt::format("{} bound to node {} that its affinity forbids", key, name));
  }
  for (auto [label, value] : pod.spec().node_selector()) {
    if (node.object == nullptr || api::core_v1::Node(node.object->tree()).metadata().labels().Find(label) == value) {
      continue;
    }
    journal_.Violation(fmt::format("{} bound to node {} that does not match its selector", key, name));
  }
  // Who decided may have seen it as it was a while ago, when it was open; or has waited for the pod's volumes since.
  const Duration since = scheduler::ClaimsOf(pod).empty() ? staleness_ : std::max(staleness_, kVolumesMost);
  const bool was_open = std::ranges::any_of(node.before, [&](const auto& earlier) {
    return runtime_.Mono() - earlier.first <= since && !Closed(earlier.second, pod);
  });
  if (Closed(node.object, pod) && !was_open) {
    journal_.Violation(fmt::format("{} bound to node {} that is closed to it", key, name));
  }
}

void Auditor::SeeAddress(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  auto address = [](const ObjectPtr& pod) -> std::string {
    if (pod == nullptr || controller::IsFinished(Pod(pod->tree()))) return "";
    return std::string(Pod(pod->tree()).status().pod_ip());
  };
  const std::string old = address(before);
  const std::string now = address(after);
  if (old == now) return;
  if (auto at = addresses_.find(old); !old.empty() && at != addresses_.end() && at->second == key) addresses_.erase(at);
  if (now.empty()) return;
  auto [at, free] = addresses_.emplace(now, key);
  if (!free) journal_.Violation(fmt::format("{} and {} both have address {}", key, at->second, now));
}

void Auditor::SeeOwner(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  const std::string old = ActiveOwner(before);
  const std::string now = ActiveOwner(after);
  if (old == now) return;
  const std::string uid(after != nullptr ? after->uid() : before->uid());
  if (!old.empty()) {
    Set& set = sets_[old];
    set.active.erase(uid);
    if (after != nullptr && controller::IsActive(Pod(after->tree()))) {
      // Whoever wants to delete it now is another set.
      set.lost.push_back(runtime_.Mono());
      Probe("a pod was released");
    } else {
      SeeLost(key, set, uid);
    }
  }
  if (now.empty()) return;
  Set& set = sets_[now];
  set.active.insert(uid);
  if (before != nullptr) {
    set.adopted++;
    Probe("a pod was adopted");
  }
  const int count = static_cast<int>(set.active.size());
  if (set.known && count > set.asked_most + set.adopted) {
    journal_.Violation(fmt::format("{}: its set was never asked for more than {} pods (and adopted {}), it has {}", key,
                                   set.asked_most, set.adopted, count));
  }
}

void Auditor::SeeSet(const ObjectPtr& after) {
  if (after == nullptr) return;
  Set& set = sets_[std::string(after->uid())];
  const int asked = static_cast<int>(after->tree().Get("spec", "replicas").AsInt(1));
  if (set.known && asked != set.asked) set.asked_before.emplace_back(runtime_.Mono(), set.asked);
  set.asked = asked;
  set.known = true;
  set.asked_most = std::max(set.asked_most, static_cast<int>(after->tree().Get("spec", "replicas").AsInt(1)));
}

void Auditor::SeeNode(const ObjectPtr& before, const ObjectPtr& after) {
  const std::string name(after != nullptr ? after->name() : before->name());
  Node& node = nodes_[name];
  const bool same = before != nullptr && after != nullptr && before->tree().At("spec").Equals(after->tree().At("spec"));
  if (!same) node.before.emplace_back(runtime_.Mono(), node.object);
  node.object = after;
  if (after == nullptr) return;
  node.allocatable = MUST(
      scheduler::ReadResources(api::core_v1::Node(after->tree()).status().allocatable()));  // hollow nodes wrote it
}

}  // namespace knarr::sim

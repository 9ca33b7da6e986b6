// What those who delete must have had a reason for.

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "controller/framework/controller.h"
#include "controller/framework/pods.h"
#include "controller/node_taints.h"
#include "sim/auditor.h"

namespace knarr::sim {
namespace {

using api::KindInfo;
using api::ObjectPtr;
using api::core_v1::Pod;
using client::Propagation;

bool IsPod(const KindInfo& kind) { return &kind == &api::core_v1::PodInfo(); }

bool ToleratesAll(Pod pod) {
  for (auto toleration : pod.spec().tolerations()) {
    if (toleration.key().empty() && toleration.operator_() == "Exists" && toleration.effect().empty() &&
        !toleration.toleration_seconds()) {
      return true;
    }
  }
  return false;
}

}  // namespace

ObjectPtr Auditor::Now(const KindInfo& kind, std::string_view ns, std::string_view name) const {
  const std::string key = fmt::format("/registry/{}/{}/{}{}{}", kind.group.empty() ? "core" : kind.group, kind.plural,
                                      kind.namespaced ? ns : "", kind.namespaced ? "/" : "", name);
  const auto found = store_.Latest()->Get(key);
  return found ? api::Object::FromBytes(found->value) : nullptr;
}

void Auditor::NodeFault(const std::string& node, bool lost) {
  MonoTime& since = nodes_[node].lost_since;
  if (!lost) {
    since = MonoTime::max();
  } else if (since == MonoTime::max()) {
    since = runtime_.Mono();
  }
}

std::vector<Silence> Auditor::Silent() const {
  std::vector<Silence> out;
  for (const auto& [name, node] : nodes_) {
    const bool removed = node.object == nullptr && !node.before.empty();
    const MonoTime since = removed ? node.before.back().first : node.lost_since;
    if (since != MonoTime::max()) out.push_back({name, removed, runtime_.Mono() - since});
  }
  return out;
}

void Auditor::Deletes(std::string_view who, const KindInfo& kind, const client::ObjectName& name,
                      const client::DeleteOptions& options) {
  if (options.propagation != Propagation::kDefault) {
    const ObjectPtr owner = Now(kind, name.ns, name.name);
    const bool waits = options.propagation == Propagation::kForeground;
    if (owner != nullptr && !waits) hurried_.emplace(owner->uid());
    // Who had begun to leave what it owns is told to take it along.
    if (owner != nullptr && options.propagation != Propagation::kOrphan) spared_.erase(std::string(owner->uid()));
  }
  if (!IsPod(kind)) return;
  if (options.grace_seconds == 0) {
    const ObjectPtr pod = Now(kind, name.ns, name.name);
    if (pod != nullptr) graceless_.emplace(pod->uid());
  }
  const bool of_set = who == "replicaset-controller" || who == "replication-controller";
  if (of_set && !options.uid.empty()) shrunk_.insert_or_assign(options.uid, runtime_.Mono());
}

void Auditor::Deleted(std::string_view who, const KindInfo& kind, const client::DeleteOptions& options,
                      const api::Object& object) {
  const std::string about = fmt::format("{} deleted {} {}", who, kind.singular, KeyOf(object));
  if (!options.uid.empty() && object.uid() != options.uid) {
    journal_.Violation(fmt::format("{}, which is another than it wanted", about));
  }
  const bool waits = options.propagation == Propagation::kForeground || options.propagation == Propagation::kOrphan;
  const std::string_view finalizer =
      options.propagation == Propagation::kForeground ? "foregroundDeletion" : "orphan";
  if (waits && !HasFinalizer(object, finalizer)) {
    journal_.Violation(fmt::format("{}, and it does not wait for what it owns", about));
  }
  if (who == "generic-garbage-collector") CollectsGarbage(object);
  if (!IsPod(kind)) return;
  if (options.grace_seconds == 0) graceless_.emplace(object.uid());
  const std::string_view node = Pod(object.tree()).spec().node_name();
  if (who == "pod-garbage-collector" && !node.empty()) {
    Probe("a pod on a node that is gone was removed");
    // It asks for the node, says why its pods end, and deletes them: the node may have come back meanwhile.
    if (!gone_nodes_.contains(node) && Now(api::core_v1::NodeInfo(), "", node) != nullptr) {
      journal_.Violation(fmt::format("{}, whose node is there", about));
    }
  }
  if (who == "node-controller") ExpelsPod(object);
}

void Auditor::Binds(std::string_view who, const client::ObjectName& pod) {
  if (who == "user") by_hand_.insert(pod.ToString());
}

void Auditor::DeletesAll(std::string_view who, const KindInfo& kind, std::string_view ns) {
  if (who != "namespace-controller") return;
  Probe("a namespace went with something in it");
  const ObjectPtr space = Now(api::core_v1::NamespaceInfo(), "", ns);
  if (space != nullptr && !space->deleting()) {
    journal_.Violation(fmt::format("{} deletes all {} of namespace {}, which is to stay", who, kind.plural, ns));
  }
}

void Auditor::Answers(std::string_view who, const KindInfo& kind, const client::ObjectName& name, bool there) {
  if (who != "pod-garbage-collector" || &kind != &api::core_v1::NodeInfo()) return;
  if (there) {
    gone_nodes_.erase(name.name);
  } else {
    gone_nodes_.insert(name.name);
  }
}

void Auditor::CollectsGarbage(const api::Object& object) {
  Probe("a pod was collected with its owner");
  for (auto owner : api::meta_v1::ObjectMeta(object.tree().At("metadata")).owner_references()) {
    const auto spared = spared_.find(owner.uid());
    if (spared != spared_.end() && spared->second.contains(std::string(object.uid()))) {
      journal_.Violation(fmt::format("{} was collected, which its owner left behind", KeyOf(object)));
    }
    const KindInfo* kind = api::FindKind(owner.api_version(), owner.kind());
    if (kind == nullptr) continue;
    const ObjectPtr now = Now(*kind, object.ns(), owner.name());
    if (now != nullptr && now->uid() == owner.uid() && !now->deleting()) {
      journal_.Violation(fmt::format("{} was collected, whose owner {} is there", KeyOf(object), KeyOf(*now)));
    }
  }
}

/// Because of a taint that it does not tolerate, or not for so long.
void Auditor::ExpelsPod(const api::Object& object) {
  const Pod pod(object.tree());
  Probe("a pod of a lost node was ended");
  if (ToleratesAll(pod)) {
    journal_.Violation(fmt::format("{} was expelled, which tolerates everything", KeyOf(object)));
    return;
  }
  const Node& node = nodes_[std::string(pod.spec().node_name())];
  // Whoever acts may have been told before we were.
  std::vector<ObjectPtr> states = {node.object, Now(api::core_v1::NodeInfo(), "", pod.spec().node_name())};
  for (const auto& [until, before] : node.before) {
    if (runtime_.Mono() - until <= staleness_) states.push_back(before);
  }
  bool reason = false;
  for (const ObjectPtr& state : states) {
    if (state == nullptr) {
      reason = true;
      continue;
    }
    for (auto taint : api::core_v1::Node(state->tree()).spec().taints()) {
      if (taint.effect() != "NoExecute") continue;
      const std::optional<Duration> stays = controller::StaysFor(pod, taint);
      // Times in objects are whole seconds.
      reason |= stays && taint.time_added().value_or(WallTime{}) + *stays <= runtime_.Wall() + 1s;
    }
  }
  if (!reason) {
    journal_.Violation(fmt::format("{} was expelled from {} without reason", KeyOf(object), pod.spec().node_name()));
  }
}

}  // namespace knarr::sim

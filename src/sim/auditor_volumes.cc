// The auditor's part about claims and volumes: no two claims have one volume, no claim loses its own, and no pod begins
// before its volumes are there and where they can be reached.

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "api/persistent_volumes.h"
#include "sim/auditor.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::Pod;

}  // namespace

void Auditor::SeeClaim(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  const auto bound = [](const ObjectPtr& claim) {
    return claim != nullptr && api::IsFullyBound(PersistentVolumeClaim(claim->tree()));
  };
  const auto volume = [](const ObjectPtr& claim) {
    return std::string(PersistentVolumeClaim(claim->tree()).spec().volume_name());
  };
  if (bound(before) && !bound(after)) {
    if (after != nullptr) journal_.Violation(fmt::format("{} is not bound any more", key));
    volume_owners_.erase(volume(before));
  }
  if (after == nullptr) return;
  if (PersistentVolumeClaim(after->tree()).status().phase() == "Lost" && !doomed_volumes_.contains(volume(after))) {
    journal_.Violation(fmt::format("{} has lost its volume", key));
  }
  if (!bound(after)) return;
  const auto [at, alone] = volume_owners_.emplace(volume(after), key);
  if (!alone && at->second != key) {
    journal_.Violation(fmt::format("{} and {} both have volume {}", key, at->second, at->first));
  }
  if (!bound(before)) Probe("a claim was bound");
  const bool grew = before != nullptr && api::StatusCapacity(PersistentVolumeClaim(before->tree())) <
                                             api::StatusCapacity(PersistentVolumeClaim(after->tree()));
  if (bound(before) && grew) Probe("a claim grew");
}

void Auditor::SeeVolume(std::string_view key, const ObjectPtr& before, const ObjectPtr& after) {
  const std::string name(before != nullptr ? before->name() : after->name());
  if (before == nullptr) {
    doomed_volumes_.erase(name);
    return;
  }
  const auto owner = volume_owners_.find(name);
  const bool taken = PersistentVolume(before->tree()).status().phase() == "Bound";
  if (after != nullptr && after->deleting() && !before->deleting() && !taken) doomed_volumes_.insert(name);
  if (after == nullptr && owner != volume_owners_.end() && !doomed_volumes_.contains(name)) {
    journal_.Violation(fmt::format("{} is gone, and {} has it", key, owner->second));
  }
  const auto user = [](const ObjectPtr& volume) {
    return volume == nullptr ? std::string()
                             : std::string(PersistentVolume(volume->tree()).spec().claim_ref().uid());
  };
  const bool changes = !user(before).empty() && user(before) != user(after);
  if (owner != volume_owners_.end() && after != nullptr && changes) {
    journal_.Violation(fmt::format("{} was taken from {}", key, owner->second));
  }
  if (after == nullptr) return;
  SeeVolumeUser(key, *before, *after);
  const std::string_view was = PersistentVolume(before->tree()).status().phase();
  const std::string_view is = PersistentVolume(after->tree()).status().phase();
  if (was != is && is == "Released") Probe("a volume was released");
  if (was == "Bound" && is == "Available") Probe("a volume was given back");
}

/// What one claim had, or was meant to have, no other gets; and nothing is released whose claim is there.
void Auditor::SeeVolumeUser(std::string_view key, const api::Object& before, const api::Object& after) {
  const auto old = PersistentVolume(before.tree()).spec().claim_ref();
  const auto now = PersistentVolume(after.tree()).spec().claim_ref();
  const bool both = old && now;
  const bool same_name = old.name() == now.name() && old.ns() == now.ns();
  const bool same_uid = old.uid().empty() || now.uid().empty() || old.uid() == now.uid();
  if (both && !(same_name && same_uid)) {
    journal_.Violation(fmt::format("{} was for {}/{} {}, and is for {}/{} {}", key, old.ns(), old.name(), old.uid(),
                                   now.ns(), now.name(), now.uid()));
  }
  if (PersistentVolume(before.tree()).status().phase() == "Released" ||
      PersistentVolume(after.tree()).status().phase() != "Released") {
    return;
  }
  const ObjectPtr claim = Now(api::core_v1::PersistentVolumeClaimInfo(), now.ns(), now.name());
  if (claim == nullptr || claim->uid() != now.uid()) return;
  const std::string_view has = PersistentVolumeClaim(claim->tree()).spec().volume_name();
  if (!has.empty() && has != after.name()) return;
  journal_.Violation(fmt::format("{} is released, and its claim {} is there", key, KeyOf(*claim)));
}

/// Of a pod that has got a node.
void Auditor::SeeVolumesOf(std::string_view key, const api::Object& object, const ObjectPtr& node) {
  const Pod pod(object.tree());
  const std::string_view scheduler = pod.spec().scheduler_name();
  if (node == nullptr || by_hand_.contains(KeyOf(object)) || (scheduler != "default-scheduler" && !scheduler.empty())) {
    return;
  }
  const api::NodeText text{api::core_v1::Node(node->tree()).metadata().labels(), node->name()};
  for (const auto volume : pod.spec().volumes()) {
    const std::string name = api::ClaimNameOf(pod, volume);
    if (name.empty()) continue;
    const ObjectPtr claim = Seen("persistentvolumeclaims", std::string(object.ns()) + "/" + name);
    // Nothing holds a claim for a pod without a node: it may have gone, and come again, since it was looked at.
    if (claim == nullptr) continue;
    const PersistentVolumeClaim view(claim->tree());
    const auto made = view.metadata().creation_timestamp();
    if (!api::IsFullyBound(view)) {
      if (made && runtime_.Wall() - *made > staleness_ + std::chrono::seconds(1)) {
        journal_.Violation(fmt::format("{} bound to node {} before its claim {}", key, node->name(), name));
      }
      continue;
    }
    const ObjectPtr bound = Seen("persistentvolumes", std::string(view.spec().volume_name()));
    if (bound != nullptr && !api::IsReachable(PersistentVolume(bound->tree()), text)) {
      journal_.Violation(
          fmt::format("{} bound to node {}, where its claim {} can't be reached", key, node->name(), name));
    }
    Probe("a pod with a claim was bound");
  }
}

ObjectPtr Auditor::Seen(std::string_view plural, const std::string& name) const {
  const auto at = objects_.find(fmt::format("/registry/core/{}/{}", plural, name));
  return at == objects_.end() ? nullptr : at->second;
}

}  // namespace knarr::sim

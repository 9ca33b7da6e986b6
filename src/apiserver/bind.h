#pragma once

// What creating a pod's binding does, and what it shares with other ways of changing a pod.

#include "apiserver/registry.h"

namespace knarr::apiserver {

/// Gives the pod its node, once. Conflict when it has one or is being deleted.
Ok BindPod(RequestContext& context, ResourceRegistry& registry, Resource& pods, const ObjectName& name,
           const doc::Value& binding, bool dry_run);

struct PodCondition {
  std::string_view type;
  std::string_view reason;
  std::string_view message;
  WallTime now;
};
/// Sets a condition of the pod to True; the time of its transition stays when it is so already.
void SetPodCondition(doc::Document& pod, const PodCondition& condition);

/// DeleteOptions (meta/v1) as a tree.
client::DeleteOptions ReadDeleteOptions(const doc::Value& options);

}  // namespace knarr::apiserver

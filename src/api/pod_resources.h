#pragma once

// What a pod as a whole asks for: its containers together with what its init containers need at their peak.

#include "api/resource_list.h"
#include "doc/value.h"

namespace knarr::api {

struct PodResourcesOptions {
  /// What containers have been given (status) counts where it is more than what they ask for.
  bool use_status = false;
  /// The pod's overhead is part of it.
  bool overhead = true;
  /// Which resources the pod's own budget stands for: cpu and memory, or hugepages as well.
  bool pod_level_hugepages = true;
};

ResourceList PodRequests(const doc::Value& pod, const PodResourcesOptions& options = {});
/// Overhead is added only to what is limited.
ResourceList PodLimits(const doc::Value& pod, const PodResourcesOptions& options = {});

/// Whether the pod has a budget of its own (spec.resources) for cpu, memory or hugepages.
bool HasPodLevelResources(const doc::Value& pod);

}  // namespace knarr::api

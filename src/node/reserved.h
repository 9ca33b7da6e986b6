#pragma once

// What of the node is not for pods: set aside for the system and for ourselves, and what eviction keeps free.

#include <string_view>

#include "api/resource_list.h"
#include "base/status.h"
#include "node/eviction.h"
#include "runtime/runtime.h"

namespace knarr::node {

struct Reserved {
  api::ResourceList kube;
  api::ResourceList system;
  api::ResourceList Both() const;
};

/// "cpu=100m,memory=1Gi,ephemeral-storage=1Gi,pid=1000". BadRequest in the kubelet's words.
Result<api::ResourceList> ParseReserved(std::string_view text);
/// Capacity without what is reserved, and without what hard thresholds of eviction keep free; never below zero.
/// BadRequest when more is reserved than there is.
Result<api::ResourceList> Allocatable(const api::ResourceList& capacity, const Reserved& reserved,
                                      const EvictionConfig& eviction);
/// The limits of the control group that all pods are in: what is left of the machine, though eviction would come
/// before.
runtime::CgroupResources PodsGroup(const api::ResourceList& capacity, const Reserved& reserved);

}  // namespace knarr::node

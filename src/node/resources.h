#pragma once

// From requests and limits to quality of service, cgroups and OOM scores, with upstream's formulas.

#include <cstdint>
#include <string>
#include <string_view>

#include "api/core_v1.h"
#include "base/quantity.h"
#include "base/status.h"
#include "runtime/runtime.h"

namespace knarr::node {

enum class QosClass : uint8_t { kGuaranteed, kBurstable, kBestEffort };
std::string_view QosText(QosClass qos);
QosClass QosOf(api::core_v1::Pod pod);

/// Shares from milli-CPUs: at least 2, at most 262144.
int64_t CpuShares(int64_t milli);
/// A quota in a period of 100 ms, from milli-CPUs: at least 1 ms; 0 for none.
int64_t CpuQuota(int64_t milli);
/// Held within what fits into 64 bits after all that is worked out of it.
int64_t CpuMilli(const Quantity& quantity);
int64_t MemoryBytes(const Quantity& quantity);
/// A container's or (the sums) a pod's limits; a limit that a container has not itself is the pod's. BadRequest on
/// quantities that can't be read.
Result<runtime::CgroupResources> ContainerResources(api::core_v1::Pod pod, api::core_v1::Container container);
Result<runtime::CgroupResources> PodResources(api::core_v1::Pod pod);
/// "<root>/burstable/pod<uid>"; guaranteed pods have no level of their own, as upstream.
std::string PodCgroup(std::string_view root, api::core_v1::Pod pod);
/// −997 guaranteed and what the node can't do without, 1000 best effort, between for burstable by their share of the
/// machine's memory. A sidecar is not killed before the containers that it is for.
int OomScoreAdjust(api::core_v1::Pod pod, api::core_v1::Container container, int64_t machine_memory);

}  // namespace knarr::node

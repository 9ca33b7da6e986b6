#pragma once

// From requests and limits to quality of service, cgroups and OOM scores, with upstream's formulas.

#include <cstdint>
#include <string>
#include <string_view>

#include "api/core_v1.h"
#include "base/status.h"
#include "runtime/runtime.h"

namespace knarr::node {

enum class QosClass : uint8_t { kGuaranteed, kBurstable, kBestEffort };
std::string_view QosText(QosClass qos);
QosClass QosOf(api::core_v1::Pod pod);

/// Shares from milli-CPUs: at least 2, at most 262144.
int64_t CpuShares(int64_t milli);
/// A container's or (the sums) a pod's limits. BadRequest on quantities that can't be read.
Result<runtime::CgroupResources> ContainerResources(api::core_v1::Container container);
Result<runtime::CgroupResources> PodResources(api::core_v1::Pod pod);
/// "<root>/burstable/pod<uid>"; guaranteed pods have no level of their own, as upstream.
std::string PodCgroup(std::string_view root, api::core_v1::Pod pod);
/// −997 guaranteed, 1000 best effort, between for burstable by their share of the machine's memory.
int OomScoreAdjust(QosClass qos, int64_t memory_request, int64_t machine_memory);

}  // namespace knarr::node

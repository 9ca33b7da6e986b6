#pragma once

// What a pod's status says of resources and users: those in force, those set aside, and whether a resize is under way.

#include <string_view>

#include "api/core_v1.h"
#include "node/pod_state.h"

namespace knarr::node {

inline constexpr std::string_view kResizePending = "PodResizePending";
inline constexpr std::string_view kResizeInProgress = "PodResizeInProgress";

/// resources, allocatedResources and user of a container that has been made.
void WriteContainerResources(const PodState& state, const ContainerRecord& record,
                             api::core_v1::ContainerStatusEdit to);
/// resources and allocatedResources of the pod as a whole. `pod`: with its allocation as its spec.
void WritePodResources(api::core_v1::Pod pod, const PodState& state, api::core_v1::PodStatusEdit to);
void WriteResizeConditions(const ResizeState& resize, api::core_v1::PodStatusEdit to);

}  // namespace knarr::node

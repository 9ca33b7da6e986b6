#pragma once

// Changing the resources of a pod that runs: which of its containers get other limits, in which order, and which must
// be started again for it; and what is told of that.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/core_v1.h"
#include "base/time.h"
#include "node/allocation.h"
#include "runtime/runtime.h"

namespace knarr::node {

struct PodState;

/// A condition that is there (True) or not: PodResizePending, PodResizeInProgress.
struct ResizeCondition {
  std::string reason;
  std::string message;
  int64_t generation = 0;  ///< of the pod, when it was asked for
  WallTime probed{};
  WallTime since{};
};
struct ResizeState {
  std::optional<ResizeCondition> pending;
  std::optional<ResizeCondition> in_progress;
};
/// Sets one; whether a reader sees more than a new time.
bool SetCondition(std::optional<ResizeCondition>& condition, std::string_view reason, std::string_view message,
                  int64_t generation, WallTime now);
/// What an earlier agent has written into the pod's status.
ResizeState ReadResizeState(api::core_v1::Pod pod);

/// New limits for a container that runs on.
struct ContainerUpdate {
  std::string container;
  Sizes from;
  Sizes to;
};
struct ResizePlan {
  std::vector<std::string> restart;     ///< those whose policy asks for it
  std::vector<ContainerUpdate> memory;  ///< smaller ones first, so that the pod's sum does not go up in between
  std::vector<ContainerUpdate> cpu;
  bool empty() const { return restart.empty() && memory.empty() && cpu.empty(); }
};
/// `pod`: with its allocation as its spec.
ResizePlan PlanResize(api::core_v1::Pod pod, const PodState& state);

/// What the pod's control group is given next. A limit is not taken away while the pod runs, as upstream.
runtime::CgroupResources NextPodGroup(const runtime::CgroupResources& present, runtime::CgroupResources wanted);
/// What a running container is given: `sizes`, in the control group's words.
runtime::CgroupResources GroupOf(const Sizes& sizes);

/// How much memory is in use now, of the pod and of its containers by name.
struct MemoryInUse {
  std::optional<int64_t> pod;
  std::map<std::string, int64_t, std::less<>> containers;
};
/// Why limits can't be taken below what is in use: "cannot decrease memory limits: …"; "" when they can.
std::string RefuseMemoryDecrease(const ResizePlan& plan, const runtime::CgroupResources& present,
                                 const runtime::CgroupResources& next, const MemoryInUse& in_use);

/// "Pod resize started: {"containers":[…],"generation":2}". `prefix`: what comes before the colon.
std::string ResizeMessage(std::string_view prefix, api::core_v1::Pod pod, int64_t generation,
                          std::string_view error = {});

}  // namespace knarr::node

#pragma once

// The last words of a container: a file of its own that it writes to, or else the end of its log.

#include <string>

#include "api/core_v1.h"
#include "base/status.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::node {

/// The file on the node of a container's `attempt`th run. `directory` is the pod's folder.
std::string TerminationLogOf(const std::string& directory, std::string_view container, uint32_t attempt);

/// An empty one that any user of the container may write to.
Ok MakeTerminationLog(rt::Runtime& runtime, const std::string& path);

/// What a container that has ended leaves as its message, at most 4096 bytes (2048 bytes and 80 lines of a log); ""
/// when there is nothing.
std::string ReadTerminationMessage(rt::Runtime& runtime, const std::string& directory,
                                   api::core_v1::Container container, const runtime::ContainerStatus& ended);

/// The most bytes that one container's message may have in the status, so that the pod's all together stay in bounds.
size_t TerminationMessageMax(api::core_v1::Pod pod);

}  // namespace knarr::node

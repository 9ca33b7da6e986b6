#pragma once

// What a pod may take of the node's disk: the sizeLimit of its emptyDirs and its containers' ephemeral-storage limits.
// A pod that takes more is evicted.

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "api/core_v1.h"
#include "base/status.h"

namespace knarr::node {

/// Whether the pod has any such limit: only then anything is measured.
bool LimitsLocalStorage(api::core_v1::Pod pod);

/// In bytes.
struct LocalStorageUsage {
  std::map<std::string, int64_t, std::less<>> empty_dirs;  ///< by volume
  std::map<std::string, int64_t, std::less<>> containers;  ///< what it wrote, and its log
};

/// Why the pod is to be evicted, in the kubelet's words; nullopt while it is within its limits. `memory` emptyDirs are
/// none of the disk's.
std::optional<std::string> LocalStorageExcess(api::core_v1::Pod pod, const LocalStorageUsage& usage);

}  // namespace knarr::node

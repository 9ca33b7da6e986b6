#pragma once

// What a pod may take of the node's disk: the sizeLimit of its emptyDirs and its containers' ephemeral-storage limits.
// A pod that takes more is evicted.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "base/status.h"
#include "runtime/runtime.h"

namespace knarr::node {

/// Whether the pod has any such limit: only then anything is measured.
bool LimitsLocalStorage(api::core_v1::Pod pod);

/// Where a pod's files are.
struct LocalStoragePlaces {
  std::map<std::string, std::string> empty_dirs;  ///< folders, by volume
  struct Container {
    std::string name;
    std::string id;
    std::string log_directory;
  };
  std::vector<Container> containers;
};

struct LocalStorageUsage {
  std::map<std::string, runtime::DiskUse, std::less<>> empty_dirs;  ///< by volume
  std::map<std::string, runtime::DiskUse, std::less<>> containers;  ///< what it wrote, and its log
  // The two apart.
  std::map<std::string, runtime::DiskUse, std::less<>> written = {};
  std::map<std::string, runtime::DiskUse, std::less<>> logs = {};
};

/// Waits for as long as there are files to look at; what is gone meanwhile counts for nothing.
LocalStorageUsage MeasureLocalStorage(rt::Runtime& runtime, runtime::Runtime& containers,
                                      const LocalStoragePlaces& places);

/// What of it all is the disk's: emptyDirs in memory are not.
runtime::DiskUse UsedOfDisk(api::core_v1::Pod pod, const LocalStorageUsage& usage);

/// Why the pod is to be evicted, in the kubelet's words; nullopt while it is within its limits.
std::optional<std::string> LocalStorageExcess(api::core_v1::Pod pod, const LocalStorageUsage& usage);

}  // namespace knarr::node

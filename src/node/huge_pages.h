#pragma once

// Huge pages: what the machine has of them, how much of them pods may use, and volumes made of them.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "api/core_v1.h"
#include "api/resource_list.h"
#include "base/status.h"
#include "rt/runtime.h"

namespace knarr::node {

/// The bytes of "hugepages-2Mi"'s pages; nullopt for what is no such resource.
std::optional<int64_t> HugePageSize(std::string_view resource);
/// "hugepages-2Mi", "hugepages-1Gi"
std::string HugePageResource(int64_t page);
/// As control groups name a size: "2MB", "1GB", "64KB".
std::string HugePageName(int64_t page);

/// What the machine set aside, by resource: 0 of a size that it has and nobody set anything aside of.
api::ResourceList ReadHugePages(rt::Runtime& runtime);
/// The limits of a control group, by the sizes' names there: nothing of a size that is not asked for. `sizes`: those
/// the machine has.
std::map<std::string, int64_t> HugePageLimits(const api::ResourceList& asked, const api::ResourceList& sizes);

/// The page size of an emptyDir of huge pages: of its medium, or else the one that the pod's containers ask for.
/// nullopt when it is of another medium; BadRequest in the kubelet's words when it can't be told.
Result<std::optional<int64_t>> HugePageMedium(api::core_v1::Pod pod, api::core_v1::EmptyDirVolumeSource volume);
/// A file system of huge pages at the directory; fine if there is one already.
Ok MountHugePages(rt::Runtime& runtime, const std::string& path, int64_t page);

}  // namespace knarr::node

#pragma once

// The few mounts the node makes for volumes. Each call runs on the blocking pool.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "rt/runtime.h"

namespace knarr::node {

/// A tmpfs at the directory, of at most `size` bytes (0: the kernel's default); fine if there is one already.
Ok MountTmpfs(rt::Runtime& runtime, const std::string& path, int64_t size);
/// Unmounts everything mounted at or below the directory, deepest first; fine if there is nothing.
Ok UnmountBelow(rt::Runtime& runtime, const std::string& directory);
/// The mount points at or below the directory, from the text of /proc/self/mountinfo, deepest first.
std::vector<std::string> MountsBelow(std::string_view mountinfo, std::string_view directory);

}  // namespace knarr::node

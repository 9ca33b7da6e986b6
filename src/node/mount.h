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
/// Whether the directory is where something is mounted.
bool IsMounted(rt::Runtime& runtime, const std::string& path);
/// An image's files at the directory, to read from; with the owners that the user namespace of a process shows as its
/// own, where there is one (not 0).
Ok MountImage(rt::Runtime& runtime, const std::vector<std::string>& layers, const std::string& path,
              int user_namespace_of);
/// Gives the group all it needs in a folder and below: it becomes the group of everything, may write whatever it may
/// read, and what is made in folders is its own, too. `only_if_root_differs`: nothing is done when the folder itself is
/// so already.
Ok GiveToGroup(rt::Runtime& runtime, const std::string& directory, uint32_t group, bool only_if_root_differs);
/// Unmounts everything mounted at or below the directory, deepest first; fine if there is nothing.
Ok UnmountBelow(rt::Runtime& runtime, const std::string& directory);
/// The mount points at or below the directory, from the text of /proc/self/mountinfo, deepest first.
std::vector<std::string> MountsBelow(std::string_view mountinfo, std::string_view directory);

}  // namespace knarr::node

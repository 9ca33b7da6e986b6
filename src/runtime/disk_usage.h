#pragma once

#include <cstdint>
#include <string>

namespace knarr::runtime {

/// The bytes that a folder takes on its disk, with all below it that lies on the same mount; 0 when there is none. Who
/// writes there can't lead it elsewhere. Blocking, for as long as there are files to look at.
int64_t DiskUsage(const std::string& path);

}  // namespace knarr::runtime

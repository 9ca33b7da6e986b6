#pragma once

#include <cstdint>
#include <string>

namespace knarr::runtime {

struct DiskUse {
  int64_t bytes = 0;
  int64_t inodes = 0;
  DiskUse& operator+=(const DiskUse& other) {
    bytes += other.bytes;
    inodes += other.inodes;
    return *this;
  }
};

/// What a folder takes of its disk, with all below it that lies on the same mount; nothing when there is none. Who
/// writes there can't lead it elsewhere. Blocking, for as long as there are files to look at.
DiskUse DiskUsage(const std::string& path);

}  // namespace knarr::runtime

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace knarr::runtime {

/// The system calls a container may make when its profile is RuntimeDefault, as an OCI seccomp object (JSON): what
/// containerd's default profile allows for the same capabilities. Anything else fails with EPERM (clone3 with ENOSYS,
/// so that C libraries fall back to clone).
std::string DefaultSeccomp(const std::vector<std::string>& add_capabilities,
                           const std::vector<std::string>& drop_capabilities, uint64_t capability_mask);

}  // namespace knarr::runtime

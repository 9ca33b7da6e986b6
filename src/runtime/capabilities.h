#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knarr::runtime {

/// The kernel's number of a capability ("CAP_NET_ADMIN"); -1 for no such name.
int CapabilityNumber(std::string_view name);

/// A container's capabilities ("CAP_…", in the kernel's order): containerd's default set with `drop` taken away and
/// `add` added, each by name with or without "CAP_", or "ALL" (adds win, as upstream). Only those in `mask` (what this
/// process may hand on) are given.
std::vector<std::string> ContainerCapabilities(const std::vector<std::string>& add,
                                               const std::vector<std::string>& drop, uint64_t mask);
/// All in `mask`: a privileged container's.
std::vector<std::string> AllCapabilities(uint64_t mask);

}  // namespace knarr::runtime

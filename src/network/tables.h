#pragma once

// Our nftables tables: their names, and the rules in them that do not depend on the cluster's objects.

#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "network/nft.h"

namespace knarr::network {

inline constexpr std::string_view kPodTable = "knarr-pods";
inline constexpr std::string_view kServiceTable = "knarr-services";

/// Masquerading of what pods send out of the cluster, and protection of 127.0.0.1 from pods.
std::vector<nft::Chain> PodTableChains(const std::string& bridge, const Cidr& pods, const Cidr& cluster);

}  // namespace knarr::network

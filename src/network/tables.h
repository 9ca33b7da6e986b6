#pragma once

// Our nftables tables: their names, and the rules in them that do not depend on the cluster's objects.

#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "network/nft.h"

namespace knarr::network {

/// The tables' names; `instance` tells clusters in one network namespace apart ("" for the usual one).
std::string PodTable(std::string_view instance);
std::string ServiceTableName(std::string_view instance);
std::string HostPortTable(std::string_view instance);

/// Masquerading of what pods send out of the cluster, and protection of 127.0.0.1 from pods.
std::vector<nft::Chain> PodTableChains(const std::string& bridge, const Cidr& pods, const Cidr& cluster);

}  // namespace knarr::network

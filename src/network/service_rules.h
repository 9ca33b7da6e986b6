#pragma once

// What Services mean in nftables. Pure: objects in, rules out.
//
// A Service's port is one chain, which sends a connection to one of its endpoints; maps lead to it from the cluster
// address and from the node port. So a packet costs one or two map lookups however many Services there are, and a
// change of one Service touches its own chains and map entries only.

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/core_v1.h"
#include "api/discovery_v1.h"
#include "base/ip.h"
#include "network/conntrack.h"
#include "network/nft.h"

namespace knarr::network {

struct ServiceContext {
  std::string table;            ///< its name
  Cidr cluster;                 ///< addresses of pods: what comes from elsewhere is masqueraded
  std::string node_name;        ///< whose endpoints are "local"
  std::string service_network;  ///< what is addressed to it and is no Service is rejected; "" for none
};

/// Maps and chains that all Services share.
inline constexpr const char* kServicesMap = "services";
inline constexpr const char* kNodePortsMap = "node-ports";
inline constexpr const char* kNoEndpointsMap = "no-endpoints";
inline constexpr const char* kNoEndpointNodePortsMap = "no-endpoint-node-ports";
inline constexpr const char* kHairpinsSet = "hairpins";
const std::vector<nft::Map>& SharedMaps();
std::vector<nft::Chain> SharedChains(const ServiceContext& context);

/// What one Service adds.
struct ServiceRules {
  std::map<std::string, std::vector<nft::Rule>> chains;
  std::map<std::string, nft::Map> maps;                     ///< of remembered clients, its own
  std::set<std::pair<std::string, nft::Element>> elements;  ///< of the shared maps: name and element
  std::vector<UdpTarget> udp;                               ///< what connection tracking may lead to
};

/// `slices` are the Service's own. Services without a cluster address (headless, ExternalName) give nothing.
ServiceRules RulesFor(const api::core_v1::Service& service, const std::vector<api::discovery_v1::EndpointSlice>& slices,
                      const ServiceContext& context);

}  // namespace knarr::network

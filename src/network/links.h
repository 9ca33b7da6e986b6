#pragma once

// Links, addresses and routes by rtnetlink: what PodNetwork is made of. Blocking.

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/status.h"

namespace knarr::network {

/// Who made a bridge stands in its alias: the folder that the cluster keeps its network's state in.
struct ForeignBridge {
  std::string name;
  std::string owner;
  std::vector<Cidr> networks;  ///< what is routed to it
};
/// The bridges of other clusters than `owner`.
Result<std::vector<ForeignBridge>> ForeignBridges(const std::string& owner);

struct BridgeSpec {
  std::string name;
  std::string owner;
  Cidr address;       ///< the gateway's own address with the pods' prefix
  std::string route;  ///< a network that is sent to the bridge (the services'); "" for none
  uint32_t mtu = 1500;
};
/// Makes the bridge as described, or brings an existing one to it.
Ok EnsureBridge(const BridgeSpec& spec);

struct PodLinkSpec {
  std::string host_link;  ///< name of the host's end
  std::string bridge;
  std::string netns_path;
  IpAddress address;
  IpAddress gateway;
  uint32_t mtu = 1500;
};
/// A veth pair with its pod's end, eth0, made in the namespace; address, default route, everything up. The address is
/// a /32: pods reach each other through the host, so that the answers to what a Service's rules rewrote come by there,
/// too. (Bridge ports are not isolated from each other: where br_netfilter is on, as Docker and Kubernetes have it,
/// rewritten packets are bridged, and isolation would drop them.)
Ok MakePodLink(const PodLinkSpec& spec);
/// The namespace's own lo, which answers from then on.
Ok SetUpLoopback(const std::string& netns_path);
/// Whether the namespace has an eth0 with this address.
Result<bool> PodLinkIsUp(const std::string& netns_path, const IpAddress& address);
/// Fine if there is none.
Ok RemoveLink(const std::string& name);
/// Names of the links that are ports of the bridge.
Result<std::vector<std::string>> BridgePorts(const std::string& bridge);

/// A locally administered MAC address made from the IP address, so that an address that is given out again comes with
/// the MAC that neighbours have cached for it.
std::string MacFor(const IpAddress& address);

}  // namespace knarr::network

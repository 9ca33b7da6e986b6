#pragma once

// Connection tracking remembers where a UDP sender's packets were sent, as long as it goes on sending: past the end of
// the endpoint that they went to. TCP ends by itself; UDP has to be forgotten by hand.

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ip.h"
#include "base/status.h"
#include "network/netlink.h"
#include "network/nft.h"

namespace knarr::network {

/// Where UDP senders send to, and where that may lead now.
struct UdpTarget {
  std::optional<IpAddress> address;  ///< absent for a node port
  uint16_t port = 0;
  std::vector<nft::Endpoint> endpoints;
  bool operator==(const UdpTarget&) const = default;
};

/// Forgets flows to the targets that lead elsewhere than to their endpoints. Blocking; `socket` is NETLINK_NETFILTER.
/// Looks through all tracked flows: call it only when a target has changed. How many were forgotten.
Result<size_t> ForgetStaleUdp(NetlinkSocket& socket, const std::vector<UdpTarget>& targets);

}  // namespace knarr::network

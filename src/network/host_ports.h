#pragma once

// Ports of the node that lead to pods (hostPort), as nftables maps in a table of their own, and the lines from which
// they are made again after a crash.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/status.h"
#include "network/conntrack.h"
#include "network/network.h"
#include "network/nft.h"

namespace knarr::network {

/// Pure: what is mapped, and what has to be said to the kernel when that changes.
class HostPorts {
 public:
  explicit HostPorts(std::string table) : table_(std::move(table)) {}

  /// Takes the sandbox's ports, instead of those it had. Conflict when another one has such a port; BadRequest for one
  /// that is malformed.
  Ok Set(const std::string& sandbox_id, const IpAddress& pod, const std::vector<PortMapping>& ports);
  void Remove(const std::string& sandbox_id) { sandboxes_.erase(sandbox_id); }
  bool Has(const std::string& sandbox_id) const { return sandboxes_.contains(sandbox_id); }

  /// The table anew, with all of it (but not `without`'s).
  nft::Transaction Rebuild(const std::string& without = "") const;
  /// What one sandbox adds to it, or takes away.
  nft::Transaction Add(const std::string& sandbox_id) const;
  nft::Transaction Take(const std::string& sandbox_id) const;
  /// What UDP senders may still have in mind of the sandbox's ports: to be told to the connection tracking.
  std::vector<UdpTarget> UdpTargets(const std::string& sandbox_id) const;

 private:
  struct Port {
    nft::Protocol protocol = nft::Protocol::kTcp;
    bool any_address = true;
    IpAddress address;  ///< of the node; of no meaning with any_address
    uint16_t port = 0;
    nft::Endpoint to;
    bool Clashes(const Port& other) const;
    std::string chain() const;
    nft::Element element() const;
  };
  static Result<Port> Read(const IpAddress& pod, const PortMapping& mapping);
  static void AddPort(const Port& port, nft::Transaction& transaction);

  const std::string table_;
  std::map<std::string, std::vector<Port>> sandboxes_;
};

/// A line a port: "tcp 0.0.0.0 8080 80".
std::string ToText(const std::vector<PortMapping>& ports);
Result<std::vector<PortMapping>> ParsePortMappings(std::string_view text);

}  // namespace knarr::network

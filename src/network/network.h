#pragma once

// The node's part of the cluster network: addresses for pods, and the rules that make Services answer.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "client/client.h"
#include "client/informer.h"
#include "rt/runtime.h"

namespace knarr::network {

struct PodNetworkOptions {
  /// Where leases of addresses are kept. It also names the owner of the bridge.
  std::string state_directory;
  std::string instance;                   ///< see ServiceProxyOptions
  std::string pod_cidr = "10.42.0.0/24";  ///< the node's share
  std::string cluster_cidr = "10.42.0.0/16";
  /// Routed to the bridge, so that the machine reaches Services without a default route; "" for none.
  std::string service_cidr = "10.43.0.0/16";
  std::string bridge = "knarr0";
  int mtu = 1500;
};

struct PodAddress {
  std::string ip;
  std::string gateway;
};

/// A port of the node that leads to a pod's.
struct PortMapping {
  std::string protocol = "TCP";  ///< "TCP", "UDP" or "SCTP"
  std::string host_ip;           ///< "" or "0.0.0.0": every address of the node
  uint16_t host_port = 0;
  uint16_t pod_port = 0;
};

/// A bridge, and a veth pair and an address a pod, by netlink directly: no program is started.
class PodNetwork {
 public:
  /// Makes the bridge, forwarding and masquerading (idempotent), and reads the leases of a former run. Conflict when
  /// another cluster has the bridge, or one of our networks is routed to its bridge.
  static Result<std::unique_ptr<PodNetwork>> Open(rt::Runtime& runtime, PodNetworkOptions options);
  virtual ~PodNetwork() = default;
  /// Gives the namespace at `netns_path` an interface eth0 with a lease bound to the pod. Idempotent per sandbox.
  virtual Result<PodAddress> Attach(const std::string& sandbox_id, const std::string& netns_path) = 0;
  /// Leads ports of the node to those of an attached sandbox, instead of those that led there; idempotent. Conflict
  /// when one of them leads elsewhere.
  virtual Ok MapPorts(const std::string& sandbox_id, const std::vector<PortMapping>& ports) = 0;
  /// Gives the address and the ports back and removes the link; idempotent.
  virtual Ok Detach(const std::string& sandbox_id) = 0;
  /// Frees leases of sandboxes that are not in the list (left behind by a crash).
  virtual Ok Retain(const std::vector<std::string>& sandbox_ids) = 0;
};

struct ServiceProxyOptions {
  /// Becomes a part of the nftables tables' names, so that clusters in one network namespace keep theirs apart; "" for
  /// the usual names.
  std::string instance;
  std::string cluster_cidr = "10.42.0.0/16";
  /// What is sent to an address in here that is no Service is refused at once; "" for none.
  std::string service_cidr = "10.43.0.0/16";
  std::string node_name;
};

/// ClusterIP and NodePort Services as nftables maps in the table `ip knarr-services<instance>`, changed in
/// one transaction per batch of changes; the cost of a change does not grow with the number of services.
class ServiceProxy {
 public:
  static Result<std::unique_ptr<ServiceProxy>> Create(rt::Runtime& runtime, client::InformerFactory& informers,
                                                      ServiceProxyOptions options);
  virtual ~ServiceProxy() = default;
  /// Runs until stopped; the rules stay, so that a restart interrupts nobody.
  virtual void Start() = 0;
  virtual void Stop() = 0;
};

/// Removes every link, rule, route and file of ours; idempotent; used by `knarr uninstall`.
Ok RemoveNetwork(rt::Runtime& runtime, const PodNetworkOptions& options);

}  // namespace knarr::network

#pragma once

// The rules of all Services together: what the kernel has, what it should have, and the transaction that leads from one
// to the other.

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "network/nft.h"
#include "network/service_rules.h"

namespace knarr::network {

class ServiceTable {
 public:
  explicit ServiceTable(ServiceContext context) : context_(std::move(context)) {}
  const ServiceContext& context() const { return context_; }

  /// What the Service `owner` ("namespace/name") should have from now on; empty rules for one that is gone.
  void Set(const std::string& owner, ServiceRules rules);

  /// Everything anew, whatever the kernel has. Counts as taken by the kernel.
  nft::Transaction Rebuild();
  /// Only what has changed since; empty when nothing has. Counts as taken by the kernel: after a failure, Rebuild.
  nft::Transaction Update();

  /// Where UDP senders may still be led by connection tracking that Set has changed since this was last asked: to be
  /// forgotten once the kernel has the new rules.
  std::vector<UdpTarget> TakeChangedUdp();

  /// All of it, in nft's syntax.
  std::string ToText() const;

 private:
  using ElementId = std::pair<std::string, std::vector<std::string>>;  // map, key
  /// What the map leads to for this key; two Services may claim one key for a moment, while one replaces the other.
  const std::string* Target(const ElementId& id) const;
  void AddElements(nft::Transaction& transaction, const std::set<ElementId>& ids) const;
  static const nft::Map& MapNamed(const std::string& name);

  ServiceContext context_;
  std::map<std::string, ServiceRules> owners_;
  std::map<ElementId, std::map<std::string, std::string>> elements_;  // → owner → chain
  // What the kernel has, as far as it has come to differ.
  std::map<std::string, std::vector<nft::Rule>> kernel_chains_;
  std::map<std::string, nft::Map> kernel_maps_;
  std::map<ElementId, std::string> kernel_elements_;
  std::set<std::string> changed_chains_;
  std::set<std::string> changed_maps_;
  std::set<ElementId> changed_elements_;
  std::map<std::pair<std::string, uint16_t>, UdpTarget> changed_udp_;  // by address ("" for node ports) and port
  std::map<std::string, std::string> chain_owner_;
  std::map<std::string, std::string> map_owner_;
};

}  // namespace knarr::network

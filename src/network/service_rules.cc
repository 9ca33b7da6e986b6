#include "network/service_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "api/meta_v1.h"
#include "base/strings.h"

namespace knarr::network {
namespace {

using nft::Endpoint;
using nft::Field;
using nft::Protocol;
using nft::Rule;

// netfilter's own priorities.
constexpr int kDestinationNat = -100;
constexpr int kFilter = 0;
constexpr int kSourceNat = 100;
constexpr const char* kDispatch = "dispatch";
constexpr const char* kRejectChain = "reject-it";
constexpr const char* kDropChain = "drop-it";
constexpr int32_t kAffinitySeconds = 10800;
constexpr std::string_view kOtherProxy = "service.kubernetes.io/service-proxy-name";

const std::vector<Field> kAddressKey = {Field::kDestinationAddress, Field::kProtocol, Field::kDestinationPort};
const std::vector<Field> kPortKey = {Field::kProtocol, Field::kDestinationPort};

std::optional<Protocol> ProtocolOf(std::string_view text) {
  if (text.empty() || text == "TCP") return Protocol::kTcp;
  if (text == "UDP") return Protocol::kUdp;
  if (text == "SCTP") return Protocol::kSctp;
  return std::nullopt;
}

void SortOnce(std::vector<Endpoint>& endpoints) {
  std::sort(endpoints.begin(), endpoints.end());
  endpoints.erase(std::unique(endpoints.begin(), endpoints.end()), endpoints.end());
}

// As kube-proxy: the ready ones; if there are none, those that still serve while they terminate. Each for all nodes and
// for this one on its own.
class EndpointChoice {
 public:
  EndpointChoice(const std::vector<api::discovery_v1::EndpointSlice>& slices, std::string_view port_name,
                 std::string_view protocol, std::string_view node)
      : node_(node) {
    for (const auto& slice : slices) {
      if (slice.address_type() != "IPv4") continue;
      for (const auto port : slice.ports()) {
        const std::string_view port_protocol = port.protocol().value_or("TCP");
        if (port.name().value_or("") != port_name || port_protocol != (protocol.empty() ? "TCP" : protocol)) continue;
        const int32_t number = port.port().value_or(0);
        if (number > 0 && number <= UINT16_MAX) Add(slice, static_cast<uint16_t>(number));
      }
    }
    for (auto* list : {&ready_, &ready_local_, &terminating_, &terminating_local_}) SortOnce(*list);
  }
  const std::vector<Endpoint>& all() const { return ready_.empty() ? terminating_ : ready_; }
  const std::vector<Endpoint>& local() const { return ready_local_.empty() ? terminating_local_ : ready_local_; }
  /// Those that may be pods of this node: here, or nobody says where.
  const std::set<IpAddress>& near() const { return near_; }

 private:
  void Add(const api::discovery_v1::EndpointSlice& slice, uint16_t port) {
    for (const auto endpoint : slice.endpoints()) {
      if (endpoint.addresses().empty()) continue;
      const auto address = IpAddress::Parse(endpoint.addresses()[0]);
      if (!address.ok() || !address->is_v4()) continue;
      const auto conditions = endpoint.conditions();
      const bool ready = conditions.ready().value_or(true);
      const bool terminating =
          !ready && conditions.serving().value_or(false) && conditions.terminating().value_or(false);
      if (!ready && !terminating) continue;
      const std::string_view node = endpoint.node_name().value_or("");
      const bool local = node == node_;
      const Endpoint added{*address, port};
      if (local || node.empty()) near_.insert(*address);
      (ready ? ready_ : terminating_).push_back(added);
      if (local) (ready ? ready_local_ : terminating_local_).push_back(added);
    }
  }
  std::string_view node_;
  std::vector<Endpoint> ready_;
  std::vector<Endpoint> ready_local_;
  std::vector<Endpoint> terminating_;
  std::vector<Endpoint> terminating_local_;
  std::set<IpAddress> near_;
};

class PortRules {
 public:
  PortRules(const api::core_v1::Service& service, const api::core_v1::ServicePort& port, Protocol protocol,
            const EndpointChoice& endpoints, const ServiceContext& context, ServiceRules& out)
      : spec_(service.spec()), protocol_(protocol), endpoints_(endpoints), context_(context), out_(out) {
    const std::string_view text = port.protocol().empty() ? "TCP" : port.protocol();
    id_ = fmt::format("{}/{}/{}/{}", service.metadata().ns(), service.metadata().name(), ToLower(text), port.port());
    if (spec_.session_affinity() == "ClientIP") {
      const int32_t seconds = spec_.session_affinity_config().client_ip().timeout_seconds().value_or(kAffinitySeconds);
      affinity_ = nft::Map{.name = "clients/" + id_,
                           .kind = nft::MapKind::kRemembered,
                           .key = {Field::kSourceAddress},
                           .timeout = std::chrono::seconds(std::clamp<int32_t>(seconds, 1, 86400))};
    }
  }

  void ClusterAddress(const IpAddress& address, uint16_t port) {
    const nft::Element key{{nft::AddressKey(address), nft::ProtocolKey(protocol_), nft::PortKey(port)}, ""};
    const bool only_local = spec_.internal_traffic_policy().value_or("Cluster") == "Local";
    const auto& endpoints = only_local ? endpoints_.local() : endpoints_.all();
    if (protocol_ == Protocol::kUdp) out_.udp.push_back({address, port, endpoints});
    if (endpoints.empty()) {
      // Nobody at all is refused; nobody here, but elsewhere, is silence.
      Lead(kNoEndpointsMap, key, endpoints_.all().empty() ? kRejectChain : kDropChain);
      return;
    }
    std::vector<Rule> rules = {{nft::MatchNetwork{Field::kSourceAddress, context_.cluster, true}, nft::SetMark{}}};
    Spread(rules, endpoints);
    out_.chains["svc/" + id_] = std::move(rules);
    Lead(kServicesMap, key, "svc/" + id_);
  }

  void NodePort(uint16_t port) {
    const nft::Element key{{nft::ProtocolKey(protocol_), nft::PortKey(port)}, ""};
    if (protocol_ == Protocol::kUdp) out_.udp.push_back({std::nullopt, port, endpoints_.all()});
    if (endpoints_.all().empty()) return Lead(kNoEndpointNodePortsMap, key, kRejectChain);
    std::vector<Rule> rules;
    if (spec_.external_traffic_policy() != "Local") {
      rules.push_back({nft::SetMark{}});
      Spread(rules, endpoints_.all());
    } else {
      // Clients inside the cluster may go everywhere; those outside keep their address, and so must stay here.
      const std::string all = "all/" + id_;
      Spread(out_.chains[all], endpoints_.all());
      rules.push_back({nft::MatchNetwork{Field::kSourceAddress, context_.cluster}, nft::Jump{all, true}});
      rules.push_back({nft::MatchLocal{true}, nft::SetMark{}});
      rules.push_back({nft::MatchLocal{true}, nft::Jump{all, true}});
      if (endpoints_.local().empty()) {
        Lead(kNoEndpointNodePortsMap, key, kDropChain);
      } else {
        Spread(rules, endpoints_.local());
      }
    }
    out_.chains["ext/" + id_] = std::move(rules);
    Lead(kNodePortsMap, key, "ext/" + id_);
  }

 private:
  void Lead(const char* map, nft::Element element, std::string chain) {
    element.chain = std::move(chain);
    out_.elements.emplace(map, std::move(element));
  }

  // To one of the endpoints. One that sends to itself would get its own address as the sender's: it is masqueraded.
  void Spread(std::vector<Rule>& rules, const std::vector<Endpoint>& endpoints) {
    if (affinity_) {
      out_.maps[affinity_->name] = *affinity_;
      rules.push_back({nft::DnatRemembered{affinity_->name, endpoints}});
      rules.push_back({nft::DnatAndRemember{affinity_->name, endpoints, affinity_->timeout}});
    } else {
      rules.push_back({nft::Dnat{endpoints}});
    }
    for (const IpAddress& near : endpoints_.near()) {
      const std::string address = nft::AddressKey(near);
      out_.elements.emplace(kHairpinsSet, nft::Element{{address, address}, ""});
    }
  }

  api::core_v1::ServiceSpec spec_;
  Protocol protocol_;
  const EndpointChoice& endpoints_;
  const ServiceContext& context_;
  ServiceRules& out_;
  std::string id_;
  std::optional<nft::Map> affinity_;
};

bool IsPort(int32_t port) { return port > 0 && port <= UINT16_MAX; }

}  // namespace

const std::vector<nft::Map>& SharedMaps() {
  static const std::vector<nft::Map> kMaps = {
      {.name = kServicesMap, .key = kAddressKey},
      {.name = kNodePortsMap, .key = kPortKey},
      {.name = kNoEndpointsMap, .key = kAddressKey},
      {.name = kNoEndpointNodePortsMap, .key = kPortKey},
      {.name = kHairpinsSet, .kind = nft::MapKind::kSet, .key = {Field::kSourceAddress, Field::kDestinationAddress}},
  };
  return kMaps;
}

std::vector<nft::Chain> SharedChains(const ServiceContext& context) {
  const Rule dispatch{nft::Jump{kDispatch}};
  const Rule nobody{nft::VerdictMap{kAddressKey, kNoEndpointsMap}};
  const Rule nobody_at_port{nft::MatchLocal{}, nft::VerdictMap{kPortKey, kNoEndpointNodePortsMap}};
  std::vector<Rule> forward = {nobody};
  std::vector<Rule> output = {nobody, nobody_at_port};
  if (const auto network = Cidr::Parse(context.service_network); network.ok()) {
    const Rule unknown{nft::MatchNetwork{Field::kDestinationAddress, *network}, nft::Reject{}};
    forward.push_back(unknown);
    output.push_back(unknown);
  }
  using nft::Chain;
  using nft::Hook;
  return {
      Chain{.name = kRejectChain, .rules = {{nft::Reject{}}}},
      Chain{.name = kDropChain, .rules = {{nft::Decide{nft::Verdict::kDrop}}}},
      Chain{.name = kDispatch,
            .rules = {{nft::VerdictMap{kAddressKey, kServicesMap}},
                      {nft::MatchLocal{}, nft::VerdictMap{kPortKey, kNodePortsMap}}}},
      Chain{.name = "nat-prerouting",
            .hook = Hook::kPrerouting,
            .nat = true,
            .priority = kDestinationNat,
            .rules = {dispatch}},
      Chain{.name = "nat-output", .hook = Hook::kOutput, .nat = true, .priority = kDestinationNat, .rules = {dispatch}},
      Chain{.name = "nat-postrouting",
            .hook = Hook::kPostrouting,
            .nat = true,
            .priority = kSourceNat,
            .rules = {{nft::MatchMark{}, nft::ClearMark{}, nft::Masquerade{}},
                      {nft::MatchDnat{}, nft::InSet{{Field::kSourceAddress, Field::kDestinationAddress}, kHairpinsSet},
                       nft::Masquerade{}}}},
      Chain{.name = "filter-input", .hook = Hook::kInput, .priority = kFilter, .rules = {nobody_at_port}},
      Chain{.name = "filter-forward", .hook = Hook::kForward, .priority = kFilter, .rules = std::move(forward)},
      Chain{.name = "filter-output", .hook = Hook::kOutput, .priority = kFilter, .rules = std::move(output)},
  };
}

ServiceRules RulesFor(const api::core_v1::Service& service, const std::vector<api::discovery_v1::EndpointSlice>& slices,
                      const ServiceContext& context) {
  ServiceRules out;
  const auto spec = service.spec();
  const auto address = IpAddress::Parse(spec.cluster_ip());
  const bool skipped = spec.type() == "ExternalName" || service.metadata().labels().Has(kOtherProxy);
  if (skipped || !address.ok() || !address->is_v4()) return out;
  for (const auto port : spec.ports()) {
    const auto protocol = ProtocolOf(port.protocol());
    if (!protocol || !IsPort(port.port())) continue;
    const EndpointChoice endpoints(slices, port.name(), port.protocol(), context.node_name);
    PortRules rules(service, port, *protocol, endpoints, context, out);
    rules.ClusterAddress(*address, static_cast<uint16_t>(port.port()));
    const bool outside = spec.type() == "NodePort" || spec.type() == "LoadBalancer";
    if (outside && IsPort(port.node_port())) rules.NodePort(static_cast<uint16_t>(port.node_port()));
  }
  return out;
}

}  // namespace knarr::network

#include "network/host_ports.h"

#include <fmt/format.h>

#include <optional>

#include "base/strings.h"

namespace knarr::network {
namespace {

using nft::Field;
using nft::Protocol;

constexpr int kDestinationNat = -100;
constexpr int kSourceNat = 100;
constexpr const char* kDispatch = "dispatch";

const nft::Map& AnyAddressMap() {
  static const nft::Map kMap = {.name = "ports", .key = {Field::kProtocol, Field::kDestinationPort}};
  return kMap;
}
const nft::Map& AddressMap() {
  static const nft::Map kMap = {.name = "address-ports",
                                .key = {Field::kDestinationAddress, Field::kProtocol, Field::kDestinationPort}};
  return kMap;
}

std::optional<Protocol> ProtocolOf(std::string_view name) {
  if (name.empty() || name == "TCP") return Protocol::kTcp;
  if (name == "UDP") return Protocol::kUdp;
  if (name == "SCTP") return Protocol::kSctp;
  return std::nullopt;
}

}  // namespace

bool HostPorts::Port::Clashes(const Port& other) const {
  return protocol == other.protocol && port == other.port &&
         (any_address || other.any_address || address == other.address);
}

std::string HostPorts::Port::chain() const {
  return fmt::format("port/{}/{}/{}", static_cast<int>(protocol), any_address ? "any" : address.ToString(), port);
}

nft::Element HostPorts::Port::element() const {
  nft::Element out{{nft::ProtocolKey(protocol), nft::PortKey(port)}, chain()};
  if (!any_address) out.key.insert(out.key.begin(), nft::AddressKey(address));
  return out;
}

Result<HostPorts::Port> HostPorts::Read(const IpAddress& pod, const PortMapping& mapping) {
  const auto protocol = ProtocolOf(mapping.protocol);
  if (!protocol || mapping.host_port == 0 || mapping.pod_port == 0) {
    return BadRequest(fmt::format("host port {}/{} can't be", mapping.host_port, mapping.protocol));
  }
  Port out{.protocol = *protocol, .port = mapping.host_port, .to = {pod, mapping.pod_port}};
  if (!mapping.host_ip.empty()) {
    out.address = TRY(IpAddress::Parse(mapping.host_ip).Context("hostIP"));
    if (!out.address.is_v4()) return BadRequest("hostIP " + mapping.host_ip + " is no address of this network");
    out.any_address = out.address == IpAddress::V4(0);
  }
  return out;
}

Ok HostPorts::Set(const std::string& sandbox_id, const IpAddress& pod, const std::vector<PortMapping>& ports) {
  std::vector<Port> read;
  for (const PortMapping& mapping : ports) {
    read.push_back(TRY(Read(pod, mapping)));
    for (const auto& [other_id, others] : sandboxes_) {
      if (other_id == sandbox_id) continue;
      for (const Port& other : others) {
        if (read.back().Clashes(other)) {
          return Conflict(fmt::format("host port {}/{} is taken by another pod", mapping.host_port, mapping.protocol));
        }
      }
    }
  }
  sandboxes_[sandbox_id] = std::move(read);
  return {};
}

void HostPorts::AddPort(const Port& port, nft::Transaction& transaction) {
  // Its own address would come back to a pod that asks itself, and 127.0.0.1 means another machine to every pod: such
  // senders are masqueraded.
  transaction.AddChain({.name = port.chain(),
                        .rules = {{nft::Match{Field::kSourceAddress, nft::AddressKey(port.to.address)}, nft::SetMark{}},
                                  {nft::MatchLocal{true}, nft::SetMark{}},
                                  {nft::Dnat{{port.to}}}}});
  transaction.AddElements(port.any_address ? AnyAddressMap() : AddressMap(), {port.element()});
}

nft::Transaction HostPorts::Rebuild(const std::string& without) const {
  using nft::Hook;
  nft::Transaction out{table_};
  out.RemoveTable();
  out.AddTable();
  out.AddMap(AnyAddressMap());
  out.AddMap(AddressMap());
  out.AddChain({.name = kDispatch,
                .rules = {{nft::VerdictMap{AddressMap().key, AddressMap().name}},
                          {nft::MatchLocal{}, nft::VerdictMap{AnyAddressMap().key, AnyAddressMap().name}}}});
  for (const auto& [name, hook] : {std::pair("prerouting", Hook::kPrerouting), std::pair("output", Hook::kOutput)}) {
    out.AddChain({.name = name,
                  .hook = hook,
                  .nat = true,
                  .priority = kDestinationNat,
                  .rules = {{nft::Jump{kDispatch}}}});
  }
  out.AddChain({.name = "postrouting",
                .hook = Hook::kPostrouting,
                .nat = true,
                .priority = kSourceNat,
                .rules = {{nft::MatchMark{}, nft::ClearMark{}, nft::Masquerade{}}}});
  for (const auto& [id, ports] : sandboxes_) {
    if (id == without) continue;
    for (const Port& port : ports) AddPort(port, out);
  }
  return out;
}

nft::Transaction HostPorts::Add(const std::string& sandbox_id) const {
  nft::Transaction out{table_};
  if (const auto found = sandboxes_.find(sandbox_id); found != sandboxes_.end()) {
    for (const Port& port : found->second) AddPort(port, out);
  }
  return out;
}

nft::Transaction HostPorts::Take(const std::string& sandbox_id) const {
  nft::Transaction out{table_};
  if (const auto found = sandboxes_.find(sandbox_id); found != sandboxes_.end()) {
    for (const Port& port : found->second) {
      out.RemoveElements(port.any_address ? AnyAddressMap() : AddressMap(), {port.element()});
      out.RemoveChain(port.chain());
    }
  }
  return out;
}

std::vector<UdpTarget> HostPorts::UdpTargets(const std::string& sandbox_id) const {
  std::vector<UdpTarget> out;
  const auto found = sandboxes_.find(sandbox_id);
  if (found == sandboxes_.end()) return out;
  for (const Port& port : found->second) {
    if (port.protocol != Protocol::kUdp) continue;
    UdpTarget& target = out.emplace_back();
    if (!port.any_address) target.address = port.address;
    target.port = port.port;
  }
  return out;
}

std::string ToText(const std::vector<PortMapping>& ports) {
  std::string out;
  for (const PortMapping& port : ports) {
    out += fmt::format("{} {} {} {}\n", port.protocol, port.host_ip.empty() ? "0.0.0.0" : port.host_ip, port.host_port,
                       port.pod_port);
  }
  return out;
}

Result<std::vector<PortMapping>> ParsePortMappings(std::string_view text) {
  std::vector<PortMapping> out;
  for (const std::string_view line : Lines(text)) {
    const auto words = Fields(line);
    if (words.empty()) continue;
    if (words.size() != 4) return BadRequest("host ports: not four words in a line");
    out.push_back({.protocol = std::string(words[0]),
                   .host_ip = std::string(words[1]),
                   .host_port = TRY(ParseInt<uint16_t>(words[2])),
                   .pod_port = TRY(ParseInt<uint16_t>(words[3]))});
  }
  return out;
}

}  // namespace knarr::network

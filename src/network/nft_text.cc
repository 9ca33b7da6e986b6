// nftables objects as nft's own text.

#include <arpa/inet.h>
#include <fmt/format.h>

#include <cstring>

#include "base/strings.h"
#include "network/nft.h"

namespace knarr::network::nft {
namespace {

std::string_view FieldText(Field field) {
  switch (field) {
    case Field::kSourceAddress:
      return "ip saddr";
    case Field::kDestinationAddress:
      return "ip daddr";
    case Field::kProtocol:
      return "meta l4proto";
    case Field::kDestinationPort:
      return "th dport";
    case Field::kInputLink:
      return "iifname";
    case Field::kOutputLink:
      return "oifname";
  }
  return "";
}

std::string_view TypeText(Field field) {
  switch (field) {
    case Field::kSourceAddress:
    case Field::kDestinationAddress:
      return "ipv4_addr";
    case Field::kProtocol:
      return "inet_proto";
    case Field::kDestinationPort:
      return "inet_service";
    default:
      return "ifname";
  }
}

uint32_t BigEndian(std::string_view bytes) {
  uint32_t out = 0;
  for (const char c : bytes) out = out << 8 | static_cast<unsigned char>(c);
  return out;
}

std::string ValueText(Field field, const std::string& value) {
  switch (field) {
    case Field::kSourceAddress:
    case Field::kDestinationAddress:
      return IpAddress::V4(BigEndian(value)).ToString();
    case Field::kProtocol:
      switch (BigEndian(value)) {
        case 6:
          return "tcp";
        case 17:
          return "udp";
        case 132:
          return "sctp";
        default:
          return std::to_string(BigEndian(value));
      }
    case Field::kInputLink:
    case Field::kOutputLink:
      return "\"" + value + "\"";
    case Field::kDestinationPort:
      return std::to_string(BigEndian(value));
  }
  return "";
}

std::string FieldsText(const std::vector<Field>& fields) {
  std::vector<std::string_view> parts;
  for (const Field field : fields) parts.push_back(FieldText(field));
  return Join(parts, " . ");
}

std::string EndpointText(const Endpoint& endpoint) {
  return endpoint.address.ToString() + " . " + std::to_string(endpoint.port);
}

std::string ChoiceText(const std::vector<Endpoint>& endpoints) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < endpoints.size(); ++i) parts.push_back(fmt::format("{} : {}", i, EndpointText(endpoints[i])));
  return fmt::format("numgen random mod {} map {{ {} }}", endpoints.size(), Join(parts, ", "));
}

struct StatementText {
  std::string operator()(const Match& s) const {
    return fmt::format("{} {}{}", FieldText(s.field), s.negate ? "!= " : "", ValueText(s.field, s.value));
  }
  std::string operator()(const MatchNetwork& s) const {
    return fmt::format("{} {}{}", FieldText(s.field), s.negate ? "!= " : "", s.network.Masked().ToString());
  }
  std::string operator()(const MatchLocal& s) const {
    return fmt::format("fib {} type local", s.source ? "saddr" : "daddr");
  }
  std::string operator()(const MatchDnat&) const { return "ct status dnat"; }
  std::string operator()(const MatchMark&) const { return fmt::format("meta mark & {:#x} != 0", kMasqueradeMark); }
  std::string operator()(const InSet& s) const { return FieldsText(s.fields) + " @" + s.set; }
  std::string operator()(const VerdictMap& s) const { return FieldsText(s.fields) + " vmap @" + s.map; }
  std::string operator()(const Decide& s) const {
    return s.verdict == Verdict::kAccept ? "accept" : s.verdict == Verdict::kDrop ? "drop" : "return";
  }
  std::string operator()(const Jump& s) const { return (s.go ? "goto " : "jump ") + s.chain; }
  std::string operator()(const SetMark&) const { return fmt::format("meta mark set mark | {:#x}", kMasqueradeMark); }
  std::string operator()(const ClearMark&) const { return fmt::format("meta mark set mark & {:#x}", ~kMasqueradeMark); }
  std::string operator()(const Masquerade&) const { return "masquerade fully-random"; }
  std::string operator()(const Reject&) const { return "reject"; }
  std::string operator()(const Dnat& s) const { return "dnat to " + ChoiceText(s.endpoints); }
  std::string operator()(const DnatRemembered& s) const {
    std::vector<std::string> parts;
    for (const Endpoint& endpoint : s.endpoints) parts.push_back(EndpointText(endpoint));
    return fmt::format("dnat to ip saddr map @{} in {{ {} }}", s.map, Join(parts, ", "));
  }
  std::string operator()(const DnatAndRemember& s) const {
    return fmt::format("delete @{0} {{ ip saddr }} update @{0} {{ ip saddr timeout {1} : {2} }} dnat to it", s.map,
                       FormatDuration(s.timeout), ChoiceText(s.endpoints));
  }
};

std::string_view HookText(Hook hook) {
  switch (hook) {
    case Hook::kPrerouting:
      return "prerouting";
    case Hook::kInput:
      return "input";
    case Hook::kForward:
      return "forward";
    case Hook::kOutput:
      return "output";
    case Hook::kPostrouting:
      return "postrouting";
    case Hook::kNone:
      break;
  }
  return "";
}

}  // namespace

std::string AddressKey(const IpAddress& address) { return std::string(address.bytes()); }

std::string ProtocolKey(Protocol protocol) { return std::string(1, static_cast<char>(protocol)); }

std::string PortKey(uint16_t port) { return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)}; }

std::string ToText(const Rule& rule) {
  std::vector<std::string> parts;
  for (const Statement& statement : rule) parts.push_back(std::visit(StatementText(), statement));
  return Join(parts, " ");
}

std::string ToText(const Chain& chain) {
  std::string out = fmt::format("\tchain {} {{\n", chain.name);
  if (chain.hook != Hook::kNone) {
    out += fmt::format("\t\ttype {} hook {} priority {}; policy accept;\n", chain.nat ? "nat" : "filter",
                       HookText(chain.hook), chain.priority);
  }
  for (const Rule& rule : chain.rules) out += "\t\t" + ToText(rule) + "\n";
  return out + "\t}\n";
}

std::string ToText(const Map& map, const std::vector<Element>& elements) {
  std::vector<std::string_view> types;
  for (const Field field : map.key) types.push_back(TypeText(field));
  const std::string_view value = map.kind == MapKind::kVerdicts     ? " : verdict"
                                 : map.kind == MapKind::kRemembered ? " : ipv4_addr . inet_service"
                                                                    : "";
  std::string out = fmt::format("\t{} {} {{\n\t\ttype {}{}\n", map.kind == MapKind::kSet ? "set" : "map", map.name,
                                Join(types, " . "), value);
  if (map.kind == MapKind::kRemembered) {
    out += fmt::format("\t\tflags dynamic,timeout\n\t\ttimeout {}\n", FormatDuration(map.timeout));
  }
  std::vector<std::string> entries;
  for (const Element& element : elements) {
    std::vector<std::string> parts;
    for (size_t i = 0; i < map.key.size(); ++i) parts.push_back(ValueText(map.key[i], element.key[i]));
    const std::string target = element.chain.empty() ? "" : " : goto " + element.chain;
    entries.push_back("\t\t\t     " + Join(parts, " . ") + target);
  }
  if (!entries.empty()) out += "\t\telements = {\n" + Join(entries, ",\n") + " }\n";
  return out + "\t}\n";
}

}  // namespace knarr::network::nft

#include <set>

#include "api/networking_v1.h"
#include "api/validation/addresses.h"
#include "api/validation/metadata.h"
#include "api/validation/networking.h"
#include "base/ip.h"
#include "base/names.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
using networking_v1::NetworkPolicy;
using networking_v1::NetworkPolicyPeer;
using networking_v1::NetworkPolicyPort;

// What an update may keep although it is wrong.
struct Options {
  bool strict_selectors = true;
  std::set<std::string_view> known_cidrs;
};

void ValidatePort(const NetworkPolicyPort& port, const Path& path, Errors& errors) {
  const auto protocol = port.protocol();
  if (protocol && *protocol != "TCP" && *protocol != "UDP" && *protocol != "SCTP") {
    errors.NotSupported(path / "protocol", *protocol, {"TCP", "UDP", "SCTP"});
  }
  const Value& number = port.tree().At("port");
  const auto end = port.end_port();
  if (number.is_null()) {
    if (end) errors.Invalid(path / "endPort", *end, "may not be specified when `port` is not specified");
  } else if (number.is_string()) {
    if (end) errors.Invalid(path / "endPort", *end, "may not be specified when `port` is non-numeric");
    errors.InvalidAll(path / "port", number.AsString(), CheckPortName(number.AsString()));
  } else {
    errors.InvalidAll(path / "port", number.AsInt(), CheckPortNumber(number.AsInt()));
    if (!end) return;
    if (*end < number.AsInt()) {
      errors.Invalid(path / "endPort", number.AsInt(), "must be greater than or equal to `port`");
    }
    errors.InvalidAll(path / "endPort", *end, CheckPortNumber(*end));
  }
}

// Whether the text could be read as a network.
bool ValidateBlockCidr(std::string_view text, const Options& options, const Path& path, Errors& errors) {
  if (!options.known_cidrs.contains(text)) ValidateCidr(text, path, errors);
  return ReadOldCidr(text).has_value();
}

void ValidateBlock(const networking_v1::IPBlock& block, const Options& options, const Path& path, Errors& errors) {
  if (block.cidr().empty()) return errors.Required(path / "cidr");
  if (!ValidateBlockCidr(block.cidr(), options, path / "cidr", errors)) return;
  const Cidr whole = *ReadOldCidr(block.cidr());
  size_t index = 0;
  for (const std::string_view text : block.except()) {
    const Path at = (path / "except")[index++];
    if (!ValidateBlockCidr(text, options, at, errors)) continue;
    const Cidr part = *ReadOldCidr(text);
    if (!whole.Contains(part.Network()) || whole.prefix() >= part.prefix()) {
      errors.Invalid(at, text, "must be a strict subset of `cidr`");
    }
  }
}

void ValidatePeer(const NetworkPolicyPeer& peer, const Options& options, const Path& path, Errors& errors) {
  ValidateLabelSelector(peer.pod_selector(), options.strict_selectors, path / "podSelector", errors);
  ValidateLabelSelector(peer.namespace_selector(), options.strict_selectors, path / "namespaceSelector", errors);
  const bool selected = peer.has_pod_selector() || peer.has_namespace_selector();
  if (peer.has_ip_block()) ValidateBlock(peer.ip_block(), options, path / "ipBlock", errors);
  if (!selected && !peer.has_ip_block()) {
    errors.Required(path, "must specify a peer");
  } else if (selected && peer.has_ip_block()) {
    errors.Forbidden(path, "may not specify both ipBlock and another peer");
  }
}

template <typename Rule>
void ValidateRule(const ListView<NetworkPolicyPort>& ports, const Rule& peers, std::string_view peers_name,
                  const Options& options, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const NetworkPolicyPort port : ports) ValidatePort(port, (path / "ports")[index++], errors);
  index = 0;
  for (const NetworkPolicyPeer peer : peers) ValidatePeer(peer, options, (path / peers_name)[index++], errors);
}

void ValidateSpec(const networking_v1::NetworkPolicySpec& spec, const Options& options, Errors& errors) {
  ValidateLabelSelector(spec.pod_selector(), options.strict_selectors, SpecPath() / "podSelector", errors);
  size_t index = 0;
  for (const networking_v1::NetworkPolicyIngressRule rule : spec.ingress()) {
    ValidateRule(rule.ports(), rule.from(), "from", options, (SpecPath() / "ingress")[index++], errors);
  }
  index = 0;
  for (const networking_v1::NetworkPolicyEgressRule rule : spec.egress()) {
    ValidateRule(rule.ports(), rule.to(), "to", options, (SpecPath() / "egress")[index++], errors);
  }
  const Path path = SpecPath() / "policyTypes";
  if (spec.policy_types().size() > 2) {
    return errors.Invalid(path, spec.tree().At("policyTypes"), "may not specify more than two policyTypes");
  }
  index = 0;
  for (const std::string_view type : spec.policy_types()) {
    const Path at = path[index++];
    if (type != "Ingress" && type != "Egress") errors.NotSupported(at, type, {"Ingress", "Egress"});
  }
}

void AddCidrs(const NetworkPolicyPeer& peer, std::set<std::string_view>& cidrs) {
  if (!peer.has_ip_block()) return;
  cidrs.insert(peer.ip_block().cidr());
  for (const std::string_view text : peer.ip_block().except()) cidrs.insert(text);
}

Options OptionsOf(const NetworkPolicy& old) {
  Options options;
  Errors errors;
  ValidateLabelSelector(old.spec().pod_selector(), true, Path(), errors);
  options.strict_selectors = errors.empty();
  for (const networking_v1::NetworkPolicyIngressRule rule : old.spec().ingress()) {
    for (const NetworkPolicyPeer peer : rule.from()) AddCidrs(peer, options.known_cidrs);
  }
  for (const networking_v1::NetworkPolicyEgressRule rule : old.spec().egress()) {
    for (const NetworkPolicyPeer peer : rule.to()) AddCidrs(peer, options.known_cidrs);
  }
  return options;
}

}  // namespace

void ValidateNetworkPolicy(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateSpec(NetworkPolicy(object).spec(), {}, errors);
}

void ValidateNetworkPolicyUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateSpec(NetworkPolicy(object).spec(), OptionsOf(NetworkPolicy(old)), errors);
}

}  // namespace knarr::api::validation

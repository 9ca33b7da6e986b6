#include "api/validation/services.h"

#include <algorithm>
#include <set>

#include "api/core_v1.h"
#include "api/validation/addresses.h"
#include "api/validation/metadata.h"
#include "base/ip.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using core_v1::Service;
using core_v1::ServiceSpec;
using doc::Value;

constexpr int64_t kAffinityMax = 86400;

bool IsHeadless(const ServiceSpec& spec) { return spec.cluster_ips().size() == 1 && spec.cluster_ips()[0] == "None"; }
bool NeedsHealthCheck(const ServiceSpec& spec) {
  return spec.type() == "LoadBalancer" && spec.external_traffic_policy() == "Local";
}
bool IsV6(std::string_view text) {
  const Result<IpAddress> address = IpAddress::Parse(text);
  return address.ok() && address->is_v6();
}

void ValidateType(const ServiceSpec& spec, Errors& errors) {
  const std::string_view type = spec.type();
  if (spec.ports().empty() && !IsHeadless(spec) && type != "ExternalName") errors.Required(SpecPath() / "ports");
  if ((type == "LoadBalancer" || type == "NodePort") && IsHeadless(spec)) {
    errors.Invalid((SpecPath() / "clusterIPs")[0], "None",
                   "may not be set to 'None' for " + std::string(type) + " services");
  }
  if (type != "ExternalName") return;
  for (const std::string_view name : {"clusterIPs", "ipFamilies", "ipFamilyPolicy"}) {
    const Value& value = spec.tree().At(name);
    if (!value.is_null()) errors.Forbidden(SpecPath() / name, "may not be set for ExternalName services");
  }
  std::string_view name = spec.external_name();
  ConsumeSuffix(name, ".");
  if (name.empty()) {
    errors.Required(SpecPath() / "externalName");
  } else {
    ValidateDns1123Subdomain(name, SpecPath() / "externalName", errors);
  }
}

void ValidatePort(const core_v1::ServicePort& port, bool require_name, std::set<std::string_view>& names,
                  const Path& path, Errors& errors) {
  if (!port.name().empty()) {
    ValidateDns1123Label(port.name(), path / "name", errors);
    if (!names.insert(port.name()).second) errors.Duplicate(path / "name", port.name());
  } else if (require_name) {
    errors.Required(path / "name");
  }
  errors.InvalidAll(path / "port", port.port(), CheckPortNumber(port.port()));
  errors.OneOf(path / "protocol", port.protocol(), {"SCTP", "TCP", "UDP"});
  const Value& target = port.tree().At("targetPort");
  if (target.is_string()) {
    errors.InvalidAll(path / "targetPort", target.AsString(), CheckPortName(target.AsString()));
  } else {
    errors.InvalidAll(path / "targetPort", target.AsInt(), CheckPortNumber(target.AsInt()));
  }
  if (const auto protocol = port.app_protocol()) ValidateQualifiedName(*protocol, path / "appProtocol", errors);
}

void ValidateAffinity(const ServiceSpec& spec, Errors& errors) {
  const std::string_view affinity = spec.session_affinity();
  errors.OneOf(SpecPath() / "sessionAffinity", affinity, {"ClientIP", "None"});
  const Path path = SpecPath() / "sessionAffinityConfig";
  if (affinity == "None" && spec.has_session_affinity_config()) {
    errors.Forbidden(path, "must not be set when session affinity is None");
  }
  if (affinity != "ClientIP") return;
  const core_v1::ClientIPConfig client = spec.session_affinity_config().client_ip();
  constexpr std::string_view kWhy = "when session affinity type is ClientIP";
  if (!spec.has_session_affinity_config()) return errors.Required(path, kWhy);
  if (!client) return errors.Required(path / "clientIP", kWhy);
  const auto seconds = client.timeout_seconds();
  if (!seconds) return errors.Required(path / "clientIP" / "timeoutSeconds", kWhy);
  if (*seconds <= 0 || *seconds > kAffinityMax) {
    errors.Invalid(path / "clientIP" / "timeoutSeconds", *seconds,
                   "must be greater than 0 and less than " + std::to_string(kAffinityMax));
  }
}

void ValidateFamilies(const ServiceSpec& spec, Errors& errors) {
  std::set<std::string_view> seen;
  size_t index = 0;
  for (const std::string_view family : spec.ip_families()) {
    const Path at = (SpecPath() / "ipFamilies")[index++];
    if (family != "IPv4" && family != "IPv6") errors.NotSupported(at, family, {"IPv4", "IPv6"});
    if (!seen.insert(family).second) errors.Duplicate(at, family);
  }
  if (const auto policy = spec.ip_family_policy()) {
    if (*policy != "PreferDualStack" && *policy != "RequireDualStack" && *policy != "SingleStack") {
      errors.NotSupported(SpecPath() / "ipFamilyPolicy", *policy,
                          {"PreferDualStack", "RequireDualStack", "SingleStack"});
    }
  }
}

void ValidateClusterAddresses(const ServiceSpec& spec, Errors& errors) {
  if (spec.type() == "ExternalName") return;
  const Path path = SpecPath() / "clusterIPs";
  const auto addresses = spec.cluster_ips();
  const Value& list = spec.tree().At("clusterIPs");
  if (!spec.cluster_ip().empty()) {
    if (addresses.empty()) {
      errors.Required(path);
    } else if (addresses[0] != spec.cluster_ip()) {
      errors.Invalid(path, list, "first value must match `clusterIP`");
    }
  } else if (!addresses.empty()) {
    errors.Invalid(path, list, "must be empty when `clusterIP` is not specified");
  }
  ValidateFamilies(spec, errors);
  Errors bad;
  for (size_t i = 0; i < addresses.size(); ++i) {
    if (i == 0 && addresses[i] == "None") {
      if (addresses.size() > 1) bad.Invalid(path, list, "'None' must be the first and only value");
      continue;
    }
    ValidateIp(addresses[i], path[i], bad);
  }
  const bool malformed = !bad.empty();
  errors.Append(std::move(bad));
  if (addresses.size() > 2) errors.Invalid(path, list, "may only hold up to 2 values");
  if (malformed) return;
  if (addresses.size() > 1 && IsV6(addresses[0]) == IsV6(addresses[1])) {
    errors.Invalid(path, list, "may specify no more than one IP for each IP family");
  }
  if (IsHeadless(spec)) return;
  for (size_t i = 0; i < std::min(addresses.size(), spec.ip_families().size()); ++i) {
    const bool wants_v6 = spec.ip_families()[i] == "IPv6";
    if (IsV6(addresses[i]) == wants_v6) continue;
    errors.Invalid(path[i], addresses[i],
                   std::string("expected an ") + (wants_v6 ? "IPv6" : "IPv4") + " value as indicated by `ipFamilies[" +
                       std::to_string(i) + "]`");
  }
}

}  // namespace
}  // namespace knarr::api::validation

namespace knarr::api {

ErrorList ValidateServiceAddresses(const doc::Value& service) {
  validation::Errors errors;
  validation::ValidateClusterAddresses(core_v1::Service(service).spec(), errors);
  return std::move(errors).Take();
}

}  // namespace knarr::api

namespace knarr::api::validation {
namespace {

void ValidateExternalAddresses(const ServiceSpec& spec, Errors& errors) {
  size_t index = 0;
  for (const std::string_view address : spec.external_ips()) {
    const Path at = (SpecPath() / "externalIPs")[index++];
    ValidateIp(address, at, errors);
    if (IpAddress::Parse(address).ok()) ValidateEndpointIp(address, at, errors);
  }
}

void ValidatePortNumbers(const ServiceSpec& spec, Errors& errors) {
  const auto ports = spec.ports();
  for (size_t i = 0; i < ports.size() && spec.type() == "ClusterIP"; ++i) {
    if (ports[i].node_port() == 0) continue;
    errors.Forbidden((SpecPath() / "ports")[i] / "nodePort", "may not be used when `type` is 'ClusterIP'");
  }
  std::set<std::pair<std::string_view, int32_t>> node_ports;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].node_port() == 0) continue;
    if (node_ports.emplace(ports[i].protocol(), ports[i].node_port()).second) continue;
    errors.Duplicate((SpecPath() / "ports")[i] / "nodePort", doc::Value::Int(ports[i].node_port()));
  }
  std::set<std::pair<std::string_view, int32_t>> numbers;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (numbers.emplace(ports[i].protocol(), ports[i].port()).second) continue;
    // Upstream prints its own struct: the key's members, the others empty.
    doc::Arena arena;
    Value key = Value::Object();
    key.Set(arena, "Name", Value::Borrow(""));
    key.Set(arena, "Protocol", Value::Borrow(ports[i].protocol()));
    key.Set(arena, "AppProtocol", Value::Null());
    key.Set(arena, "Port", Value::Int(ports[i].port()));
    key.Set(arena, "TargetPort", Value::Int(0));
    key.Set(arena, "NodePort", Value::Int(0));
    errors.Duplicate((SpecPath() / "ports")[i], key);
  }
}

constexpr std::string_view kOnlyBalanced = "may only be used when `type` is 'LoadBalancer'";

// The field, or the annotation there was before it. What the object had before may stay.
void ValidateSourceRanges(const Value& object, const Value& old, bool balanced, Errors& errors) {
  const Value& ranges = object.Get("spec", "loadBalancerSourceRanges");
  if (!ranges.empty()) {
    const Path path = SpecPath() / "LoadBalancerSourceRanges";
    if (!balanced) errors.Forbidden(path, kOnlyBalanced);
    const auto before = old.Get("spec", "loadBalancerSourceRanges").items();
    for (size_t i = 0; i < ranges.size(); ++i) {
      const std::string_view text = TrimSpace(ranges[i].AsString());
      const bool kept =
          std::ranges::any_of(before, [text](const Value& range) { return TrimSpace(range.AsString()) == text; });
      if (!kept) ValidateCidr(text, path[i], errors);
    }
    return;
  }
  constexpr std::string_view kAnnotation = "service.beta.kubernetes.io/load-balancer-source-ranges";
  const Value& annotation = object.Get("metadata", "annotations", kAnnotation);
  if (annotation.is_null()) return;
  const Path path = (MetadataPath() / "annotations").Key(kAnnotation);
  if (!balanced) errors.Forbidden(path, kOnlyBalanced);
  const std::string_view text = TrimSpace(annotation.AsString());
  if (text.empty() || annotation.Equals(old.Get("metadata", "annotations", kAnnotation))) return;
  for (const std::string_view range : Split(text, ',')) ValidateCidr(TrimSpace(range), path, errors);
}

void ValidateLoadBalancer(const Value& object, const Value& old, Errors& errors) {
  const ServiceSpec spec = Service(object).spec();
  const bool balanced = spec.type() == "LoadBalancer";
  ValidateSourceRanges(object, old, balanced, errors);
  if (spec.allocate_load_balancer_node_ports() && !balanced) {
    errors.Forbidden(SpecPath() / "allocateLoadBalancerNodePorts", kOnlyBalanced);
  }
  if (balanced && !spec.allocate_load_balancer_node_ports()) errors.Required(Path("allocateLoadBalancerNodePorts"));
  if (const auto name = spec.load_balancer_class()) {
    if (balanced) {
      ValidateQualifiedName(*name, SpecPath() / "loadBalancerClass", errors);
    } else {
      errors.Forbidden(SpecPath() / "loadBalancerClass", kOnlyBalanced);
    }
  }
}

void ValidateTraffic(const ServiceSpec& spec, Errors& errors) {
  const std::string_view type = spec.type();
  const bool external =
      type == "LoadBalancer" || type == "NodePort" || (type == "ClusterIP" && !spec.external_ips().empty());
  const std::string_view policy = spec.external_traffic_policy();
  if (external) {
    errors.OneOf(SpecPath() / "externalTrafficPolicy", policy, {"Cluster", "Local"});
  } else if (!policy.empty()) {
    errors.Invalid(SpecPath() / "externalTrafficPolicy", policy, "may only be set for externally-accessible services");
  }
  const int64_t health = spec.health_check_node_port();
  const Path health_path = SpecPath() / "healthCheckNodePort";
  if (!NeedsHealthCheck(spec)) {
    if (health != 0) {
      errors.Invalid(health_path, health,
                     "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    }
  } else if (health != 0) {  // otherwise it is allocated when everything else is fine
    errors.InvalidAll(health_path, health, CheckPortNumber(health));
  }
  if (const auto internal = spec.internal_traffic_policy()) {
    if (*internal != "Cluster" && *internal != "Local") {
      errors.NotSupported(SpecPath() / "internalTrafficPolicy", *internal, {"Cluster", "Local"});
    }
  } else if (type == "NodePort" || type == "LoadBalancer" || type == "ClusterIP") {
    errors.Required(SpecPath() / "internalTrafficPolicy");
  }
  if (const auto distribution = spec.traffic_distribution()) {
    if (*distribution != "PreferClose" && *distribution != "PreferSameZone" && *distribution != "PreferSameNode") {
      errors.NotSupported(SpecPath() / "trafficDistribution", *distribution,
                          {"PreferClose", "PreferSameZone", "PreferSameNode"});
    }
  }
}

void ValidateSpec(const Value& object, const Value& old, Errors& errors) {
  const ServiceSpec spec = Service(object).spec();
  ValidateType(spec, errors);
  std::set<std::string_view> names;
  size_t index = 0;
  for (const core_v1::ServicePort port : spec.ports()) {
    ValidatePort(port, spec.ports().size() > 1, names, (SpecPath() / "ports")[index++], errors);
  }
  ValidateLabels(spec.selector(), SpecPath() / "selector", errors);
  ValidateAffinity(spec, errors);
  ValidateClusterAddresses(spec, errors);
  ValidateExternalAddresses(spec, errors);
  errors.OneOf(SpecPath() / "type", spec.type(), {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"});
  ValidatePortNumbers(spec, errors);
  ValidateLoadBalancer(object, old, errors);
  ValidateTraffic(spec, errors);
}

// Addresses and families, once given, stay; a second one may come and go.
void ValidateKept(const ServiceSpec& spec, const ServiceSpec& old, std::string_view name, std::string_view singular,
                  std::string_view second, Errors& errors) {
  const Value& now = spec.tree().At(name);
  const Value& before = old.tree().At(name);
  const Path path = SpecPath() / name;
  if (now.size() == before.size()) {
    for (size_t i = 0; i < now.size(); ++i) {
      if (now[i].Equals(before[i])) continue;
      errors.Invalid(path[name == "ipFamilies" ? 0 : i], now, "may not change once set");
    }
    return;
  }
  // Upstream asks for the addresses here, also when it is about the families.
  if (before.size() > now.size() && spec.cluster_ips().empty()) {
    errors.Invalid(path[0], now, "primary " + std::string(singular) + " can not be unset");
  }
  if (!before.empty() && !now.empty() && !now[0].Equals(before[0])) {
    errors.Invalid(path[0], now, "may not change once set");
  }
  if (before.size() > now.size() && now.size() == 1 && spec.ip_family_policy() != "SingleStack") {
    errors.Invalid(SpecPath() / "ipFamilyPolicy", spec.tree().At("ipFamilyPolicy"),
                   "must be set to 'SingleStack' when releasing the secondary " + std::string(second));
  }
}

void ValidateAddress(const core_v1::EndpointAddress& address, const Path& path, Errors& errors) {
  ValidateIp(address.ip(), path / "ip", errors);
  if (!address.hostname().empty()) ValidateDns1123Label(address.hostname(), path / "hostname", errors);
  if (const auto node = address.node_name()) ValidateDns1123Subdomain(*node, path / "nodeName", errors);
  ValidateEndpointIp(address.ip(), path / "ip", errors);
}

}  // namespace

void ValidateEndpointIp(std::string_view text, const Path& path, Errors& errors) {
  const Result<IpAddress> address = IpAddress::Parse(text);
  if (!address.ok()) return errors.Invalid(path, text, "must be a valid IP address");
  const std::string canonical = address->ToString();
  if (canonical == "0.0.0.0" || canonical == "::") {
    errors.Invalid(path, text, "may not be unspecified (" + canonical + ")");
  }
  if (canonical.starts_with("127.") || canonical == "::1") {
    errors.Invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  }
  if (canonical.starts_with("169.254.") || canonical.starts_with("fe80:")) {
    errors.Invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  }
  if (canonical.starts_with("224.0.0.") || canonical.starts_with("ff02:")) {
    errors.Invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
  }
}

void ValidateService(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsLabel, MetadataPath(), errors);
  ValidateSpec(object, Value::Null(), errors);
}

void ValidateServiceUpdate(const Value& object, const Value& old_object, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old_object.At("metadata"), MetadataPath(), errors);
  const ServiceSpec spec = Service(object).spec();
  const ServiceSpec old = Service(old_object).spec();
  if (spec.type() != "ExternalName" && old.type() != "ExternalName") {
    const bool headless = IsHeadless(spec);
    const bool was_headless = IsHeadless(old);
    if (!headless || !was_headless) ValidateKept(spec, old, "clusterIPs", "clusterIP", "clusterIP", errors);
    if (!headless && !was_headless) ValidateKept(spec, old, "ipFamilies", "ipFamily", "ipFamily", errors);
  }
  if (spec.type() == "LoadBalancer" && old.type() == "LoadBalancer" &&
      spec.load_balancer_class() != old.load_balancer_class()) {
    errors.Invalid(SpecPath() / "loadBalancerClass", spec.tree().At("loadBalancerClass"), "may not change once set");
  }
  if (NeedsHealthCheck(spec) && NeedsHealthCheck(old) &&
      spec.health_check_node_port() != old.health_check_node_port()) {
    errors.Forbidden(SpecPath() / "healthCheckNodePort", kImmutable);
  }
  ValidateSpec(object, old_object, errors);
}

void ValidatePointAddress(const Value& point, const Value& before, const Path& path, Errors& errors) {
  const std::string_view ip = point.At("ip").AsString();
  const bool kept =
      std::ranges::any_of(before.items(), [ip](const Value& other) { return other.At("ip").AsString() == ip; });
  if (!ip.empty() && !kept) ValidateIp(ip, path / "ip", errors);
}

void ValidatePointName(const Value& point, const Path& path, Errors& errors) {
  const std::string_view host = point.At("hostname").AsString();
  if (host.empty()) return;
  errors.InvalidAll(path / "hostname", host, CheckDns1123Subdomain(host));
  if (LooksLikeIp(host)) errors.Invalid(path / "hostname", host, "must be a DNS name, not an IP address");
}

void ValidateServiceStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const Path path = Path("status") / "loadBalancer" / "ingress";
  const Value& points = object.Get("status", "loadBalancer", "ingress");
  if (!points.empty() && Service(object).spec().type() != "LoadBalancer") {
    return errors.Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'");
  }
  for (size_t i = 0; i < points.size(); ++i) {
    ValidatePointAddress(points[i], old.Get("status", "loadBalancer", "ingress"), path[i], errors);
    const bool addressed = !points[i].At("ip").AsString().empty();
    const Value& mode = points[i].At("ipMode");
    const Path mode_path = path[i] / "ipMode";
    if (mode.is_null()) {
      if (addressed) errors.Required(mode_path, "must be specified when `ip` is set");
    } else if (!addressed) {
      errors.Forbidden(mode_path, "may not be specified when `ip` is not set");
    } else {
      errors.OneOf(mode_path, mode.AsString(), {"Proxy", "VIP"});
    }
    ValidatePointName(points[i], path[i], errors);
  }
}

void ValidateEndpoints(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  size_t index = 0;
  for (const core_v1::EndpointSubset subset : core_v1::Endpoints(object).subsets()) {
    const Path at = Path("subsets")[index++];
    if (subset.addresses().empty() && subset.not_ready_addresses().empty()) {
      errors.Required(at, "must specify `addresses` or `notReadyAddresses`");
    }
    size_t inner = 0;
    for (const core_v1::EndpointAddress address : subset.addresses()) {
      ValidateAddress(address, (at / "addresses")[inner++], errors);
    }
    inner = 0;
    for (const core_v1::EndpointAddress address : subset.not_ready_addresses()) {
      ValidateAddress(address, (at / "notReadyAddresses")[inner++], errors);
    }
    inner = 0;
    for (const core_v1::EndpointPort port : subset.ports()) {
      const Path port_path = (at / "ports")[inner++];
      if (!port.name().empty()) {
        ValidateDns1123Label(port.name(), port_path / "name", errors);
      } else if (subset.ports().size() > 1) {
        errors.Required(port_path / "name");
      }
      errors.InvalidAll(port_path / "port", port.port(), CheckPortNumber(port.port()));
      errors.OneOf(port_path / "protocol", port.protocol(), {"SCTP", "TCP", "UDP"});
      if (const auto protocol = port.app_protocol()) {
        ValidateQualifiedName(*protocol, port_path / "appProtocol", errors);
      }
    }
  }
}

void ValidateEndpointsUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateEndpoints(object, errors);
}

}  // namespace knarr::api::validation

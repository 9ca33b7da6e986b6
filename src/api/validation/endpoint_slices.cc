#include <set>

#include "api/discovery_v1.h"
#include "api/validation/addresses.h"
#include "api/validation/metadata.h"
#include "api/validation/services.h"
#include "base/ip.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr size_t kEndpointsMax = 1000;
constexpr size_t kAddressesMax = 100;
constexpr size_t kPortsMax = 20000;
constexpr size_t kTopologyMax = 16;
constexpr size_t kHintsMax = 8;

void ValidateDomainName(std::string_view name, const Path& path, Errors& errors) {
  if (name.empty()) return errors.Required(path);
  ConsumeSuffix(name, ".");
  const Problems problems = CheckDns1123Subdomain(name);
  if (!problems.empty()) return errors.Invalid(path, name, Join(problems, ","));
  if (name.find('.') == std::string_view::npos) {
    return errors.Invalid(path, name, "should be a domain with at least two segments separated by dots");
  }
  for (const std::string_view label : Split(name, '.')) {
    const Problems label_problems = CheckDns1123Label(label);
    if (!label_problems.empty()) return errors.Invalid(path, label, Join(label_problems, ","));
  }
}

// IPv6 came later, with stricter rules. That the family is wrong is said of the whole list.
void ValidateAddress(std::string_view address, bool v6, const Path& list, const Path& path, Errors& errors) {
  Errors form;
  v6 ? ValidateCanonicalIp(address, path, form) : ValidateIp(address, path, form);
  if (!form.empty()) return errors.Append(std::move(form));
  // It reads as an address, or the form would be wrong.
  if (MUST(IpAddress::Parse(address)).is_v6() != v6) {
    errors.Invalid(list, address, v6 ? "must be an IPv6 address" : "must be an IPv4 address");
  }
  ValidateEndpointIp(address, path, errors);
}

void ValidateAddresses(const discovery_v1::Endpoint& endpoint, std::string_view type, const Path& path,
                       Errors& errors) {
  const auto addresses = endpoint.addresses();
  if (addresses.empty()) errors.Required(path, "must contain at least 1 address");
  if (addresses.size() > kAddressesMax) errors.TooMany(path, addresses.size(), kAddressesMax);
  size_t index = 0;
  for (const std::string_view address : addresses) {
    const Path at = path[index++];
    if (type == "FQDN") {
      ValidateDomainName(address, at, errors);
    } else if (type == "IPv4" || type == "IPv6") {
      ValidateAddress(address, type == "IPv6", path, at, errors);
    }
  }
}

// False when there are too many: then the others are not looked at.
bool ValidateHints(const Value& hints, std::string_view list, Problems (*rule)(std::string_view), const Path& path,
                   Errors& errors) {
  const Value& items = hints.At(list);
  if (items.size() > kHintsMax) {
    errors.TooMany(path / list, items.size(), kHintsMax);
    return false;
  }
  std::set<std::string_view> names;
  size_t index = 0;
  for (const Value& item : items.items()) {
    const Path at = (path / list)[index++] / "name";
    const std::string_view name = item.At("name").AsString();
    if (!names.insert(name).second) errors.Duplicate(at, name);
    errors.InvalidAll(at, name, rule(name));
  }
  return true;
}

void ValidateEndpoint(const discovery_v1::Endpoint& endpoint, std::string_view type, const Path& path, Errors& errors) {
  ValidateAddresses(endpoint, type, path / "addresses", errors);
  if (const auto node = endpoint.node_name()) ValidateDns1123Subdomain(*node, path / "nodeName", errors);
  const StringMap topology = endpoint.deprecated_topology();
  if (topology.size() > kTopologyMax) errors.TooMany(path / "deprecatedTopology", topology.size(), kTopologyMax);
  ValidateLabels(topology, path / "deprecatedTopology", errors);
  if (const auto hostname = endpoint.hostname()) ValidateDns1123Label(*hostname, path / "hostname", errors);
  if (!endpoint.has_hints()) return;
  if (!ValidateHints(endpoint.hints().tree(), "forZones", CheckLabelValue, path / "hints", errors)) return;
  ValidateHints(endpoint.hints().tree(), "forNodes", CheckDns1123Subdomain, path / "hints", errors);
}

void ValidatePorts(const discovery_v1::EndpointSlice& slice, Errors& errors) {
  const Path path("ports");
  if (slice.ports().size() > kPortsMax) return errors.TooMany(path, slice.ports().size(), kPortsMax);
  std::set<std::string_view> names;
  size_t index = 0;
  for (const discovery_v1::EndpointPort port : slice.ports()) {
    const Path at = path[index++];
    const std::string_view name = port.name().value_or("");
    if (!name.empty()) ValidateDns1123Label(name, at / "name", errors);
    if (!names.insert(name).second) errors.Duplicate(at / "name", name);
    const auto protocol = port.protocol();
    if (!protocol) {
      errors.Required(at / "protocol");
    } else if (*protocol != "SCTP" && *protocol != "TCP" && *protocol != "UDP") {
      errors.NotSupported(at / "protocol", *protocol, {"SCTP", "TCP", "UDP"});
    }
    if (const auto app = port.app_protocol()) ValidateQualifiedName(*app, at / "appProtocol", errors);
  }
}

void ValidateSlice(const discovery_v1::EndpointSlice& slice, Errors& errors) {
  ValidateMetadata(slice.metadata().tree(), true, NameIsSubdomain, MetadataPath(), errors);
  errors.OneOf(Path("addressType"), slice.address_type(), {"FQDN", "IPv4", "IPv6"});
  ValidatePorts(slice, errors);
}

void ValidateEndpoints(const discovery_v1::EndpointSlice& slice, Errors& errors) {
  const Path path("endpoints");
  if (slice.endpoints().size() > kEndpointsMax) return errors.TooMany(path, slice.endpoints().size(), kEndpointsMax);
  size_t index = 0;
  for (const discovery_v1::Endpoint endpoint : slice.endpoints()) {
    ValidateEndpoint(endpoint, slice.address_type(), path[index++], errors);
  }
}

}  // namespace

void ValidateEndpointSlice(const Value& object, Errors& errors) {
  ValidateSlice(discovery_v1::EndpointSlice(object), errors);
  ValidateEndpoints(discovery_v1::EndpointSlice(object), errors);
}

void ValidateEndpointSliceUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateSlice(discovery_v1::EndpointSlice(object), errors);
  // Endpoints that were valid once may stay as they are.
  if (!object.At("endpoints").Equals(old.At("endpoints"))) {
    ValidateEndpoints(discovery_v1::EndpointSlice(object), errors);
  }
  ValidateImmutable(object.At("addressType"), old.At("addressType"), Path("addressType"), errors);
}

}  // namespace knarr::api::validation

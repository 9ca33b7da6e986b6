#include <set>

#include "api/discovery_v1.h"
#include "api/validation/metadata.h"
#include "api/validation/services.h"
#include "base/ip.h"
#include "base/names.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr size_t kEndpointsMax = 1000;
constexpr size_t kAddressesMax = 100;
constexpr size_t kPortsMax = 20000;
constexpr size_t kTopologyMax = 16;
constexpr size_t kHintsMax = 8;

void ValidateAddresses(const discovery_v1::Endpoint& endpoint, std::string_view type, const Path& path,
                       Errors& errors) {
  const auto addresses = endpoint.addresses();
  if (addresses.empty()) errors.Required(path, "must contain at least 1 address");
  if (addresses.size() > kAddressesMax) errors.TooMany(path, addresses.size(), kAddressesMax);
  size_t index = 0;
  for (const std::string_view address : addresses) {
    const Path at = path[index++];
    if (type == "FQDN") {
      ValidateDns1123Subdomain(address, at, errors);
      if (address.find('.') == std::string_view::npos && !address.empty()) {
        errors.Invalid(at, address, "should be a domain with at least two segments separated by dots");
      }
    }
    if (type != "IPv4" && type != "IPv6") continue;
    const Result<IpAddress> parsed = IpAddress::Parse(address);
    if (!parsed.ok()) {
      ValidateIp(address, at, errors);
      continue;
    }
    if (parsed->is_v6() != (type == "IPv6")) {
      errors.Invalid(path, address, type == "IPv6" ? "must be an IPv6 address" : "must be an IPv4 address");
    }
    ValidateEndpointIp(address, at, errors);
  }
}

void ValidateHints(const Value& hints, std::string_view list, Problems (*rule)(std::string_view), const Path& path,
                   Errors& errors) {
  const Value& items = hints.At(list);
  if (items.size() > kHintsMax) return errors.TooMany(path / list, items.size(), kHintsMax);
  std::set<std::string_view> names;
  size_t index = 0;
  for (const Value& item : items.items()) {
    const Path at = (path / list)[index++] / "name";
    const std::string_view name = item.At("name").AsString();
    if (!names.insert(name).second) errors.Duplicate(at, name);
    errors.InvalidAll(at, name, rule(name));
  }
}

void ValidateEndpoint(const discovery_v1::Endpoint& endpoint, std::string_view type, const Path& path, Errors& errors) {
  ValidateAddresses(endpoint, type, path / "addresses", errors);
  if (const auto node = endpoint.node_name()) ValidateDns1123Subdomain(*node, path / "nodeName", errors);
  const StringMap topology = endpoint.deprecated_topology();
  if (topology.size() > kTopologyMax) errors.TooMany(path / "deprecatedTopology", topology.size(), kTopologyMax);
  ValidateLabels(topology, path / "deprecatedTopology", errors);
  if (const auto hostname = endpoint.hostname()) ValidateDns1123Label(*hostname, path / "hostname", errors);
  if (!endpoint.has_hints()) return;
  ValidateHints(endpoint.hints().tree(), "forZones", CheckLabelValue, path / "hints", errors);
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

}  // namespace

void ValidateEndpointSlice(const Value& object, Errors& errors) {
  const discovery_v1::EndpointSlice slice(object);
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  errors.OneOf(Path("addressType"), slice.address_type(), {"FQDN", "IPv4", "IPv6"});
  ValidatePorts(slice, errors);
  const Path path("endpoints");
  if (slice.endpoints().size() > kEndpointsMax) return errors.TooMany(path, slice.endpoints().size(), kEndpointsMax);
  size_t index = 0;
  for (const discovery_v1::Endpoint endpoint : slice.endpoints()) {
    ValidateEndpoint(endpoint, slice.address_type(), path[index++], errors);
  }
}

void ValidateEndpointSliceUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateEndpointSlice(object, errors);
  ValidateImmutable(object.At("addressType"), old.At("addressType"), Path("addressType"), errors);
}

}  // namespace knarr::api::validation

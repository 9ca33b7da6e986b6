// Services and what is behind them.

#include <fmt/format.h>

#include "api/core_v1.h"
#include "api/discovery_v1.h"
#include "base/strings.h"
#include "cli/kubectl/describe.h"

namespace knarr::cli {
namespace {

constexpr size_t kAddressesShown = 3;

/// "10.42.0.2:80,10.42.0.3:80 + 4 more...": the ready endpoints of the port with this name.
std::string Backends(const std::vector<api::ObjectPtr>& slices, std::string_view port_name) {
  if (slices.empty()) return "<none>";
  std::vector<std::string> shown;
  size_t count = 0;
  auto add = [&](const api::discovery_v1::EndpointSlice& slice, std::string_view port) {
    for (auto endpoint : slice.endpoints()) {
      if (!endpoint.conditions().ready().value_or(true) || endpoint.addresses().empty()) continue;
      const std::string_view address = endpoint.addresses()[0];
      const bool brackets = address.find(':') != std::string_view::npos;
      if (count++ >= kAddressesShown) continue;
      if (port.empty()) {
        shown.emplace_back(address);
      } else {
        shown.push_back(brackets ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port));
      }
    }
  };
  for (const api::ObjectPtr& object : slices) {
    api::discovery_v1::EndpointSlice slice(object->tree());
    if (slice.ports().empty()) add(slice, "");
    for (auto port : slice.ports()) {
      if (port.name().value_or("") == port_name) add(slice, std::to_string(port.port().value_or(0)));
    }
  }
  const std::string list = Join(shown, ",");
  return count > kAddressesShown ? fmt::format("{} + {} more...", list, count - kAddressesShown) : list;
}

void AddPorts(Description& out, const api::core_v1::Service& service, const std::vector<api::ObjectPtr>& slices) {
  for (auto port : service.spec().ports()) {
    const std::string_view name = port.name().empty() ? "<unset>" : port.name();
    out.Add(0, fmt::format("Port:\t{}\t{}/{}\n", name, port.port(), port.protocol()));
    out.Add(0, fmt::format("TargetPort:\t{}/{}\n", TextOr(port.tree().At("targetPort"), "0"), port.protocol()));
    if (auto protocol = port.app_protocol()) out.Add(0, fmt::format("AppProtocol:\t{}\n", *protocol));
    if (port.node_port() != 0) {
      out.Add(0, fmt::format("NodePort:\t{}\t{}/{}\n", name, port.node_port(), port.protocol()));
    }
    out.Add(0, fmt::format("Endpoints:\t{}\n", Backends(slices, port.name())));
  }
}

std::string IngressText(const doc::Value& ingress) {
  std::string out;
  for (const doc::Value& item : ingress.items()) {
    if (!out.empty()) out += ", ";
    const std::string_view ip = item.At("ip").AsString();
    const std::string_view mode = item.At("ipMode").AsString();
    out += ip.empty() ? item.At("hostname").AsString() : ip;
    if (!ip.empty() && !mode.empty()) out += fmt::format(" ({})", mode);
  }
  return out;
}

void AddAddresses(Description& out, const api::core_v1::Service& service) {
  const doc::Value& spec = service.spec().tree();
  auto listed = [&](std::string_view member) {
    return spec.At(member).empty() ? "<none>" : Join(Strings(spec.At(member)), ",");
  };
  if (auto policy = service.spec().ip_family_policy()) out.Add(0, fmt::format("IP Family Policy:\t{}\n", *policy));
  out.Add(0, fmt::format("IP Families:\t{}\n", listed("ipFamilies")));
  out.Add(0, fmt::format("IP:\t{}\n", service.spec().cluster_ip()));
  out.Add(0, fmt::format("IPs:\t{}\n", listed("clusterIPs")));
  if (!spec.At("externalIPs").empty()) out.Add(0, fmt::format("External IPs:\t{}\n", listed("externalIPs")));
  if (!service.spec().load_balancer_ip().empty()) {
    out.Add(0, fmt::format("Desired LoadBalancer IP:\t{}\n", service.spec().load_balancer_ip()));
  }
  if (!service.spec().external_name().empty()) {
    out.Add(0, fmt::format("External Name:\t{}\n", service.spec().external_name()));
  }
  const doc::Value& ingress = service.status().tree().Get("loadBalancer", "ingress");
  if (!ingress.empty()) out.Add(0, fmt::format("LoadBalancer Ingress:\t{}\n", IngressText(ingress)));
}

void AddPolicies(Description& out, const api::core_v1::Service& service) {
  out.Add(0, fmt::format("Session Affinity:\t{}\n", service.spec().session_affinity()));
  if (!service.spec().external_traffic_policy().empty()) {
    out.Add(0, fmt::format("External Traffic Policy:\t{}\n", service.spec().external_traffic_policy()));
  }
  if (auto policy = service.spec().internal_traffic_policy()) {
    out.Add(0, fmt::format("Internal Traffic Policy:\t{}\n", *policy));
  }
  if (service.spec().health_check_node_port() != 0) {
    out.Add(0, fmt::format("HealthCheck NodePort:\t{}\n", service.spec().health_check_node_port()));
  }
  const doc::Value& ranges = service.spec().tree().At("loadBalancerSourceRanges");
  if (!ranges.empty()) out.Add(0, fmt::format("LoadBalancer Source Ranges:\t{}\n", Join(Strings(ranges), ",")));
  if (auto distribution = service.spec().traffic_distribution()) {
    out.Add(0, fmt::format("Traffic Distribution:\t{}\n", *distribution));
  }
}

}  // namespace

Ok DescribeService(Description& out, const api::Object& object) {
  api::core_v1::Service service(object.tree());
  client::ListOptions options{.label_selector = fmt::format("kubernetes.io/service-name={}", object.name())};
  Result<client::ObjectList> slices = out.client().List(api::discovery_v1::EndpointSliceInfo(), object.ns(), options);
  // As upstream: a service whose endpoints can't be read is shown without them.
  const std::vector<api::ObjectPtr> endpoints = slices.ok() ? slices->items : std::vector<api::ObjectPtr>();
  out.NameAndNamespace(object);
  out.Labels("Labels", object.tree().Get("metadata", "labels"));
  out.Annotations(object.tree().Get("metadata", "annotations"));
  out.Add(0, fmt::format("Selector:\t{}\n", SelectorText(service.spec().tree().At("selector"))));
  out.Add(0, fmt::format("Type:\t{}\n", service.spec().type()));
  AddAddresses(out, service);
  AddPorts(out, service, endpoints);
  AddPolicies(out, service);
  out.Events(object);
  return {};
}

Ok DescribeEndpoints(Description& out, const api::Object& object) {
  out.NameAndNamespace(object);
  out.Labels("Labels", object.tree().Get("metadata", "labels"));
  out.Annotations(object.tree().Get("metadata", "annotations"));
  out.Add(0, "Subsets:\n");
  for (const doc::Value& subset : object.tree().At("subsets").items()) {
    for (const auto& [member, title] :
         {std::pair{"addresses", "Addresses"}, {"notReadyAddresses", "NotReadyAddresses"}}) {
      std::vector<std::string> addresses;
      for (const doc::Value& address : subset.At(member).items()) addresses.emplace_back(address.At("ip").AsString());
      out.Add(1, fmt::format("{}:\t{}\n", title, addresses.empty() ? "<none>" : Join(addresses, ",")));
    }
    if (!subset.At("ports").empty()) out.Add(1, "Ports:\n    Name\tPort\tProtocol\n    ----\t----\t--------\n");
    for (const doc::Value& port : subset.At("ports").items()) {
      out.Add(2, fmt::format("{}\t{}\t{}\n", TextOr(port.At("name"), "<unset>"), port.At("port").AsInt(),
                             port.At("protocol").AsString()));
    }
    out.Add(0, "\n");
  }
  out.Events(object);
  return {};
}

Ok DescribeEndpointSlice(Description& out, const api::Object& object) {
  api::discovery_v1::EndpointSlice slice(object.tree());
  out.NameAndNamespace(object);
  out.Labels("Labels", object.tree().Get("metadata", "labels"));
  out.Annotations(object.tree().Get("metadata", "annotations"));
  out.Add(0, fmt::format("AddressType:\t{}\n", slice.address_type()));
  out.Add(0, slice.ports().empty() ? "Ports: <unset>\n" : "Ports:\n  Name\tPort\tProtocol\n  ----\t----\t--------\n");
  for (auto port : slice.ports()) {
    const std::string_view name = port.name().value_or("");
    out.Add(1, fmt::format("{}\t{}\t{}\n", name.empty() ? "<unset>" : name, TextOr(port.tree().At("port"), "<unset>"),
                           port.protocol().value_or("")));
  }
  out.Add(0, slice.endpoints().empty() ? "Endpoints: <none>\n" : "Endpoints:\n");
  for (auto endpoint : slice.endpoints()) {
    const doc::Value& tree = endpoint.tree();
    const std::vector<std::string> addresses = Strings(tree.At("addresses"));
    out.Add(1, fmt::format("- Addresses:\t{}\n", addresses.empty() ? "<none>" : Join(addresses, ", ")));
    out.Add(2, "Conditions:\n");
    out.Add(3, fmt::format("Ready:\t{}\n", TextOr(tree.Get("conditions", "ready"), "<unset>")));
    out.Add(2, fmt::format("Hostname:\t{}\n", TextOr(tree.At("hostname"), "<unset>")));
    if (auto target = endpoint.target_ref()) {
      out.Add(2, fmt::format("TargetRef:\t{}/{}\n", target.kind(), target.name()));
    }
    out.Add(2, fmt::format("NodeName:\t{}\n", TextOr(tree.At("nodeName"), "<unset>")));
    out.Add(2, fmt::format("Zone:\t{}\n", TextOr(tree.At("zone"), "<unset>")));
  }
  out.Events(object);
  return {};
}

}  // namespace knarr::cli

// Ingresses and their classes, NetworkPolicies, and the addresses services get.

#include <set>
#include <vector>

#include "api/label_selector.h"
#include "api/networking_v1.h"
#include "api/printing_columns.h"
#include "api/printing_rows.h"
#include "base/strings.h"

namespace knarr::api::printing {
namespace {

using doc::Value;

constexpr Column kIngress[] = {kName,
                               Text("Class", "The class of the ingress, which says who looks after it."),
                               Text("Hosts", "The host names that requests are for."),
                               Text("Address", "Where requests have to go."),
                               Text("Ports", "The ports that are open."),
                               kAge};
constexpr Column kIngressClass[] = {kName, Text("Controller", "Who looks after ingresses of the class."),
                                    Text("Parameters", "An object that says more about the class."), kAge};
constexpr Column kNetworkPolicy[] = {kName, Text("Pod-Selector", "The labels of the pods the policy is for."), kAge};
constexpr Column kIpAddress[] = {kName, Text("ParentRef", "The object that has the address.")};
constexpr Column kServiceCidr[] = {kName, Text("CIDRs", "The networks that services get addresses from."), kAge};

std::string Hosts(const networking_v1::IngressSpec& spec) {
  constexpr size_t kShownMax = 3;
  std::vector<std::string_view> hosts;
  bool more = false;
  for (const networking_v1::IngressRule rule : spec.rules()) {
    if (hosts.size() == kShownMax) {
      more = true;
    } else if (!rule.host().empty()) {
      hosts.push_back(rule.host());
    }
  }
  if (hosts.empty()) return "*";
  const std::string text = Join(hosts, ",");
  return more ? text + " + " + std::to_string(spec.rules().size() - kShownMax) + " more..." : text;
}

std::string Addresses(const networking_v1::IngressStatus& status) {
  std::set<std::string_view> addresses;
  for (const networking_v1::IngressLoadBalancerIngress point : status.load_balancer().ingress()) {
    if (!point.ip().empty()) {
      addresses.insert(point.ip());
    } else if (!point.hostname().empty()) {
      addresses.insert(point.hostname());
    }
  }
  return Join(addresses, ",");
}

void PrintIngress(const Value& object, Row& row) {
  const networking_v1::Ingress ingress(object);
  Name(object, row);
  row.Text(ingress.spec().ingress_class_name().value_or("<none>"));
  row.Text(Hosts(ingress.spec()));
  row.Text(Addresses(ingress.status()));
  row.Text(ingress.spec().tls().empty() ? "80" : "80, 443");
  Age(object, row);
}

void PrintIngressClass(const Value& object, Row& row) {
  const networking_v1::IngressClass ingress(object);
  std::string name(ingress.metadata().name());
  if (ingress.metadata().annotations().Find("ingressclass.kubernetes.io/is-default-class") == "true") {
    name += " (default)";
  }
  row.Text(name);
  row.Text(ingress.spec().controller());
  std::string parameters = "<none>";
  if (ingress.spec().has_parameters()) {
    const networking_v1::IngressClassParametersReference reference = ingress.spec().parameters();
    parameters = reference.kind();
    if (const auto group = reference.api_group()) parameters += "." + std::string(*group);
    parameters += "/" + std::string(reference.name());
  }
  row.Text(parameters);
  Age(object, row);
}

void PrintNetworkPolicy(const Value& object, Row& row) {
  Name(object, row);
  row.Text(FormatLabelSelector(networking_v1::NetworkPolicy(object).spec().pod_selector()));
  Age(object, row);
}

// Upstream's rows also have an age, for which there is no column.
void PrintIpAddress(const Value& object, Row& row) {
  Name(object, row);
  const networking_v1::ParentReference parent = networking_v1::IPAddress(object).spec().parent_ref();
  if (!parent) return row.Text("<none>");
  std::string text(parent.resource());
  if (!parent.group().empty()) text += "." + std::string(parent.group());
  text = ToLower(text);
  if (!parent.ns().empty()) text += "/" + std::string(parent.ns());
  row.Text(text + "/" + std::string(parent.name()));
}

void PrintServiceCidr(const Value& object, Row& row) {
  Name(object, row);
  std::vector<std::string_view> cidrs;
  for (const std::string_view cidr : networking_v1::ServiceCIDR(object).spec().cidrs()) cidrs.push_back(cidr);
  row.Text(Join(cidrs, ","));
  Age(object, row);
}

constexpr Entry kEntries[] = {
    {"networking/v1", "Ingress", kIngress, PrintIngress},
    {"networking/v1", "IngressClass", kIngressClass, PrintIngressClass},
    {"networking/v1", "NetworkPolicy", kNetworkPolicy, PrintNetworkPolicy},
    {"networking/v1", "IPAddress", kIpAddress, PrintIpAddress},
    {"networking/v1", "ServiceCIDR", kServiceCidr, PrintServiceCidr},
};

}  // namespace

std::span<const Entry> NetworkingEntries() { return kEntries; }

}  // namespace knarr::api::printing

#include "api/printing_rows.h"

#include <algorithm>
#include <set>
#include <vector>

#include "api/apps_v1.h"
#include "api/coordination_v1.h"
#include "api/discovery_v1.h"
#include "api/label_selector.h"
#include "base/ip.h"
#include "base/strings.h"

namespace knarr::api::printing {

using doc::Value;

void Name(const Value& object, Row& row) { row.Text(object.Get("metadata", "name").AsString()); }
void Age(const Value& object, Row& row) { row.Age(object.Get("metadata", "creationTimestamp")); }

std::string JoinMembers(const Value& list, std::string_view member) {
  std::vector<std::string_view> parts;
  for (const Value& item : list.items()) parts.push_back(item.At(member).AsString());
  return Join(parts, ",");
}

void TemplateContainers(const Value& pod_template, Row& row) {
  const Value& containers = pod_template.Get("spec", "containers");
  row.Text(JoinMembers(containers, "name"));
  row.Text(JoinMembers(containers, "image"));
}

namespace {

constexpr size_t kShownMax = 3;  // addresses of an Endpoints, before "+ n more..."

std::string Shown(const std::vector<std::string>& list, size_t count, bool more) {
  const std::string text = Join(list, ",");
  if (more) return text + " + " + std::to_string(count - kShownMax) + " more...";
  return text;
}

void Replicas(const Value& object, Row& row) {
  Name(object, row);
  row.Number(object.Get("spec", "replicas").AsInt());
  row.Number(object.Get("status", "replicas").AsInt());
  row.Number(object.Get("status", "readyReplicas").AsInt());
  Age(object, row);
  TemplateContainers(object.Get("spec", "template"), row);
}

std::string ReadyOfDesired(const Value& object) {
  return std::to_string(object.Get("status", "readyReplicas").AsInt()) + "/" +
         std::to_string(object.Get("spec", "replicas").AsInt());
}

std::string ExternalAddresses(const core_v1::Service& service) {
  std::vector<std::string_view> external;
  for (const std::string_view address : service.spec().external_ips()) external.push_back(address);
  const std::string_view type = service.spec().type();
  if (type == "ClusterIP" || type == "NodePort") return external.empty() ? "<none>" : Join(external, ",");
  if (type == "ExternalName") return std::string(service.spec().external_name());
  if (type != "LoadBalancer") return "<unknown>";
  std::set<std::string_view> balancers;
  for (const core_v1::LoadBalancerIngress ingress : service.status().load_balancer().ingress()) {
    if (!ingress.ip().empty()) {
      balancers.insert(ingress.ip());
    } else if (!ingress.hostname().empty()) {
      balancers.insert(ingress.hostname());
    }
  }
  std::vector<std::string_view> all(balancers.begin(), balancers.end());
  all.insert(all.end(), external.begin(), external.end());
  return all.empty() ? "<pending>" : Join(all, ",");
}

std::string ServicePorts(const core_v1::Service& service) {
  std::vector<std::string> ports;
  for (const core_v1::ServicePort port : service.spec().ports()) {
    std::string text = std::to_string(port.port());
    if (port.node_port() > 0) text += ":" + std::to_string(port.node_port());
    ports.push_back(text + "/" + std::string(port.protocol()));
  }
  return ports.empty() ? "<none>" : Join(ports, ",");
}

std::string NodeRoles(const core_v1::Node& node) {
  std::set<std::string_view> roles;
  for (const auto& [key, value] : node.metadata().labels()) {
    std::string_view role = key;
    if (ConsumePrefix(role, "node-role.kubernetes.io/")) {
      if (!role.empty()) roles.insert(role);
    } else if (key == "kubernetes.io/role" && !value.empty()) {
      roles.insert(value);
    }
  }
  return roles.empty() ? "<none>" : Join(roles, ",");
}

std::string_view NodeAddress(const core_v1::Node& node, std::string_view type) {
  for (const core_v1::NodeAddress address : node.status().addresses()) {
    if (address.type() == type) return address.address();
  }
  return "<none>";
}

std::string AccessModes(const Value& modes) {
  static constexpr struct {
    std::string_view mode;
    std::string_view text;
  } kModes[] = {
      {"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}};
  std::vector<std::string_view> parts;
  for (const auto& [mode, text] : kModes) {
    if (std::ranges::any_of(modes.items(), [&](const Value& value) { return value.AsString() == mode; })) {
      parts.push_back(text);
    }
  }
  return Join(parts, ",");
}

std::string_view StorageClass(const Value& object) {
  const Value& old = object.Get("metadata", "annotations").At("volume.beta.kubernetes.io/storage-class");
  return old.is_string() ? old.AsString() : object.Get("spec", "storageClassName").AsString();
}

struct EventFields {
  std::string_view object;
  std::string_view message;
  std::string_view source;
  std::string_view first;
  std::string_view last;
  std::string_view count;
  std::string_view controller;
};

void Event(const Value& event, const EventFields& names, Row& row) {
  const Value& first = event.At(names.first).is_null() ? event.At("eventTime") : event.At(names.first);
  const Value* last = event.At(names.last).is_null() ? &first : &event.At(names.last);
  int64_t count = event.At(names.count).AsInt();
  if (const Value& series = event.At("series"); series.is_object()) {
    last = &series.At("lastObservedTime");
    count = series.At("count").AsInt();
  } else if (count == 0) {
    count = 1;
  }
  const Value& object = event.At(names.object);
  std::string target = ToLower(object.At("kind").AsString());
  if (!object.At("name").AsString().empty()) target += "/" + std::string(object.At("name").AsString());
  const Value& source = event.At(names.source);
  std::string reporter(source.At("component").AsString().empty() ? event.At(names.controller).AsString()
                                                                 : source.At("component").AsString());
  const std::string_view host =
      source.At("host").AsString().empty() ? event.At("reportingInstance").AsString() : source.At("host").AsString();
  if (!host.empty()) reporter += ", " + std::string(host);
  row.Age(*last);
  row.Text(event.At("type").AsString());
  row.Text(event.At("reason").AsString());
  row.Text(target);
  row.Text(object.At("fieldPath").AsString());
  row.Text(reporter);
  row.Text(TrimSpace(event.At(names.message).AsString()));
  row.Age(first);
  row.Number(count);
  Name(event, row);
}

}  // namespace

void PrintPodTemplate(const Value& object, Row& row) {
  Name(object, row);
  TemplateContainers(object.At("template"), row);
  row.Text(FormatLabels(StringMap(object.Get("template", "metadata", "labels"))));
}

void PrintReplicationController(const Value& object, Row& row) {
  Replicas(object, row);
  row.Text(FormatLabels(StringMap(object.Get("spec", "selector"))));
}

void PrintReplicaSet(const Value& object, Row& row) {
  Replicas(object, row);
  row.Text(FormatLabelSelector(meta_v1::LabelSelector(object.Get("spec", "selector"))));
}

void PrintDeployment(const Value& object, Row& row) {
  Name(object, row);
  row.Text(ReadyOfDesired(object));
  row.Number(object.Get("status", "updatedReplicas").AsInt());
  row.Number(object.Get("status", "availableReplicas").AsInt());
  Age(object, row);
  TemplateContainers(object.Get("spec", "template"), row);
  const std::string selector = FormatLabelSelector(meta_v1::LabelSelector(object.Get("spec", "selector")));
  row.Text(selector == "<none>" ? "" : selector == "<error>" ? "<invalid>" : selector);
}

void PrintStatefulSet(const Value& object, Row& row) {
  Name(object, row);
  row.Text(ReadyOfDesired(object));
  Age(object, row);
  TemplateContainers(object.Get("spec", "template"), row);
}

void PrintDaemonSet(const Value& object, Row& row) {
  Name(object, row);
  const Value& status = object.At("status");
  for (const std::string_view name : {"desiredNumberScheduled", "currentNumberScheduled", "numberReady",
                                      "updatedNumberScheduled", "numberAvailable"}) {
    row.Number(status.At(name).AsInt());
  }
  row.Text(FormatLabels(StringMap(object.Get("spec", "template", "spec").At("nodeSelector"))));
  Age(object, row);
  TemplateContainers(object.Get("spec", "template"), row);
  row.Text(FormatLabelSelector(meta_v1::LabelSelector(object.Get("spec", "selector"))));
}

void PrintControllerRevision(const Value& object, Row& row) {
  Name(object, row);
  std::string controller = "<none>";
  for (const Value& owner : object.Get("metadata", "ownerReferences").items()) {
    if (!owner.At("controller").AsBool()) continue;
    std::string kind(owner.At("kind").AsString());
    const std::string_view version = owner.At("apiVersion").AsString();
    if (const auto cut = Cut(version, "/")) kind += "." + std::string(cut->first);
    controller = ToLower(kind) + "/" + std::string(owner.At("name").AsString());
    break;
  }
  row.Text(controller);
  row.Number(object.At("revision").AsInt());
  Age(object, row);
}

void PrintService(const Value& object, Row& row) {
  const core_v1::Service service(object);
  Name(object, row);
  row.Text(service.spec().type());
  const ListView<std::string_view> addresses = service.spec().cluster_ips();
  row.Text(addresses.empty() ? "<none>" : addresses[0]);
  row.Text(ExternalAddresses(service));
  row.Text(ServicePorts(service));
  Age(object, row);
  row.Text(FormatLabels(service.spec().selector()));
}

void PrintEndpoints(const Value& object, Row& row) {
  const core_v1::Endpoints endpoints(object);
  std::vector<std::string> list;
  size_t count = 0;
  bool more = false;
  const auto add = [&](const core_v1::EndpointSubset& subset, std::optional<int32_t> port) {
    count += subset.addresses().size();
    for (const core_v1::EndpointAddress address : subset.addresses()) {
      if (list.size() == kShownMax) {
        more = true;
        return;
      }
      list.push_back(port ? JoinHostPort(address.ip(), *port) : std::string(address.ip()));
    }
  };
  for (const core_v1::EndpointSubset subset : endpoints.subsets()) {
    if (subset.ports().empty()) add(subset, std::nullopt);
    for (const core_v1::EndpointPort port : subset.ports()) add(subset, port.port());
  }
  Name(object, row);
  row.Text(endpoints.subsets().empty() ? "<none>" : Shown(list, count, more));
  Age(object, row);
}

void PrintEndpointSlice(const Value& object, Row& row) {
  const discovery_v1::EndpointSlice slice(object);
  std::vector<std::string> ports;
  for (const discovery_v1::EndpointPort port : slice.ports()) {
    if (ports.size() == kShownMax) break;
    if (port.port()) {
      ports.push_back(std::to_string(*port.port()));
    } else {
      ports.emplace_back(port.name().value_or("*"));
    }
  }
  std::vector<std::string> addresses;
  size_t count = 0;
  for (const discovery_v1::Endpoint endpoint : slice.endpoints()) {
    for (const std::string_view address : endpoint.addresses()) {
      if (addresses.size() < kShownMax) addresses.emplace_back(address);
      ++count;
    }
  }
  Name(object, row);
  row.Text(slice.address_type());
  const size_t port_count = slice.ports().size();
  row.TextOr(Shown(ports, port_count, port_count > kShownMax), "<unset>");
  row.TextOr(Shown(addresses, count, count > kShownMax), "<unset>");
  Age(object, row);
}

void PrintNode(const Value& object, Row& row) {
  const core_v1::Node node(object);
  std::string status = "Unknown";
  for (const core_v1::NodeCondition condition : node.status().conditions()) {
    if (condition.type() == "Ready") status = condition.status() == "True" ? "Ready" : "NotReady";
  }
  if (node.spec().unschedulable()) status += ",SchedulingDisabled";
  Name(object, row);
  row.Text(status);
  row.Text(NodeRoles(node));
  Age(object, row);
  const core_v1::NodeSystemInfo info = node.status().node_info();
  row.Text(info.kubelet_version());
  row.Text(NodeAddress(node, "InternalIP"));
  row.Text(NodeAddress(node, "ExternalIP"));
  row.TextOr(info.os_image(), "<unknown>");
  std::string kernel(info.kernel_version().empty() ? "<unknown>" : info.kernel_version());
  if (!info.architecture().empty()) kernel += " (" + std::string(info.architecture()) + ")";
  row.Text(kernel);
  row.TextOr(info.container_runtime_version(), "<unknown>");
}

void PrintNamespace(const Value& object, Row& row) {
  Name(object, row);
  row.Text(object.Get("status", "phase").AsString());
  Age(object, row);
}

void PrintSecret(const Value& object, Row& row) {
  Name(object, row);
  row.Text(object.At("type").AsString());
  row.Number(static_cast<int64_t>(object.At("data").size()));
  Age(object, row);
}

void PrintConfigMap(const Value& object, Row& row) {
  Name(object, row);
  row.Number(static_cast<int64_t>(object.At("data").size() + object.At("binaryData").size()));
  Age(object, row);
}

void PrintNameAndAge(const Value& object, Row& row) {
  Name(object, row);
  Age(object, row);
}

void PrintPersistentVolume(const Value& object, Row& row) {
  const core_v1::PersistentVolume volume(object);
  Name(object, row);
  row.Text(volume.spec().capacity().Find("storage").value_or("0"));
  row.Text(AccessModes(object.Get("spec", "accessModes")));
  row.Text(volume.spec().persistent_volume_reclaim_policy());
  row.Text(volume.metadata().deletion_timestamp() ? "Terminating" : volume.status().phase());
  const core_v1::ObjectReference claim = volume.spec().claim_ref();
  row.Text(claim ? std::string(claim.ns()) + "/" + std::string(claim.name()) : "");
  row.Text(StorageClass(object));
  row.Text(volume.spec().volume_attributes_class_name().value_or("<unset>"));
  row.Text(volume.status().reason());
  Age(object, row);
  row.Text(volume.spec().volume_mode().value_or("<unset>"));
}

void PrintPersistentVolumeClaim(const Value& object, Row& row) {
  const core_v1::PersistentVolumeClaim claim(object);
  const bool bound = !claim.spec().volume_name().empty();
  Name(object, row);
  row.Text(claim.metadata().deletion_timestamp() ? "Terminating" : claim.status().phase());
  row.Text(claim.spec().volume_name());
  row.Text(bound ? claim.status().capacity().Find("storage").value_or("0") : "");
  row.Text(bound ? AccessModes(object.Get("status", "accessModes")) : "");
  row.Text(StorageClass(object));
  row.Text(claim.spec().volume_attributes_class_name().value_or("<unset>"));
  Age(object, row);
  row.Text(claim.spec().volume_mode().value_or("<unset>"));
}

void PrintCoreEvent(const Value& object, Row& row) {
  Event(object,
        {"involvedObject", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reportingComponent"}, row);
}

void PrintEventsEvent(const Value& object, Row& row) {
  Event(object,
        {"regarding", "note", "deprecatedSource", "deprecatedFirstTimestamp", "deprecatedLastTimestamp",
         "deprecatedCount", "reportingController"},
        row);
}

void PrintResourceQuota(const Value& object, Row& row) {
  const core_v1::ResourceQuota quota(object);
  std::vector<std::string> requests;
  std::vector<std::string> limits;
  for (const auto& [resource, hard] : quota.status().hard()) {
    const std::string text = std::string(resource) + ": " +
                             std::string(quota.status().used().Find(resource).value_or("0")) + "/" + std::string(hard);
    (resource.starts_with("limits.") ? limits : requests).push_back(text);
  }
  std::ranges::sort(requests);
  std::ranges::sort(limits);
  Name(object, row);
  row.Text(Join(requests, ", "));
  row.Text(Join(limits, ", "));
  Age(object, row);
}

void PrintComponentStatus(const Value& object, Row& row) {
  Name(object, row);
  for (const Value& condition : object.At("conditions").items()) {
    if (condition.At("type").AsString() != "Healthy") continue;
    row.Text(condition.At("status").AsString() == "True" ? "Healthy" : "Unhealthy");
    row.Text(condition.At("message").AsString());
    row.Text(condition.At("error").AsString());
    return;
  }
  row.Text("Unknown");
  row.Text("");
  row.Text("");
}

void PrintLease(const Value& object, Row& row) {
  Name(object, row);
  row.Text(coordination_v1::Lease(object).spec().holder_identity().value_or(""));
  Age(object, row);
}

void PrintDefault(const Value& object, Row& row) {
  Name(object, row);
  row.Text(object.Get("metadata", "creationTimestamp").AsString());
}

}  // namespace knarr::api::printing

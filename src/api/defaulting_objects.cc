// What the other kinds of core, apps and discovery are filled in with.

#include "api/defaulting.h"
#include "api/defaulting_rules.h"
#include "base/strings.h"

namespace knarr::api {
namespace {

using doc::Arena;
using doc::Value;

void ReplicationController(Value& rc, Arena& arena) {
  Value& spec = FillObject(rc, arena, "spec");
  const Value labels = spec.Get("template", "metadata", "labels");
  if (labels.empty()) return;
  if (spec.At("selector").empty()) spec.Set(arena, "selector", labels.Clone(arena));
  Value& metadata = FillObject(rc, arena, "metadata");
  if (metadata.At("labels").empty()) metadata.Set(arena, "labels", labels.Clone(arena));
}

void ServicePorts(Value& spec, Arena& arena) {
  Value* ports = spec.Find("ports");
  if (ports == nullptr) return;
  for (Value& port : ports->items()) {
    FillText(port, arena, "protocol", "TCP");
    const Value& target = port.At("targetPort");
    const bool given = target.is_string() ? !target.AsString().empty() : target.AsInt() != 0;
    if (!given) port.Set(arena, "targetPort", Value::Int(port.At("port").AsInt()));
  }
}

void SessionAffinity(Value& spec, Arena& arena) {
  FillText(spec, arena, "sessionAffinity", "None");
  if (spec.At("sessionAffinity").AsString() == "None") spec.Remove("sessionAffinityConfig");
  if (spec.At("sessionAffinity").AsString() != "ClientIP") return;
  Value& config = FillObject(spec, arena, "sessionAffinityConfig");
  Value& client_ip = FillObject(config, arena, "clientIP");
  Fill(client_ip, arena, "timeoutSeconds", Value::Int(10800));
}

void Service(Value& service, Arena& arena) {
  Value& spec = FillObject(service, arena, "spec");
  SessionAffinity(spec, arena);
  FillText(spec, arena, "type", "ClusterIP");
  ServicePorts(spec, arena);
  const std::string_view type = spec.At("type").AsString();
  const bool balanced = type == "LoadBalancer";
  if (balanced || type == "NodePort" || (type == "ClusterIP" && !spec.At("externalIPs").empty())) {
    FillText(spec, arena, "externalTrafficPolicy", "Cluster");
  }
  if (balanced || type == "NodePort" || type == "ClusterIP") {
    Fill(spec, arena, "internalTrafficPolicy", Value::Borrow("Cluster"));
  }
  if (!balanced) return;
  Fill(spec, arena, "allocateLoadBalancerNodePorts", Value::Bool(true));
  Value* status = service.Find("status");
  Value* balancer = status == nullptr ? nullptr : status->Find("loadBalancer");
  Value* ingress = balancer == nullptr ? nullptr : balancer->Find("ingress");
  if (ingress == nullptr) return;
  for (Value& point : ingress->items()) {
    if (!point.At("ip").AsString().empty()) Fill(point, arena, "ipMode", Value::Borrow("VIP"));
  }
}

// stringData is only for writing: it lands in data, over what stands there.
void Secret(Value& secret, Arena& arena) {
  FillText(secret, arena, "type", "Opaque");
  const Value texts = secret.At("stringData");
  if (texts.empty()) return;
  Value& data = FillObject(secret, arena, "data");
  for (const doc::Member& entry : texts.members()) {
    data.Set(arena, entry.key, Value::String(arena, Base64Encode(entry.value.AsString())));
  }
  secret.Remove("stringData");
}

void PersistentVolume(Value& volume, Arena& arena) {
  FillText(FillObject(volume, arena, "status"), arena, "phase", "Pending");
  Value& spec = FillObject(volume, arena, "spec");
  FillText(spec, arena, "persistentVolumeReclaimPolicy", "Retain");
  Fill(spec, arena, "volumeMode", Value::Borrow("Filesystem"));
}

void Claim(Value& claim, Arena& arena) { FillText(FillObject(claim, arena, "status"), arena, "phase", "Pending"); }
void ClaimSpec(Value& spec, Arena& arena) { Fill(spec, arena, "volumeMode", Value::Borrow("Filesystem")); }

void Endpoints(Value& endpoints, Arena& arena) {
  Value* subsets = endpoints.Find("subsets");
  if (subsets == nullptr) return;
  for (Value& subset : subsets->items()) {
    Value* ports = subset.Find("ports");
    if (ports == nullptr) continue;
    for (Value& port : ports->items()) FillText(port, arena, "protocol", "TCP");
  }
}

void Namespace(Value& space, Arena& arena) {
  Value& metadata = FillObject(space, arena, "metadata");
  const Value name = metadata.At("name");
  if (name.AsString().empty()) return;
  FillObject(metadata, arena, "labels").Set(arena, "kubernetes.io/metadata.name", name);
}

void NamespaceStatus(Value& status, Arena& arena) { FillText(status, arena, "phase", "Active"); }

// The old single address range and the list of them say the same; the old one wins when they differ.
void NodeSpec(Value& spec, Arena& arena) {
  const Value& ranges = spec.At("podCIDRs");
  const std::string_view first = ranges.empty() ? std::string_view() : ranges[0].AsString();
  const Value single = spec.At("podCIDR");
  if (single.AsString().empty()) {
    if (!first.empty()) spec.Set(arena, "podCIDR", Value::Borrow(first));
  } else if (single.AsString() != first) {
    Value list = Value::Array();
    list.Append(arena, single);
    spec.Set(arena, "podCIDRs", list);
  }
}

void NodeStatus(Value& status, Arena& arena) {
  const Value& capacity = status.At("capacity");
  if (status.At("allocatable").is_null() && !capacity.is_null())
    status.Set(arena, "allocatable", capacity.Clone(arena));
}

void LimitRangeItem(Value& item, Arena& arena) {
  if (item.At("type").AsString() != "Container") return;
  item.Reserve(arena, 8);
  FillEntries(FillObject(item, arena, "default"), arena, item.At("max"));
  Value& request = FillObject(item, arena, "defaultRequest");
  FillEntries(request, arena, item.At("default"));
  FillEntries(request, arena, item.At("min"));
}

void SlicePort(Value& port, Arena& arena) {
  Fill(port, arena, "name", Value::Borrow(""));
  Fill(port, arena, "protocol", Value::Borrow("TCP"));
}

void Replicas(Value& spec, Arena& arena) { Fill(spec, arena, "replicas", Value::Int(1)); }

void DeploymentSpec(Value& spec, Arena& arena) {
  spec.Reserve(arena, 16);
  Replicas(spec, arena);
  Value& strategy = FillObject(spec, arena, "strategy");
  FillText(strategy, arena, "type", "RollingUpdate");
  if (strategy.At("type").AsString() == "RollingUpdate") {
    Value& rolling = FillObject(strategy, arena, "rollingUpdate");
    Fill(rolling, arena, "maxUnavailable", Value::Borrow("25%"));
    Fill(rolling, arena, "maxSurge", Value::Borrow("25%"));
  }
  Fill(spec, arena, "revisionHistoryLimit", Value::Int(10));
  Fill(spec, arena, "progressDeadlineSeconds", Value::Int(600));
}

void DaemonSetSpec(Value& spec, Arena& arena) {
  Value& strategy = FillObject(spec, arena, "updateStrategy");
  FillText(strategy, arena, "type", "RollingUpdate");
  if (strategy.At("type").AsString() == "RollingUpdate") {
    Value& rolling = FillObject(strategy, arena, "rollingUpdate");
    Fill(rolling, arena, "maxUnavailable", Value::Int(1));
    Fill(rolling, arena, "maxSurge", Value::Int(0));
  }
  Fill(spec, arena, "revisionHistoryLimit", Value::Int(10));
}

void StatefulSetSpec(Value& spec, Arena& arena) {
  FillText(spec, arena, "podManagementPolicy", "OrderedReady");
  Value& strategy = FillObject(spec, arena, "updateStrategy");
  if (strategy.At("type").AsString().empty()) {
    strategy.Set(arena, "type", Value::Borrow("RollingUpdate"));
    FillObject(strategy, arena, "rollingUpdate");
  }
  Value* rolling = strategy.Find("rollingUpdate");
  if (strategy.At("type").AsString() == "RollingUpdate" && rolling != nullptr && rolling->is_object()) {
    Fill(*rolling, arena, "partition", Value::Int(0));
  }
  Value& retention = FillObject(spec, arena, "persistentVolumeClaimRetentionPolicy");
  FillText(retention, arena, "whenDeleted", "Retain");
  FillText(retention, arena, "whenScaled", "Retain");
  Replicas(spec, arena);
  Fill(spec, arena, "revisionHistoryLimit", Value::Int(10));
}

// How often a DaemonSet's template was changed is a field of Kubernetes' own form of it, which apps/v1 shows like this.
void DaemonSet(Value& set, Arena& arena) {
  Value& annotations = FillObject(FillObject(set, arena, "metadata"), arena, "annotations");
  Fill(annotations, arena, kTemplateGeneration, Value::Borrow("0"));
}

constexpr struct {
  std::string_view package;
  std::string_view type;
  DefaultRule rule;
} kRules[] = {
    {"core/v1", "ReplicationController", ReplicationController},
    {"core/v1", "Service", Service},
    {"core/v1", "Secret", Secret},
    {"core/v1", "PersistentVolume", PersistentVolume},
    {"core/v1", "PersistentVolumeClaim", Claim},
    {"core/v1", "PersistentVolumeClaimSpec", ClaimSpec},
    {"core/v1", "Endpoints", Endpoints},
    {"core/v1", "Namespace", Namespace},
    {"core/v1", "NamespaceStatus", NamespaceStatus},
    {"core/v1", "NodeSpec", NodeSpec},
    {"core/v1", "NodeStatus", NodeStatus},
    {"core/v1", "LimitRangeItem", LimitRangeItem},
    {"discovery/v1", "EndpointPort", SlicePort},
    {"apps/v1", "ReplicaSetSpec", Replicas},
    {"apps/v1", "DeploymentSpec", DeploymentSpec},
    {"apps/v1", "DaemonSet", DaemonSet},
    {"apps/v1", "DaemonSetSpec", DaemonSetSpec},
    {"apps/v1", "StatefulSetSpec", StatefulSetSpec},
};

}  // namespace

DefaultRule FindObjectRule(std::string_view package, std::string_view type) {
  return FindRule(kRules, package, type);
}

}  // namespace knarr::api

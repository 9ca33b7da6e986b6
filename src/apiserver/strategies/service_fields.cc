#include "apiserver/strategies/service_fields.h"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace knarr::apiserver {

using doc::Document;
using doc::Value;

namespace {

bool IsBalanced(const Value& service) { return ServiceType(service) == "LoadBalancer"; }
bool HasNodePortType(const Value& service) { return ServiceType(service) == "NodePort" || IsBalanced(service); }

// Reached from outside the cluster: then it matters to which nodes traffic goes.
bool IsExternallyReached(const Value& service) {
  return HasNodePortType(service) ||
         (ServiceType(service) == "ClusterIP" && !service.Get("spec", "externalIPs").empty());
}

bool IsEmptyText(const Value& value) { return value.AsString().empty(); }

void KeepWhere(bool keep, Document& service, const Value& before, std::string_view member) {
  if (!keep || before.Find(member) == nullptr) return;
  ServiceSpecOf(service).Set(service.arena, member, before.At(member).Clone(service.arena));
}

std::set<int64_t> NodePortsOf(const Value& service) {
  std::set<int64_t> out;
  for (const Value& port : service.Get("spec", "ports").items()) {
    if (port.At("nodePort").AsInt() != 0) out.insert(port.At("nodePort").AsInt());
  }
  return out;
}

// A port that is there again under its name keeps its node port, unless another port of the Service has it now.
void KeepNodePorts(Document& service, const Value& old) {
  Value* ports = ServiceSpecOf(service).Find("ports");
  if (ports == nullptr) return;
  const std::set<int64_t> used = NodePortsOf(service.root);
  for (Value& port : ports->items()) {
    if (port.At("nodePort").AsInt() != 0) continue;
    int64_t before = 0;
    for (const Value& other : old.Get("spec", "ports").items()) {
      if (other.At("name").AsString() == port.At("name").AsString()) before = other.At("nodePort").AsInt();
    }
    if (before != 0 && !used.contains(before)) port.Set(service.arena, "nodePort", Value::Int(before));
  }
}

// Only node ports that the Service had are there.
bool HasNoNewNodePorts(const Value& service, const Value& old) {
  const std::set<int64_t> before = NodePortsOf(old);
  for (const int64_t port : NodePortsOf(service)) {
    if (!before.contains(port)) return false;
  }
  return true;
}

}  // namespace

std::string_view ServiceType(const Value& service) { return service.Get("spec", "type").AsString("ClusterIP"); }
bool NeedsClusterAddress(const Value& service) { return ServiceType(service) != "ExternalName"; }

bool HasAllocatedAddresses(const Value& service) {
  const Value& list = service.Get("spec", "clusterIPs");
  const bool headless =
      list.empty() ? service.Get("spec", "clusterIP").AsString() == "None" : list[0].AsString() == "None";
  return NeedsClusterAddress(service) && !headless;
}

bool NeedsNodePorts(const Value& service) {
  if (ServiceType(service) == "NodePort") return true;
  return IsBalanced(service) && service.Get("spec", "allocateLoadBalancerNodePorts").AsBool(true);
}

bool NeedsHealthCheckPort(const Value& service) {
  return IsBalanced(service) && service.Get("spec", "externalTrafficPolicy").AsString() == "Local";
}

bool IsSelectorlessHeadless(const Value& service) {
  return service.Get("spec", "clusterIP").AsString() == "None" && service.Get("spec", "selector").empty();
}

Value& ServiceSpecOf(Document& service) {
  Value& spec = service.root.Ensure(service.arena, "spec");
  if (!spec.is_object()) spec = Value::Object();
  return spec;
}

void FitClusterAddresses(Document& service, const Value* old) {
  Value& spec = ServiceSpecOf(service);
  const Value one = std::as_const(spec).At("clusterIP");
  const auto set_list = [&] {
    const Value only = Value::String(service.arena, one.AsString());
    spec.Set(service.arena, "clusterIPs", Value::ArrayOf(service.arena, {&only, 1}));
  };
  if (old == nullptr) {
    if (!IsEmptyText(one) && std::as_const(spec).At("clusterIPs").empty()) set_list();
    return;
  }
  const Value& before = old->At("spec");
  const bool same_one = before.At("clusterIP").AsString() == one.AsString();
  if (same_one && std::as_const(spec).At("clusterIPs").empty()) KeepWhere(true, service, before, "clusterIPs");
  if (same_one || !std::as_const(spec).At("clusterIPs").Equals(before.At("clusterIPs"))) return;
  if (IsEmptyText(one)) {
    spec.Remove("clusterIPs");
  } else {
    set_list();
  }
}

void KeepAllocated(Document& service, const Value& old) {
  const Value& spec = ServiceSpecOf(service);
  const Value& before = old.At("spec");
  if (NeedsClusterAddress(old) && NeedsClusterAddress(service.root)) {
    KeepWhere(IsEmptyText(spec.At("clusterIP")), service, before, "clusterIP");
    KeepWhere(spec.At("clusterIPs").empty(), service, before, "clusterIPs");
  }
  if (NeedsNodePorts(old) && NeedsNodePorts(service.root)) KeepNodePorts(service, old);
  if (NeedsHealthCheckPort(old) && NeedsHealthCheckPort(service.root)) {
    KeepWhere(spec.At("healthCheckNodePort").AsInt() == 0, service, before, "healthCheckNodePort");
  }
}

void DropTypeDependent(Document& service, const Value& old) {
  Value& spec = ServiceSpecOf(service);
  const Value& before = old.At("spec");
  const auto same = [&](std::string_view member) { return std::as_const(spec).At(member).Equals(before.At(member)); };
  const auto drop = [&](std::string_view member, bool needed_before, bool needed) {
    if (needed_before && !needed && same(member)) spec.Remove(member);
  };
  if (NeedsClusterAddress(old) && !NeedsClusterAddress(service.root)) {
    if (same("clusterIP") && same("clusterIPs")) {
      spec.Remove("clusterIP");
      spec.Remove("clusterIPs");
    }
    drop("ipFamilies", true, false);
    drop("ipFamilyPolicy", true, false);
  }
  Value* ports = spec.Find("ports");
  if (ports != nullptr && HasNodePortType(old) && !HasNodePortType(service.root) &&
      HasNoNewNodePorts(service.root, old)) {
    for (Value& port : ports->items()) port.Remove("nodePort");
  }
  drop("healthCheckNodePort", NeedsHealthCheckPort(old), NeedsHealthCheckPort(service.root));
  drop("allocateLoadBalancerNodePorts", IsBalanced(old), IsBalanced(service.root));
  drop("loadBalancerClass", IsBalanced(old), IsBalanced(service.root));
  drop("externalTrafficPolicy", IsExternallyReached(old), IsExternallyReached(service.root));
  // Giving the balancer up takes time, but that need not concern the user.
  if (!IsBalanced(service.root)) {
    service.root.Ensure(service.arena, "status").Set(service.arena, "loadBalancer", Value::Object());
  }
}

std::vector<std::string_view> AllocatedAddresses(const Value& service) {
  std::vector<std::string_view> out;
  if (!HasAllocatedAddresses(service)) return out;
  for (const Value& address : service.Get("spec", "clusterIPs").items()) {
    if (!address.AsString().empty()) out.push_back(address.AsString());
  }
  return out;
}

void VisitNodePorts(const Value& service, const std::function<void(int64_t)>& visit) {
  for (const Value& port : service.Get("spec", "ports").items()) {
    if (port.At("nodePort").AsInt() != 0) visit(port.At("nodePort").AsInt());
  }
  const int64_t health = service.Get("spec", "healthCheckNodePort").AsInt();
  if (health != 0) visit(health);
}

std::string OwnerName(const Value& service) {
  return fmt::format("{}/{}", service.Get("metadata", "namespace").AsString(),
                     service.Get("metadata", "name").AsString());
}

}  // namespace knarr::apiserver

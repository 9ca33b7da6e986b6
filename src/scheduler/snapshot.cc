#include "scheduler/snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/pod_resources.h"
#include "base/quantity.h"
#include "scheduler/volumes.h"

namespace knarr::scheduler {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;

/// Held at int64's ends: what nobody has so much of is still more than there is.
void AddTo(int64_t& sum, int64_t more) {
  if (__builtin_add_overflow(sum, more, &sum)) sum = more > 0 ? INT64_MAX : INT64_MIN;
}

int64_t& AmountOf(Resources& resources, std::string_view name) {
  if (name == "cpu") return resources.cpu_milli;
  if (name == "memory") return resources.memory;
  if (name == "ephemeral-storage") return resources.ephemeral_storage;
  if (name == "pods") return resources.pods;
  return resources.others[std::string(name)];
}

int64_t Amount(std::string_view name, const Quantity& quantity) {
  return name == "cpu" ? quantity.MilliValue() : quantity.Value();
}

uint64_t OwnerOf(const api::Object& object) {
  for (auto owner : api::core_v1::Pod(object.tree()).metadata().owner_references()) {
    if (owner.controller().value_or(false)) return std::hash<std::string_view>()(owner.uid()) | 1;
  }
  return 0;
}

auto FindOwner(auto& owners, uint64_t owner) {
  return std::ranges::find(owners, owner, &std::pair<uint64_t, int>::first);
}

}  // namespace

void Resources::Add(const Resources& other) {
  AddTo(cpu_milli, other.cpu_milli);
  AddTo(memory, other.memory);
  AddTo(ephemeral_storage, other.ephemeral_storage);
  AddTo(pods, other.pods);
  for (const auto& [name, amount] : other.others) AddTo(others[name], amount);
}

void Resources::Subtract(const Resources& other) {
  AddTo(cpu_milli, -other.cpu_milli);
  AddTo(memory, -other.memory);
  AddTo(ephemeral_storage, -other.ephemeral_storage);
  AddTo(pods, -other.pods);
  for (const auto& [name, amount] : other.others) AddTo(others[name], -amount);
}

Result<Resources> ReadResources(api::StringMap map) {
  Resources out;
  for (auto [name, text] : map) AmountOf(out, name) = Amount(name, TRY(Quantity::Parse(text).Context(name)));
  return out;
}

Resources PodRequests(Pod pod) {
  Resources out;
  for (const auto& [name, quantity] : api::PodRequests(pod.tree(), {.use_status = true})) {
    AmountOf(out, name) = Amount(name, quantity);
  }
  out.pods = 1;
  return out;
}

bool HostPort::Clashes(const HostPort& other) const {
  if (port != other.port || protocol != other.protocol) return false;
  auto all = [](const std::string& address) { return address.empty() || address == "0.0.0.0" || address == "::"; };
  return all(ip) || all(other.ip) || ip == other.ip;
}

std::vector<HostPort> HostPorts(Pod pod) {
  std::vector<HostPort> out;
  const auto add = [&out](Container container) {
    for (auto port : container.ports()) {
      if (port.host_port() <= 0) continue;
      out.push_back({.protocol = std::string(port.protocol().empty() ? "TCP" : port.protocol()),
                     .ip = std::string(port.host_ip()),
                     .port = port.host_port()});
    }
  };
  // Sidecars hold theirs as long as the pod lives.
  for (Container container : pod.spec().init_containers()) {
    if (container.restart_policy().value_or("") == "Always") add(container);
  }
  for (Container container : pod.spec().containers()) add(container);
  return out;
}

PodInfo PodInfo::Make(api::ObjectPtr object) {
  PodInfo info;
  Pod pod(object->tree());
  info.requests = PodRequests(pod);
  info.host_ports = HostPorts(pod);
  info.owner = OwnerOf(*object);
  info.claims = ClaimsOf(pod);
  info.names_node = !pod.spec().node_name().empty();
  info.selects_nodes =
      !pod.spec().node_selector().empty() ||
      pod.spec().affinity().node_affinity().required_during_scheduling_ignored_during_execution();
  info.object = std::move(object);
  return info;
}

bool PodInfo::AsksTheSame(const PodInfo& other) const {
  if (!claims.empty() || !other.claims.empty() || requests != other.requests || host_ports != other.host_ports) {
    return false;
  }
  const auto same = [&](std::string_view member) {
    return object->tree().Get("spec", member).Equals(other.object->tree().Get("spec", member));
  };
  return same("nodeName") && same("nodeSelector") && same("affinity") && same("tolerations");
}

int NodeInfo::PodsOf(uint64_t owner) const {
  const auto at = FindOwner(pods_of_owner, owner);
  return at == pods_of_owner.end() ? 0 : at->second;
}

Ok Snapshot::SetNode(const api::ObjectPtr& node) {
  generation_++;
  Result<Resources> allocatable = ReadResources(api::core_v1::Node(node->tree()).status().allocatable());
  if (!allocatable.ok()) {
    RemoveNode(node->name());
    return allocatable.status().WithContext("node " + std::string(node->name()));
  }
  NodeInfo& info = nodes_[std::string(node->name())];
  if (info.object == nullptr) {
    info.place_ = existing_.size();
    existing_.push_back(&info);
  }
  info.object = node;
  info.name = node->name();
  info.unschedulable = info.node().spec().unschedulable();
  info.taints.clear();
  for (api::core_v1::Taint taint : info.node().spec().taints()) {
    std::string untolerated = fmt::format("node(s) had untolerated taint {{{}: {}}}", taint.key(), taint.value());
    info.taints.push_back({api::TaintText::Of(taint), std::move(untolerated)});
  }
  info.allocatable = std::move(allocatable).value();
  return {};
}

void Snapshot::RemoveNode(std::string_view name) {
  auto at = nodes_.find(name);
  if (at == nodes_.end() || at->second.object == nullptr) return;
  generation_++;
  NodeInfo& info = at->second;
  existing_[info.place_] = existing_.back();
  nodes_.find(existing_.back()->name)->second.place_ = info.place_;
  existing_.pop_back();
  info.name = {};
  info.unschedulable = false;
  info.taints.clear();
  info.object.reset();
  info.allocatable = {};
  if (info.pods.empty()) nodes_.erase(at);
}

const NodeInfo* Snapshot::Find(std::string_view name) const {
  const auto at = nodes_.find(name);
  return at == nodes_.end() || at->second.object == nullptr ? nullptr : &at->second;
}

void Snapshot::SetPod(PodInfo pod, std::string_view node) {
  const std::string uid(pod.object->uid());
  // What plugins ask of pods that are there was worked out: nobody else may forget the decoded tree while it is held.
  pod.object.reset();
  pod.volumes.reset();
  RemovePod(uid);
  generation_++;
  NodeInfo& info = nodes_[std::string(node)];
  info.requested.Add(pod.requests);
  if (pod.owner != 0) {
    const auto at = FindOwner(info.pods_of_owner, pod.owner);
    if (at != info.pods_of_owner.end()) {
      at->second++;
    } else {
      info.pods_of_owner.emplace_back(pod.owner, 1);
    }
  }
  for (const std::string& claim : pod.claims) claim_users_[claim]++;
  info.pods.emplace(uid, std::move(pod));
  node_of_[uid] = std::string(node);
}

std::string Snapshot::RemovePod(std::string_view uid) {
  auto place = node_of_.find(uid);
  if (place == node_of_.end()) return "";
  generation_++;
  auto node = nodes_.find(place->second);
  auto at = node->second.pods.find(uid);
  node->second.requested.Subtract(at->second.requests);
  auto& owners = node->second.pods_of_owner;
  const auto owner = FindOwner(owners, at->second.owner);
  if (owner != owners.end() && --owner->second == 0) owners.erase(owner);
  for (const std::string& claim : at->second.claims) {
    if (const auto users = claim_users_.find(claim); --users->second == 0) claim_users_.erase(users);
  }
  node->second.pods.erase(at);
  if (node->second.pods.empty() && node->second.object == nullptr) nodes_.erase(node);
  std::string name = std::move(place->second);
  node_of_.erase(place);
  return name;
}

}  // namespace knarr::scheduler

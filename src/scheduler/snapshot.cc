#include "scheduler/snapshot.h"

#include <algorithm>

#include "base/quantity.h"

namespace knarr::scheduler {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;

void TakeMost(Resources& into, const Resources& other) {
  into.cpu_milli = std::max(into.cpu_milli, other.cpu_milli);
  into.memory = std::max(into.memory, other.memory);
  into.ephemeral_storage = std::max(into.ephemeral_storage, other.ephemeral_storage);
  for (const auto& [name, amount] : other.others) {
    int64_t& mine = into.others[name];
    mine = std::max(mine, amount);
  }
}

std::string OwnerUid(const api::Object& object) {
  for (auto owner : api::core_v1::Pod(object.tree()).metadata().owner_references()) {
    if (owner.controller().value_or(false)) return std::string(owner.uid());
  }
  return "";
}

}  // namespace

void Resources::Add(const Resources& other) {
  cpu_milli += other.cpu_milli;
  memory += other.memory;
  ephemeral_storage += other.ephemeral_storage;
  pods += other.pods;
  for (const auto& [name, amount] : other.others) others[name] += amount;
}

void Resources::Subtract(const Resources& other) {
  cpu_milli -= other.cpu_milli;
  memory -= other.memory;
  ephemeral_storage -= other.ephemeral_storage;
  pods -= other.pods;
  for (const auto& [name, amount] : other.others) others[name] -= amount;
}

Result<Resources> ReadResources(api::StringMap map) {
  Resources out;
  for (auto [name, text] : map) {
    Quantity quantity = TRY(Quantity::Parse(text).Context(name));
    if (name == "cpu") {
      out.cpu_milli = quantity.MilliValue();
    } else if (name == "memory") {
      out.memory = quantity.Value();
    } else if (name == "ephemeral-storage") {
      out.ephemeral_storage = quantity.Value();
    } else if (name == "pods") {
      out.pods = quantity.Value();
    } else {
      out.others[std::string(name)] = quantity.Value();
    }
  }
  return out;
}

Result<Resources> PodRequests(Pod pod) {
  Resources out;
  for (Container container : pod.spec().containers()) {
    out.Add(TRY(ReadResources(container.resources().requests())));
  }
  // Sidecars go on beside the containers and beside every init container after them.
  Resources sidecars;
  Resources most;
  for (Container container : pod.spec().init_containers()) {
    Resources one = TRY(ReadResources(container.resources().requests()));
    if (container.restart_policy().value_or("") == "Always") {
      sidecars.Add(one);
      TakeMost(most, sidecars);
      continue;
    }
    one.Add(sidecars);
    TakeMost(most, one);
  }
  out.Add(sidecars);
  TakeMost(out, most);
  out.Add(TRY(ReadResources(pod.spec().overhead())));
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
  for (Container container : pod.spec().containers()) {
    for (auto port : container.ports()) {
      if (port.host_port() <= 0) continue;
      out.push_back({.protocol = std::string(port.protocol().empty() ? "TCP" : port.protocol()),
                     .ip = std::string(port.host_ip()),
                     .port = port.host_port()});
    }
  }
  return out;
}

Result<PodInfo> PodInfo::Make(api::ObjectPtr object) {
  PodInfo info;
  Pod pod(object->tree());
  info.requests = TRY(PodRequests(pod));
  info.host_ports = HostPorts(pod);
  info.owner_uid = OwnerUid(*object);
  info.object = std::move(object);
  return info;
}

Ok Snapshot::SetNode(const api::ObjectPtr& node) {
  Result<Resources> allocatable = ReadResources(api::core_v1::Node(node->tree()).status().allocatable());
  if (!allocatable.ok()) {
    RemoveNode(node->name());
    return allocatable.status().WithContext("node " + std::string(node->name()));
  }
  NodeInfo& info = nodes_[std::string(node->name())];
  if (info.object == nullptr) node_count_++;
  info.object = node;
  info.allocatable = std::move(allocatable).value();
  return {};
}

void Snapshot::RemoveNode(std::string_view name) {
  auto at = nodes_.find(name);
  if (at == nodes_.end() || at->second.object == nullptr) return;
  node_count_--;
  at->second.object.reset();
  at->second.allocatable = {};
  if (at->second.pods.empty()) nodes_.erase(at);
}

void Snapshot::SetPod(PodInfo pod, std::string_view node) {
  const std::string uid(pod.object->uid());
  RemovePod(uid);
  NodeInfo& info = nodes_[std::string(node)];
  info.requested.Add(pod.requests);
  if (!pod.owner_uid.empty()) info.pods_of_owner[pod.owner_uid]++;
  info.pods.emplace(uid, std::move(pod));
  node_of_[uid] = std::string(node);
}

bool Snapshot::RemovePod(std::string_view uid) {
  auto place = node_of_.find(uid);
  if (place == node_of_.end()) return false;
  auto node = nodes_.find(place->second);
  auto at = node->second.pods.find(uid);
  node->second.requested.Subtract(at->second.requests);
  if (auto owner = node->second.pods_of_owner.find(at->second.owner_uid); owner != node->second.pods_of_owner.end()) {
    if (--owner->second == 0) node->second.pods_of_owner.erase(owner);
  }
  node->second.pods.erase(at);
  if (node->second.pods.empty() && node->second.object == nullptr) nodes_.erase(node);
  node_of_.erase(place);
  return true;
}

}  // namespace knarr::scheduler

#include "apiserver/strategies/node_ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "apiserver/strategies/service_fields.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kServices = "/registry/core/services/";
/// Where Kubernetes keeps its allocation of node ports.
constexpr std::string_view kTurn = "/registry/ranges/servicenodeports";

std::set<int64_t> PortsOf(const Value& service) {
  std::set<int64_t> out;
  VisitNodePorts(service, [&](int64_t port) { out.insert(port); });
  return out;
}

}  // namespace

PortPool::PortPool(int64_t first, int64_t last)
    : first_(first),
      last_(last),
      fixed_(last - first + 1 <= 16 ? 0 : std::clamp<int64_t>((last - first + 1) / 32, 16, 128)) {}

bool PortPool::Take(int64_t port, std::string_view owner) { return owners_.try_emplace(port, owner).second; }

void PortPool::Assign(int64_t port, std::string_view owner) { owners_.insert_or_assign(port, std::string(owner)); }

std::optional<int64_t> PortPool::FindFree(int64_t first, int64_t count, uint64_t random) const {
  if (count == 0) return std::nullopt;
  const auto start = static_cast<int64_t>(random % static_cast<uint64_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t port = first + (start + i) % count;
    if (!owners_.contains(port)) return port;
  }
  return std::nullopt;
}

std::optional<int64_t> PortPool::TakeAny(uint64_t random, std::string_view owner) {
  auto found = FindFree(first_ + fixed_, last_ - first_ + 1 - fixed_, random);
  if (!found.has_value()) found = FindFree(first_, fixed_, random);
  if (found.has_value()) owners_.emplace(*found, owner);
  return found;
}

void PortPool::Give(int64_t port, std::string_view owner) {
  const auto at = owners_.find(port);
  if (at != owners_.end() && at->second == owner) owners_.erase(at);
}

std::string PortPool::Range() const { return fmt::format("{}-{}", first_, last_); }

void NodePorts::Load(const store::Snapshot& snapshot) {
  pool_.Clear();
  for (const auto& [port, owner] : pending_) pool_.Take(port, owner);
  snapshot.Visit(kServices, "", [&](std::string_view /*key*/, const store::Bytes& bytes, store::Revision /*mod*/) {
    const doc::Document service = DecodeStored(*bytes);
    const std::string owner = OwnerName(service.root);
    for (const int64_t port : PortsOf(service.root)) {
      if (pool_.Has(port)) pool_.Assign(port, owner);
    }
    return true;
  });
  known_ = snapshot.revision();
  loaded_ = true;
}

void NodePorts::Follow(const store::Event& event) {
  std::set<int64_t> now;
  if (event.value != nullptr) {
    const doc::Document service = DecodeStored(*event.value);
    now = PortsOf(service.root);
    // Also one that a write of ours has taken meanwhile, which will find out.
    for (const int64_t port : now) {
      if (pool_.Has(port)) pool_.Assign(port, OwnerName(service.root));
    }
  }
  if (event.previous == nullptr) return;
  const doc::Document before = DecodeStored(*event.previous);
  for (const int64_t port : PortsOf(before.root)) {
    if (!now.contains(port)) pool_.Give(port, OwnerName(before.root));
  }
}

void NodePorts::Refresh(const store::Store& store) {
  if (loaded_) {
    const Result<store::Changes> changes = store.ChangesAfter(known_, kServices, SIZE_MAX);
    if (changes.ok()) {
      for (const store::EventPtr& event : changes->events) Follow(*event);
      known_ = changes->through;
      return;
    }
  }
  Load(*store.Latest());
}

store::Op NodePorts::TurnOp() {
  return {.key = std::string(kTurn), .value = R"({"apiVersion":"v1","kind":"RangeAllocation","metadata":{}})"};
}

std::string NodePorts::Take(int64_t port, std::string_view owner, std::vector<int64_t>& taken) {
  if (!pool_.Has(port)) {
    return fmt::format("provided port is not in the valid range. The range of valid ports is {}", pool_.Range());
  }
  // What this write has taken itself, for another protocol, is taken once; a dry run does not look further.
  if (std::ranges::find(taken, port) != taken.end()) return {};
  if (!pool_.Take(port, owner)) return "provided port is already allocated";
  taken.push_back(port);
  return {};
}

std::optional<int64_t> NodePorts::TakeAny(const ReserveContext& context, std::string_view owner,
                                          std::vector<int64_t>& taken) {
  const auto port = pool_.TakeAny(context.world.Random(), owner);
  if (port.has_value()) taken.push_back(*port);
  return port;
}

Ok NodePorts::TakePorts(const ReserveContext& context, doc::Document& service, const Value* old,
                        std::vector<int64_t>& taken) {
  const std::string_view type = ServiceType(service.root);
  Value* ports = ServiceSpecOf(service).Find("ports");
  if (ports == nullptr || (type != "NodePort" && type != "LoadBalancer")) return {};
  const std::string owner = OwnerName(service.root);
  const std::set<int64_t> held = old != nullptr ? PortsOf(*old) : std::set<int64_t>();
  std::map<int64_t, int64_t> by_port;  // one port number for several protocols is one node port
  for (size_t i = 0; i < ports->size(); ++i) {
    Value& port = (*ports)[i];
    const int64_t number = port.At("port").AsInt();
    int64_t node_port = port.At("nodePort").AsInt();
    if (node_port == 0 && !NeedsNodePorts(service.root)) continue;
    if (node_port == 0 && old == nullptr) {
      for (const Value& other : std::as_const(*ports).items()) {
        const int64_t wanted = other.At("nodePort").AsInt();
        if (by_port[number] == 0 && other.At("port").AsInt() == number) by_port[number] = wanted;
      }
      node_port = by_port[number];
    }
    if (node_port != 0 && !held.contains(node_port)) {
      const std::string wrong = Take(node_port, owner, taken);
      if (!wrong.empty()) {
        return InvalidError(kind_, NameOf(service.root),
                            {{"FieldValueInvalid", fmt::format("Invalid value: {}: {}", node_port, wrong),
                              fmt::format("spec.ports[{}].nodePort", i)}});
      }
    } else if (node_port == 0) {
      const auto any = TakeAny(context, owner, taken);
      if (!any.has_value()) return InternalError("failed to allocate a nodePort: range is full");
      node_port = *any;
    }
    if (by_port[number] == 0) by_port[number] = node_port;
    port.Set(service.arena, "nodePort", Value::Int(node_port));
  }
  return {};
}

Ok NodePorts::TakeHealthPort(const ReserveContext& context, doc::Document& service, const Value* old,
                             std::vector<int64_t>& taken) {
  if (!NeedsHealthCheckPort(service.root) || (old != nullptr && NeedsHealthCheckPort(*old))) return {};
  Value& spec = ServiceSpecOf(service);
  const int64_t wanted = std::as_const(spec).At("healthCheckNodePort").AsInt();
  const std::string owner = OwnerName(service.root);
  if (wanted == 0) {
    const auto any = TakeAny(context, owner, taken);
    if (!any.has_value()) return InternalError("failed to allocate a HealthCheck NodePort 0: range is full");
    spec.Set(service.arena, "healthCheckNodePort", Value::Int(*any));
    return {};
  }
  const bool twice = std::ranges::find(taken, wanted) != taken.end();
  const std::string wrong = twice ? "provided port is already allocated" : Take(wanted, owner, taken);
  if (wrong.empty()) return {};
  return InternalError(fmt::format("failed to allocate requested HealthCheck NodePort {}: {}", wanted, wrong));
}

Ok NodePorts::Reserve(const ReserveContext& context, doc::Document& service, const Value* old, Reservation& out) {
  Refresh(context.store);
  const std::string owner = OwnerName(service.root);
  std::vector<int64_t> taken;
  const auto undo = [this, owner](const std::vector<int64_t>& ports) {
    for (const int64_t port : ports) {
      pool_.Give(port, owner);
      pending_.erase(port);
    }
  };
  Ok done = TakePorts(context, service, old, taken);
  if (done.ok()) done = TakeHealthPort(context, service, old, taken);
  if (!done.ok() || context.dry_run) {
    undo(taken);
    return done;
  }
  if (!taken.empty()) {
    const auto turn = context.store.Newest(kTurn);
    out.sides.push_back({{std::string(kTurn), turn.has_value() ? turn->mod_revision : 0}, TurnOp()});
  }
  for (const int64_t port : taken) pending_.insert_or_assign(port, owner);
  out.undo = [undo, taken] { undo(taken); };
  const auto settle = [this, taken] {
    for (const int64_t port : taken) pending_.erase(port);
  };
  out.done = settle;
  if (old == nullptr) return {};
  std::vector<int64_t> left;
  const std::set<int64_t> now = PortsOf(service.root);
  for (const int64_t port : PortsOf(*old)) {
    if (!now.contains(port)) left.push_back(port);
  }
  out.done = [settle, undo, left] {
    settle();
    undo(left);
  };
  return {};
}

void NodePorts::Release(const ReserveContext& context, const Value& service, Reservation& out) {
  Refresh(context.store);
  const std::set<int64_t> ports = PortsOf(service);
  out.done = [this, owner = OwnerName(service), ports] {
    for (const int64_t port : ports) pool_.Give(port, owner);
  };
}

}  // namespace knarr::apiserver

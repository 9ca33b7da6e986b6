#include <fmt/format.h>

#include "apiserver/errors.h"
#include "apiserver/object_meta.h"
#include "apiserver/strategies/service_pools.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

std::string_view TypeOf(const Value& service) { return service.Get("spec", "type").AsString("ClusterIP"); }
bool NeedsAddress(const Value& service) {
  return TypeOf(service) != "ExternalName" && service.Get("spec", "clusterIP").AsString() != "None";
}
bool NeedsNodePort(const Value& service) {
  if (TypeOf(service) == "NodePort") return true;
  return TypeOf(service) == "LoadBalancer" && service.Get("spec", "allocateLoadBalancerNodePorts").AsBool(true);
}
bool NeedsHealthPort(const Value& service) {
  return TypeOf(service) == "LoadBalancer" && service.Get("spec", "externalTrafficPolicy").AsString() == "Local";
}

// What this Reserve took, given back when the write fails.
struct Taken {
  std::vector<uint64_t> addresses;
  std::vector<uint64_t> ports;
};

class ServiceStrategy : public Strategy {
 public:
  ServiceStrategy(const api::KindInfo& kind, const StrategyOptions& options, Cidr cidr)
      : Strategy(kind), pools_(cidr, options.node_port_first, options.node_port_last) {}

  bool allow_create_on_update() const override { return true; }
  bool returns_deleted_object() const override { return true; }
  bool reserves() const override { return true; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    FitAddressList(object, nullptr);
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (target != Target::kObject) return {};
    FitAddressList(object, &old);
    KeepAllocated(object, old);
    DropUnneeded(object, old);
    return {};
  }

  Result<std::function<void()>> Reserve(const store::Snapshot& snapshot, doc::Document& object, const Value* old,
                                        bool dry_run) override {
    pools_.Load(snapshot, "/registry/core/services/");
    const std::string owner = OwnerName(object.root);
    Taken taken;
    const auto undo = [this, owner](const Taken& what) {
      for (const uint64_t number : what.addresses) pools_.addresses().Give(number, owner);
      for (const uint64_t number : what.ports) pools_.ports().Give(number, owner);
    };
    Ok done = TakeAddress(object, old, owner, taken);
    if (done.ok()) done = TakePorts(object, old, owner, taken);
    if (!done.ok() || dry_run) {
      undo(taken);
      if (!done.ok()) return done.status();
      return std::function<void()>();
    }
    return std::function<void()>([undo, taken] { undo(taken); });
  }

  void Release(const Value& object) override { pools_.Give(object); }
  void ReleaseChanged(const Value& object, const Value& old) override { pools_.Give(old, &object); }

 private:
  // clusterIP is the old, single form of clusterIPs: a client that only knows it still says what both are.
  static void FitAddressList(doc::Document& object, const Value* old) {
    Value& spec = object.root.Ensure(object.arena, "spec");
    const std::string_view one = std::as_const(spec).At("clusterIP").AsString();
    const Value& list = std::as_const(spec).At("clusterIPs");
    if (old == nullptr
            ? !list.empty() || one.empty()
            : one == old->Get("spec", "clusterIP").AsString() || !list.Equals(old->Get("spec", "clusterIPs"))) {
      return;
    }
    if (one.empty()) {
      spec.Remove("clusterIPs");
      return;
    }
    const Value only = Value::String(object.arena, one);
    spec.Set(object.arena, "clusterIPs", Value::ArrayOf(object.arena, {&only, 1}));
  }

  // A client that does not repeat what was allocated keeps it.
  static void KeepAllocated(doc::Document& object, const Value& old) {
    Value& spec = object.root.Ensure(object.arena, "spec");
    const Value& before = old.At("spec");
    doc::Arena& arena = object.arena;
    if (NeedsAddress(object.root) && NeedsAddress(old)) {
      for (const std::string_view member : {"clusterIP", "clusterIPs"}) {
        const Value& given = std::as_const(spec).At(member);
        const bool absent = given.is_null() || given.AsString().empty();
        if (absent && given.empty() && before.Find(member) != nullptr) {
          spec.Set(arena, member, before.At(member).Clone(arena));
        }
      }
    }
    for (const std::string_view member : {"ipFamilies", "ipFamilyPolicy"}) {
      if (TypeOf(object.root) != "ExternalName" && std::as_const(spec).At(member).is_null() &&
          before.Find(member) != nullptr) {
        spec.Set(arena, member, before.At(member).Clone(arena));
      }
    }
    if (!NeedsNodePort(object.root) || !NeedsNodePort(old)) return;
    Value* ports = spec.Find("ports");
    if (ports == nullptr) return;
    for (Value& port : ports->items()) {
      if (port.At("nodePort").AsInt() != 0) continue;
      for (const Value& other : before.At("ports").items()) {
        const bool same = other.At("port").Equals(port.At("port")) && other.At("protocol").Equals(port.At("protocol"));
        if (same && other.At("nodePort").AsInt() != 0) port.Set(arena, "nodePort", other.At("nodePort"));
      }
    }
  }

  // A type that has no use for an address or for node ports gives them up, unless the client says otherwise.
  static void DropUnneeded(doc::Document& object, const Value& old) {
    Value& spec = object.root.Ensure(object.arena, "spec");
    const Value& before = old.At("spec");
    if (TypeOf(object.root) == "ExternalName" && TypeOf(old) != "ExternalName" &&
        std::as_const(spec).At("clusterIP").Equals(before.At("clusterIP"))) {
      for (const std::string_view member : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) {
        spec.Remove(member);
      }
    }
    if (NeedsNodePort(old) && !NeedsNodePort(object.root)) {
      if (Value* ports = spec.Find("ports")) {
        for (Value& port : ports->items()) {
          for (const Value& other : before.At("ports").items()) {
            if (other.At("nodePort").Equals(port.At("nodePort"))) {
              port.Remove("nodePort");
              break;
            }
          }
        }
      }
    }
    const auto drop = [&](std::string_view member, bool needed, bool needed_before) {
      if (needed_before && !needed && std::as_const(spec).At(member).Equals(before.At(member))) spec.Remove(member);
    };
    const auto balanced = [](const Value& service) { return TypeOf(service) == "LoadBalancer"; };
    const auto external = [&](const Value& service) { return balanced(service) || TypeOf(service) == "NodePort"; };
    drop("healthCheckNodePort", NeedsHealthPort(object.root), NeedsHealthPort(old));
    drop("externalTrafficPolicy", external(object.root), external(old));
    drop("allocateLoadBalancerNodePorts", balanced(object.root), balanced(old));
    drop("loadBalancerClass", balanced(object.root), balanced(old));
  }

  Status Refuse(const doc::Document& object, std::string field, std::string message) const {
    return InvalidError(kind_, apiserver::NameOf(object.root),
                        {{"FieldValueInvalid", "Invalid value: " + std::move(message), std::move(field)}});
  }

  Ok TakeAddress(doc::Document& object, const Value* old, const std::string& owner, Taken& taken) {
    Value& spec = object.root.Ensure(object.arena, "spec");
    doc::Arena& arena = object.arena;
    if (TypeOf(object.root) == "ExternalName") return {};
    SetFamilies(object);
    std::string wanted(std::as_const(spec).At("clusterIP").AsString());
    if (wanted.empty() && !std::as_const(spec).At("clusterIPs").empty()) {
      wanted = spec.At("clusterIPs")[0].AsString();
    }
    if (wanted.empty()) {
      const auto number = pools_.addresses().TakeAny(owner);
      if (!number.has_value()) {
        return Internal(fmt::format("failed to allocate a serviceIP: range is full ({})", pools_.cidr().ToString()));
      }
      taken.addresses.push_back(*number);
      wanted = pools_.AddressOf(*number).ToString();
    } else if (wanted != "None" && (old == nullptr || old->Get("spec", "clusterIP").AsString() != wanted)) {
      TRY(TakeGivenAddress(object, wanted, owner, taken));
    }
    spec.Set(arena, "clusterIP", Value::String(arena, wanted));
    const Value one = Value::String(arena, wanted);
    spec.Set(arena, "clusterIPs", Value::ArrayOf(arena, {&one, 1}));
    return {};
  }

  Ok TakeGivenAddress(const doc::Document& object, const std::string& wanted, const std::string& owner, Taken& taken) {
    const std::string value = fmt::format("[]string{{\"{}\"}}: failed to allocate IP {}: ", wanted, wanted);
    const Result<IpAddress> address = IpAddress::Parse(wanted);
    const auto number = address.ok() ? pools_.NumberOf(*address) : std::nullopt;
    if (!number.has_value()) {
      return Refuse(object, "spec.clusterIPs",
                    fmt::format("{}the provided IP ({}) is not in the valid range. The range of valid IPs is {}", value,
                                wanted, pools_.cidr().ToString()));
    }
    // A write that fails must not give back what the Service held before.
    if (pools_.addresses().HeldBy(*number, owner)) return {};
    if (!pools_.addresses().Take(*number, owner)) {
      return Refuse(object, "spec.clusterIPs", value + "provided IP is already allocated");
    }
    taken.addresses.push_back(*number);
    return {};
  }

  void SetFamilies(doc::Document& object) const {
    doc::Arena& arena = object.arena;
    Value& spec = object.root.Ensure(arena, "spec");
    const bool v4 = pools_.cidr().family() == IpFamily::kIpv4;
    const bool open =
        std::as_const(spec).At("clusterIP").AsString() == "None" && std::as_const(spec).At("selector").empty();
    if (std::as_const(spec).At("ipFamilyPolicy").is_null()) {
      // A headless Service without selector may list endpoints of any family.
      spec.Set(arena, "ipFamilyPolicy", Value::Borrow(open ? "RequireDualStack" : "SingleStack"));
    }
    if (!std::as_const(spec).At("ipFamilies").empty()) return;
    Value families = Value::Array();
    families.Append(arena, Value::Borrow(v4 ? "IPv4" : "IPv6"));
    if (open) families.Append(arena, Value::Borrow(v4 ? "IPv6" : "IPv4"));
    spec.Set(arena, "ipFamilies", families);
  }

  Ok TakePorts(doc::Document& object, const Value* old, const std::string& owner, Taken& taken) {
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (NeedsNodePort(object.root)) {
      if (Value* ports = spec.Find("ports")) {
        for (size_t i = 0; i < ports->size(); ++i) TRY(TakePort(object, *ports, i, old, owner, taken));
      }
    }
    const int64_t health = std::as_const(spec).At("healthCheckNodePort").AsInt();
    if (!NeedsHealthPort(object.root)) return {};
    if (health != 0 && old != nullptr && old->Get("spec", "healthCheckNodePort").AsInt() == health) return {};
    const int64_t port = TRY(TakeNumber(object, "spec.healthCheckNodePort", health, owner, taken));
    spec.Set(object.arena, "healthCheckNodePort", Value::Int(port));
    return {};
  }

  Ok TakePort(doc::Document& object, Value& ports, size_t index, const Value* old, const std::string& owner,
              Taken& taken) {
    Value& port = ports[index];
    const int64_t wanted = port.At("nodePort").AsInt();
    bool held = false;
    if (wanted != 0 && old != nullptr) VisitNodePorts(*old, [&](int64_t other) { held = held || other == wanted; });
    if (held) return {};
    // One port number for two protocols is one node port.
    if (wanted == 0) {
      for (size_t before = 0; before < index; ++before) {
        const Value& other = ports[before];
        if (other.At("port").Equals(port.At("port")) && !other.At("protocol").Equals(port.At("protocol"))) {
          port.Set(object.arena, "nodePort", other.At("nodePort"));
          return {};
        }
      }
    }
    const int64_t number = TRY(TakeNumber(object, fmt::format("spec.ports[{}].nodePort", index), wanted, owner, taken));
    port.Set(object.arena, "nodePort", Value::Int(number));
    return {};
  }

  Result<int64_t> TakeNumber(const doc::Document& object, std::string field, int64_t wanted, const std::string& owner,
                             Taken& taken) {
    if (wanted == 0) {
      const auto number = pools_.ports().TakeAny(owner);
      if (!number.has_value()) return Internal("failed to allocate a nodePort: range is full");
      taken.ports.push_back(*number);
      return pools_.PortOf(*number);
    }
    if (!pools_.HasPort(wanted)) {
      return Refuse(object, std::move(field),
                    fmt::format("{}: provided port is not in the valid range. The range of valid ports is {}", wanted,
                                pools_.PortRange()));
    }
    if (pools_.ports().HeldBy(pools_.PortNumber(wanted), owner)) return wanted;
    if (!pools_.ports().Take(pools_.PortNumber(wanted), owner)) {
      return Refuse(object, std::move(field), fmt::format("{}: provided port is already allocated", wanted));
    }
    taken.ports.push_back(pools_.PortNumber(wanted));
    return wanted;
  }

  ServicePools pools_;
};

}  // namespace

std::unique_ptr<Strategy> MakeServiceStrategy(const api::KindInfo& kind, const StrategyOptions& options) {
  // ApiServer::Create has checked the text.
  return std::make_unique<ServiceStrategy>(kind, options, MUST(Cidr::Parse(options.service_cidr)));
}

}  // namespace knarr::apiserver

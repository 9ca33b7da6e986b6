#include "apiserver/service_networks.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "apiserver/strategies/service_addresses.h"
#include "apiserver/strategies/service_fields.h"
#include "base/log.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kDefaultName = "kubernetes";
constexpr std::string_view kServicePrefix = "/registry/core/services/";
// Repairs that share one transaction.
constexpr size_t kRepairsAtOnce = 100;

const api::KindInfo& ServiceCidrKind() {
  const api::KindInfo* kind = api::FindKind("networking.k8s.io/v1", "ServiceCIDR");
  CHECK(kind != nullptr);
  return *kind;
}

Value CidrTexts(const std::vector<Cidr>& networks, doc::Arena& arena) {
  Value out = Value::Array();
  for (const Cidr& network : networks) out.Append(arena, Value::String(arena, network.Masked().ToString()));
  return out;
}

// The condition is set once: another's word that the networks are not ready stays.
Ok SetReady(client::Client& client, const Value& object, WallTime now) {
  for (const Value& condition : object.Get("status", "conditions").items()) {
    const std::string_view status = condition.At("status").AsString();
    if (condition.At("type").AsString() == "Ready" && (status == "True" || status == "False")) return {};
  }
  doc::Document changed = doc::Document::Copy(object);
  doc::Arena& arena = changed.arena;
  Value condition = Value::Object();
  condition.AddMember(arena, "type", Value::Borrow("Ready"));
  condition.AddMember(arena, "status", Value::Borrow("True"));
  condition.AddMember(arena, "lastTransitionTime", Value::String(arena, FormatTime(now)));
  condition.AddMember(arena, "reason", Value::Borrow(""));
  condition.AddMember(arena, "message", Value::Borrow("Kubernetes default Service CIDR is ready"));
  changed.root.Ensure(arena, "status").Ensure(arena, "conditions").Append(arena, condition);
  const auto updated = client.Update(ServiceCidrKind(), {"", std::string(kDefaultName)}, changed.root, "status");
  return updated.ok() ? Ok() : Ok(updated.status());
}

bool IsManaged(const Value& address) {
  return address.Get("metadata", "labels").At(kManagedByLabel).AsString() == kManager;
}

// The stored Service that an IPAddress names, when it has that address.
bool IsHeld(const store::Snapshot& snapshot, const Value& address) {
  const Value& parent = address.Get("spec", "parentRef");
  const std::string_view ns = parent.At("namespace").AsString();
  const std::string_view name = parent.At("name").AsString();
  if (!NamesService(address, ns, name)) return false;
  const auto found = snapshot.Get(fmt::format("{}{}/{}", kServicePrefix, ns, name));
  if (!found.has_value()) return false;
  const doc::Document service = DecodeStored(*found->value);
  const std::vector<std::string_view> held = AllocatedAddresses(service.root);
  return std::ranges::find(held, NameOf(address)) != held.end();
}

struct Repair {
  store::Compare compare;
  store::Op op;
};

// Objects of addresses that the Service they name does not have.
std::vector<Repair> FindLeft(Core& core) {
  std::vector<Repair> out;
  const auto snapshot = core.store().Latest();
  snapshot->Visit(kAddressPrefix, "", [&](std::string_view key, const store::Bytes& bytes, store::Revision revision) {
    const doc::Document address = DecodeStored(*bytes);
    if (IsManaged(address.root) && !IsHeld(*snapshot, address.root)) {
      out.push_back({{std::string(key), revision}, {std::string(key), std::nullopt}});
    }
    return true;
  });
  return out;
}

// Addresses of Services that have no object.
std::vector<Repair> FindMissing(Core& core) {
  std::vector<Repair> out;
  std::set<std::string> keys;
  const auto snapshot = core.store().Latest();
  snapshot->Visit(kServicePrefix, "", [&](std::string_view /*key*/, const store::Bytes& bytes, store::Revision) {
    const doc::Document service = DecodeStored(*bytes);
    for (const std::string_view text : AllocatedAddresses(service.root)) {
      const Result<IpAddress> address = IpAddress::Parse(text);
      if (!address.ok()) continue;
      const std::string key = std::string(kAddressPrefix) + address->ToString();
      // Two Services with one address: the first has it.
      if (snapshot->Get(key).has_value() || !keys.insert(key).second) continue;
      out.push_back({{key, 0}, MakeAddressObject(core.world(), *address, service.root)});
    }
    return true;
  });
  return out;
}

Ok Write(Core& core, std::vector<Repair> repairs) {
  if (!repairs.empty()) LOG_INFO("service addresses repaired", {"objects", repairs.size()});
  for (size_t begin = 0; begin < repairs.size(); begin += kRepairsAtOnce) {
    std::vector<store::Compare> compares;
    std::vector<store::Op> ops;
    for (size_t i = begin; i < std::min(repairs.size(), begin + kRepairsAtOnce); ++i) {
      compares.push_back(std::move(repairs[i].compare));
      ops.push_back(std::move(repairs[i].op));
    }
    TRY(core.store().Txn(std::move(compares), std::move(ops)));
  }
  return {};
}

// A Service's address that lost its object, or whose object names another now, gets it again.
Ok Restore(Core& core, const Value& lost) {
  if (!IsHeld(*core.store().Latest(), lost)) return {};
  const Result<IpAddress> address = IpAddress::Parse(NameOf(lost));
  if (!address.ok()) return {};
  const Value& parent = lost.Get("spec", "parentRef");
  doc::Document service;
  Value& metadata = service.root.Ensure(service.arena, "metadata");
  metadata.Set(service.arena, "namespace", parent.At("namespace"));
  metadata.Set(service.arena, "name", parent.At("name"));
  store::Op op = MakeAddressObject(core.world(), *address, service.root);
  const std::string key = op.key;
  const auto done = core.store().Txn({{key, 0}}, {std::move(op)});
  // Somebody has made it meanwhile.
  if (done.ok() || done.Failed(Reason::kConflict)) return {};
  return done.status();
}

}  // namespace

Result<std::vector<Cidr>> ParseServiceNetworks(std::string_view text) {
  std::vector<Cidr> out;
  for (const std::string_view part : Split(text, ',')) {
    const Cidr cidr = TRY(Cidr::Parse(TrimSpace(part)));
    if (cidr.Size() < 4) return BadRequest(fmt::format("service network {}: too small", part));
    if (cidr.family() == IpFamily::kIpv6 && cidr.prefix() < 64) {
      return BadRequest(fmt::format("service network {}: the shortest prefix of an IPv6 network is 64", part));
    }
    const bool twice = std::ranges::any_of(out, [&](const Cidr& other) { return other.family() == cidr.family(); });
    if (twice) return BadRequest(fmt::format("service network {}: there is one of this family already", part));
    out.push_back(cidr.Masked());
  }
  return out;
}

Ok EnsureDefaultServiceCidr(client::Client& client, const std::vector<Cidr>& networks, WallTime now) {
  const client::ObjectName name{"", std::string(kDefaultName)};
  doc::Document wanted;
  doc::Arena& arena = wanted.arena;
  wanted.root.Ensure(arena, "metadata").Set(arena, "name", Value::Borrow(kDefaultName));
  wanted.root.Ensure(arena, "spec").Set(arena, "cidrs", CidrTexts(networks, arena));
  auto object = client.Create(ServiceCidrKind(), "", wanted.root);
  if (object.Failed(Reason::kAlreadyExists)) object = client.Get(ServiceCidrKind(), name);
  if (!object.ok()) return object.status();
  const Value& present = (*object)->tree().Get("spec", "cidrs");
  const Value& cidrs = std::as_const(wanted.root).Get("spec", "cidrs");
  if (cidrs.size() == 2 && present.size() == 1 && present[0].Equals(cidrs[0])) {
    doc::Document both = doc::Document::Copy((*object)->tree());
    both.root.Ensure(both.arena, "spec").Set(both.arena, "cidrs", cidrs.Clone(both.arena));
    object = client.Update(ServiceCidrKind(), name, both.root);
    if (!object.ok()) return object.status();
  } else if (!present.Equals(cidrs)) {
    LOG_WARN("the default ServiceCIDR is not that of the server's options", {"stored", doc::ToJson(present)},
             {"options", doc::ToJson(cidrs)});
    return {};
  }
  if ((*object)->deleting()) return {};
  return SetReady(client, (*object)->tree(), now);
}

Ok RepairServiceAddresses(Core& core) {
  TRY(Write(core, FindLeft(core)));
  // An address whose object named the wrong Service is missing only now.
  return Write(core, FindMissing(core));
}

void AddressKeeper::Start() {
  after_ = core_.store().Latest()->revision();
  tasks_.Spawn("keep", [this] {
    // A watch that ends is begun again; one that fails at once is not tried without pause.
    do {
      const Ok ended = Watch();
      // What happened before is lost; a start repairs it.
      if (ended.Failed(Reason::kExpired)) after_ = core_.store().Latest()->revision();
      if (!ended.ok() && !ended.Failed(Reason::kCancelled) && !ended.Failed(Reason::kServiceUnavailable)) {
        LOG_WARN("keeping service addresses", {"error", ended.status()});
      }
    } while (core_.world().Sleep(std::chrono::seconds(1)).ok());
  });
}

Ok AddressKeeper::Watch() {
  const auto watch =
      TRY(core_.store().StartWatch(core_.world(), {.prefix = std::string(kAddressPrefix), .after = after_}));
  for (;;) {
    for (const store::EventPtr& event : TRY(watch->Next())) {
      if (event->previous == nullptr) continue;
      const doc::Document before = DecodeStored(*event->previous);
      if (!IsManaged(before.root)) continue;
      if (event->type == store::Event::Type::kPut) {
        const doc::Document now = DecodeStored(*event->value);
        if (IsManaged(now.root) && now.root.Get("spec", "parentRef").Equals(before.root.Get("spec", "parentRef"))) {
          continue;
        }
        // Its labels were taken away: without them nobody would give it back.
        const auto gone = core_.store().Txn({{event->key, event->revision}}, {{event->key, std::nullopt}});
        if (!gone.ok() && !gone.Failed(Reason::kConflict)) return gone.status();
      }
      TRY(Restore(core_, before.root));
    }
    after_ = watch->progress();
  }
}

}  // namespace knarr::apiserver

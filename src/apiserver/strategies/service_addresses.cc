#include "apiserver/strategies/service_addresses.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "api/codec.h"
#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "apiserver/strategies/service_families.h"
#include "apiserver/strategies/service_fields.h"
#include "base/uuid.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

bool IsReady(const Value& service_cidr) {
  if (IsDeleting(service_cidr)) return false;
  const auto conditions = service_cidr.Get("status", "conditions").items();
  return std::ranges::any_of(conditions, [](const Value& condition) {
    return condition.At("type").AsString() == "Ready" && condition.At("status").AsString() == "True";
  });
}

// The lower part of a network is given out only when it is asked for, or when nothing else is left: so that what users
// fix in their manifests is seldom taken already.
uint64_t FixedPart(const Cidr& network) {
  const uint64_t size = network.Size();
  return size <= 16 ? 0 : std::clamp<uint64_t>(size / 16, 16, 256);
}

uint64_t UsableCount(const Cidr& network) {
  const uint64_t size = network.Size();
  if (size == UINT64_MAX) return size;
  const uint64_t unusable = network.family() == IpFamily::kIpv4 ? 2 : 1;
  return size > unusable ? size - unusable : 0;
}

std::string KeyOf(const IpAddress& address) { return std::string(kAddressPrefix) + address.ToString(); }

class Reserving {
 public:
  Reserving(const ReserveContext& context, const api::KindInfo& kind, doc::Document& service, Reservation& out)
      : context_(context), kind_(kind), service_(service), out_(out) {}

  // A free address of a part of a network, looked for from a random place.
  std::optional<IpAddress> FindFree(const Cidr& network, uint64_t first, uint64_t count) const {
    if (count == 0) return std::nullopt;
    const uint64_t start = context_.world.Random() % count;
    for (uint64_t i = 0; i < count; ++i) {
      // The number after the last one is the first; written so that nothing overflows.
      const uint64_t offset = i < count - start ? start + i : i - (count - start);
      const IpAddress address = network.Network() + first + 1 + offset;
      if (!context_.store.Newest(KeyOf(address)).has_value()) return address;
    }
    return std::nullopt;
  }

  Result<std::string> TakeAny(IpFamily family) {
    for (const Cidr& network : Networks()) {
      if (network.family() != family) continue;
      if (context_.dry_run) return network.Network().ToString();
      const uint64_t fixed = FixedPart(network);
      auto found = FindFree(network, fixed, UsableCount(network) - fixed);
      if (!found.has_value()) found = FindFree(network, 0, fixed);
      if (!found.has_value()) continue;
      Take(*found);
      return found->ToString();
    }
    return InternalError(
        fmt::format("failed to allocate a serviceIP for Service \"{}\": range is full", NameOf(service_.root)));
  }

  Result<std::string> TakeGiven(std::string_view text) {
    const Result<IpAddress> address = IpAddress::Parse(text);
    const bool known =
        address.ok() && std::ranges::any_of(Networks(), [&](const Cidr& cidr) { return IsUsable(cidr, *address); });
    if (!known) return Refuse(text, "the provided network does not match the current range");
    // A dry run does not look for who else has it, as upstream.
    if (context_.dry_run) return std::string(text);
    if (context_.store.Newest(KeyOf(*address)).has_value()) return Refuse(text, "provided IP is already allocated");
    Take(*address);
    return std::string(text);
  }

 private:
  const std::vector<Cidr>& Networks() {
    if (!networks_.has_value()) networks_ = ReadyServiceCidrs(*context_.store.Latest());
    return *networks_;
  }

  void Take(const IpAddress& address) {
    store::Op op = MakeAddressObject(context_.world, address, service_.root);
    store::Compare unused{op.key, 0};
    out_.sides.push_back({std::move(unused), std::move(op)});
  }

  Status Refuse(std::string_view text, std::string_view why) const {
    const std::string list = doc::ToJson(std::as_const(service_.root).Get("spec", "clusterIPs"));
    return InvalidError(
        kind_, NameOf(service_.root),
        {{"FieldValueInvalid", fmt::format("Invalid value: {}: failed to allocate IP {}: {}", list, text, why),
          "spec.clusterIPs"}});
  }

  const ReserveContext& context_;
  const api::KindInfo& kind_;
  doc::Document& service_;
  Reservation& out_;
  std::optional<std::vector<Cidr>> networks_;
};

bool Contains(const std::vector<std::string_view>& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

void Release(const ReserveContext& context, std::string_view text, const Value& service, Reservation& out) {
  const Result<IpAddress> address = IpAddress::Parse(text);
  if (!address.ok() || context.dry_run) return;
  const auto found = context.store.Newest(KeyOf(*address));
  if (!found.has_value()) return;
  const doc::Document object = DecodeStored(*found->value);
  if (!NamesService(object.root, service.Get("metadata", "namespace").AsString(), NameOf(service))) return;
  out.sides.push_back({{found->key, found->mod_revision}, {found->key, std::nullopt}});
}

}  // namespace

std::vector<Cidr> ReadyServiceCidrs(const store::Snapshot& snapshot) {
  std::vector<Cidr> out;
  snapshot.Visit(kServiceCidrPrefix, "", [&](std::string_view /*key*/, const store::Bytes& bytes, store::Revision) {
    const doc::Document object = DecodeStored(*bytes);
    if (!IsReady(object.root)) return true;
    for (const Value& text : object.root.Get("spec", "cidrs").items()) {
      const Result<Cidr> cidr = Cidr::Parse(text.AsString());
      if (cidr.ok()) out.push_back(cidr->Masked());
    }
    return true;
  });
  return out;
}

bool IsUsable(const Cidr& network, const IpAddress& address) {
  if (!network.Contains(address) || address == network.Network()) return false;
  return network.family() == IpFamily::kIpv6 || address != network.Last();
}

store::Op MakeAddressObject(rt::Runtime& runtime, const IpAddress& address, const Value& service) {
  const api::KindInfo* kind = api::FindKind("networking.k8s.io/v1", "IPAddress");
  CHECK(kind != nullptr);
  doc::Document object;
  doc::Arena& arena = object.arena;
  Value& metadata = object.root.Ensure(arena, "metadata");
  metadata.Set(arena, "name", Value::String(arena, address.ToString()));
  Value& labels = metadata.Ensure(arena, "labels");
  labels.Set(arena, "ipaddress.kubernetes.io/ip-family", Value::Borrow(FamilyName(address.family())));
  labels.Set(arena, kManagedByLabel, Value::Borrow(kManager));
  Value& parent = object.root.Ensure(arena, "spec").Ensure(arena, "parentRef");
  parent.Set(arena, "resource", Value::Borrow("services"));
  parent.Set(arena, "namespace", Value::String(arena, service.Get("metadata", "namespace").AsString()));
  parent.Set(arena, "name", Value::String(arena, NameOf(service)));
  MUST(FitKind(*kind, object));  // it names no kind of its own
  StampNew(runtime, runtime.Wall(), object);
  StoredForm form = MUST(EncodeStored(*kind, object));  // made here, so its types fit
  return {KeyOf(address), std::move(form.bytes), form.revision_offset, form.digest};
}

bool NamesService(const Value& address, std::string_view ns, std::string_view name) {
  const Value& parent = address.Get("spec", "parentRef");
  return parent.At("group").AsString().empty() && parent.At("resource").AsString() == "services" &&
         parent.At("namespace").AsString() == ns && parent.At("name").AsString() == name;
}

Ok ReserveAddresses(const ReserveContext& context, const api::KindInfo& kind, doc::Document& service, const Value* old,
                    Reservation& out) {
  const std::vector<std::string_view> before =
      old != nullptr ? AllocatedAddresses(*old) : std::vector<std::string_view>();
  if (HasAllocatedAddresses(service.root)) {
    Reserving reserving(context, kind, service, out);
    Value& spec = ServiceSpecOf(service);
    const Value families = std::as_const(spec).At("ipFamilies");
    const Value given = std::as_const(spec).At("clusterIPs");
    Value addresses = Value::Array();
    for (size_t i = 0; i < families.size(); ++i) {
      std::string text(i < given.size() ? given[i].AsString() : std::string_view());
      if (text.empty()) {
        const bool v4 = families[i].AsString() == "IPv4";
        text = TRY(reserving.TakeAny(v4 ? IpFamily::kIpv4 : IpFamily::kIpv6));
      } else if (!Contains(before, text)) {
        text = TRY(reserving.TakeGiven(text));
      }
      addresses.Append(service.arena, Value::String(service.arena, text));
    }
    if (!addresses.empty()) {
      spec.Set(service.arena, "clusterIPs", addresses);
      spec.Set(service.arena, "clusterIP", addresses[0]);
    }
  }
  const std::vector<std::string_view> now = AllocatedAddresses(service.root);
  for (const std::string_view text : before) {
    if (!Contains(now, text)) Release(context, text, *old, out);
  }
  return {};
}

void ReleaseAddresses(const ReserveContext& context, const Value& service, Reservation& out) {
  for (const std::string_view text : AllocatedAddresses(service)) Release(context, text, service, out);
}

}  // namespace knarr::apiserver

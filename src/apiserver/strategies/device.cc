// ResourceSlices, ResourceClaims and their templates, and DeviceClasses.

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "apiserver/object_io.h"
#include "apiserver/strategies/extension.h"
#include "apiserver/strategies/strategies.h"
#include "base/strings.h"
#include "base/time.h"

namespace knarr::apiserver {
namespace {

using doc::Document;
using doc::Value;

constexpr std::string_view kAdminLabel = "resource.kubernetes.io/admin-access";

Value* Devices(Document& slice) {
  Value* spec = slice.root.Find("spec");
  return spec == nullptr ? nullptr : spec->Find("devices");
}

// Lists as attributes, and what devices take of a node's own resources, are features that are off by default.
void DropDisabled(Document& slice) {
  Value* devices = Devices(slice);
  if (devices == nullptr) return;
  for (Value& device : devices->items()) {
    device.Remove("nodeAllocatableResourceMappings");
    Value* attributes = device.Find("attributes");
    if (attributes == nullptr) continue;
    for (doc::Member& attribute : attributes->members()) {
      for (const std::string_view list : {"ints", "bools", "strings", "versions"}) attribute.value.Remove(list);
    }
  }
}

void StampTaints(WallTime now, Document& slice) {
  Value* devices = Devices(slice);
  if (devices == nullptr) return;
  for (Value& device : devices->items()) {
    Value* taints = device.Find("taints");
    if (taints == nullptr) continue;
    for (Value& taint : taints->items()) {
      if (!taint.At("timeAdded").is_null()) continue;
      taint.Set(slice.arena, "timeAdded", Value::String(slice.arena, FormatTime(now)));
    }
  }
}

bool SameDevice(const Value& a, const Value& b) {
  const auto same = [&](std::string_view member) { return a.At(member).AsString() == b.At(member).AsString(); };
  return same("driver") && same("pool") && same("device") && same("shareID");
}

bool HasDevice(const Value& claim, const Value& device) {
  const Value& results = claim.Get("status", "allocation").At("devices").At("results");
  return std::ranges::any_of(results.items(), [&](const Value& result) { return SameDevice(result, device); });
}

// What drivers said of devices that the claim has no more.
void DropDeallocated(Document& claim, const Value& old) {
  Value* status = claim.root.Find("status");
  Value* devices = status == nullptr ? nullptr : status->Find("devices");
  if (devices == nullptr) return;
  for (size_t i = devices->size(); i-- > 0;) {
    if (HasDevice(old, (*devices)[i]) && !HasDevice(claim.root, (*devices)[i])) devices->Erase(i);
  }
}

// The path of the first request, or result, that asks for administrator's access; "" when none does.
std::string AdminAccess(const Value& list, std::string_view path, bool exactly) {
  for (size_t i = 0; i < list.size(); ++i) {
    const Value& owner = exactly ? list[i].At("exactly") : list[i];
    if (owner.At("adminAccess").AsBool()) return fmt::format("{}[{}].adminAccess", path, i);
  }
  return {};
}

// Only where the namespace's label says so.
Ok CheckAdminAccess(const api::KindInfo& kind, const StrategyContext& context, const Value& object,
                    const std::string& field) {
  if (field.empty()) return {};
  const std::string ns(object.Get("metadata", "namespace").AsString());
  const auto found = context.snapshot->Get("/registry/core/namespaces/" + ns);
  if (found.has_value()) {
    const Document space = DecodeStored(*found->value);
    if (space.root.Get("metadata", "labels").At(kAdminLabel).AsString() == "true") return {};
  }
  const std::string why = fmt::format(
      "Forbidden: admin access to devices requires the `{}: true` label on the containing namespace", kAdminLabel);
  return api::InvalidObject(kind, object.Get("metadata", "name").AsString(),
                            {{api::FieldErrorType::kForbidden, field, why}});
}

class DeviceStrategy : public ExtensionStrategy {
 public:
  using ExtensionStrategy::ExtensionStrategy;

  Ok PrepareForCreate(const StrategyContext& context, Document& object) const override {
    if (kind_.plural == "resourceslices") PrepareSlice(context, object);
    TRY(ExtensionStrategy::PrepareForCreate(context, object));
    const Value& spec = object.root.At("spec");
    if (kind_.plural == "resourceclaims") return CheckRequests(context, object.root, spec);
    if (kind_.plural == "resourceclaimtemplates") return CheckRequests(context, object.root, spec.At("spec"));
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, Document& object,
                      const Value& old) const override {
    if (kind_.plural == "resourceslices") PrepareSlice(context, object);
    TRY(ExtensionStrategy::PrepareForUpdate(context, target, object, old));
    if (kind_.plural != "resourceclaims" || target != Target::kStatus) return {};
    DropDeallocated(object, old);
    const auto results = [](const Value& claim) -> const Value& {
      return claim.Get("status", "allocation").At("devices").At("results");
    };
    constexpr std::string_view kPath = "status.allocation.devices.results";
    if (!AdminAccess(results(old), kPath, false).empty()) return {};
    return CheckAdminAccess(kind_, context, old, AdminAccess(results(object.root), kPath, false));
  }

  std::vector<std::string> Warnings(Target /*target*/, const Value& object, const Value* /*old*/) const override {
    const std::string_view driver = object.Get("spec", "driver").AsString();
    if (kind_.plural != "resourceslices" || driver == ToLower(driver)) return {};
    return {fmt::format("spec.driver: driver names should be lowercase; {} contains uppercase characters",
                        GoQuote(driver))};
  }

 private:
  static void PrepareSlice(const StrategyContext& context, Document& slice) {
    DropDisabled(slice);
    StampTaints(context.now, slice);
  }

  Ok CheckRequests(const StrategyContext& context, const Value& object, const Value& spec) const {
    const Value& requests = spec.Get("devices", "requests");
    return CheckAdminAccess(kind_, context, object, AdminAccess(requests, "spec.devices.requests", true));
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeDeviceStrategy(const api::KindInfo& kind, const ExtensionTraits& traits) {
  return std::make_unique<DeviceStrategy>(kind, traits);
}

}  // namespace knarr::apiserver

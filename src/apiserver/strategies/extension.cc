#include "apiserver/strategies/extension.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "apiserver/strategies/strategies.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Document;
using doc::Value;

constexpr ExtensionTraits kTraits[] = {
    {.plural = "roles", .create_on_update = true},
    {.plural = "rolebindings", .create_on_update = true},
    {.plural = "clusterroles", .create_on_update = true},
    {.plural = "clusterrolebindings", .create_on_update = true},
    {.plural = "certificatesigningrequests", .status_keeps_metadata = false},
    {.plural = "flowschemas", .counted = "spec"},
    {.plural = "prioritylevelconfigurations", .counted = "spec"},
    {.plural = "validatingwebhookconfigurations", .counted = "webhooks", .unconditional_update = false},
    {.plural = "mutatingwebhookconfigurations", .counted = "webhooks", .unconditional_update = false},
    {.plural = "validatingadmissionpolicies", .counted = "spec", .unconditional_update = false},
    {.plural = "validatingadmissionpolicybindings", .counted = "spec", .unconditional_update = false},
    {.plural = "mutatingadmissionpolicies", .counted = "spec", .unconditional_update = false},
    {.plural = "mutatingadmissionpolicybindings", .counted = "spec", .unconditional_update = false},
    {.plural = "resourceclaims", .returns_deleted = true},
    {.plural = "resourceclaimtemplates", .returns_deleted = true},
    {.plural = "deviceclasses", .counted = "spec", .returns_deleted = true},
    {.plural = "resourceslices", .counted = "spec", .returns_deleted = true},
    {.plural = "apiservices", .unconditional_update = false},
    {.plural = "customresourcedefinitions",
     .counted = "spec",
     .unconditional_update = false,
     .status_keeps_metadata = false},
};

// Names that are kept for what a server reads from files.
constexpr std::string_view kStaticSuffix = ".static.k8s.io";

}  // namespace

const ExtensionTraits* FindExtensionTraits(const api::KindInfo& kind) {
  if (kind.group.empty()) return nullptr;
  const auto* found = std::ranges::find(kTraits, kind.plural, &ExtensionTraits::plural);
  return found == std::end(kTraits) ? nullptr : found;
}

Ok ExtensionStrategy::PrepareForCreate(const StrategyContext& context, Document& object) const {
  TRY(Strategy::PrepareForCreate(context, object));
  if (!traits_.counted.empty()) Metadata(object).Set(object.arena, "generation", Value::Int(1));
  return {};
}

Ok ExtensionStrategy::PrepareForUpdate(const StrategyContext& context, Target target, Document& object,
                                       const Value& old) const {
  TRY(Strategy::PrepareForUpdate(context, target, object, old));
  if (target == Target::kStatus) {
    if (!traits_.status_keeps_metadata) return {};
    for (const std::string_view member : {"labels", "annotations", "finalizers", "ownerReferences"}) {
      KeepMetadata(object, old, member);
    }
    return {};
  }
  if (!traits_.counted.empty() && !object.root.At(traits_.counted).Equals(old.At(traits_.counted))) {
    const int64_t before = old.Get("metadata", "generation").AsInt();
    Metadata(object).Set(object.arena, "generation", Value::Int(before + 1));
  }
  return {};
}

std::vector<std::string> ExtensionStrategy::Warnings(Target /*target*/, const Value& object,
                                                     const Value* /*old*/) const {
  if (kind_.group != "admissionregistration.k8s.io") return {};
  if (!object.Get("metadata", "name").AsString().ends_with(kStaticSuffix)) return {};
  return {
      fmt::format("metadata.name: names ending with {} are reserved for static manifest-based configurations and "
                  "cannot be managed via the API",
                  GoQuote(kStaticSuffix))};
}

std::unique_ptr<Strategy> MakeExtensionStrategy(const api::KindInfo& kind) {
  const ExtensionTraits* traits = FindExtensionTraits(kind);
  if (traits == nullptr) return nullptr;
  if (kind.plural == "certificatesigningrequests") return MakeSigningRequestStrategy(kind, *traits);
  if (kind.plural == "apiservices") return MakeApiServiceStrategy(kind, *traits);
  if (kind.plural == "customresourcedefinitions") return MakeDefinitionStrategy(kind, *traits);
  if (kind.group == "resource.k8s.io") return MakeDeviceStrategy(kind, *traits);
  return std::make_unique<ExtensionStrategy>(kind, *traits);
}

}  // namespace knarr::apiserver

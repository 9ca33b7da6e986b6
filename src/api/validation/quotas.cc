// ResourceQuotas.

#include <algorithm>
#include <array>
#include <set>

#include "api/core_v1.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/objects.h"
#include "api/validation/pods.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr std::array<std::string_view, 7> kScopes = {
    "Terminating",   "NotTerminating",        "BestEffort",               "NotBestEffort",
    "PriorityClass", "VolumeAttributesClass", "CrossNamespacePodAffinity"};

constexpr std::string_view kExistsOnly =
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";

bool IsScope(std::string_view scope) { return std::ranges::find(kScopes, scope) != kScopes.end(); }

// Whether objects of that scope use the resource. Scopes that nobody knows have every resource.
bool ScopeHas(std::string_view scope, std::string_view resource) {
  if (!IsScope(scope)) return true;
  if (scope == "VolumeAttributesClass") return resource == "persistentvolumeclaims" || resource == "requests.storage";
  if (resource == "pods") return true;
  static constexpr std::array<std::string_view, 6> kCompute = {"cpu",        "memory",       "limits.cpu",
                                                               "limits.memory", "requests.cpu", "requests.memory"};
  return scope != "BestEffort" && std::ranges::find(kCompute, resource) != kCompute.end();
}

void ValidateAmounts(const Value& amounts, const Path& path, Errors& errors) {
  for (const doc::Member& entry : amounts.members()) {
    ValidateQuotaResourceName(entry.key, path.Key(entry.key), errors);
    ValidateResourceQuantity(entry.key, entry.value.AsString(), path.Key(entry.key), errors);
  }
}

void ValidateScopeResources(std::string_view scope, const Value& hard, const Value& shown, const Path& path,
                            Errors& errors) {
  for (const doc::Member& entry : hard.members()) {
    if (errors.full()) return;
    if (IsQuotaResource(entry.key) && !ScopeHas(scope, entry.key)) {
      errors.Invalid(path, shown, "unsupported scope applied to resource");
    }
  }
}

void ValidateConflicts(const std::set<std::string_view>& scopes, const Value& shown, const Path& path,
                       Errors& errors) {
  const auto both = [&](std::string_view one, std::string_view other) {
    if (scopes.contains(one) && scopes.contains(other)) errors.Invalid(path, shown, "conflicting scopes");
  };
  both("BestEffort", "NotBestEffort");
  both("Terminating", "NotTerminating");
}

void ValidateScopes(const Value& spec, const Path& path, Errors& errors) {
  const Value& scopes = spec.At("scopes");
  std::set<std::string_view> seen;
  for (const Value& item : scopes.items()) {
    const std::string_view scope = item.AsString();
    if (!IsScope(scope)) errors.Invalid(path, scopes, "unsupported scope");
    ValidateScopeResources(scope, spec.At("hard"), scopes, path, errors);
    seen.insert(scope);
  }
  ValidateConflicts(seen, scopes, path, errors);
}

void ValidateSelector(const Value& spec, const Path& path, Errors& errors) {
  const Value& selector = spec.At("scopeSelector");
  std::set<std::string_view> seen;
  doc::Arena arena;
  const Value shown = GoForm(core_v1::ScopeSelector::SchemaType(), selector, arena);
  for (const Value& requirement : selector.At("matchExpressions").items()) {
    const std::string_view scope = requirement.At("scopeName").AsString();
    if (!IsScope(scope)) errors.Invalid(path / "scopeName", scope, "unsupported scope");
    ValidateScopeResources(scope, spec.At("hard"), shown, path, errors);
    const std::string_view op = requirement.At("operator").AsString();
    const bool any_operator = !IsScope(scope) || scope == "PriorityClass" || scope == "VolumeAttributesClass";
    if (!any_operator && op != "Exists") errors.Invalid(path / "operator", op, kExistsOnly);
    const Value& values = requirement.At("values");
    if (op == "In" || op == "NotIn") {
      if (values.empty()) {
        errors.Required(path / "values",
                        "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
      }
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (!values.empty()) {
        errors.Invalid(path / "values", values,
                       "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
      }
    } else {
      errors.Invalid(path / "operator", op, "not a valid selector operator");
    }
    seen.insert(scope);
  }
  ValidateConflicts(seen, spec.At("scopes"), path, errors);
}

void ValidateSpec(const Value& spec, Errors& errors) {
  ValidateAmounts(spec.At("hard"), SpecPath() / "hard", errors);
  ValidateScopes(spec, SpecPath() / "scopes", errors);
  ValidateSelector(spec, SpecPath() / "scopeSelector" / "matchExpressions", errors);
}

void ValidateStatus(const Value& status, Errors& errors) {
  for (const std::string_view name : {"hard", "used"}) {
    ValidateAmounts(status.At(name), Path("status") / name, errors);
  }
}

std::set<std::string_view> ScopesOf(const Value& object) {
  std::set<std::string_view> out;
  for (const Value& scope : object.Get("spec", "scopes").items()) out.insert(scope.AsString());
  return out;
}

}  // namespace

void ValidateResourceQuota(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateSpec(object.At("spec"), errors);
  ValidateStatus(object.At("status"), errors);
}

void ValidateResourceQuotaUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateSpec(object.At("spec"), errors);
  if (ScopesOf(object) != ScopesOf(old)) {
    errors.Invalid(SpecPath() / "scopes", object.Get("spec", "scopes"), kImmutable);
  }
}

void ValidateResourceQuotaStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateStatus(object.At("status"), errors);
}

}  // namespace knarr::api::validation

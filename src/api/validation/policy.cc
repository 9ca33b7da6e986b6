#include "api/validation/policy.h"

#include "api/policy_v1.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/workloads.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
using policy_v1::PodDisruptionBudget;

// Upstream leaves the metadata to what holds of every object, which it looks at when everything else is fine.
void ValidateSpec(const PodDisruptionBudget& budget, bool strict_selector, Errors& errors) {
  const policy_v1::PodDisruptionBudgetSpec spec = budget.spec();
  const Value& least = spec.tree().At("minAvailable");
  const Value& most = spec.tree().At("maxUnavailable");
  if (!least.is_null() && !most.is_null()) {
    doc::Arena arena;
    errors.Invalid(SpecPath(), GoForm(policy_v1::PodDisruptionBudgetSpec::SchemaType(), spec.tree(), arena),
                   "minAvailable and maxUnavailable cannot be both set");
  }
  const auto validate_amount = [&](const Value& amount, const Path& path) {
    if (amount.is_null()) return;
    ValidateAmount(amount, path, errors);
    ValidateAtMostAll(amount, path, errors);
  };
  validate_amount(least, SpecPath() / "minAvailable");
  validate_amount(most, SpecPath() / "maxUnavailable");
  ValidateLabelSelector(spec.selector(), strict_selector, SpecPath() / "selector", errors);
  const auto policy = spec.unhealthy_pod_eviction_policy();
  if (policy && *policy != "AlwaysAllow" && *policy != "IfHealthyBudget") {
    errors.NotSupported(SpecPath() / "unhealthyPodEvictionPolicy", *policy, {"AlwaysAllow", "IfHealthyBudget"});
  }
}

}  // namespace

void ValidateDisruptionBudget(const Value& object, Errors& errors) {
  ValidateSpec(PodDisruptionBudget(object), true, errors);
  if (errors.empty()) ValidateMetadata(object.At("metadata"), true, NameIsPathSegment, MetadataPath(), errors);
}

void ValidateDisruptionBudgetUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  Errors old_errors;
  ValidateLabelSelector(PodDisruptionBudget(old).spec().selector(), true, Path(), old_errors);
  ValidateSpec(PodDisruptionBudget(object), old_errors.empty(), errors);
}

void ValidateDisruptionBudgetStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const Path path("status");
  ValidateConditions(object.Get("status", "conditions"), path / "conditions", errors);
  for (const std::string_view name : {"disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"}) {
    errors.NonNegative(path / name, object.Get("status", name).AsInt());
  }
}

}  // namespace knarr::api::validation

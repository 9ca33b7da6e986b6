#include "api/validation/cluster_kinds.h"

#include <array>
#include <set>

#include "api/coordination_v1.h"
#include "api/node_v1.h"
#include "api/scheduling_v1.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr int64_t kUserPriorityMax = 1'000'000'000;
constexpr struct {
  std::string_view name;
  int64_t value;
} kSystemPriorities[] = {{"system-node-critical", 2'000'001'000}, {"system-cluster-critical", 2'000'000'000}};

// What is wrong with a class whose name only the system may use, or "".
std::string SystemPriorityProblem(const scheduling_v1::PriorityClass& priority) {
  const std::string name(priority.metadata().name());
  for (const auto& known : kSystemPriorities) {
    if (known.name != name) continue;
    if (known.value != priority.value()) {
      return "value of " + name + " PriorityClass must be " + std::to_string(known.value);
    }
    return priority.global_default() ? "globalDefault of " + name + " PriorityClass must be false" : "";
  }
  return name + " is not a known system priority class";
}

void ValidateScheduling(const node_v1::Scheduling& scheduling, Errors& errors) {
  if (!scheduling) return;
  const Path path("scheduling");
  ValidateLabels(scheduling.node_selector(), path / "nodeSelector", errors);
  ValidateTolerations(scheduling.tolerations(), path / "tolerations", errors);
  std::set<std::array<std::string_view, 4>> seen;
  size_t index = 0;
  for (const core_v1::Toleration toleration : scheduling.tolerations()) {
    const Path at = (path / "tolerations")[index++];
    if (seen.insert({toleration.key(), toleration.operator_(), toleration.value(), toleration.effect()}).second) {
      continue;
    }
    doc::Arena arena;
    errors.Duplicate(at, GoForm(core_v1::Toleration::SchemaType(), toleration.tree(), arena));
  }
}

void ValidateLeaseSpec(const coordination_v1::LeaseSpec& spec, Errors& errors) {
  if (const auto seconds = spec.lease_duration_seconds(); seconds && *seconds <= 0) {
    errors.Invalid(SpecPath() / "leaseDurationSeconds", *seconds, "must be greater than 0");
  }
  errors.NonNegative(SpecPath() / "leaseTransitions", spec.lease_transitions().value_or(0));
  const auto strategy = spec.strategy();
  if (strategy) {
    // Upstream names the field twice.
    const Path path = SpecPath() / "strategy" / "strategy";
    if (strategy->find('/') != std::string_view::npos) {
      errors.InvalidAll(path, *strategy, CheckQualifiedName(*strategy));
    } else if (*strategy != "OldestEmulationVersion") {
      errors.NotSupported(path, *strategy, {"OldestEmulationVersion"});
    }
  }
  if (!spec.preferred_holder().value_or("").empty() && strategy.value_or("").empty()) {
    errors.Forbidden(SpecPath() / "preferredHolder", "may only be specified if `strategy` is defined");
  }
}

}  // namespace

void ValidatePriorityClass(const Value& object, Errors& errors) {
  const scheduling_v1::PriorityClass priority(object);
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  if (priority.metadata().name().starts_with("system-")) {
    const std::string problem = SystemPriorityProblem(priority);
    if (!problem.empty()) {
      errors.Forbidden(
          MetadataPath() / "name",
          "priority class names with 'system-' prefix are reserved for system use only. error: " + problem);
    }
  } else if (priority.value() > kUserPriorityMax) {
    errors.Forbidden(Path("value"),
                     "maximum allowed value of a user defined priority is " + std::to_string(kUserPriorityMax));
  }
  if (const auto policy = priority.preemption_policy()) {
    errors.OneOf(Path("preemptionPolicy"), *policy, {"PreemptLowerPriority", "Never"});
  }
}

void ValidatePriorityClassUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  if (object.At("value").AsInt() != old.At("value").AsInt()) {
    errors.Forbidden(Path("value"), "may not be changed in an update.");
  }
  ValidateImmutable(object.At("preemptionPolicy"), old.At("preemptionPolicy"), Path("preemptionPolicy"), errors);
}

void ValidateRuntimeClass(const Value& object, Errors& errors) {
  const node_v1::RuntimeClass runtime(object);
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  if (runtime.handler().empty()) {
    errors.Required(Path("handler"));
  } else {
    ValidateDns1123Label(runtime.handler(), Path("handler"), errors);
  }
  ValidateOverhead(object.Get("overhead", "podFixed"), Path("overhead"), errors);
  ValidateScheduling(runtime.scheduling(), errors);
}

void ValidateRuntimeClassUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateRuntimeClass(object, errors);
  ValidateImmutable(object.At("handler"), old.At("handler"), Path("handler"), errors);
}

void ValidateLease(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateLeaseSpec(coordination_v1::Lease(object).spec(), errors);
}

void ValidateLeaseUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateLeaseSpec(coordination_v1::Lease(object).spec(), errors);
}

}  // namespace knarr::api::validation

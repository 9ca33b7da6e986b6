#include "api/validation/autoscaling.h"

#include <algorithm>
#include <array>
#include <vector>

#include "api/autoscaling_v1.h"
#include "api/autoscaling_v2.h"
#include "api/conversion/conversion.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using autoscaling_v2::HorizontalPodAutoscaler;
using autoscaling_v2::HPAScalingRules;
using autoscaling_v2::MetricSpec;
using autoscaling_v2::MetricTarget;
using doc::Value;

constexpr int64_t kPeriodMax = 1800;
constexpr int64_t kStabilizationMax = 3600;

// What an apiVersion may be where an object is named.
struct ReferenceOptions {
  bool empty_group = false;
  bool any_version = false;
};

// What is wrong with an apiVersion, or "".
std::string ApiVersionProblem(std::string_view api_version, const ReferenceOptions& options) {
  if (options.any_version) return {};
  const size_t slashes = static_cast<size_t>(std::ranges::count(api_version, '/'));
  if (slashes > 1) return "unexpected GroupVersion string: " + std::string(api_version);
  const bool no_group = slashes == 0 || api_version.starts_with('/');
  return no_group && !options.empty_group ? "apiVersion must specify API group" : "";
}

void ValidateReference(const autoscaling_v2::CrossVersionObjectReference& reference, const ReferenceOptions& options,
                       const Path& path, Errors& errors) {
  ValidatePathSegment(reference.kind(), path / "kind", errors);
  ValidatePathSegment(reference.name(), path / "name", errors);
  const std::string problem = ApiVersionProblem(reference.api_version(), options);
  if (!problem.empty()) errors.Invalid(path / "apiVersion", reference.api_version(), problem);
}

void ValidateMetric(const autoscaling_v2::MetricIdentifier& metric, const Path& path, Errors& errors) {
  if (metric.name().empty()) return errors.Required(path / "name", "must specify a metric name");
  errors.InvalidAll(path / "name", metric.name(), CheckPathSegmentName(metric.name()));
}

void ValidatePositive(const Value& quantity, const Path& path, Errors& errors) {
  if (quantity.is_null()) return;
  const Result<Quantity> parsed = Quantity::Parse(quantity.AsString());
  if (parsed.ok() && parsed->Sign() <= 0) errors.Invalid(path, quantity, "must be positive");
}

void ValidateTarget(const MetricTarget& target, const Path& path, Errors& errors) {
  const std::string_view type = target.type();
  if (type.empty()) errors.Required(path / "type", "must specify a metric target type");
  if (type != "Utilization" && type != "Value" && type != "AverageValue") {
    errors.Invalid(path / "type", type, "must be either Utilization, Value, or AverageValue");
  }
  ValidatePositive(target.tree().At("value"), path / "value", errors);
  ValidatePositive(target.tree().At("averageValue"), path / "averageValue", errors);
  const auto utilization = target.average_utilization();
  if (utilization && *utilization < 1) {
    errors.Invalid(path / "averageUtilization", *utilization, "must be greater than 0");
  }
}

bool Has(const MetricTarget& target, std::string_view name) { return !target.tree().At(name).is_null(); }

void ValidateObjectSource(const MetricSpec& spec, const ReferenceOptions& options, const Path& path, Errors& errors) {
  const autoscaling_v2::ObjectMetricSource source = spec.object();
  ValidateReference(source.described_object(), options, path / "describedObject", errors);
  ValidateMetric(source.metric(), path / "metric", errors);
  ValidateTarget(source.target(), path / "target", errors);
  if (!Has(source.target(), "value") && !Has(source.target(), "averageValue")) {
    errors.Required(path / "target" / "averageValue", "must set either a target value or averageValue");
  }
}

void ValidateExternalSource(const MetricSpec& spec, const Path& path, Errors& errors) {
  const autoscaling_v2::ExternalMetricSource source = spec.external();
  ValidateMetric(source.metric(), path / "metric", errors);
  ValidateTarget(source.target(), path / "target", errors);
  const bool value = Has(source.target(), "value");
  const bool average = Has(source.target(), "averageValue");
  if (!value && !average) {
    errors.Required(path / "target" / "averageValue", "must set either a target value for metric or a per-pod target");
  }
  if (value && average) {
    errors.Forbidden(path / "target" / "value", "may not set both a target value for metric and a per-pod target");
  }
}

void ValidatePodsSource(const MetricSpec& spec, const Path& path, Errors& errors) {
  const autoscaling_v2::PodsMetricSource source = spec.pods();
  ValidateMetric(source.metric(), path / "metric", errors);
  ValidateTarget(source.target(), path / "target", errors);
  if (!Has(source.target(), "averageValue")) {
    errors.Required(path / "target" / "averageValue", "must specify a positive target averageValue");
  }
}

// Of the pods' or of one container's use of a resource.
void ValidateUseTarget(const MetricTarget& target, const Path& path, Errors& errors) {
  ValidateTarget(target, path, errors);
  const bool utilization = Has(target, "averageUtilization");
  const bool average = Has(target, "averageValue");
  if (!utilization && !average) {
    errors.Required(path / "averageUtilization", "must set either a target raw value or a target utilization");
  }
  if (utilization && average) {
    errors.Forbidden(path / "averageValue", "may not set both a target raw value and a target utilization");
  }
}

void ValidateResourceSource(const MetricSpec& spec, const Path& path, Errors& errors) {
  if (spec.resource().name().empty()) errors.Required(path / "name", "must specify a resource name");
  ValidateUseTarget(spec.resource().target(), path / "target", errors);
}

void ValidateContainerSource(const MetricSpec& spec, const Path& path, Errors& errors) {
  const autoscaling_v2::ContainerResourceMetricSource source = spec.container_resource();
  if (source.name().empty()) {
    errors.Required(path / "name", "must specify a resource name");
  } else {
    ValidateContainerResourceName(source.name(), path / "name", errors);
  }
  if (source.container().empty()) {
    errors.Required(path / "container", "must specify a container");
  } else {
    ValidateDns1123Label(source.container(), path / "container", errors);
  }
  ValidateUseTarget(source.target(), path / "target", errors);
}

// The kinds of metrics: their type, and the field that tells more. In the order they are looked at.
struct SourceKind {
  std::string_view type;
  std::string_view field;
};
constexpr std::array<SourceKind, 5> kSources = {{{"Object", "object"},
                                                 {"External", "external"},
                                                 {"Pods", "pods"},
                                                 {"Resource", "resource"},
                                                 {"ContainerResource", "containerResource"}}};

void ValidateSource(std::string_view field, const MetricSpec& spec, const ReferenceOptions& options, const Path& path,
                    Errors& errors) {
  if (field == "object") return ValidateObjectSource(spec, options, path, errors);
  if (field == "external") return ValidateExternalSource(spec, path, errors);
  if (field == "pods") return ValidatePodsSource(spec, path, errors);
  if (field == "resource") return ValidateResourceSource(spec, path, errors);
  ValidateContainerSource(spec, path, errors);
}

void ValidateMetricSpec(const MetricSpec& spec, const ReferenceOptions& options, const Path& path, Errors& errors) {
  const std::string_view type = spec.type();
  const auto* const known = std::ranges::find_if(kSources, [type](const auto& kind) { return kind.type == type; });
  const bool unknown = known == kSources.end();
  const auto not_supported = [&] {
    errors.NotSupported(path / "type", type, {"ContainerResource", "External", "Object", "Pods", "Resource"});
  };
  if (type.empty()) errors.Required(path / "type", "must specify a metric source type");
  if (unknown) not_supported();
  std::vector<std::string_view> present;
  for (const auto& kind : kSources) {
    if (spec.tree().At(kind.field).is_null()) continue;
    present.push_back(kind.field);
    // The first one only: that there are others is said below.
    if (present.size() == 1) ValidateSource(kind.field, spec, options, path / kind.field, errors);
  }
  if (unknown) {
    not_supported();
  } else if (spec.tree().At(known->field).is_null()) {
    errors.Required(path / known->field, "must populate information for the given metric source");
  }
  if (present.size() == 1) return;
  for (const std::string_view field : present) {
    if (unknown || field != known->field) {
      errors.Forbidden(path / field, "must populate the given metric source only");
    }
  }
}

void ValidatePolicy(const autoscaling_v2::HPAScalingPolicy& policy, const Path& path, Errors& errors) {
  if (policy.type() != "Pods" && policy.type() != "Percent") {
    errors.NotSupported(path / "type", policy.type(), {"Percent", "Pods"});
  }
  if (policy.value() <= 0) errors.Invalid(path / "value", policy.value(), "must be greater than zero");
  const int64_t period = policy.period_seconds();
  if (period <= 0) errors.Invalid(path / "periodSeconds", period, "must be greater than zero");
  if (period > kPeriodMax) errors.Invalid(path / "periodSeconds", period, "must be less than or equal to 1800");
}

void ValidateRules(const HPAScalingRules& rules, const Path& path, Errors& errors) {
  if (!rules) return;
  if (const auto seconds = rules.stabilization_window_seconds()) {
    const Path at = path / "stabilizationWindowSeconds";
    if (*seconds < 0) errors.Invalid(at, *seconds, "must be greater than or equal to zero");
    if (*seconds > kStabilizationMax) errors.Invalid(at, *seconds, "must be less than or equal to 3600");
  }
  if (const auto policy = rules.select_policy(); policy && *policy != "Max" && *policy != "Min") {
    if (*policy != "Disabled") errors.NotSupported(path / "selectPolicy", *policy, {"Disabled", "Max", "Min"});
  }
  if (rules.policies().empty()) errors.Required(path / "policies", "must specify at least one Policy");
  size_t index = 0;
  for (const autoscaling_v2::HPAScalingPolicy policy : rules.policies()) {
    ValidatePolicy(policy, (path / "policies")[index++], errors);
  }
  const Value& tolerance = rules.tree().At("tolerance");
  const Result<Quantity> parsed = Quantity::Parse(tolerance.AsString("0"));
  if (parsed.ok() && parsed->Sign() < 0) errors.Invalid(path / "tolerance", tolerance, kNegative);
}

struct Options {
  int64_t replicas_least = 1;
  ReferenceOptions target;
  ReferenceOptions objects = {.empty_group = true};
};

void ValidateSpec(const HorizontalPodAutoscaler& object, const Options& options, Errors& errors) {
  const autoscaling_v2::HorizontalPodAutoscalerSpec spec = object.spec();
  const auto least = spec.min_replicas();
  const int64_t most = spec.max_replicas();
  if (least && *least < options.replicas_least) {
    errors.Invalid(SpecPath() / "minReplicas", *least,
                   "must be greater than or equal to " + std::to_string(options.replicas_least));
  }
  const Path path = SpecPath() / "maxReplicas";
  if (most == 0) {
    errors.Required(path, "must be set and greater than 0");
  } else if (most < 0) {
    errors.Invalid(path, most, "must be greater than or equal to 1");
  }
  if (least && most < *least) errors.Invalid(path, most, "must be greater than or equal to `minReplicas`");
  ValidateReference(spec.scale_target_ref(), options.target, SpecPath() / "scaleTargetRef", errors);
  bool from_outside = false;
  size_t index = 0;
  for (const MetricSpec metric : spec.metrics()) {
    ValidateMetricSpec(metric, options.objects, (SpecPath() / "metrics")[index++], errors);
    from_outside |= metric.type() == "Object" || metric.type() == "External";
  }
  if (least == 0 && !from_outside) {
    errors.Forbidden(SpecPath() / "metrics",
                     "must specify at least one Object or External metric to support scaling to zero replicas");
  }
  const Path behavior = SpecPath() / "behavior";
  ValidateRules(spec.behavior().scale_up(), behavior / "scaleUp", errors);
  ValidateRules(spec.behavior().scale_down(), behavior / "scaleDown", errors);
}

Options OptionsOf(const HorizontalPodAutoscaler& object, const HorizontalPodAutoscaler& old) {
  Options options;
  const auto target = object.spec().scale_target_ref();
  const auto old_target = old.spec().scale_target_ref();
  if (old && target.api_version() == old_target.api_version() && target.kind() == old_target.kind()) {
    options.target.any_version = true;
  } else if (target.kind() == "ReplicationController") {
    // The only kind that can be scaled in the group without a name.
    options.target.empty_group = true;
  }
  if (!old) return options;
  if (old.spec().min_replicas() == 0) options.replicas_least = 0;
  for (const MetricSpec metric : old.spec().metrics()) {
    if (metric.type() != "Object" || !metric.has_object()) continue;
    if (ApiVersionProblem(metric.object().described_object().api_version(), options.objects).empty()) continue;
    options.objects.any_version = true;
    break;
  }
  return options;
}

// Upstream's rules look at one form of the object, which is as v2's. Conversion of a canonical object does not fail.
doc::Document InV2(const Value& object) {
  const KindInfo& v1 = autoscaling_v1::HorizontalPodAutoscalerInfo();
  const KindInfo& v2 = autoscaling_v2::HorizontalPodAutoscalerInfo();
  return MUST(ConvertKind(object, object.At("apiVersion").AsString() == v1.api_version ? v1 : v2, v2));
}

}  // namespace

void ValidateAutoscaler(const Value& object, Errors& errors) {
  const doc::Document v2 = InV2(object);
  const HorizontalPodAutoscaler autoscaler(v2.root);
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateSpec(autoscaler, OptionsOf(autoscaler, HorizontalPodAutoscaler()), errors);
}

void ValidateAutoscalerUpdate(const Value& object, const Value& old, Errors& errors) {
  const doc::Document v2 = InV2(object);
  const doc::Document old_v2 = InV2(old);
  const HorizontalPodAutoscaler autoscaler(v2.root);
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateSpec(autoscaler, OptionsOf(autoscaler, HorizontalPodAutoscaler(old_v2.root)), errors);
}

void ValidateAutoscalerStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  for (const std::string_view name : {"currentReplicas", "desiredReplicas"}) {
    errors.NonNegative(Path("status") / name, object.Get("status", name).AsInt());
  }
}

}  // namespace knarr::api::validation

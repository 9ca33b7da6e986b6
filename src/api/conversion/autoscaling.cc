// HorizontalPodAutoscalers between autoscaling/v1 and v2. v1 knows one metric, the pods' use of their cpu requests;
// all others, and behaviour and conditions, stand in annotations as JSON.

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <span>

#include "api/autoscaling_v1.h"
#include "api/autoscaling_v2.h"
#include "api/codec.h"
#include "api/conversion/conversion.h"
#include "api/conversion/rules.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api {
namespace conversion {
namespace {

using doc::Arena;
using doc::Value;

constexpr std::string_view kMetrics = "autoscaling.alpha.kubernetes.io/metrics";
constexpr std::string_view kCurrentMetrics = "autoscaling.alpha.kubernetes.io/current-metrics";
constexpr std::string_view kConditions = "autoscaling.alpha.kubernetes.io/conditions";
constexpr std::string_view kBehavior = "autoscaling.alpha.kubernetes.io/behavior";
constexpr std::array<std::string_view, 6> kAnnotations = {
    kMetrics,
    kBehavior,
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
    kCurrentMetrics,
    kConditions,
};
constexpr int64_t kDefaultUtilization = 80;

// A field of a metric: v1 keeps it in the metric, v2 in a part of it ("" for the metric itself).
struct Pairing {
  std::string_view v1;
  std::string_view part;
  std::string_view v2;
};
struct MetricKind {
  std::string_view name;
  std::span<const Pairing> fields;
};

constexpr Pairing kObjectSource[] = {{"target", "", "describedObject"},
                                     {"metricName", "metric", "name"},
                                     {"selector", "metric", "selector"},
                                     {"targetValue", "target", "value"},
                                     {"averageValue", "target", "averageValue"}};
constexpr Pairing kPodsSource[] = {{"metricName", "metric", "name"},
                                   {"selector", "metric", "selector"},
                                   {"targetAverageValue", "target", "averageValue"}};
constexpr Pairing kResourceSource[] = {{"name", "", "name"},
                                       {"container", "", "container"},
                                       {"targetAverageUtilization", "target", "averageUtilization"},
                                       {"targetAverageValue", "target", "averageValue"}};
constexpr Pairing kExternalSource[] = {{"metricName", "metric", "name"},
                                       {"metricSelector", "metric", "selector"},
                                       {"targetValue", "target", "value"},
                                       {"targetAverageValue", "target", "averageValue"}};
constexpr MetricKind kSources[] = {{"object", kObjectSource},
                                   {"pods", kPodsSource},
                                   {"resource", kResourceSource},
                                   {"containerResource", kResourceSource},
                                   {"external", kExternalSource}};

constexpr Pairing kObjectStatus[] = {{"target", "", "describedObject"},
                                     {"metricName", "metric", "name"},
                                     {"selector", "metric", "selector"},
                                     {"currentValue", "current", "value"},
                                     {"averageValue", "current", "averageValue"}};
constexpr Pairing kPodsStatus[] = {{"metricName", "metric", "name"},
                                   {"selector", "metric", "selector"},
                                   {"currentAverageValue", "current", "averageValue"}};
constexpr Pairing kResourceStatus[] = {{"name", "", "name"},
                                       {"container", "", "container"},
                                       {"currentAverageUtilization", "current", "averageUtilization"},
                                       {"currentAverageValue", "current", "averageValue"}};
constexpr Pairing kExternalStatus[] = {{"metricName", "metric", "name"},
                                       {"metricSelector", "metric", "selector"},
                                       {"currentValue", "current", "value"},
                                       {"currentAverageValue", "current", "averageValue"}};
constexpr MetricKind kStatuses[] = {{"object", kObjectStatus},
                                    {"pods", kPodsStatus},
                                    {"resource", kResourceStatus},
                                    {"containerResource", kResourceStatus},
                                    {"external", kExternalStatus}};

void Put(Value& object, Arena& arena, std::string_view name, const Value& value) {
  if (!value.is_null()) object.Set(arena, name, value.Clone(arena));
}

// What v2 says of a target and v1 leaves to be guessed from what is there.
std::string_view TargetType(std::string_view kind, const Value& v1) {
  if (kind == "object") return v1.At("averageValue").is_null() ? "Value" : "AverageValue";
  if (kind == "external") return v1.At("targetValue").is_null() ? "AverageValue" : "Value";
  return v1.At("targetAverageUtilization").is_null() ? "AverageValue" : "Utilization";
}

bool IsZero(const Value& quantity) {
  const Result<Quantity> parsed = Quantity::Parse(quantity.AsString());
  return parsed.ok() && *parsed == Quantity();
}

Value SourceToV2(const MetricKind& kind, const Value& v1, Arena& arena) {
  Value out = Value::Object();
  out.Reserve(arena, 8);
  for (const Pairing& field : kind.fields) {
    const Value& value = v1.At(field.v1);
    // v1 can't leave an object's value out: next to an average, 0 means none.
    if (field.v1 == "targetValue" && kind.name == "object" && v1.Find("averageValue") != nullptr && IsZero(value)) {
      continue;
    }
    Value& part = field.part.empty() ? out : out.Ensure(arena, field.part);
    Put(part, arena, field.v2, value);
  }
  return out;
}

Value MetricToV2(std::span<const MetricKind> kinds, const Value& v1, Arena& arena) {
  Value out = Value::Object();
  out.Set(arena, "type", v1.At("type").Clone(arena));
  for (const MetricKind& kind : kinds) {
    const Value& source = v1.At(kind.name);
    if (source.is_null()) continue;
    Value& made = out.Set(arena, kind.name, SourceToV2(kind, source, arena));
    if (kinds.data() != std::begin(kSources)) continue;
    Value& target = made.Ensure(arena, "target");
    target.Set(arena, "type", Value::Borrow(TargetType(kind.name, source)));
  }
  return out;
}

Value MetricToV1(std::span<const MetricKind> kinds, const Value& v2, Arena& arena) {
  Value out = Value::Object();
  out.Set(arena, "type", v2.At("type").Clone(arena));
  for (const MetricKind& kind : kinds) {
    const Value& source = v2.At(kind.name);
    if (source.is_null()) continue;
    Value made = Value::Object();
    for (const Pairing& field : kind.fields) {
      Put(made, arena, field.v1, (field.part.empty() ? source : source.At(field.part)).At(field.v2));
    }
    out.Set(arena, kind.name, made);
  }
  return out;
}

// Go takes keys in any case; the exact one wins.
void FoldKeys(const Type& type, Value& value, Arena& arena) {
  if (!value.is_object()) return;
  for (const Field* field : type.flat) {
    if (value.Find(field->name) == nullptr) {
      const auto other = std::ranges::find_if(
          value.members(), [field](const doc::Member& member) { return EqualIgnoreCase(member.key, field->name); });
      if (other == value.members().end()) continue;
      const Value moved = other->value;
      value.Remove(other->key);
      value.Set(arena, field->name, moved);
    }
    if (field->type != FieldType::kMessage) continue;
    Value& member = *value.Find(field->name);
    if (field->shape == Shape::kList) {
      for (Value& item : member.items()) FoldKeys(*field->message, item, arena);
    } else if (field->shape == Shape::kSingle) {
      FoldKeys(*field->message, member, arena);
    }
  }
}

// One JSON object of the type; nullopt when it is none.
std::optional<Value> Read(const Type& type, Value value, Arena& arena) {
  FoldKeys(type, value, arena);
  if (!Canonicalize(type, value, arena).ok()) return std::nullopt;
  return value;
}

// The list in an annotation, null when there is none or it makes no sense.
Value ReadList(const Value& annotation, const Type& element, Arena& arena) {
  if (annotation.is_null()) return Value::Null();
  Result<Value> list = doc::ParseJsonBorrowing(arena.Copy(annotation.AsString()), arena);
  if (!list.ok()) return Value::Null();
  if (list->is_null()) return Value::Array();
  if (!list->is_array()) return Value::Null();
  for (Value& item : list->items()) {
    const std::optional<Value> read = Read(element, item, arena);
    if (!read) return Value::Null();
    item = *read;
  }
  return *list;
}

Value CpuMetric(Arena& arena, std::string_view part, int64_t utilization, bool with_type) {
  Value amount = Value::Object();
  if (with_type) amount.Set(arena, "type", Value::Borrow("Utilization"));
  amount.Set(arena, "averageUtilization", Value::Int(utilization));
  Value resource = Value::Object();
  resource.Set(arena, "name", Value::Borrow("cpu"));
  resource.Set(arena, part, amount);
  Value metric = Value::Object();
  metric.Set(arena, "type", Value::Borrow("Resource"));
  metric.Set(arena, "resource", resource);
  return metric;
}

bool IsCpuUtilization(const Value& metric, std::string_view part) {
  return metric.At("type").AsString() == "Resource" && metric.Get("resource", "name").AsString() == "cpu" &&
         !metric.Get("resource", part, "averageUtilization").is_null();
}

void SpecToV2(const Value& v1, const Value& annotations, Value& out, Arena& arena) {
  for (const std::string_view name : {"scaleTargetRef", "minReplicas", "maxReplicas"})
    Put(out, arena, name, v1.At(name));
  Value metrics = Value::Array();
  for (const Value& metric :
       ReadList(annotations.At(kMetrics), autoscaling_v1::MetricSpec::SchemaType(), arena).items()) {
    metrics.Append(arena, MetricToV2(kSources, metric, arena));
  }
  const Value& utilization = v1.At("targetCPUUtilizationPercentage");
  if (!utilization.is_null() || metrics.empty()) {
    metrics.Append(arena, CpuMetric(arena, "target", utilization.AsInt(kDefaultUtilization), true));
  }
  out.Set(arena, "metrics", metrics);
  Result<Value> behavior = doc::ParseJsonBorrowing(arena.Copy(annotations.At(kBehavior).AsString()), arena);
  if (!behavior.ok()) return;
  const auto read = Read(autoscaling_v2::HorizontalPodAutoscalerBehavior::SchemaType(), *behavior, arena);
  if (read && !read->empty()) out.Set(arena, "behavior", *read);
}

void StatusToV2(const Value& v1, const Value& annotations, Value& out, Arena& arena) {
  for (const std::string_view name : {"observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas"}) {
    Put(out, arena, name, v1.At(name));
  }
  const Value current = ReadList(annotations.At(kCurrentMetrics), autoscaling_v1::MetricStatus::SchemaType(), arena);
  Value metrics;
  if (!current.is_null()) {
    metrics = Value::Array();
    for (const Value& metric : current.items()) metrics.Append(arena, MetricToV2(kStatuses, metric, arena));
  } else if (const Value& utilization = v1.At("currentCPUUtilizationPercentage"); !utilization.is_null()) {
    metrics = Value::Array();
    metrics.Append(arena, CpuMetric(arena, "current", utilization.AsInt(), false));
  }
  out.Set(arena, "currentMetrics", metrics);
  const Type& condition = autoscaling_v1::HorizontalPodAutoscalerCondition::SchemaType();
  Put(out, arena, "conditions", ReadList(annotations.At(kConditions), condition, arena));
}

// The annotation of behaviour has the names of Go's fields, and nulls where something is not said.
Value GoBehavior(const Value& behavior, Arena& arena) {
  const auto rules = [&arena](const Value& v2) {
    if (v2.is_null()) return Value::Null();
    Value out = Value::Object();
    out.Set(arena, "StabilizationWindowSeconds", v2.At("stabilizationWindowSeconds"));
    out.Set(arena, "SelectPolicy", v2.At("selectPolicy"));
    Value policies;
    for (const Value& policy : v2.At("policies").items()) {
      Value shown = Value::Object();
      shown.Set(arena, "Type", policy.At("type"));
      shown.Set(arena, "Value", policy.At("value"));
      shown.Set(arena, "PeriodSeconds", policy.At("periodSeconds"));
      policies.Append(arena, shown);
    }
    out.Set(arena, "Policies", policies);
    out.Set(arena, "Tolerance", v2.At("tolerance"));
    return out;
  };
  Value out = Value::Object();
  out.Set(arena, "ScaleUp", rules(behavior.At("scaleUp")));
  out.Set(arena, "ScaleDown", rules(behavior.At("scaleDown")));
  return out;
}

void Annotate(Value& metadata, Arena& arena, std::string_view name, const Value& value) {
  metadata.Ensure(arena, "annotations").Set(arena, name, Value::String(arena, doc::ToJson(value)));
}

// A list of v2 metrics as v1 writes it. Every number a metric can have is in range for v1 too, so it becomes canonical.
Value MetricsToV1(const Value& metrics, std::span<const MetricKind> kinds, const Type& type, bool spec, Arena& arena) {
  Value out = Value::Array();
  for (const Value& metric : metrics.items()) {
    if (spec && IsCpuUtilization(metric, "target")) continue;
    Value made = MetricToV1(kinds, metric, arena);
    MUST(Canonicalize(type, made, arena));
    out.Append(arena, made);
  }
  return out;
}

Value MetadataWithoutAnnotations(const Value& from, doc::Document& to) {
  to.root.Set(to.arena, "metadata", from.At("metadata").Clone(to.arena));
  DropAutoscalingAnnotations(to.root);
  return to.root.At("metadata");
}

}  // namespace

void AutoscalerV1ToV2(const Value& from, doc::Document& to) {
  const Value& annotations = from.Get("metadata", "annotations");
  to.root.Set(to.arena, "metadata", MetadataWithoutAnnotations(from, to));
  Value spec = Value::Object();
  SpecToV2(from.At("spec"), annotations, spec, to.arena);
  to.root.Set(to.arena, "spec", spec);
  Value status = Value::Object();
  StatusToV2(from.At("status"), annotations, status, to.arena);
  to.root.Set(to.arena, "status", status);
}

void AutoscalerV2ToV1(const Value& from, doc::Document& to) {
  Arena& arena = to.arena;
  Value metadata = MetadataWithoutAnnotations(from, to);
  const Value& v2_spec = from.At("spec");
  Value spec = Value::Object();
  for (const std::string_view name : {"scaleTargetRef", "minReplicas", "maxReplicas"}) {
    Put(spec, arena, name, v2_spec.At(name));
  }
  for (const Value& metric : v2_spec.At("metrics").items()) {
    if (!IsCpuUtilization(metric, "target")) continue;
    spec.Set(arena, "targetCPUUtilizationPercentage", metric.Get("resource", "target", "averageUtilization"));
    break;
  }
  const Value& v2_status = from.At("status");
  Value status = Value::Object();
  for (const std::string_view name : {"observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas"}) {
    Put(status, arena, name, v2_status.At(name));
  }
  for (const Value& metric : v2_status.At("currentMetrics").items()) {
    if (!IsCpuUtilization(metric, "current")) continue;
    status.Set(arena, "currentCPUUtilizationPercentage", metric.Get("resource", "current", "averageUtilization"));
  }
  const Value others =
      MetricsToV1(v2_spec.At("metrics"), kSources, autoscaling_v1::MetricSpec::SchemaType(), true, arena);
  if (!others.empty()) Annotate(metadata, arena, kMetrics, others);
  const Value& current = v2_status.At("currentMetrics");
  if (!current.empty()) {
    const Type& type = autoscaling_v1::MetricStatus::SchemaType();
    Annotate(metadata, arena, kCurrentMetrics, MetricsToV1(current, kStatuses, type, false, arena));
  }
  const Value& behavior = v2_spec.At("behavior");
  if (!behavior.is_null()) Annotate(metadata, arena, kBehavior, GoBehavior(behavior, arena));
  const Value& conditions = v2_status.At("conditions");
  if (!conditions.empty()) Annotate(metadata, arena, kConditions, conditions);
  to.root.Set(arena, "metadata", metadata);
  to.root.Set(arena, "spec", spec);
  to.root.Set(arena, "status", status);
}

}  // namespace conversion

void DropAutoscalingAnnotations(doc::Value& object) {
  doc::Value* metadata = object.Find("metadata");
  doc::Value* annotations = metadata == nullptr ? nullptr : metadata->Find("annotations");
  if (annotations == nullptr) return;
  for (const std::string_view name : conversion::kAnnotations) annotations->Remove(name);
  if (annotations->empty()) metadata->Remove("annotations");
}

}  // namespace knarr::api

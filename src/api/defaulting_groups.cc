// What the kinds of batch, autoscaling, networking, scheduling and storage are filled in with.

#include <cstdint>

#include "api/defaulting_rules.h"

namespace knarr::api {
namespace {

using doc::Arena;
using doc::Value;

void Job(Value& job, Arena& arena) {
  Value& spec = FillObject(job, arena, "spec");
  if (spec.At("parallelism").is_null()) {
    Fill(spec, arena, "completions", Value::Int(1));
    Fill(spec, arena, "parallelism", Value::Int(1));
  }
  constexpr int64_t kUnlimited = INT32_MAX;
  const bool per_index = !spec.At("backoffLimitPerIndex").is_null();
  Fill(spec, arena, "backoffLimit", Value::Int(per_index ? kUnlimited : 6));
  Fill(spec, arena, "completionMode", Value::Borrow("NonIndexed"));
  Fill(spec, arena, "suspend", Value::Bool(false));
  const bool failure_policy = !spec.At("podFailurePolicy").is_null();
  Fill(spec, arena, "podReplacementPolicy", Value::Borrow(failure_policy ? "Failed" : "TerminatingOrFailed"));
  Fill(spec, arena, "manualSelector", Value::Bool(false));
  const Value labels = spec.Get("template", "metadata", "labels");
  Value& metadata = FillObject(job, arena, "metadata");
  // One map in two places: so it can be told whose labels are its own (apiserver/strategies/job.cc).
  if (!labels.empty() && metadata.At("labels").empty()) metadata.Set(arena, "labels", labels);
}

void FailurePattern(Value& pattern, Arena& arena) { FillText(pattern, arena, "status", "True"); }

void CronJobSpec(Value& spec, Arena& arena) {
  FillText(spec, arena, "concurrencyPolicy", "Allow");
  Fill(spec, arena, "suspend", Value::Bool(false));
  Fill(spec, arena, "successfulJobsHistoryLimit", Value::Int(3));
  Fill(spec, arena, "failedJobsHistoryLimit", Value::Int(1));
}

void MinReplicas(Value& spec, Arena& arena) { Fill(spec, arena, "minReplicas", Value::Int(1)); }

void CpuMetric(Value& metrics, Arena& arena) {
  Value& metric = metrics.Append(arena, Value::Object());
  metric.Set(arena, "type", Value::Borrow("Resource"));
  Value& resource = FillObject(metric, arena, "resource");
  resource.Set(arena, "name", Value::Borrow("cpu"));
  Value& target = FillObject(resource, arena, "target");
  target.Set(arena, "type", Value::Borrow("Utilization"));
  target.Set(arena, "averageUtilization", Value::Int(80));
}

void ScalingPolicy(Value& policies, Arena& arena, std::string_view type, int64_t value) {
  constexpr int64_t kPeriodSeconds = 15;
  Value& policy = policies.Append(arena, Value::Object());
  policy.Set(arena, "type", Value::Borrow(type));
  policy.Set(arena, "value", Value::Int(value));
  policy.Set(arena, "periodSeconds", Value::Int(kPeriodSeconds));
}

// Whoever says anything of the behaviour sees all of it.
void Behavior(Value& behavior, Arena& arena) {
  behavior.Reserve(arena, 2);
  for (const bool up : {true, false}) {
    Value& rules = FillObject(behavior, arena, up ? "scaleUp" : "scaleDown");
    rules.Reserve(arena, 4);
    if (up) Fill(rules, arena, "stabilizationWindowSeconds", Value::Int(0));
    Fill(rules, arena, "selectPolicy", Value::Borrow("Max"));
    Value& policies = rules.Ensure(arena, "policies");
    if (!policies.is_null()) continue;
    policies = Value::Array();
    if (up) ScalingPolicy(policies, arena, "Pods", 4);
    ScalingPolicy(policies, arena, "Percent", 100);
  }
}

void AutoscalerSpec(Value& spec, Arena& arena) {
  spec.Reserve(arena, 5);
  MinReplicas(spec, arena);
  if (spec.At("metrics").empty()) {
    Value metrics = Value::Array();
    CpuMetric(metrics, arena);
    spec.Set(arena, "metrics", metrics);
  }
}

void NetworkPolicySpec(Value& spec, Arena& arena) {
  if (!spec.At("policyTypes").empty()) return;
  Value types = Value::Array();
  types.Append(arena, Value::Borrow("Ingress"));
  if (!spec.At("egress").empty()) types.Append(arena, Value::Borrow("Egress"));
  spec.Set(arena, "policyTypes", types);
}

void PolicyPort(Value& port, Arena& arena) { Fill(port, arena, "protocol", Value::Borrow("TCP")); }
void ClassParameters(Value& parameters, Arena& arena) { Fill(parameters, arena, "scope", Value::Borrow("Cluster")); }

void PriorityClass(Value& priority, Arena& arena) {
  Fill(priority, arena, "preemptionPolicy", Value::Borrow("PreemptLowerPriority"));
}

void StorageClass(Value& storage, Arena& arena) {
  Fill(storage, arena, "reclaimPolicy", Value::Borrow("Delete"));
  Fill(storage, arena, "volumeBindingMode", Value::Borrow("Immediate"));
}

void CsiDriverSpec(Value& spec, Arena& arena) {
  Fill(spec, arena, "attachRequired", Value::Bool(true));
  for (const std::string_view name : {"podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"}) {
    Fill(spec, arena, name, Value::Bool(false));
  }
  Fill(spec, arena, "fsGroupPolicy", Value::Borrow("ReadWriteOnceWithFSType"));
  if (!spec.At("volumeLifecycleModes").empty()) return;
  Value modes = Value::Array();
  modes.Append(arena, Value::Borrow("Persistent"));
  spec.Set(arena, "volumeLifecycleModes", modes);
}

constexpr struct {
  std::string_view package;
  std::string_view type;
  DefaultRule rule;
} kRules[] = {
    {"batch/v1", "Job", Job},
    {"batch/v1", "PodFailurePolicyOnPodConditionsPattern", FailurePattern},
    {"batch/v1", "CronJobSpec", CronJobSpec},
    {"autoscaling/v1", "HorizontalPodAutoscalerSpec", MinReplicas},
    {"autoscaling/v2", "HorizontalPodAutoscalerSpec", AutoscalerSpec},
    {"autoscaling/v2", "HorizontalPodAutoscalerBehavior", Behavior},
    {"networking/v1", "NetworkPolicySpec", NetworkPolicySpec},
    {"networking/v1", "NetworkPolicyPort", PolicyPort},
    {"networking/v1", "IngressClassParametersReference", ClassParameters},
    {"scheduling/v1", "PriorityClass", PriorityClass},
    {"storage/v1", "StorageClass", StorageClass},
    {"storage/v1", "CSIDriverSpec", CsiDriverSpec},
};

}  // namespace

DefaultRule FindGroupRule(std::string_view package, std::string_view type) {
  return FindRule(kRules, package, type);
}

}  // namespace knarr::api

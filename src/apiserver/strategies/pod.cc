#include <algorithm>
#include <iterator>
#include <utility>

#include "api/qos.h"
#include "api/warnings.h"
#include "apiserver/strategies/pod_fields.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// A pod that must not be scheduled yet says so from the beginning.
void MarkGated(WallTime now, doc::Document& pod) {
  if (std::as_const(pod.root).Get("spec", "schedulingGates").empty()) return;
  Value condition = Value::Object();
  condition.Set(pod.arena, "type", Value::Borrow("PodScheduled"));
  condition.Set(pod.arena, "status", Value::Borrow("False"));
  condition.Set(pod.arena, "lastTransitionTime", Value::String(pod.arena, FormatTime(now)));
  condition.Set(pod.arena, "reason", Value::Borrow("SchedulingGated"));
  condition.Set(pod.arena, "message", Value::Borrow("Scheduling is blocked due to non-empty scheduling gates"));
  Value conditions = Value::Array();
  conditions.Append(pod.arena, condition);
  pod.root.Ensure(pod.arena, "status").Set(pod.arena, "conditions", conditions);
}

// Makes the pod's own values of the keys requirements of the selector beside them.
void MergeKeys(const Value& labels, doc::Arena& arena, Value& holder) {
  Value* selector = holder.Find("labelSelector");
  if (selector == nullptr || !selector->is_object()) return;
  const Value* given = selector->Find("matchExpressions");
  Value all = given != nullptr && given->is_array() ? given->Clone(arena) : Value::Array();
  const size_t before = all.size();
  for (const auto& [name, op] : {std::pair("matchLabelKeys", "In"), std::pair("mismatchLabelKeys", "NotIn")}) {
    for (const Value& key : std::as_const(holder).At(name).items()) {
      const Value& label = labels.At(key.AsString());
      if (!label.is_string()) continue;
      Value requirement = Value::Object();
      requirement.Set(arena, "key", Value::String(arena, key.AsString()));
      requirement.Set(arena, "operator", Value::Borrow(op));
      Value values = Value::Array();
      values.Append(arena, Value::String(arena, label.AsString()));
      requirement.Set(arena, "values", values);
      all.Append(arena, requirement);
    }
  }
  if (all.size() > before) selector->Set(arena, "matchExpressions", all);
}

void MergeLabelKeys(doc::Document& pod) {
  const Value labels = std::as_const(pod.root).Get("metadata", "labels").Clone(pod.arena);
  Value* spec = pod.root.Find("spec");
  if (spec == nullptr) return;
  if (Value* constraints = spec->Find("topologySpreadConstraints")) {
    for (Value& constraint : constraints->items()) MergeKeys(labels, pod.arena, constraint);
  }
  Value* affinity = spec->Find("affinity");
  for (const std::string_view kind : {"podAffinity", "podAntiAffinity"}) {
    Value* terms = affinity == nullptr ? nullptr : affinity->Find(kind);
    if (terms == nullptr) continue;
    if (Value* required = terms->Find("requiredDuringSchedulingIgnoredDuringExecution")) {
      for (Value& term : required->items()) MergeKeys(labels, pod.arena, term);
    }
    if (Value* preferred = terms->Find("preferredDuringSchedulingIgnoredDuringExecution")) {
      for (Value& term : preferred->items()) {
        if (Value* inner = term.Find("podAffinityTerm")) MergeKeys(labels, pod.arena, *inner);
      }
    }
  }
}

class PodStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  bool returns_deleted_object() const override { return true; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    Value& status = object.root.Ensure(object.arena, "status");
    status.Set(object.arena, "phase", Value::Borrow("Pending"));
    status.Set(object.arena, "qosClass", Value::Borrow(api::QosClass(std::as_const(object.root).At("spec"))));
    DropDisabledPodFields(object);
    MarkGated(context.now, object);
    MergeLabelKeys(object);
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    if (target == Target::kEphemeralContainers) KeepAllButDebugContainers(object, old);
    if (target == Target::kResize) KeepAllButResources(object, old);
    DropDisabledPodFields(object);
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    // Being given its node is no change of what the pod asks for.
    if (target == Target::kSpecial) KeepMetadata(object, old, "generation");
    if (target != Target::kStatus) return {};
    for (const std::string_view member : {"ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
      KeepMetadata(object, old, member);
    }
    // qosClass never changes; a status written without it keeps it.
    Value& status = object.root.Ensure(object.arena, "status");
    const Value& before = old.Get("status", "qosClass");
    if (before.is_string() && std::as_const(status).At("qosClass").AsString().empty()) {
      status.Set(object.arena, "qosClass", Value::String(object.arena, before.AsString()));
    }
    return {};
  }

  api::ErrorList ValidateUpdate(Target target, const Value& object, const Value& old) const override {
    // A binding sets what nobody else may.
    if (target == Target::kSpecial) return {};
    if (target == Target::kEphemeralContainers) return api::ValidatePodEphemeralContainers(object, old);
    if (target == Target::kResize) return api::ValidatePodResize(object, old);
    return Strategy::ValidateUpdate(target, object, old);
  }

  // Controllers write pods all the time, so only what people create is looked at.
  std::vector<std::string> Warnings(Target target, const Value& object, const Value* old) const override {
    if (old == nullptr) {
      std::vector<std::string> warnings =
          api::WarningsOfHostName(object.Get("metadata", "name").AsString(), "the Pod's hostname");
      std::ranges::move(api::WarningsOfPod("", object), std::back_inserter(warnings));
      return warnings;
    }
    if (target != Target::kStatus) return {};
    std::vector<std::string> warnings;
    for (const std::string_view list : {"podIPs", "hostIPs"}) {
      const Value& addresses = object.Get("status", list);
      for (size_t i = 0; i < addresses.size(); ++i) {
        const std::string path = "status." + std::string(list) + "[" + std::to_string(i) + "].ip";
        std::ranges::move(api::WarningsOfIp(path, addresses[i].At("ip").AsString()), std::back_inserter(warnings));
      }
    }
    return warnings;
  }

  std::optional<int64_t> GraceSeconds(const Value& object, std::optional<int64_t> asked) const override {
    const Value& spec = object.At("spec");
    int64_t period = asked.has_value() ? *asked : spec.At("terminationGracePeriodSeconds").AsInt(0);
    const std::string_view phase = object.Get("status", "phase").AsString();
    if (spec.At("nodeName").AsString().empty() || phase == "Failed" || phase == "Succeeded") period = 0;
    return period < 0 ? 1 : period;
  }

 private:
  // Metadata as in a status update: only what a subresource is for may change through it.
  static void KeepBut(doc::Document& object, const Value& old) {
    for (const std::string_view member : {"labels", "annotations", "finalizers", "ownerReferences"}) {
      KeepMetadata(object, old, member);
    }
    KeepMember(object, old, "status");
  }

  static void KeepAllButDebugContainers(doc::Document& object, const Value& old) {
    const Value wanted = std::as_const(object.root).Get("spec", "ephemeralContainers");
    KeepBut(object, old);
    KeepMember(object, old, "spec");
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (wanted.empty()) {
      spec.Remove("ephemeralContainers");
    } else {
      spec.Set(object.arena, "ephemeralContainers", wanted);
    }
  }

  // A container that was renamed or moved is left for validation to refuse.
  static bool SameNames(const Value& now, const Value& before) {
    if (now.size() != before.size()) return false;
    for (size_t i = 0; i < now.size(); ++i) {
      if (now[i].At("name").AsString() != before[i].At("name").AsString()) return false;
    }
    return true;
  }

  static void KeepAllButResources(doc::Document& object, const Value& old) {
    doc::Arena& arena = object.arena;
    const Value spec = std::as_const(object.root).At("spec");
    const Value& before = old.At("spec");
    for (const std::string_view list : {"containers", "initContainers"}) {
      if (spec.At(list).size() != before.At(list).size()) return;
    }
    KeepBut(object, old);
    KeepMember(object, old, "spec");
    Value& kept = object.root.Ensure(arena, "spec");
    const auto take = [&](Value& into, const Value& from, std::string_view member) {
      if (from.Find(member) == nullptr) {
        into.Remove(member);
      } else {
        into.Set(arena, member, from.At(member));
      }
    };
    take(kept, spec, "resources");
    for (const std::string_view list : {"containers", "initContainers"}) {
      if (!SameNames(spec.At(list), before.At(list))) {
        take(kept, spec, list);
        continue;
      }
      Value* containers = kept.Find(list);
      for (size_t i = 0; containers != nullptr && i < containers->size(); ++i) {
        take((*containers)[i], spec.At(list)[i], "resources");
        take((*containers)[i], spec.At(list)[i], "resizePolicy");
      }
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> MakePodStrategy(const api::KindInfo& kind) { return std::make_unique<PodStrategy>(kind); }

}  // namespace knarr::apiserver

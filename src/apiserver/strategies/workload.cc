#include <algorithm>
#include <iterator>

#include "api/defaulting.h"
#include "api/warnings.h"
#include "apiserver/strategies/pod_fields.h"
#include "apiserver/strategies/strategies.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// How often the template of a DaemonSet was changed. Kubernetes reads it when it reads the object, hence its words.
Result<int64_t> TemplateGeneration(const Value& set) {
  const std::string_view text = set.Get("metadata", "annotations", api::kTemplateGeneration).AsString("0");
  const Result<int64_t> number = ParseInt64(text);
  if (number.ok()) return *number;
  return BadRequest("DaemonSet in version \"v1\" cannot be handled as a DaemonSet: " +
                    std::string(number.status().message()));
}

void SetTemplateGeneration(doc::Document& set, int64_t number) {
  Value& annotations = Metadata(set).Ensure(set.arena, "annotations");
  annotations.Set(set.arena, api::kTemplateGeneration, Value::String(set.arena, std::to_string(number)));
}

// They are claims, whatever is written there.
void FillClaimTemplates(doc::Document& set) {
  Value* spec = set.root.Find("spec");
  Value* claims = spec == nullptr ? nullptr : spec->Find("volumeClaimTemplates");
  if (claims == nullptr || !claims->is_array()) return;
  for (Value& claim : claims->items()) {
    if (!claim.is_object()) continue;
    claim.Set(set.arena, "kind", Value::Borrow("PersistentVolumeClaim"));
    claim.Set(set.arena, "apiVersion", Value::Borrow("v1"));
  }
}

class WorkloadStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  // core/v1's ReplicationController keeps its pods unless told otherwise: older than garbage collection.
  GcPolicy gc_policy() const override { return kind_.group.empty() ? GcPolicy::kOrphan : GcPolicy::kDelete; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    DropDisabledPodFields(object);
    if (kind_.kind == "StatefulSet") FillClaimTemplates(object);
    TRY(Strategy::PrepareForCreate(context, object));
    if (kind_.kind != "DaemonSet") return {};
    const int64_t number = TRY(TemplateGeneration(object.root));
    SetTemplateGeneration(object, std::max<int64_t>(number, 1));
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    DropDisabledPodFields(object);
    if (kind_.kind == "StatefulSet") FillClaimTemplates(object);
    if (kind_.kind == "DaemonSet") TRY(TemplateGeneration(object.root));
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (kind_.kind == "DaemonSet") {
      const int64_t number = TRY(TemplateGeneration(old));
      const bool changed = !object.root.Get("spec", "template").Equals(old.Get("spec", "template"));
      SetTemplateGeneration(object, changed ? number + 1 : number);
      return {};
    }
    if (kind_.plural != "deployments") return {};
    if (target == Target::kStatus) {
      KeepMetadata(object, old, "labels");
      return {};
    }
    // A Deployment's annotations are part of what is rolled out.
    const int64_t before = old.Get("metadata", "generation").AsInt();
    const bool counted = object.root.Get("metadata", "generation").AsInt() != before;
    if (!counted && !object.root.Get("metadata", "annotations").Equals(old.Get("metadata", "annotations"))) {
      Metadata(object).Set(object.arena, "generation", Value::Int(before + 1));
    }
    return {};
  }

  std::vector<std::string> Warnings(Target target, const Value& object, const Value* old) const override {
    if (target != Target::kObject) return {};
    std::vector<std::string> warnings;
    const auto add = [&warnings](std::vector<std::string> more) {
      std::ranges::move(more, std::back_inserter(warnings));
    };
    // The pods of a DaemonSet have random names; those of a StatefulSet need a label for a name anyway.
    const bool named = kind_.kind != "DaemonSet" && kind_.kind != "StatefulSet";
    if (old == nullptr && named) {
      add(api::WarningsOfHostName(object.Get("metadata", "name").AsString(), "Pod names and hostnames"));
    }
    const Value& spec = object.At("spec");
    // Of a DaemonSet upstream counts the changes of the template for itself.
    const bool changed =
        old == nullptr ||
        (kind_.kind == "DaemonSet" ? !spec.At("template").Equals(old->Get("spec", "template"))
                                   : !object.Get("metadata", "generation").Equals(old->Get("metadata", "generation")));
    // Upstream takes the old template of a ReplicationController for the new one.
    const bool swapped = old != nullptr && kind_.kind == "ReplicationController";
    const Value& pods = swapped ? old->Get("spec", "template") : spec.At("template");
    if (changed) add(api::WarningsOfPod("spec.template", pods));
    if (kind_.kind != "StatefulSet") return warnings;
    const Value& claims = spec.At("volumeClaimTemplates");
    for (size_t i = 0; i < claims.size(); ++i) {
      // Upstream spells the path in two ways.
      add(api::WarningsOfClaimSpec(
          "spec.volumeClaimTemplates[" + std::to_string(i) + "]" + (old == nullptr ? "" : ".Spec"),
          claims[i].At("spec")));
    }
    if (spec.At("revisionHistoryLimit").AsInt() < 0) {
      warnings.emplace_back(
          "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended");
    }
    return warnings;
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeWorkloadStrategy(const api::KindInfo& kind) {
  return std::make_unique<WorkloadStrategy>(kind);
}

}  // namespace knarr::apiserver

#include <algorithm>
#include <iterator>

#include "api/warnings.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

class WorkloadStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  // core/v1's ReplicationController keeps its pods unless told otherwise: older than garbage collection.
  GcPolicy gc_policy() const override { return kind_.group.empty() ? GcPolicy::kOrphan : GcPolicy::kDelete; }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
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
    if (changed) add(api::WarningsOfPod("spec.template", spec.At("template")));
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

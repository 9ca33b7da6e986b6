#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

class WorkloadStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  // core/v1's ReplicationController keeps its pods unless told otherwise: older than garbage collection.
  GcPolicy gc_policy() const override { return kind_.group.empty() ? GcPolicy::kOrphan : GcPolicy::kDelete; }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const doc::Value& old) const override {
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
      Metadata(object).Set(object.arena, "generation", doc::Value::Int(before + 1));
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeWorkloadStrategy(const api::KindInfo& kind) {
  return std::make_unique<WorkloadStrategy>(kind);
}

}  // namespace knarr::apiserver

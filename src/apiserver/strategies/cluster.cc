// HorizontalPodAutoscalers, PriorityClasses, RuntimeClasses and Leases.

#include "api/conversion/conversion.h"
#include "api/defaulting.h"
#include "api/warnings.h"
#include "apiserver/errors.h"
#include "apiserver/strategies/record.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

class AutoscalerStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  // The annotations are autoscaling/v1's way to say more than its fields can; in v2, which is stored, they mean
  // nothing.
  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    api::DropAutoscalingAnnotations(object.root);
    return {};
  }
  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    api::DropAutoscalingAnnotations(object.root);
    return {};
  }
  // What autoscaling/v1 says in annotations may be in part.
  void FillStored(doc::Document& object) const override {
    api::ApplyDefaults(*kind_.type, object.root, object.arena);
  }
};

class PriorityClassStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  // Nothing that it counts may change, so it stays so.
  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    Metadata(object).Set(object.arena, "generation", Value::Int(1));
    return {};
  }
  Ok CheckDelete(std::string_view name) const override {
    if (name != "system-node-critical" && name != "system-cluster-critical") return {};
    return ForbiddenError(ResourceOf(kind_), name, "this is a system priority class and cannot be deleted");
  }
};

class RuntimeClassStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  std::vector<std::string> Warnings(Target /*target*/, const Value& object, const Value* /*old*/) const override {
    std::vector<std::string> texts;
    for (const doc::Member& label : object.Get("scheduling", "nodeSelector").members()) {
      const std::string_view what = api::DeprecatedNodeLabel(label.key);
      if (!what.empty()) texts.push_back("scheduling.nodeSelector: " + std::string(what));
    }
    return texts;
  }
};

class LeaseStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    DropElection(object, Value::Null());
    return {};
  }
  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    DropElection(object, old);
    return {};
  }

 private:
  // Upstream's coordinated leader election is off unless asked for.
  static void DropElection(doc::Document& object, const Value& old) {
    Value* spec = object.root.Find("spec");
    if (spec == nullptr) return;
    for (const std::string_view name : {"strategy", "preferredHolder"}) {
      if (old.Get("spec", name).is_null()) spec->Remove(name);
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeClusterStrategy(const api::KindInfo& kind) {
  if (kind.plural == "horizontalpodautoscalers") return std::make_unique<AutoscalerStrategy>(kind);
  if (kind.plural == "priorityclasses") return std::make_unique<PriorityClassStrategy>(kind);
  if (kind.plural == "runtimeclasses") return std::make_unique<RuntimeClassStrategy>(kind);
  if (kind.plural == "leases") return std::make_unique<LeaseStrategy>(kind);
  return std::make_unique<RecordStrategy>(kind);
}

}  // namespace knarr::apiserver

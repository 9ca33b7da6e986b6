#include <algorithm>
#include <iterator>

#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

class NamespaceStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    doc::Arena& arena = object.arena;
    object.root.Ensure(arena, "status").Set(arena, "phase", Value::Borrow("Active"));
    Value& spec = object.root.Ensure(arena, "spec");
    if (!spec.is_object()) spec = Value::Object();
    // The namespace's content goes before it: the namespace controller takes this finalizer away.
    Value& finalizers = spec.Ensure(arena, "finalizers");
    const bool there = std::ranges::any_of(std::as_const(finalizers).items(),
                                           [](const Value& item) { return item.AsString() == "kubernetes"; });
    if (!there) finalizers.Append(arena, Value::Borrow("kubernetes"));
    LabelWithName(object);
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (target == Target::kObject) KeepMember(object, old, "spec");  // finalizers have their own subresource
    LabelWithName(object);
    return {};
  }

  // An update is looked at as a creation would be, too.
  api::ErrorList ValidateUpdate(Target target, const Value& object, const Value& old) const override {
    if (target != Target::kObject) return Strategy::ValidateUpdate(target, object, old);
    api::ErrorList errors = Strategy::Validate(object);
    std::ranges::move(Strategy::ValidateUpdate(target, object, old), std::back_inserter(errors));
    return errors;
  }

  void PrepareForDelete(doc::Document& object) const override {
    Metadata(object).Remove("deletionGracePeriodSeconds");
    object.root.Ensure(object.arena, "status").Set(object.arena, "phase", Value::Borrow("Terminating"));
  }

  bool ReadyToGo(const Value& object) const override { return object.Get("spec", "finalizers").empty(); }

 private:
  static void LabelWithName(doc::Document& object) {
    Value& metadata = Metadata(object);
    const std::string_view name = metadata.At("name").AsString();
    Value& labels = metadata.Ensure(object.arena, "labels");
    if (!labels.is_object()) labels = Value::Object();
    labels.Set(object.arena, "kubernetes.io/metadata.name", Value::String(object.arena, name));
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeNamespaceStrategy(const api::KindInfo& kind) {
  return std::make_unique<NamespaceStrategy>(kind);
}

}  // namespace knarr::apiserver

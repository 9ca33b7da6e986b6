#include <algorithm>
#include <iterator>

#include "api/warnings.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

/// Whoever makes a Node may give it a status: kubelets do so when they register.
class NodeStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  Ok PrepareForCreate(const StrategyContext& /*context*/, doc::Document& object) const override {
    // What is left of dynamic kubelet configuration, which is gone.
    DropConfig(object, "spec", "configSource");
    DropConfig(object, "status", "config");
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const doc::Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (target != Target::kStatus && old.Get("spec", "configSource").is_null()) {
      DropConfig(object, "spec", "configSource");
    }
    if (target == Target::kStatus && old.Get("status", "config").is_null()) DropConfig(object, "status", "config");
    return {};
  }

  // An update is looked at as a creation would be, too.
  api::ErrorList ValidateUpdate(Target target, const doc::Value& object, const doc::Value& old) const override {
    if (target != Target::kObject) return Strategy::ValidateUpdate(target, object, old);
    api::ErrorList errors = Strategy::Validate(object);
    std::ranges::move(Strategy::ValidateUpdate(target, object, old), std::back_inserter(errors));
    return errors;
  }

  std::vector<std::string> Warnings(Target target, const doc::Value& object, const doc::Value* /*old*/) const override {
    return target == Target::kObject ? api::WarningsOfNode(object) : std::vector<std::string>();
  }

 private:
  static void DropConfig(doc::Document& object, std::string_view part, std::string_view member) {
    if (doc::Value* inside = object.root.Find(part); inside != nullptr) inside->Remove(member);
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeNodeStrategy(const api::KindInfo& kind) { return std::make_unique<NodeStrategy>(kind); }

}  // namespace knarr::apiserver

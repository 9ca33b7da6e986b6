#include "apiserver/strategies/extension.h"
#include "apiserver/strategies/strategies.h"
#include "base/time.h"

namespace knarr::apiserver {
namespace {

using doc::Document;
using doc::Value;

class ApiServiceStrategy : public ExtensionStrategy {
 public:
  using ExtensionStrategy::ExtensionStrategy;

  // What the server itself serves is there from the start.
  Ok PrepareForCreate(const StrategyContext& context, Document& object) const override {
    TRY(ExtensionStrategy::PrepareForCreate(context, object));
    if (!object.root.Get("spec", "service").is_null()) return {};
    doc::Arena& arena = object.arena;
    Value condition = Value::Object();
    condition.Set(arena, "type", Value::Borrow("Available"));
    condition.Set(arena, "status", Value::Borrow("True"));
    condition.Set(arena, "lastTransitionTime", Value::String(arena, FormatTime(context.now)));
    condition.Set(arena, "reason", Value::Borrow("Local"));
    condition.Set(arena, "message", Value::Borrow("Local APIServices are always available"));
    Value conditions = Value::Array();
    conditions.Append(arena, condition);
    object.root.Ensure(arena, "status").Set(arena, "conditions", conditions);
    return {};
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeApiServiceStrategy(const api::KindInfo& kind, const ExtensionTraits& traits) {
  return std::make_unique<ApiServiceStrategy>(kind, traits);
}

}  // namespace knarr::apiserver

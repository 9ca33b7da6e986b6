#include <algorithm>
#include <iterator>

#include "api/qos.h"
#include "api/warnings.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

class PodStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  bool returns_deleted_object() const override { return true; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    Value& status = object.root.Ensure(object.arena, "status");
    status.Set(object.arena, "phase", Value::Borrow("Pending"));
    status.Set(object.arena, "qosClass", Value::Borrow(api::QosClass(std::as_const(object.root).At("spec"))));
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
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
    if (before.is_string()) status.Set(object.arena, "qosClass", Value::String(object.arena, before.AsString()));
    return {};
  }

  api::ErrorList ValidateUpdate(Target target, const Value& object, const Value& old) const override {
    // A binding sets what nobody else may.
    if (target == Target::kSpecial) return {};
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
};

}  // namespace

std::unique_ptr<Strategy> MakePodStrategy(const api::KindInfo& kind) { return std::make_unique<PodStrategy>(kind); }

}  // namespace knarr::apiserver

#include "api/warnings.h"
#include "apiserver/strategies/strategies.h"
#include "base/time.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// Volumes say since when they are in their phase.
constexpr std::string_view kPhaseTime = "lastPhaseTransitionTime";

class VolumeStrategy : public Strategy {
 public:
  using Strategy::Strategy;
  bool returns_deleted_object() const override { return true; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    Value& status = object.root.Ensure(object.arena, "status");
    status.Set(object.arena, "phase", Value::Borrow("Pending"));
    if (timed()) status.Set(object.arena, kPhaseTime, Value::String(object.arena, FormatTime(context.now)));
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (!timed() || target != Target::kStatus) return {};
    const Value& before = old.At("status");
    Value& status = object.root.Ensure(object.arena, "status");
    const bool same_phase = before.At("phase").Equals(status.At("phase"));
    const Value& time = before.At(kPhaseTime);
    const Value& given = status.At(kPhaseTime);
    if (same_phase) {
      if (given.is_null() && !time.is_null()) status.Set(object.arena, kPhaseTime, time.Clone(object.arena));
    } else if (given.is_null() || given.Equals(time)) {
      status.Set(object.arena, kPhaseTime, Value::String(object.arena, FormatTime(context.now)));
    }
    return {};
  }

  std::vector<std::string> Warnings(Target target, const Value& object, const Value* /*old*/) const override {
    if (target != Target::kObject) return {};
    return timed() ? api::WarningsOfVolume(object) : api::WarningsOfClaim(object);
  }

 private:
  bool timed() const { return kind_.plural == "persistentvolumes"; }
};

}  // namespace

std::unique_ptr<Strategy> MakeVolumeStrategy(const api::KindInfo& kind) {
  return std::make_unique<VolumeStrategy>(kind);
}

}  // namespace knarr::apiserver

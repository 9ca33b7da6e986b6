#include "api/warnings.h"
#include "apiserver/strategies/strategies.h"
#include "base/time.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// Volumes say since when they are in their phase.
constexpr std::string_view kPhaseTime = "lastPhaseTransitionTime";

bool IsData(const Value& spec) { return !spec.At("dataSource").is_null() || !spec.At("dataSourceRef").is_null(); }

// Only claims and snapshots, unless the newer field says it.
bool IsOldKindOfSource(const Value& source) {
  const std::string_view kind = source.At("kind").AsString();
  const std::string_view group = source.At("apiGroup").AsString();
  return (kind == "PersistentVolumeClaim" && group.empty()) ||
         (kind == "VolumeSnapshot" && group == "snapshot.storage.k8s.io");
}

// A claim's two fields for where its data comes from are kept alike.
void NormalizeSources(doc::Document& claim, const Value* old) {
  Value* spec = claim.root.Find("spec");
  if (spec == nullptr || !spec->is_object()) return;
  const Value& before = old == nullptr ? Value::Null() : old->At("spec");
  // Sources in other namespaces are a feature that is off by default.
  if (!std::as_const(*spec).Get("dataSourceRef", "namespace").AsString().empty() &&
      before.At("dataSourceRef").is_null()) {
    spec->Remove("dataSourceRef");
  }
  const Value source = std::as_const(*spec).At("dataSource");
  const Value reference = std::as_const(*spec).At("dataSourceRef");
  if (!IsData(before) && reference.is_null() && !IsOldKindOfSource(source)) spec->Remove("dataSource");
  if (!std::as_const(*spec).At("dataSource").is_null() && reference.is_null()) {
    spec->Set(claim.arena, "dataSourceRef", source.Clone(claim.arena));
  } else if (source.is_null() && !reference.is_null() && reference.At("namespace").AsString().empty()) {
    Value copy = reference.Clone(claim.arena);
    copy.Remove("namespace");
    spec->Set(claim.arena, "dataSource", copy);
  }
}

class VolumeStrategy : public Strategy {
 public:
  using Strategy::Strategy;
  bool returns_deleted_object() const override { return true; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    if (!timed()) NormalizeSources(object, nullptr);
    Value& status = object.root.Ensure(object.arena, "status");
    status.Set(object.arena, "phase", Value::Borrow("Pending"));
    if (timed()) status.Set(object.arena, kPhaseTime, Value::String(object.arena, FormatTime(context.now)));
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (!timed() && target == Target::kObject) NormalizeSources(object, &old);
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

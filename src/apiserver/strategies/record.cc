#include <algorithm>
#include <array>

#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

bool Contains(std::span<const std::string_view> list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

constexpr std::array<std::string_view, 4> kCreateOnUpdate = {"endpoints", "leases", "limitranges", "podtemplates"};
constexpr std::array<std::string_view, 2> kVersionNeeded = {"leases", "serviceaccounts"};
constexpr std::array<std::string_view, 3> kReturnDeleted = {"podtemplates", "resourcequotas", "serviceaccounts"};

class RecordStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  bool allow_create_on_update() const override { return Contains(kCreateOnUpdate, kind_.plural); }
  bool allow_unconditional_update() const override { return !Contains(kVersionNeeded, kind_.plural); }
  bool returns_deleted_object() const override { return Contains(kReturnDeleted, kind_.plural); }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const doc::Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    // An EndpointSlice has no spec: its generation counts changes of everything outside its metadata, and its labels.
    if (kind_.plural == "endpointslices") {
      const bool same = object.root.At("endpoints").Equals(old.At("endpoints")) &&
                        object.root.At("ports").Equals(old.At("ports")) &&
                        object.root.Get("metadata", "labels").Equals(old.Get("metadata", "labels"));
      if (!same) {
        const int64_t before = old.Get("metadata", "generation").AsInt();
        Metadata(object).Set(object.arena, "generation", doc::Value::Int(before + 1));
      }
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeRecordStrategy(const api::KindInfo& kind) {
  return std::make_unique<RecordStrategy>(kind);
}

}  // namespace knarr::apiserver

#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

class VolumeStrategy : public Strategy {
 public:
  using Strategy::Strategy;
  bool returns_deleted_object() const override { return true; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    object.root.Ensure(object.arena, "status").Set(object.arena, "phase", doc::Value::Borrow("Pending"));
    return {};
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeVolumeStrategy(const api::KindInfo& kind) {
  return std::make_unique<VolumeStrategy>(kind);
}

}  // namespace knarr::apiserver

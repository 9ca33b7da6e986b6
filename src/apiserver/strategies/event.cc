#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

class EventStrategy : public Strategy {
 public:
  EventStrategy(const api::KindInfo& kind, const api::KindInfo& served) : Strategy(kind), served_(served) {}

  bool allow_create_on_update() const override { return true; }
  GcPolicy gc_policy() const override { return GcPolicy::kUnsupported; }

  // The rules are the served version's; they read the stored form.
  api::ErrorList Validate(const doc::Value& object) const override { return api::ValidateCreate(served_, object); }
  api::ErrorList ValidateUpdate(Target /*target*/, const doc::Value& object, const doc::Value& old) const override {
    return api::ValidateUpdate(served_, object, old);
  }

 private:
  const api::KindInfo& served_;
};

}  // namespace

std::unique_ptr<Strategy> MakeEventStrategy(const api::KindInfo& kind, const api::KindInfo& served) {
  return std::make_unique<EventStrategy>(kind, served);
}

}  // namespace knarr::apiserver

#pragma once

// What the groups around the workloads have in common: a generation that counts changes of one member, a status whose
// writing leaves the metadata alone, and what a PUT may do. Kinds that need more derive from this.

#include "apiserver/strategy.h"

namespace knarr::apiserver {

struct ExtensionTraits {
  std::string_view plural;
  /// The member whose changes metadata.generation counts; "" for kinds without generation.
  std::string_view counted = {};
  bool create_on_update = false;
  bool unconditional_update = true;
  bool returns_deleted = false;
  /// Whether writing the status leaves labels, annotations, finalizers and owners as they are.
  bool status_keeps_metadata = true;
};

/// nullptr when the kind is none of these.
const ExtensionTraits* FindExtensionTraits(const api::KindInfo& kind);

class ExtensionStrategy : public Strategy {
 public:
  ExtensionStrategy(const api::KindInfo& kind, const ExtensionTraits& traits) : Strategy(kind), traits_(traits) {}

  bool allow_create_on_update() const override { return traits_.create_on_update; }
  bool allow_unconditional_update() const override { return traits_.unconditional_update; }
  bool returns_deleted_object() const override { return traits_.returns_deleted; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override;
  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const doc::Value& old) const override;
  std::vector<std::string> Warnings(Target target, const doc::Value& object, const doc::Value* old) const override;

 private:
  const ExtensionTraits& traits_;
};

}  // namespace knarr::apiserver

// CustomResourceDefinitions.

#include <algorithm>

#include "api/warnings.h"
#include "apiserver/strategies/extension.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Document;
using doc::Value;

// Objects may lie stored in the version that is for storage now, and in all that ever were.
void NoteStorageVersion(Document& object) {
  const Value& versions = object.root.Get("spec", "versions");
  const auto storage =
      std::ranges::find_if(versions.items(), [](const Value& version) { return version.At("storage").AsBool(); });
  if (storage == versions.items().end()) return;
  Value& status = object.root.Ensure(object.arena, "status");
  if (!status.is_object()) status = Value::Object();
  Value& stored = status.Ensure(object.arena, "storedVersions");
  if (!stored.is_array()) stored = Value::Array();
  const Value name = storage->At("name");
  if (std::ranges::any_of(stored.items(), [&name](const Value& other) { return other.Equals(name); })) return;
  stored.Append(object.arena, name);
}

class DefinitionStrategy : public ExtensionStrategy {
 public:
  using ExtensionStrategy::ExtensionStrategy;

  Ok PrepareForCreate(const StrategyContext& context, Document& object) const override {
    TRY(ExtensionStrategy::PrepareForCreate(context, object));
    NoteStorageVersion(object);
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, Document& object,
                      const Value& old) const override {
    TRY(ExtensionStrategy::PrepareForUpdate(context, target, object, old));
    if (target == Target::kObject) NoteStorageVersion(object);
    return {};
  }

  std::vector<std::string> Warnings(Target target, const Value& object, const Value* old) const override {
    if (target != Target::kObject) return {};
    return api::WarningsOfDefinition(object, old);
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeDefinitionStrategy(const api::KindInfo& kind, const ExtensionTraits& traits) {
  return std::make_unique<DefinitionStrategy>(kind, traits);
}

}  // namespace knarr::apiserver

#pragma once

// One write's work on the managers. Internal to this folder.

#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "api/managed/field_manager.h"

namespace knarr::api::managed {

/// An object in one of its kind's versions.
struct Versioned {
  const Type* type = nullptr;
  doc::Value object;
};

class FieldUpdate {
 public:
  /// Results live in `arena`, or share what the given objects and managers hold.
  FieldUpdate(const FieldManager& owner, WallTime now, doc::Arena& arena);

  /// The manager of this write, without fields.
  Manager Self(std::string_view name, bool applies) const;
  /// Who manages what after an ordinary write by `name`.
  Result<Managers> Update(const doc::Value& before, const doc::Value& after, const Managers& managers,
                          std::string_view name);

  struct Applied {
    /// What is to be stored; null when it is the live object as it is.
    doc::Value object;
    Managers managers;
    /// With what would conflict in `fields`; then the write must not be made.
    std::vector<Manager> conflicts;
  };
  Result<Applied> Apply(const doc::Value& live, const doc::Value& configuration, Managers managers,
                        const FieldManager::ApplyRequest& request);

  const doc::Value& empty_object() const { return owner_.empty_.root; }

 private:
  /// The object, of any version, in another version; nullopt when nobody serves that any more.
  Result<std::optional<Versioned>> Convert(const doc::Value& object, std::string_view api_version);
  doc::Value WithoutResets(const doc::Value& set) const;
  /// Follows changes of the schema; without managers whose version nobody serves.
  Result<Managers> Reconciled(const doc::Value& live, const Managers& managers);
  /// Takes from the others what this write changes or removes. Gives the conflicts instead, unless it is forced.
  Result<std::vector<Manager>> TakeOver(const doc::Value& before, const doc::Value& after, Managers& managers,
                                        const Manager* self, bool force);
  Result<const Comparison*> CompareIn(std::string_view api_version, const doc::Value& before, const doc::Value& after);

  /// Removes what `last` had applied before and nobody wants any more.
  Result<doc::Value> Prune(const doc::Value& merged, const Managers& managers, const Manager& last);
  Ok AddBackOwned(Versioned& merged, Versioned& pruned, std::string_view api_version, const doc::Value& owned);

  const FieldManager& owner_;
  std::string time_;
  doc::Arena& arena_;
  std::map<std::string_view, Comparison> comparisons_;
  std::deque<doc::Document> converted_;
};

/// What is never anybody's: names, versions, what the server writes.
const doc::Value& NeverManaged();

/// The object without metadata.managedFields; shares the rest.
doc::Value WithoutManagedFields(const doc::Value& object, doc::Arena& arena);

}  // namespace knarr::api::managed

#pragma once

// metadata.managedFields: who set which fields, and when.

#include <string>
#include <string_view>
#include <vector>

#include "api/managed/field_set.h"
#include "base/status.h"
#include "base/time.h"
#include "doc/value.h"

namespace knarr::api::managed {

/// One entry. Its texts and its set live in the arena they were decoded or made in.
struct Manager {
  std::string_view name;
  bool applies = false;  ///< operation Apply; otherwise Update
  std::string_view api_version;
  std::string_view subresource;
  std::string_view time;  ///< "" when it has none
  doc::Value fields = doc::Value::Object();

  /// Whether both are one manager: what is applied belongs to its manager in whatever version it was.
  bool SameAs(const Manager& other) const {
    return name == other.name && applies == other.applies && subresource == other.subresource &&
           (applies || api_version == other.api_version);
  }
  /// What upstream calls a manager by internally: the order of some lists comes from it.
  std::string Identity() const;
  /// `"kubectl" with subresource "status" using apps/v1`, in messages about conflicts.
  std::string Text() const;
};

class Managers {
 public:
  /// Of a list that this server has stored.
  static Managers Stored(const doc::Value& managed_fields);
  /// Of a list that a client sent. BadRequest when it is invalid.
  static Result<Managers> Parse(const doc::Value& managed_fields, doc::Arena& arena);
  /// A list that asks for all managers to be forgotten: one empty entry. (An empty list says so too, but it does not
  /// survive canonicalisation: decoders put one empty entry there.)
  static bool IsReset(const doc::Value& managed_fields);

  bool empty() const { return all_.empty(); }
  std::vector<Manager>& all() { return all_; }
  const std::vector<Manager>& all() const { return all_; }
  Manager* Find(const Manager& same);
  /// Replaces the manager that is the same, or adds it.
  Manager& Put(const Manager& manager);
  void Remove(const Manager& same);
  /// Folds the oldest updaters of a version into one entry, "ancient-changes", until no more than `most` are left.
  void LimitUpdaters(size_t most, doc::Arena& arena);

  /// The list, in upstream's order; null when there is none. All of it is in the arena.
  doc::Value ToList(doc::Arena& arena) const;

 private:
  /// Of entries of one manager the last counts.
  void DropRepeated();
  std::vector<Manager> all_;
};

}  // namespace knarr::api::managed

#pragma once

// Server-side apply: keeping track of who set which field, and merging what somebody applies. Behaviour and messages
// are those of apimachinery's fieldmanager and of structured-merge-diff.
//
// There is one FieldManager for each kind and subresource. Objects given and returned are canonical trees of the kind;
// "live" is the object as it is stored, null when there is none.

#include <optional>
#include <string>
#include <string_view>

#include "api/managed/managers.h"
#include "api/managed/typed.h"
#include "api/schema.h"
#include "base/status.h"
#include "base/time.h"
#include "doc/value.h"

namespace knarr::api::managed {

/// Fields whose changes a write does not make, because the strategy takes them back: nobody manages them so.
struct ResetFields {
  /// A set: what is in it or below it is taken back.
  std::string_view excluded = "{}";
  /// A pattern (see Filtered): what it does not let through is taken back. "": none.
  std::string_view kept = {};
};

class FieldManager {
 public:
  /// REQUIRES: `kind` outlives it.
  FieldManager(const KindInfo& kind, std::string_view subresource, const ResetFields& resets);

  /// For a create, update or patch that made `object` from `live`: sets its managedFields. What the client sent there
  /// counts as far as upstream lets it. BadRequest when the object has lists whose items can't be told apart: it then
  /// has no managedFields.
  Ok Update(const doc::Value& live, doc::Document& object, std::string_view manager, WallTime now) const;

  struct ApplyRequest {
    std::string_view manager;
    bool force = false;
    WallTime now;
  };
  /// The live object with the configuration applied, with defaults and managedFields. Conflict, as upstream says it,
  /// when others manage fields that it would change.
  Result<doc::Document> Apply(const doc::Value& live, const doc::Value& configuration,
                              const ApplyRequest& request) const;

  const KindInfo& kind() const { return kind_; }

 private:
  friend class FieldUpdate;
  const KindInfo& kind_;
  std::string subresource_;
  doc::Document empty_;
  doc::Document excluded_;
  std::optional<doc::Document> kept_;
};

}  // namespace knarr::api::managed

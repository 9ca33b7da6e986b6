#pragma once

// Definitions of custom resources as upstream's rules see them, which know an older form: what all versions have alike
// stands once, beside the versions, and is not repeated in them. Internal to api/validation.

#include <map>
#include <string_view>

#include "doc/value.h"

namespace knarr::api::validation {

class DefinitionForm {
 public:
  /// The spec must outlive it.
  explicit DefinitionForm(const doc::Value& spec) : spec_(spec) {}

  const doc::Value& spec() const { return spec_; }
  const doc::Value& versions() const { return spec_.At("versions"); }
  /// "schema", "subresources", "additionalPrinterColumns" or "selectableFields": what all versions have; null when they
  /// differ, or have none.
  const doc::Value& Shared(std::string_view member) const;
  /// What the version has to itself.
  const doc::Value& Own(const doc::Value& version, std::string_view member) const;
  /// Whether some version has it to itself.
  bool AnyOwn(std::string_view member) const;
  bool HasStatus(const doc::Value& version) const;
  bool HasAnyStatus() const;

 private:
  bool IsShared(std::string_view member) const;
  const doc::Value& spec_;
  mutable std::map<std::string_view, bool> shared_;  // what has been compared already
};

/// A schema, and the list of versions, as messages show them: with the names that Go's fields have.
doc::Value ShownSchema(const doc::Value& schema, doc::Arena& arena);
doc::Value ShownVersions(const DefinitionForm& form, doc::Arena& arena);

/// The first field, in upstream's order, that a schema has and that may not stand at its root beside a status
/// subresource; "" when there is none. `type` is told apart: it must be "object".
std::string_view UnfitRootField(const doc::Value& schema);

}  // namespace knarr::api::validation

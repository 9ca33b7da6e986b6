#pragma once

// What a version of a custom resource has, or all versions share: schema, subresources, columns and selectable fields.
// Internal to api/validation.

#include <set>
#include <string>

#include "api/validation/definition_form.h"
#include "api/validation/definition_schema.h"

namespace knarr::api::validation {

/// What a definition must be; an update need not meet what the old definition did not meet.
struct DefinitionDemands {
  SchemaDemands schema;
  bool every_schema = true;             ///< every version has a schema
  bool known_reviews = true;            ///< its webhook knows some version of ConversionReview
  std::set<std::string> many_fields{};  ///< versions that may have too many selectable fields; "": all together
};

/// What the version has to itself.
void ValidateVersion(const DefinitionForm& form, const doc::Value& version, const DefinitionDemands& demands,
                     const Path& path, Errors& errors);
/// What all versions share. `path`: of the spec.
void ValidateShared(const DefinitionForm& form, const DefinitionDemands& demands, const Path& path, Errors& errors);
/// The versions whose selectable fields were too many before, and are the same.
std::set<std::string> VersionsWithOldFields(const DefinitionForm& form, const DefinitionForm& old);

}  // namespace knarr::api::validation

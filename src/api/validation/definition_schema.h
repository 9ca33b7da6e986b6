#pragma once

// The schemas of custom resource definitions. They are looked at as trees of JSONSchemaProps; a schema that is "null"
// is no schema. Internal to api/validation.

#include <functional>
#include <string>
#include <string_view>

#include "api/validation/errors.h"
#include "doc/value.h"

namespace knarr::api::validation {

/// What a definition's schema must be; an update need not meet what the old definition did not meet.
struct SchemaDemands {
  bool structural = true;
  bool known_types = true;
  bool pruned_defaults = true;
  bool atomic_sets = true;
  bool map_list_keys = true;
};

/// Whether OpenAPI has the type; "" is any.
bool IsKnownType(std::string_view type);
/// Whether the schema, or one somewhere in it, meets the predicate.
bool SchemaHas(const doc::Value& schema, const std::function<bool(const doc::Value& schema)>& predicate);
/// The schema in items, additionalProperties or a dependency; null when there stands something else.
const doc::Value& SubSchema(const doc::Value& union_member);

/// The rules of OpenAPI schemas as such. `root`: it is the resource's own.
void ValidateSchema(const doc::Value& schema, const SchemaDemands& demands, const Path& path, Errors& errors);
/// What a list of type map or set asks of its items.
void ValidateMapListKeys(const doc::Value& schema, const Path& path, Errors& errors);
/// A set's items must be compared as a whole. False when they can't be.
bool HasAtomicItems(const doc::Value& schema);

/// Why a schema can't be a structural one at all; "" when it may be. Only then the next two may be called.
std::string NotStructural(const doc::Value& schema);
/// The rules of structural schemas, ordered by their text.
void ValidateStructure(const doc::Value& schema, const Path& path, Errors& errors);
/// Defaults must be valid by their own schema, and (`pruned`) have no fields that it does not have.
void ValidateSchemaDefaults(const doc::Value& schema, bool pruned, const Path& path, Errors& errors);
/// Whether some default has fields that its schema does not have. REQUIRES: a structural schema.
bool HasUnprunedDefaults(const doc::Value& schema);

/// What the schema says is a resource of its own, inside of the value, must be one; so must the value (`resource`).
/// False when something is wrong.
bool ValidateEmbeddedResources(const doc::Value& schema, bool resource, const doc::Value& value, const Path& path,
                               Errors& errors);

/// What a path such as ".spec.x" leads to in a structural schema.
struct FoundSchema {
  std::string problem;  ///< "" when it leads somewhere
  std::string path;     ///< in its one true form: ".spec.x"
  std::string root;     ///< its first field
  const doc::Value* schema = nullptr;
};
FoundSchema FindSchema(const doc::Value& schema, std::string_view path, bool lists);

}  // namespace knarr::api::validation

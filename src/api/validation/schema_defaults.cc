// Defaults of custom resources: they must be what a resource could hold.

#include <algorithm>

#include "api/json_schema.h"
#include "api/validation/definition_schema.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

bool IsMetaField(std::string_view name) { return name == "apiVersion" || name == "kind" || name == "metadata"; }
bool IsEmbedded(const Value& schema) { return schema.At("x-kubernetes-embedded-resource").AsBool(); }

// Whether pruning takes fields away from the value. A null schema knows no fields. `kept`: the list that the value is
// an item of keeps what is unknown.
bool HasUnknownFields(const Value& value, const Value& schema, bool kept) {
  if (kept && schema.is_null()) return false;
  const bool keeps = kept || schema.At("x-kubernetes-preserve-unknown-fields").AsBool();
  const Value& items = SubSchema(schema.At("items"));
  for (const Value& item : value.items()) {
    if (HasUnknownFields(item, items, keeps)) return true;
  }
  const Value& additional = schema.At("additionalProperties");
  for (const doc::Member& member : value.members()) {
    if (IsEmbedded(schema) && IsMetaField(member.key)) continue;
    if (const Value* property = schema.At("properties").Find(member.key); property != nullptr) {
      if (HasUnknownFields(member.value, *property, false)) return true;
    } else if (!additional.is_null()) {
      if (HasUnknownFields(member.value, SubSchema(additional), false)) return true;
    } else if (!keeps) {
      return true;
    }
  }
  return false;
}

// `in_metadata`: the schema is of what a resource's metadata, kind or apiVersion holds. `resource`: of a resource.
// `resource`: the schema is of one, even if it does not say so.
void ValidateOwnDefault(const Value& schema, bool resource, bool in_metadata, bool pruned, const Path& path,
                        Errors& errors) {
  if (schema.At("default").is_null()) return;
  // Go shows maps in order.
  doc::Document document = doc::Document::Copy(schema.At("default"));
  document.root.SortMembers();
  const Value& value = document.root;
  const Path at = path / "default";
  if (pruned && !in_metadata && HasUnknownFields(value, schema, false)) {
    errors.Invalid(at, value, "must not have unknown fields");
  }
  if (!in_metadata && !ValidateEmbeddedResources(schema, resource, value, at, errors)) return;
  errors.Append(CheckAgainstSchema(schema, value, std::string(at.text())));
}

void ValidateDefaults(const Value& schema, bool resource, bool in_metadata, bool pruned, const Path& path,
                      Errors& errors) {
  if (!schema.is_object()) return;
  if (resource) in_metadata = false;
  ValidateOwnDefault(schema, resource, in_metadata, pruned, path, errors);
  const Value& items = schema.At("items");
  ValidateDefaults(items, IsEmbedded(items), in_metadata, pruned, path / "items", errors);
  for (const doc::Member& property : schema.At("properties").members()) {
    const bool inside = in_metadata || (resource && IsMetaField(property.key));
    ValidateDefaults(property.value, IsEmbedded(property.value), inside, pruned,
                     (path / "properties").Key(property.key), errors);
  }
}

}  // namespace

void ValidateSchemaDefaults(const Value& schema, bool pruned, const Path& path, Errors& errors) {
  ValidateDefaults(schema, true, false, pruned, path, errors);
}

bool HasUnprunedDefaults(const Value& schema) {
  return SchemaHas(schema, [](const Value& sub) {
    const Value& value = sub.At("default");
    return !value.is_null() && HasUnknownFields(value, sub, false);
  });
}

}  // namespace knarr::api::validation

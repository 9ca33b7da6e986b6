// OpenAPI schemas of custom resources as such: what Kubernetes does not support of JSON schema, and its own extensions.

#include <algorithm>
#include <set>

#include "api/apiextensions_v1.h"
#include "api/validation/definition_schema.h"
#include "api/validation/go_form.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr std::string_view kListType = "x-kubernetes-list-type";
constexpr std::string_view kMapType = "x-kubernetes-map-type";
constexpr std::string_view kListMapKeys = "x-kubernetes-list-map-keys";
constexpr std::string_view kValidations = "x-kubernetes-validations";

// What holds of a schema because of where it stands.
struct Place {
  bool defaults = true;
  std::string no_defaults_because;
  bool in_metadata = false;  ///< of apiVersion, kind or metadata of a resource

  Place WithoutDefaults(std::string because) const {
    Place place = *this;
    place.defaults = false;
    place.no_defaults_because = std::move(because);
    return place;
  }
};

constexpr std::string_view kTypes[] = {"array", "boolean", "integer", "number", "object", "string"};

std::string_view TypeOf(const Value& schema) { return schema.At("type").AsString(); }
bool IsBlank(std::string_view text) { return TrimSpace(text).empty(); }
bool HasLineBreak(std::string_view text) { return text.find_first_of("\n\r") != std::string_view::npos; }

class SchemaRules {
 public:
  SchemaRules(const SchemaDemands& demands, Errors& errors) : demands_(demands), errors_(errors) {}

  void Schema(const Value& schema, const Place& place, bool root, const Path& path) {
    if (!schema.is_object()) return;
    Unsupported(schema, place, path);
    if (schema.At("uniqueItems").AsBool()) {
      errors_.Forbidden(path / "uniqueItems",
                        "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
    }
    SubSchemas(schema, place, root, path);
    const Value& preserve = schema.At("x-kubernetes-preserve-unknown-fields");
    if (preserve.is_bool() && !preserve.AsBool()) {
      errors_.Invalid(path / "x-kubernetes-preserve-unknown-fields", preserve, "must be true or undefined");
    }
    Topology(schema, path);
    if (demands_.map_list_keys) ValidateMapListKeys(schema, path, errors_);
    const Value& rules = schema.At(kValidations);
    for (size_t i = 0; i < rules.size(); ++i) Rule(rules[i], schema, (path / kValidations)[i]);
  }

 private:
  void Unsupported(const Value& schema, const Place& place, const Path& path) {
    const std::string_view type = TypeOf(schema);
    if (demands_.known_types && !IsKnownType(type)) errors_.NotSupported(path / "type", type, kTypes);
    if (!schema.At("default").is_null() && !place.defaults) {
      const std::string because = place.no_defaults_because.empty() ? "" : " " + place.no_defaults_because;
      errors_.Forbidden(path / "default", "must not be set" + because);
    }
    for (const std::string_view member :
         {"id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"}) {
      if (!schema.At(member).is_null()) errors_.Forbidden(path / member, std::string(member) + " is not supported");
    }
    if (type == "null") {
      errors_.Forbidden(path / "type", "type cannot be set to null, use nullable as an alternative");
    }
    if (!schema.At("items").items().empty()) {
      errors_.Forbidden(path / "items", "items must be a schema object and not an array");
    }
    if (place.in_metadata && schema.At("x-kubernetes-embedded-resource").AsBool()) {
      errors_.Forbidden(path / "x-kubernetes-embedded-resource", "must not be used inside of resource meta");
    }
  }

  void Properties(const Value& schema, const Place& place, bool root, const Path& path) {
    const bool resource = root || schema.At("x-kubernetes-embedded-resource").AsBool();
    for (const doc::Member& property : schema.At("properties").members()) {
      Place inner = place;
      if (resource && (property.key == "metadata" || property.key == "kind" || property.key == "apiVersion")) {
        inner.in_metadata = true;
        if (root) inner = inner.WithoutDefaults("in top-level " + std::string(property.key));
      }
      Schema(property.value, inner, false, (path / "properties").Key(property.key));
    }
  }

  void SubSchemas(const Value& schema, const Place& place, bool root, const Path& path) {
    const Value& additional = schema.At("additionalProperties");
    if (!additional.is_null()) {
      const bool any = additional.is_bool() && additional.AsBool();
      if (!schema.At("properties").empty() && !any) {
        errors_.Forbidden(path / "additionalProperties", "additionalProperties and properties are mutual exclusive");
      }
      // What of a default would be pruned there can't be told.
      const Place inner =
          place.in_metadata ? place.WithoutDefaults("inside additionalProperties applying to object metadata") : place;
      Schema(additional, inner, false, path / "additionalProperties");
    }
    Properties(schema, place, root, path);
    Schema(schema.At("not"), place, false, path / "not");
    for (const std::string_view junctor : {"allOf", "oneOf", "anyOf"}) {
      const Value& list = schema.At(junctor);
      for (size_t i = 0; i < list.size(); ++i) Schema(list[i], place, false, (path / junctor)[i]);
    }
    for (const doc::Member& member : schema.At("definitions").members()) {
      Schema(member.value, place, false, (path / "definitions").Key(member.key));
    }
    const Value& items = schema.At("items");
    Schema(items, place, false, path / "items");
    for (size_t i = 0; i < items.items().size(); ++i) Schema(items[i], place, false, (path / "items")[i]);
    for (const doc::Member& member : schema.At("dependencies").members()) {
      Schema(member.value, place, false, (path / "dependencies").Key(member.key));
    }
  }

  void TypeMustBe(const Value& schema, std::string_view type, std::string_view extension, const Path& path) {
    const std::string must = "must be " + std::string(type) + " if " + std::string(extension) + " is specified";
    if (TypeOf(schema).empty()) {
      errors_.Required(path / "type", must);
    } else {
      errors_.Invalid(path / "type", TypeOf(schema), must);
    }
  }

  // What server-side apply is told about maps and lists.
  void Topology(const Value& schema, const Path& path) {
    const Value& map_type = schema.At(kMapType);
    if (!map_type.is_null()) {
      if (TypeOf(schema) != "object") TypeMustBe(schema, "object", kMapType, path);
      if (map_type.AsString() != "atomic" && map_type.AsString() != "granular") {
        errors_.NotSupported(path / kMapType, map_type.AsString(), {"atomic", "granular"});
      }
    }
    const Value& list_type = schema.At(kListType);
    const std::string_view type = list_type.AsString();
    if (!list_type.is_null() && TypeOf(schema) != "array") {
      TypeMustBe(schema, "array", kListType, path);
    } else if (demands_.atomic_sets && !HasAtomicItems(schema)) {
      AtomicItems(SubSchema(schema.At("items")), path / "items");
    }
    if (!list_type.is_null() && type != "atomic" && type != "set" && type != "map") {
      errors_.NotSupported(path / kListType, type, {"atomic", "set", "map"});
    }
    if (!schema.At(kListMapKeys).empty() && type != "map") {
      constexpr std::string_view kMust = "must be map if x-kubernetes-list-map-keys is non-empty";
      if (list_type.is_null()) {
        errors_.Required(path / kListType, kMust);
      } else {
        errors_.Invalid(path / kListType, type, kMust);
      }
    }
    if (type == "map") MapList(schema, path);
  }

  void AtomicItems(const Value& items, const Path& path) {
    const std::string_view member = TypeOf(items) == "array" ? kListType : kMapType;
    // Upstream shows the list type of either.
    errors_.Invalid(path / member, items.At(kListType),
                    "must be atomic as item of a list with x-kubernetes-list-type=set");
  }

  void MapList(const Value& schema, const Path& path) {
    const Value& keys = schema.At(kListMapKeys);
    const Value& items = schema.At("items");
    const Path at = path / "items";
    if (keys.empty()) {
      errors_.Required(path / kListMapKeys, "must not be empty if x-kubernetes-list-type is map");
    }
    if (items.is_null()) return errors_.Required(at, "must have a schema if x-kubernetes-list-type is map");
    if (items.is_array()) {
      return errors_.Invalid(at, items, "must only have a single schema if x-kubernetes-list-type is map");
    }
    if (TypeOf(items) != "object") {
      return errors_.Invalid(at / "type", TypeOf(items),
                             "must be object if parent array's x-kubernetes-list-type is map");
    }
    std::set<std::string_view> seen;
    for (const Value& key : keys.items()) {
      const Value* property = items.At("properties").Find(key.AsString());
      if (property == nullptr) {
        errors_.Invalid(path / kListMapKeys, keys, "entries must all be names of item properties");
      } else if (TypeOf(*property) == "array" || TypeOf(*property) == "object") {
        errors_.Invalid((at / "properties").Key(key.AsString()) / "type", TypeOf(items),
                        "must be a scalar type if parent array's x-kubernetes-list-type is map");
      }
      if (!seen.insert(key.AsString()).second) {
        errors_.Invalid(path / kListMapKeys, keys, "must not contain duplicate entries");
      }
    }
  }

  // A rule in CEL: all but the expressions themselves.
  void Rule(const Value& rule, const Value& schema, const Path& path) {
    const std::string_view expression = rule.At("rule").AsString();
    const std::string_view message = rule.At("message").AsString();
    if (IsBlank(expression)) {
      errors_.Required(path / "rule", "rule is not specified");
    } else if (!message.empty() && IsBlank(message)) {
      errors_.Invalid(path / "message", message, "must be non-empty if specified");
    } else if (HasLineBreak(TrimSpace(message))) {
      errors_.Invalid(path / "message", message, "must not contain line breaks");
    } else if (HasLineBreak(TrimSpace(expression)) && message.empty()) {
      errors_.Required(path / "message", "message must be specified if rule contains line breaks");
    }
    const std::string_view message_expression = rule.At("messageExpression").AsString();
    if (!message_expression.empty() && IsBlank(message_expression)) {
      errors_.Required(path / "messageExpression", "messageExpression must be non-empty if specified");
    }
    constexpr std::string_view kReasons[] = {"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid",
                                             "FieldValueRequired"};
    const Value& reason = rule.At("reason");
    if (!reason.is_null() && std::ranges::find(kReasons, reason.AsString()) == std::end(kReasons)) {
      errors_.NotSupported(path / "reason", reason.AsString(), kReasons);
    }
    const std::string_view field = rule.At("fieldPath").AsString();
    if (field.empty()) return;
    if (IsBlank(field)) errors_.Invalid(path / "fieldPath", field, "must be non-empty if specified");
    if (HasLineBreak(field)) errors_.Invalid(path / "fieldPath", field, "must not contain line breaks");
    const bool leads = !NotStructural(schema).empty() || FindSchema(schema, field, true).problem.empty();
    if (!leads) errors_.Invalid(path / "fieldPath", field, "must be a valid path");
  }

  const SchemaDemands& demands_;
  Errors& errors_;
};

}  // namespace

bool IsKnownType(std::string_view type) { return type.empty() || std::ranges::find(kTypes, type) != std::end(kTypes); }

bool HasAtomicItems(const Value& schema) {
  const Value& items = SubSchema(schema.At("items"));
  if (schema.At(kListType).AsString() != "set" || items.is_null()) return true;
  if (TypeOf(items) == "array") {
    return items.At(kListType).is_null() || items.At(kListType).AsString() == "atomic";
  }
  return TypeOf(items) != "object" || items.At(kMapType).AsString() == "atomic";
}

void ValidateMapListKeys(const Value& schema, const Path& path, Errors& errors) {
  const Value& items = SubSchema(schema.At("items"));
  const std::string_view type = schema.At(kListType).AsString();
  if (items.is_null() || (type != "set" && type != "map")) return;
  const Path at = path / "items";
  if (items.At("nullable").AsBool()) {
    errors.Forbidden(at / "nullable", "cannot be nullable when x-kubernetes-list-type is " + std::string(type));
  }
  if (type == "set") return;
  for (const Value& key : schema.At(kListMapKeys).items()) {
    const Value* property = items.At("properties").Find(key.AsString());
    if (property == nullptr) continue;
    const Path property_at = (at / "properties").Key(key.AsString());
    const auto& required = items.At("required").items();
    const bool is_required = std::ranges::any_of(required, [&key](const Value& name) { return name.Equals(key); });
    if (!is_required && property->At("default").is_null()) {
      errors.Required(property_at / "default",
                      "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required "
                      "property");
    }
    if (property->At("nullable").AsBool()) {
      errors.Forbidden(property_at / "nullable",
                       "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
    }
  }
}

void ValidateSchema(const Value& schema, const SchemaDemands& demands, const Path& path, Errors& errors) {
  SchemaRules(demands, errors).Schema(schema, {}, true, path);
}

}  // namespace knarr::api::validation

// Structural schemas: what says of which shape objects are stands apart from what only validates.

#include <algorithm>
#include <utility>
#include <vector>

#include "api/validation/definition_schema.h"
#include "base/regex.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

enum class Level : uint8_t { kRoot, kItem, kField };

std::string_view TypeOf(const Value& schema) { return schema.At("type").AsString(); }
bool Flag(const Value& schema, std::string_view name) { return schema.At(name).AsBool(); }
bool IsEmbedded(const Value& schema) { return Flag(schema, "x-kubernetes-embedded-resource"); }
bool Preserves(const Value& schema) { return Flag(schema, "x-kubernetes-preserve-unknown-fields"); }
bool IsIntOrString(const Value& schema) { return Flag(schema, "x-kubernetes-int-or-string"); }

bool IsOnlyType(const Value& schema, std::string_view type) { return schema.size() == 1 && TypeOf(schema) == type; }
// The one way to say "integer or string" that structural schemas allow.
bool IsIntOrStringChoice(const Value& choices) {
  return choices.size() == 2 && IsOnlyType(choices[0], "integer") && IsOnlyType(choices[1], "string");
}

void ValidateNested(const Value& schema, bool skip_any_of, const Path& path, Errors& errors);

// The parts that only validate: junctors and the pattern.
void ValidateChecks(const Value& schema, bool skip_any_of, bool skip_first_all_of, const Path& path, Errors& errors) {
  const Value& any = schema.At("anyOf");
  for (size_t i = 0; i < any.size() && !skip_any_of; ++i) ValidateNested(any[i], false, (path / "anyOf")[i], errors);
  const Value& all = schema.At("allOf");
  for (size_t i = 0; i < all.size(); ++i) {
    ValidateNested(all[i], skip_first_all_of && i == 0, (path / "allOf")[i], errors);
  }
  const Value& one = schema.At("oneOf");
  for (size_t i = 0; i < one.size(); ++i) ValidateNested(one[i], false, (path / "oneOf")[i], errors);
  if (schema.At("not").is_object()) ValidateNested(schema.At("not"), false, path / "not", errors);
  const std::string_view pattern = schema.At("pattern").AsString();
  if (pattern.empty()) return;
  const Result<Regex> compiled = Regex::Compile(pattern);
  if (compiled.ok()) return;
  errors.Invalid(path / "pattern", pattern,
                 "must be a valid regular expression, but isn't: " + compiled.status().message());
}

constexpr struct {
  std::string_view member;
  std::string_view must;
} kNotInChecks[] = {{"type", "must be empty to be structural"},
                    {"additionalProperties", "must be undefined to be structural"},
                    {"default", "must be undefined to be structural"},
                    {"title", "must be empty to be structural"},
                    {"description", "must be empty to be structural"},
                    {"nullable", "must be false to be structural"},
                    {"x-kubernetes-preserve-unknown-fields", "must be false to be structural"},
                    {"x-kubernetes-embedded-resource", "must be false to be structural"},
                    {"x-kubernetes-int-or-string", "must be false to be structural"},
                    {"x-kubernetes-list-map-keys", "must be empty to be structural"},
                    {"x-kubernetes-list-type", "must be undefined to be structural"},
                    {"x-kubernetes-map-type", "must be undefined to be structural"},
                    {"x-kubernetes-validations", "must be empty to be structural"}};

// A schema below a junctor: it may not say anything about the shape.
void ValidateNested(const Value& schema, bool skip_any_of, const Path& path, Errors& errors) {
  ValidateChecks(schema, skip_any_of, false, path, errors);
  if (const Value& items = SubSchema(schema.At("items")); items.is_object()) {
    ValidateNested(items, false, path / "items", errors);
  }
  const Value& properties = schema.At("properties");
  for (const doc::Member& property : properties.members()) {
    ValidateNested(property.value, false, (path / "properties").Key(property.key), errors);
  }
  for (const auto& [member, must] : kNotInChecks) {
    const Value& value = schema.At(member);
    if (value.is_null() || (value.is_bool() && !value.AsBool())) continue;
    errors.Forbidden(path / member, must);
  }
  if (properties.Find("metadata") != nullptr) {
    errors.Forbidden((path / "properties").Key("metadata"), "must not be specified in a nested context");
  }
}

// Nothing but the names may be restricted at the root.
bool SaysMoreThanNames(const Value& metadata) {
  return std::ranges::any_of(metadata.members(), [](const doc::Member& member) {
    if (member.key == "type" || member.key == "default") return false;
    if (member.key != "properties") return true;
    return std::ranges::any_of(member.value.members(), [](const doc::Member& property) {
      return property.key != "name" && property.key != "generateName";
    });
  });
}

void ValidateMetaFields(const Value& properties, bool resource, Level level, const Path& path, Errors& errors) {
  for (const std::string_view name : {"kind", "apiVersion"}) {
    const Value* field = properties.Find(name);
    if (field == nullptr || !resource || TypeOf(*field) == "string") continue;
    errors.Invalid(path.Key(name) / "type", TypeOf(*field), "must be string");
  }
  const Value* metadata = properties.Find("metadata");
  if (metadata == nullptr) return;
  const Path at = path.Key("metadata");
  if (resource && TypeOf(*metadata) != "object") errors.Invalid(at / "type", TypeOf(*metadata), "must be object");
  if (level == Level::kRoot && SaysMoreThanNames(*metadata)) {
    errors.Forbidden(
        at, "must not specify anything other than name and generateName, but metadata is implicitly specified");
  }
}

void ValidateType(const Value& schema, Level level, const Path& path, Errors& errors) {
  const std::string_view type = TypeOf(schema);
  const Path at = path / "type";
  if (IsEmbedded(schema) && type != "object") {
    constexpr std::string_view kMust = "must be object if x-kubernetes-embedded-resource is true";
    if (type.empty()) {
      errors.Required(at, kMust);
    } else {
      errors.Invalid(at, type, kMust);
    }
  } else if (type.empty() && !IsIntOrString(schema) && !Preserves(schema)) {
    errors.Required(at, level == Level::kRoot   ? "must not be empty at the root"
                        : level == Level::kItem ? "must not be empty for specified array items"
                                                : "must not be empty for specified object fields");
  }
  if (level == Level::kRoot && !type.empty() && type != "object") {
    errors.Invalid(at, type, "must be object at the root");
  }
}

void ValidateExtensions(const Value& schema, const Path& path, Errors& errors) {
  if (!IsIntOrString(schema)) return;
  constexpr std::string_view kMust = "must be false if x-kubernetes-int-or-string is true";
  if (Preserves(schema)) errors.Invalid(path / "x-kubernetes-preserve-unknown-fields", Value::Bool(true), kMust);
  if (IsEmbedded(schema)) errors.Invalid(path / "x-kubernetes-embedded-resource", Value::Bool(true), kMust);
}

void ValidateInvariants(const Value& schema, Level level, const Path& path, Errors& errors) {
  const Value& items = SubSchema(schema.At("items"));
  if (TypeOf(schema) == "array" && items.is_null()) errors.Required(path / "items", "must be specified");
  if (items.is_object()) ValidateInvariants(items, Level::kItem, path / "items", errors);
  const Value& properties = schema.At("properties");
  for (const doc::Member& property : properties.members()) {
    ValidateInvariants(property.value, Level::kField, (path / "properties").Key(property.key), errors);
  }
  const Value& additional = schema.At("additionalProperties");
  if (!additional.is_null() && level == Level::kRoot) {
    errors.Forbidden(path / "additionalProperties", "must not be used at the root");
  }
  if (additional.is_object()) ValidateInvariants(additional, Level::kField, path / "additionalProperties", errors);
  ValidateExtensions(schema, path, errors);
  const Value& all = schema.At("allOf");
  ValidateChecks(schema, IsIntOrStringChoice(schema.At("anyOf")),
                 !all.empty() && IsIntOrStringChoice(all[0].At("anyOf")), path, errors);
  ValidateType(schema, level, path, errors);
  const bool embedded = IsEmbedded(schema);
  if (embedded && !additional.is_null()) {
    errors.Forbidden(path / "additionalProperties", "must not be used if x-kubernetes-embedded-resource is set");
  }
  ValidateMetaFields(properties, level == Level::kRoot || embedded, level, path / "properties", errors);
  if (embedded && !Preserves(schema) && properties.empty()) {
    errors.Required(path / "properties",
                    "must not be empty if x-kubernetes-embedded-resource is true without "
                    "x-kubernetes-preserve-unknown-fields");
  }
}

// What a check speaks of must be part of the shape. `schema`: what the shape has there, nullptr when nothing.
void ValidateComplete(const Value& check, const Value* schema, const Path& path, const Path& check_path,
                      Errors& errors);

void ValidateJunctors(const Value& check, const Value& schema, const Path& path, const Path& check_path,
                      Errors& errors) {
  if (check.At("not").is_object()) ValidateComplete(check.At("not"), &schema, path, check_path / "not", errors);
  for (const std::string_view junctor : {"allOf", "anyOf", "oneOf"}) {
    const Value& list = check.At(junctor);
    for (size_t i = 0; i < list.size(); ++i) {
      ValidateComplete(list[i], &schema, path, (check_path / junctor)[i], errors);
    }
  }
}

void ValidateComplete(const Value& check, const Value* schema, const Path& path, const Path& check_path,
                      Errors& errors) {
  if (schema == nullptr) return errors.Required(path, "because it is defined in " + std::string(check_path.text()));
  ValidateJunctors(check, *schema, path, check_path, errors);
  if (const Value& items = SubSchema(check.At("items")); items.is_object()) {
    const Value& of_schema = SubSchema(schema->At("items"));
    ValidateComplete(items, of_schema.is_object() ? &of_schema : nullptr, path / "items", check_path / "items", errors);
  }
  for (const doc::Member& property : check.At("properties").members()) {
    const Path at = (check_path / "properties").Key(property.key);
    ValidateComplete(property.value, schema->At("properties").Find(property.key),
                     (path / "properties").Key(property.key), at, errors);
  }
}

std::string FirstProblem(const Value& list) {
  for (const Value& schema : list.items()) {
    if (std::string problem = NotStructural(schema); !problem.empty()) return problem;
  }
  for (const doc::Member& member : list.members()) {
    if (std::string problem = NotStructural(member.value); !problem.empty()) return problem;
  }
  return {};
}

}  // namespace

const Value& SubSchema(const Value& union_member) {
  static const Value kNone;
  return union_member.is_object() ? union_member : kNone;
}

bool SchemaHas(const Value& schema, const std::function<bool(const Value& schema)>& predicate) {
  if (!schema.is_object()) return false;
  if (predicate(schema)) return true;
  const auto has = [&predicate](const Value& sub) { return SchemaHas(sub, predicate); };
  for (const std::string_view one : {"items", "not", "additionalProperties", "additionalItems"}) {
    const Value& sub = schema.At(one);
    if (has(sub) || std::ranges::any_of(sub.items(), has)) return true;
  }
  for (const std::string_view list : {"allOf", "anyOf", "oneOf"}) {
    if (std::ranges::any_of(schema.At(list).items(), has)) return true;
  }
  for (const std::string_view map : {"properties", "patternProperties", "definitions", "dependencies"}) {
    const auto has_member = [&has](const doc::Member& member) { return has(member.value); };
    if (std::ranges::any_of(schema.At(map).members(), has_member)) return true;
  }
  return false;
}

std::string NotStructural(const Value& schema) {
  constexpr struct {
    std::string_view member;
    std::string_view shown;
  } kUnsupported[] = {{"id", "id"},
                      {"$schema", "schema"},
                      {"$ref", "$ref"},
                      {"patternProperties", "patternProperties"},
                      {"dependencies", "dependencies"},
                      {"additionalItems", "additionalItems"},
                      {"definitions", "definitions"}};
  for (const auto& [member, shown] : kUnsupported) {
    const Value& value = schema.At(member);
    if (value.is_null() || (value.is_string() && value.AsString().empty())) continue;
    return "OpenAPIV3Schema '" + std::string(shown) + "' is not supported";
  }
  if (const Value& check = schema.At("not"); check.is_object()) {
    if (std::string problem = NotStructural(check); !problem.empty()) return problem;
  }
  for (const std::string_view junctor : {"allOf", "anyOf", "oneOf"}) {
    if (std::string problem = FirstProblem(schema.At(junctor)); !problem.empty()) return problem;
  }
  const Value& preserve = schema.At("x-kubernetes-preserve-unknown-fields");
  if (preserve.is_bool() && !preserve.AsBool()) {
    return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined";
  }
  const Value& items = schema.At("items");
  if (items.is_array()) return "OpenAPIV3Schema 'items' must be a schema, but is an array";
  for (const Value* sub : {&items, &schema.At("additionalProperties")}) {
    if (!sub->is_object()) continue;
    if (std::string problem = NotStructural(*sub); !problem.empty()) return problem;
  }
  return FirstProblem(schema.At("properties"));
}

void ValidateStructure(const Value& schema, const Path& path, Errors& errors) {
  Errors found;
  ValidateInvariants(schema, Level::kRoot, path, found);
  ValidateJunctors(schema, schema, path, path, found);
  ErrorList list = std::move(found).Take();
  std::ranges::stable_sort(list, {}, [](const FieldError& error) { return error.field + ": " + error.body; });
  errors.Append(std::move(list));
}

}  // namespace knarr::api::validation

#include "api/validation/definition_form.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace knarr::api::validation {
namespace {

using doc::Arena;
using doc::Value;

const Value& None() {
  static const Value kNone;
  return kNone;
}

bool SameOrEmpty(const Value& a, const Value& b) {
  const bool lists = (a.is_array() || a.is_null()) && (b.is_array() || b.is_null());
  return (lists && a.empty() && b.empty()) || a.Equals(b);
}

enum class Form : uint8_t {
  kPlain,
  kText,
  kFlag,
  kSchema,
  kSchemas,
  kNamed,
  kOrList,
  kOrBool,
  kOrTexts,
  kRules,
  kDocs
};

// A field of a schema: Go's name, ours, and what is in it. In upstream's order.
struct SchemaField {
  std::string_view shown;
  std::string_view name;
  Form form = Form::kPlain;
  bool at_root = false;  ///< may stand at the root beside a status subresource
};
constexpr SchemaField kFields[] = {
    {"ID", "id", Form::kText},
    {"Schema", "$schema", Form::kText},
    {"Ref", "$ref"},
    {"Description", "description", Form::kText, true},
    {"Type", "type", Form::kText, true},
    {"Nullable", "nullable", Form::kFlag},
    {"Format", "format", Form::kText, true},
    {"Title", "title", Form::kText, true},
    {"Default", "default"},
    {"Maximum", "maximum", Form::kPlain, true},
    {"ExclusiveMaximum", "exclusiveMaximum", Form::kFlag, true},
    {"Minimum", "minimum", Form::kPlain, true},
    {"ExclusiveMinimum", "exclusiveMinimum", Form::kFlag, true},
    {"MaxLength", "maxLength", Form::kPlain, true},
    {"MinLength", "minLength", Form::kPlain, true},
    {"Pattern", "pattern", Form::kText, true},
    {"MaxItems", "maxItems", Form::kPlain, true},
    {"MinItems", "minItems", Form::kPlain, true},
    {"UniqueItems", "uniqueItems", Form::kFlag, true},
    {"MultipleOf", "multipleOf", Form::kPlain, true},
    {"Enum", "enum"},
    {"MaxProperties", "maxProperties"},
    {"MinProperties", "minProperties"},
    {"Required", "required", Form::kPlain, true},
    {"Items", "items", Form::kOrList, true},
    {"AllOf", "allOf", Form::kSchemas},
    {"OneOf", "oneOf", Form::kSchemas},
    {"AnyOf", "anyOf", Form::kSchemas},
    {"Not", "not", Form::kSchema},
    {"Properties", "properties", Form::kNamed, true},
    {"AdditionalProperties", "additionalProperties", Form::kOrBool},
    {"PatternProperties", "patternProperties", Form::kNamed},
    {"Dependencies", "dependencies", Form::kOrTexts},
    {"AdditionalItems", "additionalItems", Form::kOrBool},
    {"Definitions", "definitions", Form::kNamed},
    {"ExternalDocs", "externalDocs", Form::kDocs, true},
    {"Example", "example", Form::kPlain, true},
    {"XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", Form::kPlain, true},
    {"XEmbeddedResource", "x-kubernetes-embedded-resource", Form::kFlag},
    {"XIntOrString", "x-kubernetes-int-or-string", Form::kFlag},
    {"XListMapKeys", "x-kubernetes-list-map-keys"},
    {"XListType", "x-kubernetes-list-type"},
    {"XMapType", "x-kubernetes-map-type"},
    {"XValidations", "x-kubernetes-validations", Form::kRules, true},
};

// A plain struct's fields; texts and flags are there when absent.
template <size_t kCount>
Value ShownStruct(const Value& value, const std::array<SchemaField, kCount>& fields, Arena& arena) {
  if (value.is_null()) return value;
  Value out = Value::Object();
  for (const SchemaField& field : fields) {
    Value member = value.At(field.name);
    if (member.is_null() && field.form == Form::kText) member = Value::Borrow("");
    if (member.is_null() && field.form == Form::kFlag) member = Value::Bool(false);
    out.AddMember(arena, field.shown, member);
  }
  return out;
}

constexpr std::array<SchemaField, 6> kRuleFields = {{{"Rule", "rule", Form::kText},
                                                     {"Message", "message", Form::kText},
                                                     {"MessageExpression", "messageExpression", Form::kText},
                                                     {"Reason", "reason"},
                                                     {"FieldPath", "fieldPath", Form::kText},
                                                     {"OptionalOldSelf", "optionalOldSelf"}}};
constexpr std::array<SchemaField, 2> kDocsFields = {
    {{"Description", "description", Form::kText}, {"URL", "url", Form::kText}}};

template <typename Shown>
Value ShownList(const Value& list, Arena& arena, const Shown& shown) {
  if (!list.is_array()) return Value::Null();
  Value out = Value::Array();
  for (const Value& item : list.items()) out.Append(arena, shown(item));
  return out;
}

template <typename Shown>
Value ShownMap(const Value& map, Arena& arena, const Shown& shown) {
  if (!map.is_object()) return Value::Null();
  Value out = Value::Object();
  for (const doc::Member& member : map.members()) out.AddMember(arena, member.key, shown(member.value));
  return out;
}

// The two sides of a union: a schema, or something else.
Value ShownUnion(const Value& value, std::string_view other_name, const Value& other, bool schema_first, Arena& arena) {
  if (value.is_null()) return value;
  const Value schema = value.is_object() ? ShownSchema(value, arena) : Value::Null();
  Value out = Value::Object();
  if (schema_first) out.AddMember(arena, "Schema", schema);
  out.AddMember(arena, other_name, other);
  if (!schema_first) out.AddMember(arena, "Schema", schema);
  return out;
}

Value ShownField(const SchemaField& field, const Value& value, Arena& arena) {
  const auto schema = [&arena](const Value& sub) { return ShownSchema(sub, arena); };
  switch (field.form) {
    case Form::kText:
      return value.is_null() ? Value::Borrow("") : value;
    case Form::kFlag:
      return Value::Bool(value.AsBool());
    case Form::kSchema:
      return value.is_null() ? value : schema(value);
    case Form::kSchemas:
      return ShownList(value, arena, schema);
    case Form::kNamed:
      return ShownMap(value, arena, schema);
    case Form::kOrList:
      return ShownUnion(value, "JSONSchemas", ShownList(value, arena, schema), true, arena);
    case Form::kOrBool:
      return ShownUnion(value, "Allows", Value::Bool(value.is_object() || value.AsBool()), false, arena);
    case Form::kOrTexts:
      return ShownMap(value, arena, [&arena](const Value& sub) {
        return ShownUnion(sub, "Property", sub.is_array() ? sub : Value::Null(), true, arena);
      });
    case Form::kRules:
      return ShownList(value, arena, [&arena](const Value& rule) { return ShownStruct(rule, kRuleFields, arena); });
    case Form::kDocs:
      return ShownStruct(value, kDocsFields, arena);
    case Form::kPlain:
      return value;
  }
  return value;
}

constexpr std::array<SchemaField, 3> kScaleFields = {{{"SpecReplicasPath", "specReplicasPath", Form::kText},
                                                      {"StatusReplicasPath", "statusReplicasPath", Form::kText},
                                                      {"LabelSelectorPath", "labelSelectorPath"}}};
constexpr std::array<SchemaField, 6> kColumnFields = {{{"Name", "name", Form::kText},
                                                       {"Type", "type", Form::kText},
                                                       {"Format", "format", Form::kText},
                                                       {"Description", "description", Form::kText},
                                                       {"Priority", "priority"},
                                                       {"JSONPath", "jsonPath", Form::kText}}};
constexpr std::array<SchemaField, 1> kSelectableFields = {{{"JSONPath", "jsonPath", Form::kText}}};
constexpr std::array<SchemaField, 5> kVersionFields = {{{"Name", "name", Form::kText},
                                                        {"Served", "served", Form::kFlag},
                                                        {"Storage", "storage", Form::kFlag},
                                                        {"Deprecated", "deprecated", Form::kFlag},
                                                        {"DeprecationWarning", "deprecationWarning"}}};

Value ShownSubresources(const Value& value, Arena& arena) {
  if (value.is_null()) return value;
  Value out = Value::Object();
  out.AddMember(arena, "Status", value.At("status"));
  out.AddMember(arena, "Scale", ShownStruct(value.At("scale"), kScaleFields, arena));
  return out;
}

Value ShownColumn(const Value& value, Arena& arena) {
  Value out = ShownStruct(value, kColumnFields, arena);
  if (value.At("priority").is_null()) out.Set(arena, "Priority", Value::Int(0));
  return out;
}

bool HasStatusIn(const Value& subresources) { return !subresources.At("status").is_null(); }

}  // namespace

bool DefinitionForm::IsShared(std::string_view member) const {
  const auto [known, fresh] = shared_.emplace(member, false);
  if (!fresh) return known->second;
  const Value& list = versions();
  known->second = !list.empty() && std::ranges::all_of(list.items(), [&](const Value& version) {
    return SameOrEmpty(version.At(member), list[0].At(member));
  });
  return known->second;
}

const Value& DefinitionForm::Shared(std::string_view member) const {
  return IsShared(member) ? versions()[0].At(member) : None();
}

const Value& DefinitionForm::Own(const Value& version, std::string_view member) const {
  return IsShared(member) ? None() : version.At(member);
}

bool DefinitionForm::AnyOwn(std::string_view member) const {
  return !IsShared(member) && std::ranges::any_of(versions().items(), [member](const Value& version) {
    return !version.At(member).is_null();
  });
}

bool DefinitionForm::HasStatus(const Value& version) const {
  return HasStatusIn(AnyOwn("subresources") ? version.At("subresources") : Shared("subresources"));
}

bool DefinitionForm::HasAnyStatus() const {
  return std::ranges::any_of(versions().items(),
                             [](const Value& version) { return HasStatusIn(version.At("subresources")); });
}

Value ShownSchema(const Value& schema, Arena& arena) {
  Value out = Value::Object();
  out.Reserve(arena, std::size(kFields));
  for (const SchemaField& field : kFields) {
    out.AddMember(arena, field.shown, ShownField(field, schema.At(field.name), arena));
  }
  return out;
}

Value ShownVersions(const DefinitionForm& form, Arena& arena) {
  return ShownList(form.versions(), arena, [&](const Value& version) {
    Value out = ShownStruct(version, kVersionFields, arena);
    Value schema = form.Own(version, "schema");
    if (schema.is_object()) {
      const Value& inner = schema.At("openAPIV3Schema");
      schema = Value::Object();
      schema.AddMember(arena, "OpenAPIV3Schema", inner.is_null() ? inner : ShownSchema(inner, arena));
    }
    out.AddMember(arena, "Schema", schema);
    out.AddMember(arena, "Subresources", ShownSubresources(form.Own(version, "subresources"), arena));
    out.AddMember(arena, "AdditionalPrinterColumns",
                  ShownList(form.Own(version, "additionalPrinterColumns"), arena,
                            [&](const Value& column) { return ShownColumn(column, arena); }));
    out.AddMember(arena, "SelectableFields",
                  ShownList(form.Own(version, "selectableFields"), arena,
                            [&](const Value& field) { return ShownStruct(field, kSelectableFields, arena); }));
    return out;
  });
}

std::string_view UnfitRootField(const Value& schema) {
  for (const SchemaField& field : kFields) {
    const Value& value = schema.At(field.name);
    const bool zero = value.is_null() || (field.form == Form::kText && value.AsString().empty()) ||
                      (field.form == Form::kFlag && !value.AsBool());
    if (zero) continue;
    const bool fits = field.name == "type" ? value.AsString() == "object" : field.at_root;
    if (!fits) return field.name;
  }
  return {};
}

}  // namespace knarr::api::validation

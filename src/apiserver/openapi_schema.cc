#include "apiserver/openapi_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using api::Field;
using api::FieldFlag;
using api::FieldType;
using api::Shape;
using doc::Value;

// Types that JSON shows as something else than a message. They have names of their own in OpenAPI.
struct Special {
  std::string_view name;
  std::string_view type;  // "" : any
  std::string_view format;
  std::string_view doc;
};
constexpr Special kQuantity = {"io.k8s.apimachinery.pkg.api.resource.Quantity", "string", "",
                               "An amount: a decimal number with an optional suffix such as m, k, Mi or Gi."};
constexpr Special kIntOrString = {"io.k8s.apimachinery.pkg.util.intstr.IntOrString", "string", "int-or-string",
                                  "A number or a text, such as a percentage or the name of a port."};
constexpr Special kTime = {"io.k8s.apimachinery.pkg.apis.meta.v1.Time", "string", "date-time",
                           "A time in RFC 3339, in whole seconds."};
constexpr Special kMicroTime = {"io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "string", "date-time",
                                "A time in RFC 3339, in microseconds."};
constexpr Special kDuration = {"io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "string", "",
                               "A span of time such as 1m30s."};
constexpr Special kRaw = {"io.k8s.apimachinery.pkg.runtime.RawExtension", "object", "", "Any object."};
constexpr Special kJson = {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", "", "", "Any JSON value."};
constexpr Special kSchemaOrList = {
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray", "", "",
    "A schema, or a list of schemas."};
constexpr Special kSchemaOrBool = {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
                                   "", "", "A schema, or whether anything is allowed."};
constexpr Special kSchemaOrStrings = {
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray", "", "",
    "A schema, or a list of names."};
constexpr const Special* kSpecials[] = {&kQuantity, &kIntOrString,  &kTime,         &kMicroTime,      &kDuration, &kRaw,
                                        &kJson,     &kSchemaOrList, &kSchemaOrBool, &kSchemaOrStrings};

const Special* SpecialOf(const Field& field) {
  switch (field.type) {
    case FieldType::kQuantity:
      return &kQuantity;
    case FieldType::kIntOrString:
      return &kIntOrString;
    case FieldType::kTime:
      return &kTime;
    case FieldType::kMicroTime:
      return &kMicroTime;
    case FieldType::kDuration:
      return &kDuration;
    case FieldType::kRaw:
      return field.go_type.ends_with("v1.JSON") ? &kJson : &kRaw;
    case FieldType::kMessageOrList:
      return &kSchemaOrList;
    case FieldType::kMessageOrBool:
      return &kSchemaOrBool;
    case FieldType::kMessageOrStrings:
      return &kSchemaOrStrings;
    default:
      return nullptr;
  }
}

Value Simple(std::string_view type, std::string_view format, doc::Arena& arena) {
  Value out = Value::Object();
  if (!type.empty()) out.AddMember(arena, "type", Value::Borrow(type));
  if (!format.empty()) out.AddMember(arena, "format", Value::Borrow(format));
  return out;
}

class SchemaWriter {
 public:
  SchemaWriter(OpenApiDialect dialect, doc::Arena& arena) : dialect_(dialect), arena_(arena) {}

  Value Definition(const api::Type& type) {
    Value out = Value::Object();
    if (!type.doc.empty()) out.AddMember(arena_, "description", Value::Borrow(type.doc));
    out.AddMember(arena_, "type", Value::Borrow("object"));
    Value required = Value::Array();
    Value properties = Value::Object();
    for (const Field* field : type.flat) {
      if (field->required_in_openapi()) required.Append(arena_, Value::Borrow(field->name));
      properties.AddMember(arena_, field->name, Property(*field));
    }
    if (!required.empty()) out.AddMember(arena_, "required", required);
    if (!properties.empty()) out.AddMember(arena_, "properties", properties);
    AddKinds(type, out);
    return out;
  }

 private:
  // One value of the field's type, whatever its shape.
  Value Element(const Field& field) {
    if (field.type == FieldType::kMessage) return SchemaReference(dialect_, field.message->openapi, arena_);
    if (const Special* special = SpecialOf(field)) return SchemaReference(dialect_, special->name, arena_);
    switch (field.type) {
      case FieldType::kBool:
        return Simple("boolean", "", arena_);
      case FieldType::kInt32:
        return Simple("integer", "int32", arena_);
      case FieldType::kInt64:
        return Simple("integer", "int64", arena_);
      case FieldType::kDouble:
        return Simple("number", "double", arena_);
      case FieldType::kBytes:
        return Simple("string", "byte", arena_);
      default:
        return Simple("string", "", arena_);
    }
  }

  Value Listed(const Value& items) {
    Value out = Simple("array", "", arena_);
    out.AddMember(arena_, "items", items);
    return out;
  }

  Value Property(const Field& field) {
    Value out = Element(field);
    if (field.shape == Shape::kList) {
      out = Listed(out);
    } else if (field.shape == Shape::kMap) {
      if (field.Has(FieldFlag::kWrapped)) out = Listed(out);
      Value map = Simple("object", "", arena_);
      map.AddMember(arena_, "additionalProperties", out);
      out = map;
    }
    const bool reference = out.Find("$ref") != nullptr;
    if (reference && dialect_ == OpenApiDialect::kV3) {
      Value wrapped = Value::Object();
      wrapped.AddMember(arena_, "allOf", Value::ArrayOf(arena_, {&out, 1}));
      out = wrapped;
    }
    if (!field.doc.empty()) out.AddMember(arena_, "description", Value::Borrow(field.doc));
    if (!field.default_json.empty()) {
      // The schema's own text, so it parses.
      out.AddMember(arena_, "default", MUST(doc::ParseJsonBorrowing(field.default_json, arena_)));
    }
    if (!field.enum_values.empty() && field.shape == Shape::kSingle) {
      Value values = Value::Array();
      for (const std::string_view value : field.enum_values) values.Append(arena_, Value::Borrow(value));
      out.AddMember(arena_, "enum", values);
    }
    AddExtensions(field, out);
    return out;
  }

  void AddExtensions(const Field& field, Value& out) {
    using api::ListType;
    if (field.shape == Shape::kList && field.list_type != ListType::kNone) {
      const std::string_view name = field.list_type == ListType::kAtomic ? "atomic"
                                    : field.list_type == ListType::kSet  ? "set"
                                                                         : "map";
      if (!field.list_map_keys.empty()) {
        Value keys = Value::Array();
        for (const std::string_view key : field.list_map_keys) keys.Append(arena_, Value::Borrow(key));
        out.AddMember(arena_, "x-kubernetes-list-map-keys", keys);
      }
      out.AddMember(arena_, "x-kubernetes-list-type", Value::Borrow(name));
    }
    if (field.Has(FieldFlag::kMapAtomic)) out.AddMember(arena_, "x-kubernetes-map-type", Value::Borrow("atomic"));
    if (!field.patch_merge_key.empty()) {
      out.AddMember(arena_, "x-kubernetes-patch-merge-key", Value::Borrow(field.patch_merge_key));
    }
    const bool retain = field.Has(FieldFlag::kPatchRetainKeys);
    const std::string_view strategy = field.Has(FieldFlag::kPatchMerge)     ? (retain ? "merge,retainKeys" : "merge")
                                      : field.Has(FieldFlag::kPatchReplace) ? "replace"
                                                                            : (retain ? "retainKeys" : "");
    if (!strategy.empty()) out.AddMember(arena_, "x-kubernetes-patch-strategy", Value::Borrow(strategy));
  }

  // Which kinds the type is of: itself, or, for what all group-versions share, one for each.
  void AddKinds(const api::Type& type, Value& out) {
    if (!type.root) return;
    Value list = Value::Array();
    for (const api::Package& package : api::AllPackages()) {
      if (package.version.empty()) continue;
      const std::string api_version =
          package.group.empty() ? std::string(package.version) : fmt::format("{}/{}", package.group, package.version);
      if (api::FindRootType(api_version, type.name) != &type) continue;
      Value one = Value::Object();
      one.AddMember(arena_, "group", Value::Borrow(package.group));
      one.AddMember(arena_, "kind", Value::Borrow(type.name));
      one.AddMember(arena_, "version", Value::Borrow(package.version));
      list.Append(arena_, one);
    }
    if (!list.empty()) out.AddMember(arena_, "x-kubernetes-group-version-kind", list);
  }

  OpenApiDialect dialect_;
  doc::Arena& arena_;
};

// A type and everything it refers to.
void Collect(const api::Type& type, std::set<const api::Type*>& types, std::set<const Special*>& specials) {
  if (!types.insert(&type).second) return;
  for (const Field* field : type.flat) {
    if (const Special* special = SpecialOf(*field)) specials.insert(special);
    if (field->type == FieldType::kMessage) Collect(*field->message, types, specials);
  }
}

}  // namespace

Value SchemaReference(OpenApiDialect dialect, std::string_view openapi_name, doc::Arena& arena) {
  const std::string_view root = dialect == OpenApiDialect::kV2 ? "#/definitions/" : "#/components/schemas/";
  Value out = Value::Object();
  out.AddMember(arena, "$ref", Value::String(arena, fmt::format("{}{}", root, openapi_name)));
  return out;
}

Value GroupVersionKind(const api::KindInfo& kind, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "group", Value::Borrow(kind.group));
  out.AddMember(arena, "kind", Value::Borrow(kind.kind));
  out.AddMember(arena, "version", Value::Borrow(kind.version));
  return out;
}

void AddDefinitions(OpenApiDialect dialect, const api::Package* package, Value& definitions, doc::Arena& arena) {
  std::set<const api::Type*> types;
  std::set<const Special*> specials;
  for (const api::Package& each : api::AllPackages()) {
    // What subresources and errors are made of belongs to every document.
    const bool wanted = package == nullptr || &each == package;
    for (const api::Type& type : each.types) {
      const bool shared = type.openapi.ends_with(".meta.v1.Status") || type.openapi.ends_with(".meta.v1.DeleteOptions");
      if (shared || (wanted && !type.openapi.empty())) Collect(type, types, specials);
    }
  }
  std::vector<const api::Type*> ordered(types.begin(), types.end());
  std::ranges::sort(ordered, {}, &api::Type::openapi);
  SchemaWriter writer(dialect, arena);
  for (const api::Type* type : ordered) {
    if (!type->openapi.empty()) definitions.AddMember(arena, type->openapi, writer.Definition(*type));
  }
  for (const Special* special : kSpecials) {
    if (!specials.contains(special) || definitions.Find(special->name) != nullptr) continue;
    Value schema = Value::Object();
    schema.AddMember(arena, "description", Value::Borrow(special->doc));
    schema.AddMember(arena, "type", Value::Borrow(special->type));
    if (!special->format.empty()) schema.AddMember(arena, "format", Value::Borrow(special->format));
    definitions.AddMember(arena, special->name, schema);
  }
}

}  // namespace knarr::apiserver

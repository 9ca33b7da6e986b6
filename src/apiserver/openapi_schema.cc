#include "apiserver/openapi_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
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
  std::string_view type;  // "": any
  std::string_view format;
  std::string_view doc;
  std::string_view types[2];  // where JSON may show it as either; said in version 3 only
};
constexpr Special kQuantity = {"io.k8s.apimachinery.pkg.api.resource.Quantity",
                               "string",
                               "",
                               "An amount: a decimal number with an optional suffix such as m, k, Mi or Gi.",
                               {"string", "number"}};
constexpr Special kIntOrString = {"io.k8s.apimachinery.pkg.util.intstr.IntOrString",
                                  "string",
                                  "int-or-string",
                                  "A number or a text, such as a percentage or the name of a port.",
                                  {"integer", "string"}};
constexpr Special kTime = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time", "string", "date-time", "A time in RFC 3339, in whole seconds.", {}};
constexpr Special kMicroTime = {"io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
                                "string",
                                "date-time",
                                "A time in RFC 3339, in microseconds.",
                                {}};
constexpr Special kDuration = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "string", "", "A span of time such as 1m30s.", {}};
constexpr Special kRaw = {"io.k8s.apimachinery.pkg.runtime.RawExtension", "object", "", "Any object.", {}};
constexpr Special kFields = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "object", "", "A set of fields, as a tree of their names.", {}};
constexpr Special kAny = {
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", "", "", "Any JSON value.", {}};
constexpr Special kSchemaOrList = {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
                                   "",
                                   "",
                                   "A schema, or a list of schemas.",
                                   {}};
constexpr Special kSchemaOrBool = {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
                                   "",
                                   "",
                                   "A schema, or whether anything is allowed.",
                                   {}};
constexpr Special kSchemaOrStrings = {
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
    "",
    "",
    "A schema, or a list of names.",
    {}};
constexpr Special kPatch = {kPatchSchema, "object", "", "A patch, of the form that the content type names.", {}};
constexpr const Special* kSpecials[] = {
    &kQuantity, &kIntOrString, &kTime,         &kMicroTime,    &kDuration,        &kRaw,
    &kFields,   &kAny,         &kSchemaOrList, &kSchemaOrBool, &kSchemaOrStrings, &kPatch};

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
      return field.go_type.find("RawExtension") != std::string_view::npos ? &kRaw
             : field.go_type.find("FieldsV1") != std::string_view::npos   ? &kFields
                                                                          : &kAny;
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

// Types of which one member says which of the others is there, and those of which only one may be there.
struct Union {
  std::string_view type;
  std::string_view discriminator;
  std::string_view members[3];  // by name
};
constexpr Union kUnions[] = {
    {"io.k8s.api.core.v1.AppArmorProfile", "type", {"localhostProfile"}},
    {"io.k8s.api.core.v1.PodSchedulingGroup", "", {"podGroupName"}},
    {"io.k8s.api.core.v1.SeccompProfile", "type", {"localhostProfile"}},
    {"io.k8s.api.flowcontrol.v1.LimitResponse", "type", {"queuing"}},
    {"io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec", "type", {"exempt", "limited"}},
    {"io.k8s.api.flowcontrol.v1.Subject", "kind", {"group", "serviceAccount", "user"}},
};

Value Simple(std::string_view type, std::string_view format, doc::Arena& arena) {
  Value out = Value::Object();
  if (!type.empty()) out.AddMember(arena, "type", Value::Borrow(type));
  if (!format.empty()) out.AddMember(arena, "format", Value::Borrow(format));
  return out;
}

class SchemaWriter {
 public:
  SchemaWriter(OpenApiDialect dialect, std::string_view group, std::string_view version, doc::Arena& arena)
      : dialect_(dialect), group_(group), version_(version), arena_(arena) {}

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
    if (type.atomic) out.AddMember(arena_, "x-kubernetes-map-type", Value::Borrow("atomic"));
    AddUnion(type, out);
    return out;
  }

  Value SpecialDefinition(const Special& special) {
    Value out = Value::Object();
    out.AddMember(arena_, "description", Value::Borrow(special.doc));
    const bool either = dialect_ == OpenApiDialect::kV3 && !special.types[0].empty();
    if (either) {
      Value types = Value::Array();
      types.Append(arena_, Simple(special.types[0], "", arena_));
      types.Append(arena_, Simple(special.types[1], "", arena_));
      out.AddMember(arena_, "oneOf", types);
    } else if (!special.type.empty()) {
      out.AddMember(arena_, "type", Value::Borrow(special.type));
    }
    if (!special.format.empty()) out.AddMember(arena_, "format", Value::Borrow(special.format));
    return out;
  }

 private:
  void AddUnion(const api::Type& type, Value& out) {
    const auto* found = std::ranges::find(kUnions, type.openapi, &Union::type);
    if (found == std::end(kUnions)) return;
    Value one = Value::Object();
    if (!found->discriminator.empty()) {
      one.AddMember(arena_, "discriminator", Value::Borrow(found->discriminator));
    }
    Value members = Value::Object();
    for (const std::string_view member : found->members) {
      if (member.empty()) continue;
      // The value that means it: the member's name in Go.
      std::string meant(member);
      meant[0] = static_cast<char>(meant[0] - 'a' + 'A');
      members.AddMember(arena_, member, Value::String(arena_, meant));
    }
    one.AddMember(arena_, "fields-to-discriminateBy", members);
    out.AddMember(arena_, "x-kubernetes-unions", Value::ArrayOf(arena_, {&one, 1}));
  }

  bool v3() const { return dialect_ == OpenApiDialect::kV3; }

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

  // What Go's zero value shows as: the default of whatever is no pointer and always written.
  static std::optional<Value> Zero(const Field& field) {
    switch (field.type) {
      case FieldType::kMessage:
        return Value::Object();
      case FieldType::kString:
        return Value::Borrow("");
      case FieldType::kBool:
        return Value::Bool(false);
      case FieldType::kInt32:
      case FieldType::kInt64:
      case FieldType::kDouble:
        return Value::Int(0);
      default:
        return std::nullopt;
    }
  }

  // In version 3 what stands beside a reference is said of an allOf around it.
  Value Wrapped(const Value& reference) {
    Value out = Value::Object();
    out.AddMember(arena_, "allOf", Value::ArrayOf(arena_, {&reference, 1}));
    return out;
  }

  // An element of a list or map.
  Value Item(const Field& field) {
    Value out = Element(field);
    const std::optional<Value> zero = Zero(field);
    if (v3() && zero) {
      if (out.Find("$ref") != nullptr) out = Wrapped(out);
      out.AddMember(arena_, "default", *zero);
    }
    AddEnum(field, out);
    return out;
  }

  void AddEnum(const Field& field, Value& out) {
    if (field.enum_values.empty()) return;
    std::vector<std::string_view> names(field.enum_values.begin(), field.enum_values.end());
    std::ranges::sort(names);
    Value values = Value::Array();
    for (const std::string_view value : names) values.Append(arena_, Value::Borrow(value));
    out.AddMember(arena_, "enum", values);
  }

  Value Property(const Field& field) {
    Value out;
    if (field.shape == Shape::kList) {
      out = Listed(Item(field));
    } else if (field.shape == Shape::kMap) {
      out = Simple("object", "", arena_);
      out.AddMember(arena_, "additionalProperties", field.Has(FieldFlag::kWrapped) ? Listed(Item(field)) : Item(field));
    } else {
      out = Element(field);
      if (v3() && out.Find("$ref") != nullptr) out = Wrapped(out);
      AddEnum(field, out);
    }
    if (!field.doc.empty()) out.AddMember(arena_, "description", Value::Borrow(field.doc));
    if (v3()) AddDefault(field, out);
    AddExtensions(field, out);
    return out;
  }

  void AddDefault(const Field& field, Value& out) {
    if (!field.default_json.empty()) {
      // The schema's own text, so it parses.
      out.AddMember(arena_, "default", MUST(doc::ParseJsonBorrowing(field.default_json, arena_)));
      return;
    }
    if (field.shape != Shape::kSingle || field.Has(FieldFlag::kPointer)) return;
    const bool written = field.type == FieldType::kMessage || !field.Has(FieldFlag::kOmitEmpty);
    if (const std::optional<Value> zero = Zero(field); zero && written) out.AddMember(arena_, "default", *zero);
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
    if (field.shape == Shape::kMap && field.Has(FieldFlag::kMapAtomic))
      out.AddMember(arena_, "x-kubernetes-map-type", Value::Borrow("atomic"));
    if (!field.patch_merge_key.empty()) {
      out.AddMember(arena_, "x-kubernetes-patch-merge-key", Value::Borrow(field.patch_merge_key));
    }
    const bool retain = field.Has(FieldFlag::kPatchRetainKeys);
    const std::string_view strategy = field.Has(FieldFlag::kPatchMerge)     ? (retain ? "merge,retainKeys" : "merge")
                                      : field.Has(FieldFlag::kPatchReplace) ? "replace"
                                                                            : (retain ? "retainKeys" : "");
    if (!strategy.empty()) out.AddMember(arena_, "x-kubernetes-patch-strategy", Value::Borrow(strategy));
  }

  // Which kinds the type is of: itself, or, for what all group-versions share, the core's and the document's.
  void AddKinds(const api::Type& type, Value& out) {
    const bool event = type.package == "meta/v1" && type.name == "WatchEvent";
    if (!type.root && !event) return;
    std::vector<std::pair<std::string_view, std::string_view>> versions;
    for (const api::Package& package : api::AllPackages()) {
      if (package.version.empty()) continue;
      const bool core = package.group.empty() && package.version == "v1";
      const bool own = (package.group == group_ && package.version == version_) || group_ == "*";
      const bool shared = type.package == "meta/v1";
      if (shared && !core && (!own || type.name == "Status")) continue;
      const std::string api_version =
          package.group.empty() ? std::string(package.version) : fmt::format("{}/{}", package.group, package.version);
      if (event || api::FindRootType(api_version, type.name) == &type) {
        versions.emplace_back(package.group, package.version);
      }
    }
    std::ranges::sort(versions);
    Value list = Value::Array();
    for (const auto& [group, version] : versions) {
      Value one = Value::Object();
      one.AddMember(arena_, "group", Value::Borrow(group));
      one.AddMember(arena_, "kind", Value::Borrow(type.name));
      one.AddMember(arena_, "version", Value::Borrow(version));
      list.Append(arena_, one);
    }
    if (!list.empty()) out.AddMember(arena_, "x-kubernetes-group-version-kind", list);
  }

  const OpenApiDialect dialect_;
  const std::string_view group_;
  const std::string_view version_;
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

void AddDefinitions(OpenApiDialect dialect, const OpenApiRoots& roots, Value& definitions, doc::Arena& arena) {
  std::set<const api::Type*> types;
  std::set<const Special*> specials;
  if (roots.patches) specials.insert(&kPatch);
  for (const api::Type* type : roots.types) Collect(*type, types, specials);
  std::vector<const api::Type*> ordered(types.begin(), types.end());
  std::ranges::sort(ordered, {}, &api::Type::openapi);
  SchemaWriter writer(dialect, roots.group, roots.version, arena);
  for (const api::Type* type : ordered) {
    if (!type->openapi.empty()) definitions.AddMember(arena, type->openapi, writer.Definition(*type));
  }
  for (const Special* special : kSpecials) {
    if (specials.contains(special)) definitions.AddMember(arena, special->name, writer.SpecialDefinition(*special));
  }
}

}  // namespace knarr::apiserver

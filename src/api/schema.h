#pragma once

// The API as tables. tools/schemagen turns schema/*.api into these (generated/api/schema_data.cc) and into the typed
// views (generated/api/<group>_<version>.h). Everything that handles objects in general works on the tables: coding,
// unknown-field checks, defaulting, validation, merging, OpenAPI, explain, selectors and printing. A table made at run
// time (a CustomResourceDefinition) is the same.

#include <cstdint>
#include <span>
#include <string_view>

namespace knarr::api {

enum class FieldType : uint8_t {
  kString,
  kBool,
  kInt32,
  kInt64,
  kDouble,
  kBytes,     ///< base64 in JSON
  kQuantity,  ///< string or number in JSON, canonical on output
  kIntOrString,
  kTime,  ///< metav1.Time
  kMicroTime,
  kDuration,  ///< Go duration text in JSON
  kRaw,       ///< any JSON value: RawExtension, FieldsV1, apiextensions JSON
  kMessage,   ///< `message` says which
  // Two forms in JSON, a message with a member for each in protobuf.
  kMessageOrList,     ///< a message, or a list of them
  kMessageOrBool,     ///< a message, or a bool
  kMessageOrStrings,  ///< a message, or a list of strings
};

enum class Shape : uint8_t { kSingle, kList, kMap };

/// Server-side apply and OpenAPI: x-kubernetes-list-type / map-type.
enum class ListType : uint8_t { kNone, kAtomic, kSet, kMap };

enum class FieldFlag : uint16_t {
  kNone = 0,
  kPointer = 1 << 0,    ///< absent differs from the zero value
  kOmitEmpty = 1 << 1,  ///< left out of JSON when empty
  kOmitZero = 1 << 2,
  kInline = 1 << 3,      ///< members stand in the parent in JSON; nested as message field `number` in protobuf
  kRequired = 1 << 4,    ///< absent or empty is "Required value"
  kPatchMerge = 1 << 5,  ///< patchStrategy=merge
  kPatchReplace = 1 << 6,
  kPatchRetainKeys = 1 << 7,
  kMapAtomic = 1 << 8,  ///< mapType/structType=atomic
  /// A named list type: protobuf wraps it as message {items = 1}. With Shape::kMap the values are such lists.
  kWrapped = 1 << 9,
  kOptional = 1 << 10,  ///< not in OpenAPI's list of required fields
};
constexpr uint16_t operator|(FieldFlag a, FieldFlag b) { return static_cast<uint16_t>(a) | static_cast<uint16_t>(b); }

struct Type;

struct Field {
  std::string_view name;  ///< JSON name; "" for an inlined struct
  uint16_t number;        ///< protobuf field number; 0: not in protobuf
  FieldType type;
  Shape shape;
  uint16_t flags;
  ListType list_type;
  const Type* message;  ///< for kMessage
  std::string_view patch_merge_key;
  std::span<const std::string_view> list_map_keys;
  std::span<const std::string_view> enum_values;
  std::string_view default_json;  ///< JSON text of the default, or ""
  std::string_view feature_gate;
  std::string_view go_type;  ///< what Kubernetes' messages call the type: "int32", "[]v1.Container"
  std::string_view doc;      ///< one original sentence, or ""

  bool Has(FieldFlag flag) const { return (flags & static_cast<uint16_t>(flag)) != 0; }
  /// In OpenAPI's list of required fields.
  bool required_in_openapi() const {
    return Has(FieldFlag::kRequired) || (!Has(FieldFlag::kOptional) && !Has(FieldFlag::kOmitEmpty));
  }
};

struct Type {
  std::string_view name;               ///< "PodSpec"
  std::string_view package;            ///< "core/v1", "meta/v1"
  std::string_view openapi;            ///< "io.k8s.api.core.v1.PodSpec"
  std::span<const Field> fields;       ///< as written in the schema, inlined structs as kInline fields
  std::span<const Field* const> flat;  ///< the members of the JSON object in their order: inlined structs opened up
  std::span<const Field* const> wire;  ///< the fields of the protobuf message by number
  std::string_view doc;
  bool root;    ///< has apiVersion and kind: may stand alone
  bool atomic;  ///< structType=atomic: server-side apply takes it for one value wherever it stands

  /// Finds by JSON name among `flat`. nullptr when unknown.
  const Field* Find(std::string_view json_name) const;
};

/// One printing column of a kind's Table.
struct Column {
  std::string_view name;
  std::string_view type;    ///< "string", "integer", "date", …
  std::string_view format;  ///< "name" or ""
  uint8_t priority;         ///< 0 always, 1 with -o wide
  std::string_view doc;
};

/// One served kind: what discovery says of it and the type of its objects.
struct KindInfo {
  std::string_view group;    ///< "" for core
  std::string_view version;  ///< "v1"
  std::string_view kind;     ///< "Pod"
  std::string_view plural;   ///< "pods"; "" for kinds that only appear inside requests and answers (Scale, Eviction)
  std::string_view singular;
  std::span<const std::string_view> short_names;
  std::span<const std::string_view> categories;
  bool namespaced;
  bool has_status;  ///< a status subresource
  std::span<const std::string_view> verbs;
  std::span<const std::string_view> subresources;  ///< "status", "scale", "log", …
  const Type* type;
  const Type* list_type;  ///< nullptr for kinds that are never stored (Binding, Scale)

  /// "v1" or "apps/v1".
  std::string_view api_version;
};

/// The types of one schema file.
struct Package {
  std::string_view name;  ///< "core/v1"
  std::string_view group;
  std::string_view version;
  std::span<const Type> types;
};

std::span<const Package> AllPackages();
/// Every kind that is a resource of its own (discovery lists these).
std::span<const KindInfo> AllKinds();
/// Also the kinds that have no resource of their own.
const KindInfo* FindKind(std::string_view api_version, std::string_view kind);
const KindInfo* FindResource(std::string_view group, std::string_view version, std::string_view plural);
/// The type of anything that may stand alone: kinds, their lists, and what every group-version shares (DeleteOptions,
/// Status, List, …).
const Type* FindRootType(std::string_view api_version, std::string_view kind);
/// By package ("core/v1") and name, for tools and tests.
const Type* FindType(std::string_view package, std::string_view name);

}  // namespace knarr::api

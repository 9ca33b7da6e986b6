#pragma once

// The schema's tables as server-side apply sees them: what a value is at its place (a scalar, a list, a map or struct),
// whether it is managed as one (atomic) or part by part, and how an element of a list is named in a path.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/managed/field_set.h"
#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::api::managed {

/// A place in the schema. Copied freely.
class TypeRef {
 public:
  /// No place: a member that the schema does not have.
  TypeRef() = default;
  static TypeRef Struct(const Type& type) { return {Role::kStruct, &type, nullptr}; }
  static TypeRef Of(const Field& field) { return {Role::kField, nullptr, &field}; }
  static TypeRef ElementOf(const Field& field) { return {Role::kElement, nullptr, &field}; }
  static TypeRef ItemOf(const Field& field) { return {Role::kItem, nullptr, &field}; }
  /// Anything; maps are managed member by member.
  static TypeRef Deduced() { return {Role::kDeduced, nullptr, nullptr}; }
  /// Anything, as one.
  static TypeRef Untyped() { return {Role::kUntyped, nullptr, nullptr}; }

  explicit operator bool() const { return role_ != Role::kNone; }

 private:
  friend struct Atom;
  enum class Role : uint8_t {
    kNone,
    kStruct,
    kField,    ///< a field with its list or map around it
    kElement,  ///< an element of the field's list, or a value of its map
    kItem,     ///< an element of the list that is a value of the field's map
    kDeduced,
    kUntyped,
  };
  TypeRef(Role role, const Type* type, const Field* field) : role_(role), type_(type), field_(field) {}
  Role role_ = Role::kNone;
  const Type* type_ = nullptr;
  const Field* field_ = nullptr;
};

enum class ScalarType : uint8_t { kNumeric, kString, kBoolean, kUntyped };

/// What a value is at its place.
struct Atom {
  enum class Form : uint8_t { kMap, kScalar, kList };
  Form form = Form::kMap;
  ScalarType scalar = ScalarType::kUntyped;
  bool atomic = false;
  /// Of a struct. nullptr: a map.
  const Type* fields = nullptr;
  /// Of the members of a map, or of a list's items.
  TypeRef element;
  /// Of a list that is not atomic: the fields of its items that make their keys; none: the items are keys themselves.
  std::span<const std::string_view> keys;

  /// Where the schema leaves several forms open, the value decides (absent or null: a map).
  static Atom Resolve(const TypeRef& type, const doc::Value* value);
  /// Of a member; no place when the schema has none of the name.
  TypeRef Member(std::string_view name) const;
};

/// The path element of an item of a list that is not atomic ("k:…" or "v:…"), in the arena. BadRequest when it has
/// none.
Result<std::string_view> ItemElement(const Atom& list, const doc::Value& item, doc::Arena& arena);

/// The fields a configuration names, for the manager that applies it. REQUIRES: CheckTyped has passed.
doc::Value ToFieldSet(const Type& type, const doc::Value& object, doc::Arena& arena);

/// With the structs' fields that lead to what is in the set in it too.
doc::Value WithNamedFields(const doc::Value& set, const Type& type, doc::Arena& arena);

/// Without what is in the set. An object of which nothing is left is null.
doc::Value RemoveItems(const Type& type, const doc::Value& object, const doc::Value& set, doc::Arena& arena);

/// The object with the configuration's fields put over it. Both as CheckTyped accepts them.
Result<doc::Value> MergeConfiguration(const Type& type, const doc::Value& object, const doc::Value& configuration,
                                      doc::Arena& arena);

/// Whether an applied configuration fits the schema: "" or upstream's list of what does not.
std::string CheckTyped(const Type& type, const doc::Value& object);

/// Follows the schema where a field became atomic since the set was written: who had something below it has it whole.
doc::Value FollowSchema(const doc::Value& set, const Type& type, doc::Arena& arena);

/// How two objects differ.
struct Comparison {
  doc::Value changed;  ///< what the second has added, and what it has another value of
  doc::Value removed;
  bool same() const { return changed.empty() && removed.empty(); }
};
/// BadRequest when an item of a list has no key.
Result<Comparison> Compare(const Type& type, const doc::Value& before, const doc::Value& after, doc::Arena& arena);

}  // namespace knarr::api::managed

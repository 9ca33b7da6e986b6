#include "api/managed/typed.h"

#include <algorithm>
#include <array>

#include "doc/json.h"

namespace knarr::api::managed {
namespace {

using doc::Value;
using Form = Atom::Form;

ScalarType ScalarOf(FieldType type) {
  switch (type) {
    case FieldType::kInt32:
    case FieldType::kInt64:
    case FieldType::kDouble:
      return ScalarType::kNumeric;
    case FieldType::kBool:
      return ScalarType::kBoolean;
    case FieldType::kString:
    case FieldType::kBytes:
    case FieldType::kDuration:
      return ScalarType::kString;
    default:
      return ScalarType::kUntyped;
  }
}

// A value of whatever form it has.
Atom Free(const Value* value, bool atomic_map) {
  Atom atom;
  if (value != nullptr && value->is_array()) {
    atom.form = Form::kList;
    atom.atomic = true;
    atom.element = TypeRef::Untyped();
  } else if (value == nullptr || value->is_null() || value->is_object()) {
    atom.atomic = atomic_map;
    atom.element = atomic_map ? TypeRef::Untyped() : TypeRef::Deduced();
  } else {
    atom.form = Form::kScalar;
  }
  return atom;
}

Atom StructOf(const Type& type, bool atomic) {
  Atom atom;
  atom.fields = &type;
  atom.atomic = atomic;
  return atom;
}

// A value of the field's type itself.
Atom SingleOf(const Field& field, bool atomic, const Value* value) {
  if (field.type == FieldType::kMessage) return StructOf(*field.message, atomic);
  if (field.type == FieldType::kRaw) return Free(value, field.go_type == "runtime.RawExtension");
  // The OpenAPI of these names alternatives, or nothing.
  if (field.type == FieldType::kIntOrString || field.type == FieldType::kMessageOrList ||
      field.type == FieldType::kMessageOrBool || field.type == FieldType::kMessageOrStrings) {
    return Free(value, false);
  }
  Atom atom;
  atom.form = Form::kScalar;
  atom.scalar = ScalarOf(field.type);
  return atom;
}

Atom ListOf(const Field& field) {
  Atom atom;
  atom.form = Form::kList;
  atom.element = TypeRef::ElementOf(field);
  switch (field.list_type) {
    case ListType::kAtomic:
      atom.atomic = true;
      break;
    case ListType::kSet:
      break;
    case ListType::kMap:
      atom.keys = field.list_map_keys;
      break;
    case ListType::kNone:
      // Older lists say only how patches merge them.
      atom.atomic = !field.Has(FieldFlag::kPatchMerge);
      if (!atom.atomic && !field.patch_merge_key.empty()) atom.keys = {&field.patch_merge_key, 1};
      break;
  }
  return atom;
}

Atom AtomicListOf(TypeRef element) {
  Atom atom;
  atom.form = Form::kList;
  atom.atomic = true;
  atom.element = element;
  return atom;
}

// What an absent key counts as, as JSON; "": nothing. Fields that are always there have their zero value as default.
std::string_view KeyDefault(const Atom& list, std::string_view name, const Value& item) {
  const Atom element = Atom::Resolve(list.element, &item);
  const Field* field = element.fields != nullptr ? element.fields->Find(name) : nullptr;
  if (field == nullptr || !field->default_json.empty()) return field == nullptr ? "" : field->default_json;
  if (field->shape != Shape::kSingle || field->Has(FieldFlag::kOmitEmpty) || field->Has(FieldFlag::kPointer)) return "";
  switch (field->type) {
    case FieldType::kString:
      return R"("")";
    case FieldType::kBool:
      return "false";
    case FieldType::kInt32:
    case FieldType::kInt64:
      return "0";
    default:
      return "";
  }
}

}  // namespace

Atom Atom::Resolve(const TypeRef& type, const Value* value) {
  const Field* field = type.field_;
  switch (type.role_) {
    case TypeRef::Role::kNone:
    case TypeRef::Role::kDeduced:
      return Free(value, false);
    case TypeRef::Role::kUntyped:
      return Free(value, true);
    case TypeRef::Role::kStruct:
      return StructOf(*type.type_, type.type_->atomic);
    case TypeRef::Role::kField:
      if (field->shape == Shape::kList) return ListOf(*field);
      if (field->shape == Shape::kSingle) return SingleOf(*field, field->Has(FieldFlag::kMapAtomic), value);
      {
        Atom map;
        map.atomic = field->Has(FieldFlag::kMapAtomic);
        map.element = TypeRef::ElementOf(*field);
        return map;
      }
    case TypeRef::Role::kElement:
      if (field->shape == Shape::kMap && field->Has(FieldFlag::kWrapped)) return AtomicListOf(TypeRef::ItemOf(*field));
      [[fallthrough]];
    case TypeRef::Role::kItem:
      return SingleOf(*field, field->message != nullptr && field->message->atomic, value);
  }
  return Free(value, false);
}

TypeRef Atom::Member(std::string_view name) const {
  if (fields == nullptr) return element;
  const Field* field = fields->Find(name);
  return field != nullptr ? TypeRef::Of(*field) : TypeRef();
}

Result<std::string_view> ItemElement(const Atom& list, const Value& item, doc::Arena& arena) {
  std::string text;
  if (list.keys.empty()) {
    if (item.is_object()) return BadRequest("associative list without keys has an element that's a map type");
    if (item.is_array()) return BadRequest("not supported: associative list with lists as elements");
    if (item.is_null()) return BadRequest("associative list without keys has an element that's an explicit null");
    text = "v:";
    doc::WriteJson(item, text);
    return arena.Copy(text);
  }
  if (item.is_null()) return BadRequest("associative list with keys may not have a null element");
  if (!item.is_object()) return BadRequest("associative list with keys may not have non-map elements");
  // Lists have at most a few keys; they stand in the path by their names.
  constexpr size_t kKeysMax = 8;
  CHECK(list.keys.size() <= kKeysMax);
  std::array<std::string_view, kKeysMax> names;
  const auto end = std::ranges::copy(list.keys, names.begin()).out;
  std::sort(names.begin(), end);
  text = "k:{";
  for (auto name = names.begin(); name != end; ++name) {
    const Value* value = item.Find(*name);
    const std::string_view otherwise = value != nullptr ? std::string_view() : KeyDefault(list, *name, item);
    if (value == nullptr && otherwise.empty()) continue;
    if (text.size() > 3) text += ',';
    doc::WriteJsonString(*name, text);
    text += ':';
    if (value != nullptr) {
      doc::WriteJson(*value, text);
    } else {
      text += otherwise;
    }
  }
  if (text == "k:{") {
    std::string names_text;
    for (const std::string_view name : list.keys)
      names_text += (names_text.empty() ? "\"" : " \"") + std::string(name) + '"';
    return BadRequest("associative list with keys has an element that omits all key fields [" + names_text +
                      "] (and doesn't have default values for any key fields)");
  }
  text += '}';
  return arena.Copy(text);
}

}  // namespace knarr::api::managed

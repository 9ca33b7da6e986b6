#include "api/validation/go_form.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

// Where Go's name is not the JSON name with a capital.
constexpr std::string_view kAcronyms[] = {"api", "aws", "cel",   "cidrs", "csi", "dns", "fc",  "fs",  "gce", "http",
                                          "ip",  "iscsi", "nfs",   "rbd", "se",  "tcp", "tls", "uid"};

std::string GoName(std::string_view name) {
  // The lower-case letters in front are one acronym, or the beginning of a word.
  size_t length = 0;
  while (length < name.size() && name[length] >= 'a' && name[length] <= 'z') ++length;
  const std::string_view front = name.substr(0, length);
  std::string out(name);
  if (name == "storageos") return "StorageOS";
  if (front == "cidrs") return "CIDRs" + std::string(name.substr(length));
  if (std::ranges::find(kAcronyms, front) != std::end(kAcronyms)) return ToUpper(front) + out.substr(length);
  if (!out.empty()) out[0] = ToUpper(out.substr(0, 1))[0];
  return out;
}

Value One(const Field& field, const Value& value, doc::Arena& arena) {
  return field.type == FieldType::kMessage ? GoForm(*field.message, value, arena) : value;
}

Value Zero(const Field& field, doc::Arena& arena) {
  if (field.Has(FieldFlag::kPointer) || field.shape != Shape::kSingle) return Value::Null();
  switch (field.type) {
    case FieldType::kString:
      return Value::Borrow("");
    case FieldType::kBool:
      return Value::Bool(false);
    case FieldType::kInt32:
    case FieldType::kInt64:
      return Value::Int(0);
    case FieldType::kMessage:
      return GoForm(*field.message, Value::Object(), arena);
    default:
      return Value::Null();
  }
}

}  // namespace

Value GoForm(const Type& type, const Value& value, doc::Arena& arena) {
  // Kinds of meta/v1 have no other form, and RawExtensions and the like print as they are.
  if (value.is_null() || type.package == "meta/v1") return value;
  Value out = Value::Object();
  out.Reserve(arena, type.flat.size());
  for (const Field* field : type.flat) {
    const Value& member = value.At(field->name);
    if (field->name == "metadata") {
      // Embedded in Go, so that its members stand among the others.
      for (const doc::Member& meta : member.members()) out.AddMember(arena, meta.key, meta.value);
      continue;
    }
    Value shown;
    if (member.is_null()) {
      shown = Zero(*field, arena);
    } else if (field->shape == Shape::kList) {
      shown = Value::Array();
      for (const Value& item : member.items()) shown.Append(arena, One(*field, item, arena));
    } else if (field->shape == Shape::kMap) {
      shown = member;
    } else {
      shown = One(*field, member, arena);
    }
    out.AddMember(arena, arena.Copy(GoName(field->name)), shown);
  }
  return out;
}

}  // namespace knarr::api::validation

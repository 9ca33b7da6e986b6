#include "api/defaulting.h"

#include <algorithm>

#include "api/codec.h"
#include "api/defaulting_rules.h"
#include "base/quantity.h"
#include "doc/json.h"

namespace knarr::api {
namespace {

using doc::Value;

bool IsEmpty(const Field& field, const Value& value) {
  if (value.is_null()) return true;
  if (field.Has(FieldFlag::kPointer)) return false;
  return (value.is_string() && value.AsString().empty()) || (value.is_int() && value.AsInt() == 0) ||
         (value.is_bool() && !value.AsBool());
}

void Walk(const Type& type, Value& message, doc::Arena& arena) {
  DefaultRule rule = FindPodRule(type.package, type.name);
  if (rule == nullptr) rule = FindObjectRule(type.package, type.name);
  if (rule == nullptr) rule = FindExtensionRule(type.package, type.name);
  if (rule == nullptr) rule = FindGroupRule(type.package, type.name);
  if (rule != nullptr) rule(message, arena);
  for (const Field* field : type.flat) {
    if (!field->default_json.empty()) {
      Value& value = message.Ensure(arena, field->name);
      // The generator has parsed the text, so it parses here.
      if (IsEmpty(*field, value)) value = MUST(doc::ParseJsonBorrowing(field->default_json, arena));
      continue;
    }
    const bool resources = field->type == FieldType::kQuantity && field->shape == Shape::kMap;
    if (field->type != FieldType::kMessage && !resources) continue;
    Value* value = message.Find(field->name);
    if (value == nullptr) continue;
    if (resources) {
      RoundResourceList(*value, arena);
    } else if (field->shape == Shape::kList) {
      for (Value& item : value->items()) Walk(*field->message, item, arena);
    } else if (field->shape == Shape::kMap) {
      for (doc::Member& entry : value->members()) Walk(*field->message, entry.value, arena);
    } else if (value->is_object()) {
      Walk(*field->message, *value, arena);
    }
  }
}

bool RepositoryFits(std::string_view repository) {
  if (repository.empty()) return false;
  const size_t slash = repository.find('/');
  // A registry's name may have capitals; what comes after it may not.
  const std::string_view path = slash == std::string_view::npos ? repository : repository.substr(slash + 1);
  return !path.empty() && std::ranges::all_of(path, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '/';
  });
}

}  // namespace

void RoundResourceList(Value& list, doc::Arena& arena) {
  constexpr int32_t kMilli = -3;
  for (doc::Member& entry : list.members()) {
    const Result<Quantity> quantity = Quantity::Parse(entry.value.AsString());
    if (!quantity.ok() || quantity->RoundedUp(kMilli) == *quantity) continue;
    entry.value = Value::String(arena, quantity->RoundedUp(kMilli).ToString());
  }
}

bool ImageIsLatest(std::string_view image) {
  if (image.find('@') != std::string_view::npos) return false;
  const size_t slash = image.rfind('/');
  const size_t colon = image.find(':', slash == std::string_view::npos ? 0 : slash);
  if (!RepositoryFits(image.substr(0, colon))) return false;
  return colon == std::string_view::npos || image.substr(colon + 1) == "latest";
}

void ApplyDefaults(const Type& type, Value& tree, doc::Arena& arena) {
  Walk(type, tree, arena);
  // The rules only put values of the right type in, so a tree that was canonical becomes so again.
  MUST(Canonicalize(type, tree, arena));
}

}  // namespace knarr::api

#include "api/strategic_lists.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace knarr::api::strategic {

using doc::Value;

Result<Meta> Lookup(const Type* type, std::string_view name) {
  if (type == nullptr) return Meta{};
  const Field* field = type->Find(name);
  if (field == nullptr) {
    return BadRequest("unable to find api field in struct " + std::string(type->name) + " for the json field " +
                      GoQuote(name));
  }
  Meta meta;
  if (field->type == FieldType::kMessage && field->shape != Shape::kMap) meta.type = field->message;
  meta.merge = field->Has(FieldFlag::kPatchMerge);
  meta.replace = field->Has(FieldFlag::kPatchReplace);
  meta.retain_keys = field->Has(FieldFlag::kPatchRetainKeys);
  meta.merge_key = field->patch_merge_key;
  return meta;
}

List ToList(const Value& array) { return {array.items().begin(), array.items().end()}; }

Value FromList(const List& list, doc::Arena& arena) {
  Value array = Value::Array();
  array.Reserve(arena, list.size());
  for (const Value& item : list) array.Append(arena, item);
  return array;
}

Status NoMergeKey(const Value& item, std::string_view key) {
  return BadRequest("map: " + GoText(item) + " does not contain declared merge key: " + std::string(key));
}

Result<bool> HoldsObjects(const List& a, const List& b) {
  bool objects = false;
  bool scalars = false;
  for (const List* list : {&a, &b}) {
    for (const Value& item : *list) {
      if (item.is_array()) return BadRequest("lists of lists are not supported");
      (item.is_object() ? objects : scalars) = true;
    }
  }
  if (objects && scalars) {
    const auto text = [](const List& list) {
      std::vector<std::string> parts;
      for (const Value& item : list) parts.push_back(GoText(item));
      return "[" + Join(parts, " ") + "]";
    };
    return BadRequest("list element types are not identical: [" + text(a) + " " + text(b) + "]");
  }
  return objects;
}

int IndexOf(const List& list, const Value& item, std::string_view key, bool objects) {
  const Value& wanted = objects ? item.At(key) : item;
  for (size_t i = 0; i < list.size(); ++i) {
    if ((objects ? list[i].At(key) : list[i]).Equals(wanted)) return static_cast<int>(i);
  }
  return -1;
}

Result<int> FindByKey(const List& list, std::string_view key, const Value& value) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_object()) return BadRequest("value for key " + std::to_string(i) + " is not a map");
    const Value* found = list[i].Find(key);
    if (found != nullptr && found->Equals(value)) return static_cast<int>(i);
  }
  return -1;
}

Result<List> InOrderOf(List list, const List& order, std::string_view key, bool objects) {
  List deleted;
  if (objects) {
    for (const List* each : {static_cast<const List*>(&list), &order}) {
      for (const Value& item : *each) {
        if (item.Find(key) == nullptr) return NoMergeKey(item, key);
      }
    }
    const auto is_delete = [](const Value& item) { return item.At(kPatch).AsString() == "delete"; };
    std::ranges::copy_if(list, std::back_inserter(deleted), is_delete);
    std::erase_if(list, is_delete);
  }
  // Upstream's comparison is no order (an element that stands nowhere goes before all others), so what comes out
  // depends on the algorithm: Go's stable sort inserts.
  const auto before = [](int a, int b) { return a < 0 || b < 0 || a < b; };
  std::vector<int> places;
  places.reserve(list.size());
  for (const Value& item : list) places.push_back(IndexOf(order, item, key, objects));
  for (size_t i = 1; i < list.size(); ++i) {
    for (size_t j = i; j > 0 && before(places[j], places[j - 1]); --j) {
      std::swap(list[j], list[j - 1]);
      std::swap(places[j], places[j - 1]);
    }
  }
  list.insert(list.end(), deleted.begin(), deleted.end());
  return list;
}

Result<Parts> Partition(const List& list, const List& by, std::string_view key, bool objects) {
  Parts parts;
  for (const Value& item : list) {
    int at = -1;
    if (objects) {
      if (!item.is_object()) return BadRequest("expected a map, but received a scalar");
      const Value* value = item.Find(key);
      if (value == nullptr) return NoMergeKey(item, key);
      at = TRY(FindByKey(by, key, *value));
    } else {
      at = IndexOf(by, item, key, false);
    }
    (at < 0 ? parts.server_only : parts.patch).push_back(item);
  }
  return parts;
}

Result<List> NormalizeOrder(const Parts& parts, const List& patch_order, const List& server_order, std::string_view key,
                            bool objects) {
  const List right = TRY(InOrderOf(parts.patch, patch_order, key, objects));
  const List left = TRY(InOrderOf(parts.server_only, server_order, key, objects));
  List out;
  size_t i = 0;
  size_t j = 0;
  while (i < left.size() || j < right.size()) {
    bool take_left = j >= right.size();
    if (i < left.size() && j < right.size()) {
      const int at_left = IndexOf(server_order, left[i], key, objects);
      const int at_right = IndexOf(server_order, right[j], key, objects);
      take_left = at_left >= 0 && at_right >= 0 && at_left < at_right;
    }
    out.push_back(take_left ? left[i++] : right[j++]);
  }
  return out;
}

List Deduplicate(const List& list) {
  List out;
  for (const Value& item : list) {
    if (IndexOf(out, item, {}, false) < 0) out.push_back(item);
  }
  return out;
}

List SortByText(const List& list, const std::function<std::string(const Value&)>& text) {
  // Texts are made once each; the place settles ties.
  std::vector<std::pair<std::string, size_t>> keys;
  for (size_t i = 0; i < list.size(); ++i) keys.emplace_back(text(list[i]), i);
  std::ranges::sort(keys);
  List sorted;
  for (const auto& [key, at] : keys) sorted.push_back(list[at]);
  return sorted;
}

List SortScalars(const List& list) { return SortByText(list, GoText); }

}  // namespace knarr::api::strategic

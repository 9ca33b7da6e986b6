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

namespace {

// What is equal has one hash: 1 and 1.0, and objects whatever their order. (Those and lists are no keys in practice.)
size_t HashOf(const Value& value) {
  if (value.is_string()) return std::hash<std::string_view>()(value.AsString());
  if (value.is_number()) return std::hash<double>()(value.AsDouble());
  return static_cast<size_t>(value.kind());
}

}  // namespace

Places::Places(const List& list, std::string_view key, bool objects) : key_(key), objects_(objects) {
  places_.reserve(list.size());
  for (const Value& item : list) Add(item);
}

void Places::Add(const Value& item) {
  const int at = next_++;
  if (const Value* value = Named(item)) places_.emplace(HashOf(*value), Place{*value, at});
}

int Places::Find(const Value& item) const {
  const Value* wanted = Named(item);
  if (wanted == nullptr) return -1;
  int first = -1;
  const auto [begin, end] = places_.equal_range(HashOf(*wanted));
  for (auto each = begin; each != end; ++each) {
    const Place& place = each->second;
    if ((first < 0 || place.at < first) && place.value.Equals(*wanted)) first = place.at;
  }
  return first;
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
  const Places in_order(order, key, objects);
  for (const Value& item : list) places.push_back(in_order.Find(item));
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
  const Places places(by, key, objects);
  for (const Value& item : list) {
    if (objects && !item.is_object()) return BadRequest("expected a map, but received a scalar");
    if (objects && item.Find(key) == nullptr) return NoMergeKey(item, key);
    (places.Find(item) < 0 ? parts.server_only : parts.patch).push_back(item);
  }
  return parts;
}

Result<List> NormalizeOrder(const Parts& parts, const List& patch_order, const List& server_order, std::string_view key,
                            bool objects) {
  const List right = TRY(InOrderOf(parts.patch, patch_order, key, objects));
  const List left = TRY(InOrderOf(parts.server_only, server_order, key, objects));
  List out;
  const Places places(server_order, key, objects);
  size_t i = 0;
  size_t j = 0;
  while (i < left.size() || j < right.size()) {
    bool take_left = j >= right.size();
    if (i < left.size() && j < right.size()) {
      const int at_left = places.Find(left[i]);
      const int at_right = places.Find(right[j]);
      take_left = at_left >= 0 && at_right >= 0 && at_left < at_right;
    }
    out.push_back(take_left ? left[i++] : right[j++]);
  }
  return out;
}

List Deduplicate(const List& list) {
  List out;
  Places places({}, {}, false);
  for (const Value& item : list) {
    if (places.Find(item) >= 0) continue;
    places.Add(item);
    out.push_back(item);
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

#include "api/strategic_merge.h"

#include <algorithm>

#include "api/strategic_patch.h"

namespace knarr::api {
namespace strategic {
namespace {

using doc::Value;

Status BadPatchType(const Value& directive, const Value& patch) {
  return BadRequest("unknown patch type: " + GoText(directive) + " in map: " + GoText(patch));
}

// Removes nulls at every level below.
void DropNulls(Value& value) {
  for (Value& item : value.items()) DropNulls(item);
  if (!value.is_object()) return;
  for (size_t i = 0; i < value.size();) {
    doc::Member& member = value.members()[i];
    if (member.value.is_null()) {
      value.Remove(member.key);
    } else {
      DropNulls(member.value);
      ++i;
    }
  }
}

// Removes directives at every level; false when the value itself is one.
bool DropDirectives(Value& value) {
  if (value.is_object()) {
    if (value.Find(kPatch) != nullptr) return false;
    for (size_t i = 0; i < value.size();) {
      doc::Member& member = value.members()[i];
      if (DropDirectives(member.value)) {
        ++i;
      } else {
        value.Remove(member.key);
      }
    }
  }
  if (value.is_array()) {
    for (size_t i = 0; i < value.size();) {
      if (DropDirectives(value[i])) {
        ++i;
      } else {
        value.Erase(i);
      }
    }
  }
  return true;
}

bool Contains(const Value& list, std::string_view text) {
  return std::ranges::any_of(list.items(),
                             [&](const Value& item) { return item.is_string() && item.AsString() == text; });
}

// The elements of a patch list must stand in the order that its directive asks for.
Ok CheckOrder(const List& patch, const List& order, std::string_view key) {
  if (patch.empty() || order.empty()) return {};
  List items;
  for (const Value& item : patch) {
    if (item.Find(kPatch) == nullptr) items.push_back(item);
  }
  size_t at = 0;
  for (size_t i = 0; i < order.size() && at < items.size(); ++i) {
    const bool same = key.empty() ? items[at].Equals(order[i]) : items[at].At(key).Equals(order[i].At(key));
    if (same) ++at;
  }
  if (at == items.size()) return {};
  doc::Arena arena;
  return BadRequest("The order in patch list:\n" + GoText(FromList(patch, arena)) +
                    "\n doesn't match $setElementOrder list:\n" + GoText(FromList(order, arena)) + "\n");
}

}  // namespace

Result<Value> Merger::Merge(Value original, Value patch, const Type* type) {
  if (const Value* directive = patch.Find(kPatch)) {
    if (directive->AsString() == "replace") {
      patch.Remove(kPatch);
      return patch;
    }
    if (directive->AsString() == "delete") return Value::Object();
    return BadPatchType(*directive, patch);
  }
  if (original.is_null()) original = Value::Object();
  TRY(RetainKeys(original, patch));
  TRY(OrderedLists(original, patch, type));
  for (const doc::Member& member : patch.members()) {
    std::string_view name = member.key;
    bool delete_list = false;
    if (name.starts_with(kDeletePrefix)) {
      if (!into_object_) {
        original.Set(arena_, name, member.value);
        continue;
      }
      name.remove_prefix(kDeletePrefix.size());
      delete_list = true;
    }
    TRY(Member(original, name, member.value, type, delete_list));
  }
  return original;
}

Ok Merger::RetainKeys(Value& original, Value& patch) const {
  const Value* found = patch.Find(kRetainKeys);
  if (found == nullptr) return {};
  const Value keep = *found;
  patch.Remove(kRetainKeys);
  if (!into_object_) {
    original.Set(arena_, kRetainKeys, keep);
    return {};
  }
  if (!keep.is_array()) return BadRequest("invalid patch format of retainKeys");
  for (const doc::Member& member : patch.members()) {
    if (member.value.is_null() || member.key.starts_with(kDeletePrefix) || member.key.starts_with(kOrderPrefix)) {
      continue;
    }
    if (!Contains(keep, member.key)) return BadRequest("invalid patch format of retainKeys");
  }
  for (size_t i = 0; i < original.size();) {
    const std::string_view key = original.members()[i].key;
    if (Contains(keep, key)) {
      ++i;
    } else {
      original.Remove(key);
    }
  }
  return {};
}

Ok Merger::OrderedLists(Value& original, Value& patch, const Type* type) {
  std::vector<std::string_view> directives;
  for (const doc::Member& member : patch.members()) {
    if (member.key.starts_with(kOrderPrefix)) directives.push_back(member.key);
  }
  for (const std::string_view directive : directives) TRY(OrderedList(original, patch, type, directive));
  return {};
}

Ok Merger::OrderedList(Value& original, Value& patch, const Type* type, std::string_view directive) {
  const Status bad = BadRequest("invalid patch format of setElementOrder list");
  const Value order = *patch.Find(directive);
  if (!into_object_) {
    const Value* known = original.Find(directive);
    if (known != nullptr && !known->Equals(order)) return bad;
    original.Set(arena_, directive, order);
  }
  patch.Remove(directive);
  if (!order.is_array()) return bad;
  const std::string_view name = directive.substr(kOrderPrefix.size());
  const Value* in_original = original.Find(name);
  const Value* in_patch = patch.Find(name);
  if ((in_original != nullptr && !in_original->is_array()) || (in_patch != nullptr && !in_patch->is_array()))
    return bad;
  const Meta meta = TRY(Lookup(type, name));
  const List server = in_original == nullptr ? List() : ToList(*in_original);
  const List changes = in_patch == nullptr ? List() : ToList(*in_patch);
  const List wanted = ToList(order);
  TRY(CheckOrder(changes, wanted, meta.merge_key));
  List merged;
  if (in_original != nullptr && in_patch != nullptr) {
    merged = TRY(MergeList(*in_original, *in_patch, meta, false));
  } else if (in_original != nullptr) {
    merged = server;
  } else if (in_patch != nullptr) {
    Value list = in_patch->Clone(arena_);
    DropDirectives(list);
    merged = ToList(list);
  } else {
    return {};
  }
  const bool objects = TRY(HoldsObjects(server, changes));
  const Parts parts = TRY(Partition(merged, wanted, meta.merge_key, objects));
  original.Set(arena_, name, FromList(TRY(NormalizeOrder(parts, wanted, server, meta.merge_key, objects)), arena_));
  patch.Remove(name);
  return {};
}

Ok Merger::Take(Value& original, std::string_view name, Value patch) {
  if (into_object_) DropNulls(patch);
  if (DropDirectives(patch)) {
    original.Set(arena_, name, patch);
  } else {
    original.Remove(name);
  }
  return {};
}

Ok Merger::Member(Value& original, std::string_view name, Value patch, const Type* type, bool delete_list) {
  if (patch.is_null()) {
    original.Remove(name);
    if (into_object_) return {};
  }
  Value* own = original.Find(name);
  if (own == nullptr || own->kind() != patch.kind()) return delete_list ? Ok() : Take(original, name, patch);
  if (patch.is_object()) {
    const Meta meta = TRY(Lookup(type, name));
    *own = meta.replace ? patch : TRY(Merge(*own, patch, meta.type));
    return {};
  }
  if (patch.is_array()) {
    const Meta meta = TRY(Lookup(type, name));
    *own = FromList(TRY(MergeList(*own, patch, meta, delete_list)), arena_);
    return {};
  }
  return Take(original, name, patch);
}

Result<List> Merger::MergeList(const Value& original, const Value& patch, const Meta& meta, bool delete_list) {
  const List changes = ToList(patch);
  if (!meta.merge && !delete_list) return changes;
  const List own = ToList(original);
  if (own.empty() && changes.empty()) return own;
  const bool objects = TRY(HoldsObjects(own, changes));
  if (objects) {
    if (meta.merge_key.empty()) {
      return BadRequest("cannot merge lists without merge key for " +
                        std::string(meta.type == nullptr ? "map" : meta.type->name));
    }
    List kept;
    List base;
    const List merged = TRY(MergeElements(own, changes, kept, base, meta));
    const Parts parts = TRY(Partition(merged, kept, meta.merge_key, true));
    return NormalizeOrder(parts, kept, base, meta.merge_key, true);
  }
  List out;
  if (into_object_ && delete_list) {
    for (const Value& item : own) {
      if (IndexOf(changes, item, {}, false) < 0) out.push_back(item);
    }
    return out;
  }
  out = own;
  out.insert(out.end(), changes.begin(), changes.end());
  const Parts parts = TRY(Partition(Deduplicate(out), changes, {}, false));
  return NormalizeOrder(parts, changes, own, {}, false);
}

// `kept_patch` becomes the patch's elements without directives and `base` what they were merged into.
Result<List> Merger::MergeElements(List original, const List& patch, List& kept_patch, List& base, const Meta& meta) {
  bool replace = false;
  for (const Value& item : patch) {
    const Value* directive = item.Find(kPatch);
    if (directive == nullptr) {
      kept_patch.push_back(item);
    } else if (directive->AsString() == "delete") {
      const Value* key = item.Find(meta.merge_key);
      if (key == nullptr) return NoMergeKey(item, meta.merge_key);
      for (int at = TRY(FindByKey(original, meta.merge_key, *key)); at >= 0;
           at = TRY(FindByKey(original, meta.merge_key, *key))) {
        original.erase(original.begin() + at);
      }
    } else if (directive->AsString() == "replace") {
      replace = true;
    } else if (directive->AsString() == "merge") {
      return BadRequest("merging lists cannot yet be specified in the patch");
    } else {
      return BadPatchType(*directive, item);
    }
  }
  if (replace) {
    original = std::move(kept_patch);
    kept_patch.clear();
  }
  base = original;
  for (const Value& item : kept_patch) {
    const Value* key = item.Find(meta.merge_key);
    if (key == nullptr) return NoMergeKey(item, meta.merge_key);
    const int at = TRY(FindByKey(original, meta.merge_key, *key));
    if (at >= 0) {
      original[static_cast<size_t>(at)] = TRY(Merge(original[static_cast<size_t>(at)], item, meta.type));
    } else {
      original.push_back(item);
    }
  }
  return original;
}

}  // namespace strategic

Result<doc::Value> StrategicMerge(const Type& type, const doc::Value& object, const doc::Value& patch,
                                  doc::Arena& arena) {
  if (!patch.is_object()) return BadRequest("invalid JSON document");
  strategic::Merger merger(arena, strategic::MergeInto::kObject);
  return merger.Merge(object.Clone(arena), patch.Clone(arena), &type);
}

}  // namespace knarr::api

#include "api/strategic_merge.h"

#include <algorithm>
#include <unordered_set>

#include "api/strategic_patch.h"

namespace knarr::api {
namespace strategic {
namespace {

using doc::Value;

Status BadPatchType(const Value& directive, const Value& patch) {
  return BadRequest("unknown patch type: " + GoText(directive) + " in map: " + GoText(patch));
}

// Removes nulls at every level below.
void DropNulls(Value& value, doc::Arena& arena) {
  for (Value& item : value.items()) DropNulls(item, arena);
  doc::RemoveMembersIf(value, arena, [](const doc::Member& member) { return member.value.is_null(); });
  for (doc::Member& member : value.members()) DropNulls(member.value, arena);
}

// Removes directives at every level; false when the value itself is one.
bool DropDirectives(Value& value, doc::Arena& arena) {
  if (value.Find(kPatch) != nullptr) return false;
  doc::RemoveMembersIf(value, arena, [&](doc::Member& member) { return !DropDirectives(member.value, arena); });
  const std::span<Value> items = value.items();
  const auto is_directive = [&](Value& item) { return !DropDirectives(item, arena); };
  const auto kept = std::remove_if(items.begin(), items.end(), is_directive);
  if (kept != items.end()) value = Value::ArrayOf(arena, {items.begin(), kept});
  return true;
}

Status TooLong(size_t size) {
  return {Reason::kRequestEntityTooLarge, "The allowed maximum elements of a list in a strategic merge patch is " +
                                              std::to_string(kElementsMax) + ", got " + std::to_string(size)};
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
  doc::MemberEdits edits(original, arena_, patch.size());
  TRY(OrderedLists(edits, patch, type));
  for (const doc::Member& member : patch.members()) {
    std::string_view name = member.key;
    bool delete_list = false;
    if (name.starts_with(kDeletePrefix)) {
      if (!into_object_) {
        edits.Set(name, member.value);
        continue;
      }
      name.remove_prefix(kDeletePrefix.size());
      delete_list = true;
    }
    TRY(Member(edits, name, member.value, type, delete_list));
  }
  edits.End();
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
  std::unordered_set<std::string_view> kept;
  for (const Value& item : keep.items()) {
    if (item.is_string()) kept.insert(item.AsString());
  }
  for (const doc::Member& member : patch.members()) {
    if (member.value.is_null() || member.key.starts_with(kDeletePrefix) || member.key.starts_with(kOrderPrefix)) {
      continue;
    }
    if (!kept.contains(member.key)) return BadRequest("invalid patch format of retainKeys");
  }
  doc::RemoveMembersIf(original, arena_, [&](const doc::Member& member) { return !kept.contains(member.key); });
  return {};
}

Ok Merger::OrderedLists(doc::MemberEdits& original, Value& patch, const Type* type) {
  std::vector<std::string_view> directives;
  for (const doc::Member& member : patch.members()) {
    if (member.key.starts_with(kOrderPrefix)) directives.push_back(member.key);
  }
  doc::MemberEdits changes(patch, arena_, directives.size());
  for (const std::string_view directive : directives) TRY(OrderedList(original, changes, type, directive));
  return {};
}

Ok Merger::OrderedList(doc::MemberEdits& original, doc::MemberEdits& patch, const Type* type,
                       std::string_view directive) {
  const Status bad = BadRequest("invalid patch format of setElementOrder list");
  const Value order = *patch.Find(directive);
  if (!into_object_) {
    const Value* known = original.Find(directive);
    if (known != nullptr && !known->Equals(order)) return bad;
    original.Set(directive, order);
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
  const size_t longest = std::max({server.size(), changes.size(), wanted.size()});
  if (longest > kElementsMax) return TooLong(longest);
  TRY(CheckOrder(changes, wanted, meta.merge_key));
  List merged;
  if (in_original != nullptr && in_patch != nullptr) {
    merged = TRY(MergeList(*in_original, *in_patch, meta, false));
  } else if (in_original != nullptr) {
    merged = server;
  } else if (in_patch != nullptr) {
    Value list = in_patch->Clone(arena_);
    DropDirectives(list, arena_);
    merged = ToList(list);
  } else {
    return {};
  }
  const bool objects = TRY(HoldsObjects(server, changes));
  const Parts parts = TRY(Partition(merged, wanted, meta.merge_key, objects));
  original.Set(name, FromList(TRY(NormalizeOrder(parts, wanted, server, meta.merge_key, objects)), arena_));
  patch.Remove(name);
  return {};
}

Ok Merger::Take(doc::MemberEdits& original, std::string_view name, Value patch) {
  if (into_object_) DropNulls(patch, arena_);
  if (DropDirectives(patch, arena_)) {
    original.Set(name, patch);
  } else {
    original.Remove(name);
  }
  return {};
}

Ok Merger::Member(doc::MemberEdits& original, std::string_view name, Value patch, const Type* type, bool delete_list) {
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
  if (std::max(own.size(), changes.size()) > kElementsMax) return TooLong(std::max(own.size(), changes.size()));
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
    const Places deleted(changes, {}, false);
    for (const Value& item : own) {
      if (deleted.Find(item) < 0) out.push_back(item);
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
  Places deleted({}, meta.merge_key, true);
  for (const Value& item : patch) {
    const Value* directive = item.Find(kPatch);
    if (directive == nullptr) {
      kept_patch.push_back(item);
    } else if (directive->AsString() == "delete") {
      if (item.Find(meta.merge_key) == nullptr) return NoMergeKey(item, meta.merge_key);
      deleted.Add(item);
    } else if (directive->AsString() == "replace") {
      replace = true;
    } else if (directive->AsString() == "merge") {
      return BadRequest("merging lists cannot yet be specified in the patch");
    } else {
      return BadPatchType(*directive, item);
    }
  }
  std::erase_if(original, [&](const Value& item) { return deleted.Find(item) >= 0; });
  if (replace) {
    original = std::move(kept_patch);
    kept_patch.clear();
  }
  base = original;
  Places places(original, meta.merge_key, true);
  for (const Value& item : kept_patch) {
    if (item.Find(meta.merge_key) == nullptr) return NoMergeKey(item, meta.merge_key);
    const int at = places.Find(item);
    if (at >= 0) {
      original[static_cast<size_t>(at)] = TRY(Merge(original[static_cast<size_t>(at)], item, meta.type));
    } else {
      original.push_back(item);
      places.Add(item);
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

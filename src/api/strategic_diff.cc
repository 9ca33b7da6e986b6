// Making strategic merge patches out of objects.

#include "api/strategic_merge.h"
#include "api/strategic_patch.h"

namespace knarr::api {
namespace strategic {
namespace {

using doc::Value;

struct DiffOptions {
  bool ignore_changes = false;
  bool ignore_deletions = false;
  bool set_order = false;
  bool retain_keys = false;
};

struct ListDiff {
  List patch;
  List deleted;
  List order;
};

class Differ {
 public:
  explicit Differ(doc::Arena& arena) : arena_(arena) {}

  Result<Value> Objects(const Value& original, const Value& modified, const Type* type, const DiffOptions& options) {
    Value patch = Value::Object();
    List retained;
    for (const doc::Member& member : modified.members()) {
      if (options.retain_keys && !member.value.is_null()) retained.push_back(Value::Borrow(member.key));
      const Value* before = original.Find(member.key);
      if (before == nullptr || before->kind() != member.value.kind()) {
        if (!options.ignore_changes) patch.Set(arena_, member.key, member.value);
      } else if (member.value.is_object()) {
        TRY(ObjectMember(member.key, *before, member.value, type, options, patch));
      } else if (member.value.is_array()) {
        TRY(ListMember(member.key, *before, member.value, type, options, patch));
      } else {
        ReplaceIfChanged(member.key, *before, member.value, options, patch);
      }
    }
    bool more_in_original = false;
    for (const doc::Member& member : original.members()) {
      if (modified.Find(member.key) != nullptr) continue;
      more_in_original = true;
      if (!options.ignore_deletions) patch.Set(arena_, member.key, Value::Null());
    }
    if (!retained.empty() && (!patch.empty() || more_in_original)) {
      patch.Set(arena_, kRetainKeys, FromList(SortScalars(retained), arena_));
    }
    return patch;
  }

 private:
  void ReplaceIfChanged(std::string_view name, const Value& before, const Value& after, const DiffOptions& options,
                        Value& patch) {
    if (!options.ignore_changes && !before.Equals(after)) patch.Set(arena_, name, after);
  }

  Ok ObjectMember(std::string_view name, const Value& before, const Value& after, const Type* type, DiffOptions options,
                  Value& patch) {
    const Result<Meta> meta = Lookup(type, name);
    if (!meta.ok()) {
      // An unknown field only matters when it changed.
      if (before.Equals(after)) return {};
      return meta.status();
    }
    options.retain_keys = meta->retain_keys;
    if (meta->replace) {
      if (!options.ignore_changes) patch.Set(arena_, name, after);
      return {};
    }
    const Value changes = TRY(Objects(before, after, meta->type, options));
    if (!changes.empty()) patch.Set(arena_, name, changes);
    return {};
  }

  Ok ListMember(std::string_view name, const Value& before, const Value& after, const Type* type, DiffOptions options,
                Value& patch) {
    const Result<Meta> meta = Lookup(type, name);
    if (!meta.ok()) {
      if (before.Equals(after)) return {};
      return meta.status();
    }
    if (!meta->merge) {
      ReplaceIfChanged(name, before, after, options, patch);
      return {};
    }
    options.retain_keys = meta->retain_keys;
    const ListDiff diff = TRY(Lists(ToList(before), ToList(after), *meta, options));
    if (!diff.patch.empty()) patch.Set(arena_, name, FromList(diff.patch, arena_));
    if (!diff.deleted.empty()) Directive(kDeletePrefix, name, diff.deleted, patch);
    if (!diff.order.empty()) Directive(kOrderPrefix, name, diff.order, patch);
    return {};
  }

  void Directive(std::string_view prefix, std::string_view name, const List& list, Value& patch) {
    patch.SetCopy(arena_, std::string(prefix) + std::string(name), FromList(list, arena_));
  }

  Result<ListDiff> Lists(const List& before, const List& after, const Meta& meta, const DiffOptions& options) {
    ListDiff diff;
    if (before.empty()) {
      if (!options.ignore_changes) diff.patch = after;
      return diff;
    }
    if (TRY(HoldsObjects(before, after))) return ObjectLists(before, after, meta, options);
    const Places in_before(before, {}, false);
    const Places in_after(after, {}, false);
    for (const Value& item : SortScalars(after)) {
      if (!options.ignore_changes && in_before.Find(item) < 0) diff.patch.push_back(item);
    }
    for (const Value& item : SortScalars(before)) {
      if (!options.ignore_deletions && in_after.Find(item) < 0) diff.deleted.push_back(item);
    }
    diff.deleted = Deduplicate(diff.deleted);
    diff.patch = TRY(InOrderOf(diff.patch, after, {}, false));
    // Upstream compares after sorting what was there.
    const bool changed = !FromList(SortScalars(before), arena_).Equals(FromList(after, arena_));
    if (options.set_order &&
        ((!options.ignore_deletions && !diff.deleted.empty()) || (!options.ignore_changes && changed))) {
      diff.order = after;
    }
    return diff;
  }

  static bool SameOrder(const List& before, const List& after, std::string_view key) {
    if (before.size() != after.size()) return false;
    for (size_t i = 0; i < before.size(); ++i) {
      if (!before[i].At(key).Equals(after[i].At(key))) return false;
    }
    return true;
  }

  Value WithKeyOnly(const Value& item, std::string_view key) {
    Value only = Value::Object();
    only.Set(arena_, key, item.At(key));
    return only;
  }

  Result<ListDiff> ObjectLists(const List& before, const List& after, const Meta& meta, const DiffOptions& options) {
    const std::string_view key = meta.merge_key;
    const auto text = [key](const Value& item) { return GoText(item.At(key)); };
    for (const List* list : {&before, &after}) {
      for (const Value& item : *list) {
        if (item.Find(key) == nullptr) return NoMergeKey(item, key);
      }
    }
    const List old_items = SortByText(before, text);
    const List new_items = SortByText(after, text);
    ListDiff diff;
    List deleted;
    size_t i = 0;
    size_t j = 0;
    while (i < old_items.size() || j < new_items.size()) {
      const bool only_old = j >= new_items.size() || (i < old_items.size() && text(old_items[i]) < text(new_items[j]));
      const bool only_new = !only_old && (i >= old_items.size() || text(new_items[j]) < text(old_items[i]));
      if (only_old) {
        if (!options.ignore_deletions) {
          Value gone = WithKeyOnly(old_items[i], key);
          gone.Set(arena_, kPatch, Value::Borrow("delete"));
          deleted.push_back(gone);
        }
        ++i;
      } else if (only_new) {
        if (!options.ignore_changes) diff.patch.push_back(new_items[j]);
        ++j;
      } else {
        Value changes = TRY(Objects(old_items[i++], new_items[j], meta.type, options));
        if (!changes.empty()) {
          changes.Set(arena_, key, new_items[j].At(key));
          diff.patch.push_back(changes);
        }
        ++j;
      }
    }
    diff.patch = TRY(InOrderOf(diff.patch, after, key, true));
    diff.patch.insert(diff.patch.end(), deleted.begin(), deleted.end());
    const bool reordered = !SameOrder(before, after, key);
    if (options.set_order && ((!options.ignore_changes && (!diff.patch.empty() || reordered)) ||
                              (!options.ignore_deletions && !diff.patch.empty()))) {
      for (const Value& item : after) diff.order.push_back(WithKeyOnly(item, key));
    }
    return diff;
  }

  doc::Arena& arena_;
};

}  // namespace
}  // namespace strategic

Result<doc::Value> CreateThreeWayMergePatch(const Type& type, const doc::Value& original, const doc::Value& modified,
                                            const doc::Value& current, doc::Arena& arena) {
  strategic::Differ differ(arena);
  const strategic::DiffOptions changes = {.ignore_deletions = true, .set_order = true};
  const strategic::DiffOptions deletions = {.ignore_changes = true, .set_order = true};
  const doc::Value delta = TRY(differ.Objects(current, modified, &type, changes));
  const doc::Value deleted = TRY(differ.Objects(original, modified, &type, deletions));
  strategic::Merger merger(arena, strategic::MergeInto::kPatchText);
  doc::Value patch = TRY(merger.Merge(deleted.Clone(arena), delta.Clone(arena), &type));
  if (patch.Find("apiVersion") != nullptr || patch.Find("kind") != nullptr ||
      patch.At("metadata").Find("name") != nullptr) {
    return BadRequest("precondition failed for: " + strategic::GoText(patch));
  }
  patch.SortMembers();
  return patch;
}

Result<doc::Value> CreateTwoWayMergePatch(const Type& type, const doc::Value& original, const doc::Value& modified,
                                          doc::Arena& arena) {
  strategic::Differ differ(arena);
  const doc::Value diff = TRY(differ.Objects(original, modified, &type, {.set_order = true}));
  doc::Value patch = diff.Clone(arena);
  patch.SortMembers();
  return patch;
}

}  // namespace knarr::api

#include "doc/merge_patch.h"

#include "doc/members.h"

namespace knarr::doc {
namespace {

// A copy without the null members of objects.
Value CloneWithoutNulls(const Value& value, Arena& arena) {
  if (value.is_array()) {
    Value out = Value::ArrayOf(arena, value.items());
    for (Value& item : out.items()) item = CloneWithoutNulls(item, arena);
    return out;
  }
  if (!value.is_object()) return value.Clone(arena);
  Value out = Value::Object();
  for (const Member& member : value.members()) {
    if (member.value.is_null()) continue;
    out.AddMember(arena, arena.Copy(member.key), CloneWithoutNulls(member.value, arena));
  }
  return out;
}

}  // namespace

void ApplyMergePatch(const Value& patch, Value& target, Arena& arena) {
  if (!patch.is_object()) {
    target = patch.Clone(arena);
    return;
  }
  if (!target.is_object()) {
    target = CloneWithoutNulls(patch, arena);
    return;
  }
  MemberEdits edits(target, arena, patch.size());
  for (const Member& member : patch.members()) {
    if (member.value.is_null()) {
      edits.Remove(member.key);
    } else if (Value* old = edits.Find(member.key)) {
      ApplyMergePatch(member.value, *old, arena);
    } else {
      edits.Set(arena.Copy(member.key), CloneWithoutNulls(member.value, arena));
    }
  }
}

Value CreateMergePatch(const Value& from, const Value& to, Arena& arena) {
  if (!from.is_object() || !to.is_object()) return to;
  Value out = Value::Object();
  const MemberIndex in_from(from, to.size());
  const MemberIndex in_to(to, from.size());
  for (const Member& member : from.members()) {
    if (in_to.Find(member.key) == nullptr) out.AddMember(arena, member.key, Value::Null());
  }
  for (const Member& member : to.members()) {
    const Value* old = in_from.Find(member.key);
    if (old != nullptr && old->Equals(member.value)) continue;
    const bool nested = old != nullptr && old->is_object() && member.value.is_object();
    out.AddMember(arena, member.key, nested ? CreateMergePatch(*old, member.value, arena) : member.value);
  }
  return out;
}

}  // namespace knarr::doc

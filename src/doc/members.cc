#include "doc/members.h"

namespace knarr::doc {
namespace {

// From so many edits on an index pays.
constexpr size_t kMany = 16;

}  // namespace

MemberIndex::MemberIndex(const Value& object, size_t lookups) : object_(object), indexed_(lookups >= kMany) {
  if (!indexed_) return;
  places_.reserve(object.size());
  size_t at = 0;
  for (const Member& member : object.members()) places_.emplace(member.key, at++);
}

const Value* MemberIndex::Find(std::string_view key) const {
  if (!indexed_) return object_.Find(key);
  const auto found = places_.find(key);
  return found == places_.end() ? nullptr : &object_.members()[found->second].value;
}

MemberEdits::MemberEdits(Value& object, Arena& arena, size_t edits)
    : object_(object), arena_(arena), index_(object, edits) {}

void MemberEdits::End() {
  if (removed_.empty()) return;
  const std::span<Member> members = object_.members();
  size_t kept = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    if (!removed_.contains(i)) members[kept++] = members[i];
  }
  object_ = Value::ObjectOf(arena_, members.first(kept));
  removed_.clear();
}

Value* MemberEdits::Find(std::string_view key) { return const_cast<Value*>(index_.Find(key)); }

void MemberEdits::Remove(std::string_view key) {
  if (!index_.indexed_) {
    object_.Remove(key);
    return;
  }
  const auto found = index_.places_.find(key);
  if (found == index_.places_.end()) return;
  removed_.insert(found->second);
  index_.places_.erase(found);
}

void MemberEdits::Set(std::string_view key, Value value) {
  if (!index_.indexed_) {
    object_.Set(arena_, key, value);
    return;
  }
  const auto [place, fresh] = index_.places_.emplace(key, object_.size());
  if (fresh) {
    object_.AddMember(arena_, key, value);
  } else {
    object_.members()[place->second].value = value;
  }
}

}  // namespace knarr::doc

#pragma once

// Edits of objects that may have very many members: none of them walks through all for each.

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "doc/value.h"

namespace knarr::doc {

/// Takes out the members for which `gone` is true.
template <typename Gone>
void RemoveMembersIf(Value& object, Arena& arena, Gone gone) {
  const std::span<Member> members = object.members();
  const auto kept = std::remove_if(members.begin(), members.end(), gone);
  if (kept != members.end()) object = Value::ObjectOf(arena, {members.begin(), kept});
}

/// Finds members of one object, which may not change meanwhile.
class MemberIndex {
 public:
  /// `lookups`: how many there will be, about. For a few the object is looked through.
  MemberIndex(const Value& object, size_t lookups);
  /// nullptr when it is not there.
  const Value* Find(std::string_view key) const;

 private:
  friend class MemberEdits;
  const Value& object_;
  const bool indexed_;
  std::unordered_map<std::string_view, size_t> places_;
};

/// Several edits of one object. It may not be changed otherwise until they end; what was removed is taken out then.
class MemberEdits {
 public:
  /// `edits`: how many there will be, about.
  MemberEdits(Value& object, Arena& arena, size_t edits);
  ~MemberEdits() { End(); }
  MemberEdits(const MemberEdits&) = delete;
  MemberEdits& operator=(const MemberEdits&) = delete;

  /// nullptr when it is not there. Holds until the next Set.
  Value* Find(std::string_view key);
  void Remove(std::string_view key);
  /// At its place, or behind all others. Borrows the key.
  void Set(std::string_view key, Value value);
  /// Takes out what was removed, for who goes on with the object.
  void End();

 private:
  Value& object_;
  Arena& arena_;
  MemberIndex index_;
  std::unordered_set<size_t> removed_;
};

}  // namespace knarr::doc

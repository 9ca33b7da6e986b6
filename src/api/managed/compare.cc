#include <algorithm>

#include "api/managed/typed.h"
#include "api/managed/walk.h"

namespace knarr::api::managed {
namespace {

using doc::Member;
using doc::Value;
using Form = Atom::Form;

// Walks two objects together and collects both sets as it goes. `before` or `after` is nullptr where a value is absent.
class Comparer {
 public:
  explicit Comparer(doc::Arena& arena) : arena_(arena), changed_(arena), removed_(arena) {}

  Result<Comparison> Root(const Type& type, const Value& before, const Value& after) {
    const SetBuilder::Mark changed = changed_.Open();
    const SetBuilder::Mark removed = removed_.Open();
    TRY(Members(Atom::Resolve(TypeRef::Struct(type), &after), &before, &after));
    changed_.Sort(changed);
    removed_.Sort(removed);
    return Comparison{changed_.CloseRoot(changed), removed_.CloseRoot(removed)};
  }

 private:
  // A path element that is only written out when something is there to be said about it.
  struct Key {
    std::string_view name;  // of a field; or, when `done`, the element itself
    bool done = false;
    std::string_view In(doc::Arena& arena) {
      if (!done) name = FieldElement(name, arena);
      done = true;
      return name;
    }
  };

  Ok Compare(const TypeRef& type, const Value* before, const Value* after, Key key) {
    const Atom atom = Atom::Resolve(type, after != nullptr ? after : before);
    if (before != nullptr && after != nullptr) {
      const Atom other = Atom::Resolve(type, before);
      // A value that took another form is both: what it was is gone, what it is is there.
      if (other.form != atom.form) TRY(Compare(other, before, after, key));
    }
    return Compare(atom, before, after, key);
  }

  Ok Compare(const Atom& atom, const Value* before, const Value* after, Key& key) {
    const bool list = atom.form == Form::kList;
    const auto empty = [list](const Value* value) {
      return value == nullptr || (list ? value->items().empty() : value->members().empty());
    };
    if (atom.form == Form::kScalar || atom.atomic || (empty(before) && empty(after))) {
      if (after == nullptr) {
        removed_.AddLeaf(key.In(arena_));
      } else if (before == nullptr || !before->Equals(*after)) {
        changed_.AddLeaf(key.In(arena_));
      }
      return {};
    }
    const SetBuilder::Mark changed = changed_.Open();
    const SetBuilder::Mark removed = removed_.Open();
    TRY(list ? Items(atom, before, after) : Members(atom, before, after));
    Close(changed_, changed, before == nullptr, key);
    Close(removed_, removed, after == nullptr, key);
    return {};
  }

  void Close(SetBuilder& builder, SetBuilder::Mark mark, bool member, Key& key) {
    const bool there = member || !builder.Empty(mark);
    if (there) builder.Sort(mark);
    builder.Close(mark, there ? key.In(arena_) : std::string_view(), member);
  }

  Ok Members(const Atom& atom, const Value* before, const Value* after) {
    const std::span<const Member> old_members = before != nullptr ? before->members() : std::span<const Member>();
    const std::span<const Member> new_members = after != nullptr ? after->members() : std::span<const Member>();
    FieldCursor fields(atom);
    if (atom.fields == nullptr) {
      // Maps may be large; in canonical objects they are sorted.
      const SortedMembers left(old_members);
      const SortedMembers right(new_members);
      return ZipByKey(left.members, right.members, [&](const Member* a, const Member* b) {
        return Compare(atom.element, ValueOf(a), ValueOf(b), {a != nullptr ? a->key : b->key});
      });
    }
    size_t found = 0;
    MemberCursor old_cursor(old_members);
    for (const Member& member : new_members) {
      const Value* old = old_cursor.Find(member.key);
      if (old != nullptr) ++found;
      TRY(Compare(fields.Find(member.key), old, &member.value, {member.key}));
    }
    if (found == old_members.size()) return {};
    MemberCursor new_cursor(new_members);
    for (const Member& member : old_members) {
      if (new_cursor.Find(member.key) != nullptr) continue;
      TRY(Compare(fields.Find(member.key), &member.value, nullptr, {member.key}));
    }
    return {};
  }

  static const Value* ValueOf(const Member* member) { return member != nullptr ? &member->value : nullptr; }

  Ok Items(const Atom& atom, const Value* before, const Value* after) {
    if (before != nullptr && after != nullptr && before->Equals(*after)) return {};
    ItemGroups old_items;
    ItemGroups new_items;
    if (before != nullptr) old_items = TRY(ItemGroups::Of(atom, *before, arena_));
    if (after != nullptr) new_items = TRY(ItemGroups::Of(atom, *after, arena_));
    size_t i = 0;
    size_t j = 0;
    while (i < old_items.size() || j < new_items.size()) {
      const std::string_view element = j == new_items.size()   ? old_items.element(i)
                                       : i == old_items.size() ? new_items.element(j)
                                                               : std::min(old_items.element(i), new_items.element(j));
      const std::span<const Item> old_group = old_items.Take(i, element);
      const std::span<const Item> new_group = new_items.Take(j, element);
      TRY(Group(atom, element, old_group, new_group));
    }
    return {};
  }

  // Items of one key. More than one of them on a side count as one value together.
  Ok Group(const Atom& atom, std::string_view element, std::span<const Item> before, std::span<const Item> after) {
    const auto only = [](std::span<const Item> group) { return group.size() == 1 ? group.front().value : nullptr; };
    if (before.size() <= 1 && after.size() <= 1) {
      return Compare(atom.element, only(before), only(after), {element, true});
    }
    if (before.size() > 1 && after.size() > 1) {
      const auto same = [](const Item& a, const Item& b) { return a.value->Equals(*b.value); };
      if (!std::ranges::equal(before, after, same)) changed_.AddLeaf(element);
      return {};
    }
    const Value* single = before.size() == 1 ? only(before) : only(after);
    if (single != nullptr) TRY(Compare(atom.element, only(before), only(after), {element, true}));
    (before.size() > 1 ? removed_ : changed_).AddLeaf(element);
    return {};
  }

  doc::Arena& arena_;
  SetBuilder changed_;
  SetBuilder removed_;
};

}  // namespace

Result<Comparison> Compare(const Type& type, const Value& before, const Value& after, doc::Arena& arena) {
  return Comparer(arena).Root(type, before, after);
}

}  // namespace knarr::api::managed

#pragma once

// What the walks of this folder share. Internal to it.

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "api/managed/typed.h"
#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::api::managed {

/// Finds members that are asked for in about their order.
class MemberCursor {
 public:
  explicit MemberCursor(std::span<const doc::Member> members) : members_(members) {}
  const doc::Value* Find(std::string_view key) {
    for (size_t tried = 0; tried < members_.size(); ++tried, ++next_) {
      if (next_ == members_.size()) next_ = 0;
      if (members_[next_].key == key) return &members_[next_++].value;
    }
    return nullptr;
  }

 private:
  std::span<const doc::Member> members_;
  size_t next_ = 0;
};

/// Finds the types of members that are asked for in about the schema's order.
class FieldCursor {
 public:
  explicit FieldCursor(const Atom& atom) : atom_(atom) {}
  /// No type for what the schema does not have.
  TypeRef Find(std::string_view name) {
    if (atom_.fields == nullptr) return atom_.element;
    const std::span<const Field* const> flat = atom_.fields->flat;
    for (size_t tried = 0; tried < flat.size(); ++tried, ++next_) {
      if (next_ == flat.size()) next_ = 0;
      if (flat[next_]->name == name) return TypeRef::Of(*flat[next_++]);
    }
    return {};
  }

 private:
  const Atom& atom_;
  size_t next_ = 0;
};

/// The members of a map by their keys; copied only if they are not sorted already.
struct SortedMembers {
  explicit SortedMembers(std::span<const doc::Member> given) : members(given) {
    if (std::ranges::is_sorted(given, {}, &doc::Member::key)) return;
    own_.assign(given.begin(), given.end());
    std::ranges::sort(own_, {}, &doc::Member::key);
    members = own_;
  }
  SortedMembers(const SortedMembers&) = delete;
  SortedMembers& operator=(const SortedMembers&) = delete;

  std::span<const doc::Member> members;

 private:
  std::vector<doc::Member> own_;
};

/// Walks two sorted lists of members together; `visit` gets nullptr for the side that lacks the key.
template <typename Visit>
Ok ZipByKey(std::span<const doc::Member> a, std::span<const doc::Member> b, Visit visit) {
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() || j < b.size()) {
    const bool left = i < a.size() && (j == b.size() || a[i].key <= b[j].key);
    const bool right = j < b.size() && (i == a.size() || b[j].key <= a[i].key);
    TRY(visit(left ? &a[i] : nullptr, right ? &b[j] : nullptr));
    if (left) ++i;
    if (right) ++j;
  }
  return {};
}

/// An item of a list and the path element that names it.
struct Item {
  std::string_view element;
  const doc::Value* value = nullptr;
};

/// The items of a list that is not atomic, those of one element together.
class ItemGroups {
 public:
  static Result<ItemGroups> Of(const Atom& atom, const doc::Value& list, doc::Arena& arena) {
    ItemGroups out;
    out.items_.reserve(list.size());
    for (const doc::Value& item : list.items()) {
      const Result<std::string_view> element = ItemElement(atom, item, arena);
      if (!element.ok()) {
        return element.status().WithContext("element " + std::to_string(out.items_.size()));
      }
      out.items_.push_back({*element, &item});
    }
    std::ranges::stable_sort(out.items_, {}, &Item::element);
    return out;
  }
  size_t size() const { return items_.size(); }
  std::string_view element(size_t at) const { return items_[at].element; }
  /// The group at `at` if it is this element's; moves `at` behind it.
  std::span<const Item> Take(size_t& at, std::string_view element) const {
    const size_t begin = at;
    while (at < items_.size() && items_[at].element == element) ++at;
    return std::span(items_).subspan(begin, at - begin);
  }
  /// Whether more than one item has the element.
  bool Repeats(std::string_view element) const {
    return std::ranges::equal_range(items_, element, {}, &Item::element).size() > 1;
  }

 private:
  std::vector<Item> items_;
};

}  // namespace knarr::api::managed

#include <unordered_map>
#include <unordered_set>

#include "api/managed/typed.h"
#include "api/managed/walk.h"

namespace knarr::api::managed {
namespace {

using doc::Member;
using doc::Value;
using Form = Atom::Form;

// A list's items by their elements. An element that several items have stands for null.
struct Index {
  std::vector<std::string_view> elements;  // in the list's order
  std::unordered_map<std::string_view, Value> values;

  bool Has(std::string_view element) const { return values.contains(element); }
  const Value* Find(std::string_view element) const {
    const auto found = values.find(element);
    return found != values.end() ? &found->second : nullptr;
  }
  static Result<Index> Of(const Atom& atom, const Value& list, doc::Arena& arena) {
    Index out;
    for (const Value& item : list.items()) {
      const Result<std::string_view> element = ItemElement(atom, item, arena);
      if (!element.ok()) return element.status().WithContext("element " + std::to_string(out.elements.size()));
      const auto [place, fresh] = out.values.try_emplace(*element, item);
      if (!fresh) place->second = Value::Null();
      out.elements.push_back(*element);
    }
    return out;
  }
};

class ConfigurationMerger {
 public:
  explicit ConfigurationMerger(doc::Arena& arena) : arena_(arena) {}

  // One of the two may be absent (nullptr).
  Result<Value> Merge(const TypeRef& type, const Value* object, const Value* configuration) {
    const Value* leading = configuration != nullptr ? configuration : object;
    const Atom atom = Atom::Resolve(type, leading);
    const bool list = atom.form == Form::kList;
    const auto empty = [list](const Value* value) {
      return value == nullptr || (list ? value->items().empty() : value->members().empty());
    };
    if (atom.form == Form::kScalar || atom.atomic || (empty(object) && empty(configuration))) return *leading;
    // What has another form counts as absent.
    static const Value kNothing;
    const Value& mine = object != nullptr ? *object : kNothing;
    const Value& theirs = configuration != nullptr ? *configuration : kNothing;
    return list ? Items(atom, mine, theirs) : Members(atom, mine, theirs);
  }

 private:
  Result<Value> Members(const Atom& atom, const Value& object, const Value& configuration) {
    Value out = Value::Object();
    out.Reserve(arena_, object.members().size() + configuration.members().size());
    const auto add = [&](const TypeRef& type, std::string_view key, const Value* mine, const Value* theirs) -> Ok {
      const bool both = mine != nullptr && theirs != nullptr;
      out.AddMember(arena_, key, both ? TRY(Merge(type, mine, theirs)) : mine != nullptr ? *mine : *theirs);
      return {};
    };
    if (atom.fields == nullptr) {
      const SortedMembers mine(object.members());
      const SortedMembers theirs(configuration.members());
      TRY(ZipByKey(mine.members, theirs.members, [&](const Member* a, const Member* b) {
        return add(atom.element, a != nullptr ? a->key : b->key, a != nullptr ? &a->value : nullptr,
                   b != nullptr ? &b->value : nullptr);
      }));
      return out;
    }
    FieldCursor fields(atom);
    MemberCursor theirs(configuration.members());
    for (const Member& member : object.members()) {
      TRY(add(fields.Find(member.key), member.key, &member.value, theirs.Find(member.key)));
    }
    MemberCursor mine(object.members());
    for (const Member& member : configuration.members()) {
      if (mine.Find(member.key) == nullptr) TRY(add({}, member.key, nullptr, &member.value));
    }
    return out;
  }

  // The items of both: in the configuration's order as far as it names them, the others where they stood before.
  Result<Value> Items(const Atom& atom, const Value& object, const Value& configuration) {
    const Index theirs = TRY(Index::Of(atom, configuration, arena_));
    const Index mine = TRY(Index::Of(atom, object, arena_));
    // The configuration's elements that the object has too, in its order; `shared` is the next of them that is due.
    size_t shared = 0;
    const auto advance = [&] {
      while (shared < theirs.elements.size() && !mine.Has(theirs.elements[shared])) ++shared;
    };
    advance();
    std::unordered_set<std::string_view> merged;
    Value out = Value::Array();
    const auto take = [&](std::string_view element) -> Ok {
      merged.insert(element);
      out.Append(arena_, TRY(Merge(atom.element, mine.Find(element), theirs.Find(element))));
      return {};
    };
    for (size_t i = 0, j = 0; i < mine.elements.size() || j < theirs.elements.size();) {
      if (i < mine.elements.size() && j < theirs.elements.size()) {
        const std::string_view element = mine.elements[i];
        if (element == theirs.elements[j]) {
          TRY(take(element));
          ++i;
          ++j;
          ++shared;
          advance();
          continue;
        }
        const bool due = shared < theirs.elements.size() && theirs.elements[shared] == element;
        if (theirs.Has(element) && shared < theirs.elements.size() && !due) {
          ++i;  // its turn comes with the configuration's
          continue;
        }
      }
      if (i < mine.elements.size()) {
        const std::string_view element = mine.elements[i];
        if (!theirs.Has(element)) {
          out.Append(arena_, object.items()[i]);
          ++i;
          continue;
        }
        if (merged.contains(element)) ++i;
      }
      if (j < theirs.elements.size()) {
        const std::string_view element = theirs.elements[j];
        const bool due = shared < theirs.elements.size() && theirs.elements[shared] == element;
        TRY(take(element));
        ++j;
        if (due) {
          ++shared;
          advance();
        }
      }
    }
    return out;
  }

  doc::Arena& arena_;
};

}  // namespace

Result<Value> MergeConfiguration(const Type& type, const Value& object, const Value& configuration, doc::Arena& arena) {
  return ConfigurationMerger(arena).Merge(TypeRef::Struct(type), &object, &configuration);
}

}  // namespace knarr::api::managed

#include <algorithm>
#include <vector>

#include "api/managed/typed.h"
#include "api/managed/walk.h"

namespace knarr::api::managed {
namespace {

using doc::Member;
using doc::Value;
using Form = Atom::Form;

enum class Named : uint8_t { kNo, kYes };

class SetOfObject {
 public:
  explicit SetOfObject(doc::Arena& arena) : arena_(arena), builder_(arena) {}

  Value Root(const Type& type, const Value& object) {
    const SetBuilder::Mark mark = builder_.Open();
    Members(Atom::Resolve(TypeRef::Struct(type), &object), object);
    builder_.Sort(mark);
    return builder_.CloseRoot(mark);
  }

 private:
  // `named`: the place is in the set whatever is below it.
  void Add(const TypeRef& type, const Value& value, std::string_view element, Named named) {
    const Atom atom = Atom::Resolve(type, &value);
    const SetBuilder::Mark mark = builder_.Open();
    bool member = named == Named::kYes;
    if (atom.form == Form::kScalar || atom.atomic) {
      member = true;
    } else if (atom.form == Form::kList) {
      Items(atom, value);
    } else {
      Members(atom, value);
    }
    builder_.Sort(mark);
    builder_.Close(mark, element, member);
  }

  void Members(const Atom& atom, const Value& value) {
    FieldCursor fields(atom);
    for (const Member& member : value.members()) {
      const TypeRef type = fields.Find(member.key);
      const bool empty = member.value.is_null() || (member.value.is_object() && member.value.empty());
      const bool own = atom.fields == nullptr;  // a map's keys are in the set, a struct's fields as far as they hold
      Add(type, member.value, FieldElement(member.key, arena_), empty || own ? Named::kYes : Named::kNo);
    }
  }

  void Items(const Atom& atom, const Value& list) {
    // Lists whose items have no keys were refused before.
    const Result<ItemGroups> groups = ItemGroups::Of(atom, list, arena_);
    if (!groups.ok()) return;
    for (size_t at = 0; at < groups->size();) {
      const std::string_view element = groups->element(at);
      const std::span<const Item> group = groups->Take(at, element);
      if (group.size() > 1) {
        builder_.AddLeaf(element);
      } else {
        Add(atom.element, *group.front().value, element, Named::kYes);
      }
    }
  }

  doc::Arena& arena_;
  SetBuilder builder_;
};

bool IsField(std::string_view element) { return element.starts_with("f:"); }

// The place in the schema that a path element leads to.
TypeRef Below(const Atom& atom, std::string_view element) {
  if (IsField(element) && atom.form == Form::kMap) return atom.Member(element.substr(2));
  if (!IsField(element) && atom.form == Form::kList) return atom.element;
  return {};
}

void AddNamedFields(SetBuilder& out, std::span<const Member> children, const TypeRef& type) {
  const Atom atom = Atom::Resolve(type, nullptr);
  for (const Member& child : children) {
    const Node node = NodeOf(child.value);
    if (node.children.empty()) {
      out.Add(child.key, child.value);
      continue;
    }
    const bool field =
        IsField(child.key) && atom.fields != nullptr && atom.fields->Find(child.key.substr(2)) != nullptr;
    const SetBuilder::Mark mark = out.Open();
    AddNamedFields(out, node.children, child.key.starts_with("v:") ? TypeRef() : Below(atom, child.key));
    out.Close(mark, child.key, node.member || field);
  }
}

const Member* FindChild(std::span<const Member> children, std::string_view element) {
  const auto found = std::ranges::find(children, element, &Member::key);
  return found != children.end() ? &*found : nullptr;
}

class Remover {
 public:
  explicit Remover(doc::Arena& arena) : arena_(arena) {}

  Value Remove(const TypeRef& type, const Value& value, std::span<const Member> set) {
    const Atom atom = Atom::Resolve(type, &value);
    if (atom.form == Form::kScalar) return value;
    // What is managed as one has no parts to take away: without them it is gone.
    if (atom.atomic || value.size() == 0) return Value::Null();
    return atom.form == Form::kList ? Items(atom, value, set) : Members(atom, value, set);
  }

 private:
  Value Items(const Atom& atom, const Value& value, std::span<const Member> set) {
    Value out = Value::Null();
    for (const Value& item : value.items()) {
      const Result<std::string_view> element = ItemElement(atom, item, arena_);
      const Member* child = element.ok() ? FindChild(set, *element) : nullptr;
      const Node node = child != nullptr ? NodeOf(child->value) : Node();
      if (node.member) continue;
      if (out.is_null()) out = Value::Array();
      out.Append(arena_, node.children.empty() ? item : Remove(atom.element, item, node.children));
    }
    return out;
  }

  Value Members(const Atom& atom, const Value& value, std::span<const Member> set) {
    Value out = Value::Null();
    FieldCursor fields(atom);
    for (const Member& member : value.members()) {
      const Member* child = FindField(set, member.key);
      const Node node = child != nullptr ? NodeOf(child->value) : Node();
      if (node.member) continue;
      const TypeRef type = fields.Find(member.key);
      out.AddMember(arena_, member.key,
                    node.children.empty() ? member.value : Remove(type, member.value, node.children));
    }
    return out;
  }

  static const Member* FindField(std::span<const Member> set, std::string_view name) {
    const auto found = std::ranges::find_if(
        set, [&](const Member& child) { return IsField(child.key) && child.key.substr(2) == name; });
    return found != set.end() ? &*found : nullptr;
  }

  doc::Arena& arena_;
};

// Whether a node stands for something that is managed as one now, but has parts below it in the set.
bool Outgrown(const Atom& atom, const Node& node) {
  return atom.form != Form::kScalar && atom.atomic && !node.children.empty();
}

bool Follows(std::span<const Member> children, const TypeRef& type) {
  const Atom atom = Atom::Resolve(type, nullptr);
  return std::ranges::all_of(children, [&](const Member& child) {
    const Node node = NodeOf(child.value);
    const TypeRef below = Below(atom, child.key);
    if (node.children.empty() || !below) return true;
    return !Outgrown(Atom::Resolve(below, nullptr), node) && Follows(node.children, below);
  });
}

void Follow(SetBuilder& out, std::span<const Member> children, const TypeRef& type) {
  const Atom atom = Atom::Resolve(type, nullptr);
  for (const Member& child : children) {
    const Node node = NodeOf(child.value);
    const TypeRef below = Below(atom, child.key);
    if (node.children.empty() || !below) {
      out.Add(child.key, child.value);
    } else if (Outgrown(Atom::Resolve(below, nullptr), node)) {
      out.AddLeaf(child.key);
    } else {
      const SetBuilder::Mark mark = out.Open();
      Follow(out, node.children, below);
      out.Close(mark, child.key, node.member);
    }
  }
}

}  // namespace

Value ToFieldSet(const Type& type, const Value& object, doc::Arena& arena) {
  return SetOfObject(arena).Root(type, object);
}

Value WithNamedFields(const Value& set, const Type& type, doc::Arena& arena) {
  SetBuilder out(arena);
  const SetBuilder::Mark mark = out.Open();
  AddNamedFields(out, set.members(), TypeRef::Struct(type));
  return out.CloseRoot(mark);
}

Value RemoveItems(const Type& type, const Value& object, const Value& set, doc::Arena& arena) {
  return Remover(arena).Remove(TypeRef::Struct(type), object, set.members());
}

Value FollowSchema(const Value& set, const Type& type, doc::Arena& arena) {
  if (Follows(set.members(), TypeRef::Struct(type))) return set;
  SetBuilder out(arena);
  const SetBuilder::Mark mark = out.Open();
  Follow(out, set.members(), TypeRef::Struct(type));
  return out.CloseRoot(mark);
}

}  // namespace knarr::api::managed

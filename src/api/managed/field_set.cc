#include "api/managed/field_set.h"

#include <algorithm>
#include <optional>
#include <ranges>

#include "base/strings.h"
#include "doc/json.h"

namespace knarr::api::managed {
namespace {

using doc::Member;
using doc::Value;

constexpr std::string_view kSelf = ".";
constexpr std::string_view kAny = "*";

// What is behind an element's type. (Stored sets are canonical; but nothing here breaks on others.)
std::string_view Rest(std::string_view element) { return element.size() < 2 ? std::string_view() : element.substr(2); }

// The JSON text inside an element.
Value ParsedPart(std::string_view element, doc::Arena& arena) {
  const Result<Value> value = doc::ParseJsonBorrowing(Rest(element), arena);
  return value.ok() ? *value : Value::Borrow(element);
}

template <typename T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

// Numbers come before texts, texts before booleans, and so on; members of objects in the order of their keys.
int CompareValues(const Value& a, const Value& b) {
  static constexpr auto kRank = [](const Value& value) {
    switch (value.kind()) {
      case doc::Kind::kInt:
      case doc::Kind::kDouble:
        return 0;
      case doc::Kind::kString:
        return 1;
      case doc::Kind::kBool:
        return 2;
      case doc::Kind::kArray:
        return 3;
      case doc::Kind::kObject:
        return 4;
      case doc::Kind::kNull:
        return 5;
    }
    return 5;
  };
  if (const int order = Order(kRank(a), kRank(b)); order != 0) return order;
  if (a.is_int() && b.is_int()) return Order(a.AsInt(), b.AsInt());
  if (a.is_number()) return Order(a.AsDouble(), b.AsDouble());
  if (a.is_string()) return Order(a.AsString(), b.AsString());
  if (a.is_bool()) return Order(a.AsBool(), b.AsBool());
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (a.is_object()) {
      if (const int order = Order(a.members()[i].key, b.members()[i].key); order != 0) return order;
    }
    const int order = a.is_object() ? CompareValues(a.members()[i].value, b.members()[i].value)
                                    : CompareValues(a.items()[i], b.items()[i]);
    if (order != 0) return order;
  }
  return Order(a.size(), b.size());
}

int KindRank(std::string_view element) {
  switch (element.empty() ? '\0' : element.front()) {
    case 'f':
      return 0;
    case 'k':
      return 1;
    case 'v':
      return 2;
    default:
      return 3;
  }
}

// Up to here inserting one by one is the fastest way to sort.
constexpr size_t kShort = 16;

// Reads each element once only.
void SortLong(std::span<Member> members) {
  struct Keyed {
    Member member;
    Value value;
  };
  doc::Arena arena;
  std::vector<Keyed> keyed;
  keyed.reserve(members.size());
  for (const Member& member : members) {
    const bool parsed = KindRank(member.key) != 0;
    keyed.push_back({member, parsed ? ParsedPart(member.key, arena) : Value()});
  }
  std::ranges::sort(keyed, [](const Keyed& a, const Keyed& b) {
    const int order = Order(KindRank(a.member.key), KindRank(b.member.key));
    if (order != 0) return order < 0;
    if (KindRank(a.member.key) == 0) return a.member.key < b.member.key;
    return CompareValues(a.value, b.value) < 0;
  });
  std::ranges::copy(keyed | std::views::transform(&Keyed::member), members.begin());
}

// Walks two sorted lists of members together. `visit` gets nullptr for the side that lacks the element.
template <typename Visit>
void Zip(std::span<const Member> a, std::span<const Member> b, Visit visit) {
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() || j < b.size()) {
    const int order = i == a.size() ? 1 : j == b.size() ? -1 : CompareElements(a[i].key, b[j].key);
    visit(order <= 0 ? &a[i] : nullptr, order >= 0 ? &b[j] : nullptr);
    if (order <= 0) ++i;
    if (order >= 0) ++j;
  }
}

// The four operations on the children of two nodes.

void UnionOf(SetBuilder& out, std::span<const Member> a, std::span<const Member> b) {
  Zip(a, b, [&](const Member* left, const Member* right) {
    if (left == nullptr || right == nullptr) {
      const Member* only = left != nullptr ? left : right;
      return out.Add(only->key, only->value);
    }
    const Node mine = NodeOf(left->value);
    const Node theirs = NodeOf(right->value);
    const SetBuilder::Mark mark = out.Open();
    UnionOf(out, mine.children, theirs.children);
    out.Close(mark, left->key, mine.member || theirs.member);
  });
}

void IntersectionOf(SetBuilder& out, std::span<const Member> a, std::span<const Member> b) {
  Zip(a, b, [&](const Member* left, const Member* right) {
    if (left == nullptr || right == nullptr) return;
    const Node mine = NodeOf(left->value);
    const Node theirs = NodeOf(right->value);
    const SetBuilder::Mark mark = out.Open();
    IntersectionOf(out, mine.children, theirs.children);
    out.Close(mark, left->key, mine.member && theirs.member);
  });
}

enum class Below : uint8_t { kStays, kGoes };  // what is below a field that is taken away

void DifferenceOf(SetBuilder& out, std::span<const Member> a, std::span<const Member> b, Below below) {
  Zip(a, b, [&](const Member* left, const Member* right) {
    if (left == nullptr) return;
    if (right == nullptr) return out.Add(left->key, left->value);
    const Node mine = NodeOf(left->value);
    const Node theirs = NodeOf(right->value);
    if (theirs.member && below == Below::kGoes) return;
    const SetBuilder::Mark mark = out.Open();
    DifferenceOf(out, mine.children, theirs.children, below);
    out.Close(mark, left->key, mine.member && !theirs.member);
  });
}

void FilteredOf(SetBuilder& out, std::span<const Member> set, std::span<const Member> pattern) {
  for (const Member& member : set) {
    const auto found = std::ranges::find_if(
        pattern, [&](const Member& allowed) { return allowed.key == kAny || allowed.key == member.key; });
    if (found == pattern.end()) continue;
    if (found->value.empty()) {
      out.Add(member.key, member.value);
      continue;
    }
    const Node node = NodeOf(member.value);
    const SetBuilder::Mark mark = out.Open();
    FilteredOf(out, node.children, found->value.members());
    out.Close(mark, member.key, node.member);
  }
}

template <typename Operation>
Value OnRoots(doc::Arena& arena, Operation operation) {
  SetBuilder out(arena);
  const SetBuilder::Mark mark = out.Open();
  operation(out);
  return out.CloseRoot(mark);
}

// Reads an element that somebody else wrote; nullopt for types that nobody knows yet.
Result<std::optional<std::string_view>> ParseElement(std::string_view text, doc::Arena& arena) {
  if (text.size() < 2) return BadRequest("key must be 2 characters long:");
  if (text[1] != ':') return BadRequest("missing colon: " + std::string(text));
  const std::string_view rest = text.substr(2);
  std::string canonical(text.substr(0, 2));
  switch (text.front()) {
    case 'f':
      return std::optional(arena.Copy(text));
    case 'i':
      canonical += std::to_string(TRY(ParseAtoi(rest)));
      break;
    case 'k':
    case 'v': {
      Value value = TRY(doc::ParseJsonBorrowing(rest, arena));
      if (text.front() == 'k' && !value.is_object()) return BadRequest("expect { or n: " + std::string(rest));
      value.SortMembers();
      doc::WriteJson(value, canonical);
      break;
    }
    default:
      return std::optional<std::string_view>();
  }
  return std::optional(arena.Copy(canonical));
}

class FieldSetParser {
 public:
  explicit FieldSetParser(doc::Arena& arena) : builder_(arena) {}

  Result<Value> Root(const Value& fields) {
    const SetBuilder::Mark mark = builder_.Open();
    TRY(Children(fields, mark));
    return builder_.CloseRoot(mark);
  }

 private:
  Ok Children(const Value& fields, SetBuilder::Mark mark) {
    if (!fields.is_object() && !fields.is_null()) return BadRequest("ReadMapCB: expect { or n");
    for (const Member& member : fields.members()) {
      if (member.key == kSelf) continue;
      const std::optional<std::string_view> element = TRY(ParseElement(member.key, builder_.arena()));
      if (!element.has_value()) continue;
      const SetBuilder::Mark below = builder_.Open();
      TRY(Children(member.value, below));
      // What leads nowhere is in the set itself.
      const bool self = builder_.Empty(below) || member.value.Find(kSelf) != nullptr;
      builder_.Close(below, *element, self);
    }
    builder_.Sort(mark);
    return {};
  }

  SetBuilder builder_;
};

void Visit(std::span<const Member> children, std::vector<std::string_view>& path,
           const std::function<void(PathElements path)>& visit) {
  for (const Member& child : children) {
    if (!NodeOf(child.value).member) continue;
    path.push_back(child.key);
    visit(path);
    path.pop_back();
  }
  for (const Member& child : children) {
    path.push_back(child.key);
    Visit(NodeOf(child.value).children, path, visit);
    path.pop_back();
  }
}

// A value as Kubernetes shows it in a path.
void AppendValueText(const Value& value, std::string& out) {
  switch (value.kind()) {
    case doc::Kind::kString:
      out += GoQuote(value.AsString());
      break;
    case doc::Kind::kArray: {
      out += '[';
      for (const Value& item : value.items()) {
        if (&item != value.items().data()) out += ',';
        AppendValueText(item, out);
      }
      out += ']';
      break;
    }
    case doc::Kind::kObject:
      for (const Member& member : value.members()) {
        out.append(member.key).append("=");
        AppendValueText(member.value, out);
      }
      break;
    default:
      doc::WriteJson(value, out);
  }
}

}  // namespace

Node NodeOf(const Value& value) {
  const std::span<const Member> members = value.members();
  if (members.empty()) return {true, {}};
  if (members.front().key == kSelf) return {true, members.subspan(1)};
  return {false, members};
}

void SetBuilder::Close(Mark mark, std::string_view key, bool member) {
  const std::span<const Member> all(stack_.data() + mark - 1, stack_.size() - mark + 1);
  std::optional<Value> node;
  if (all.size() > 1) {
    node = Value::ObjectOf(arena_, member ? all : all.subspan(1));
  } else if (member) {
    node = Value::Object();
  }
  stack_.resize(mark - 1);
  if (node.has_value()) Add(key, *node);
}

Value SetBuilder::CloseRoot(Mark mark) {
  const Value root = Value::ObjectOf(arena_, std::span<const Member>(stack_).subspan(mark));
  stack_.resize(mark - 1);
  return root;
}

void SetBuilder::Sort(Mark mark) {
  const std::span<Member> members = std::span(stack_).subspan(mark);
  const auto before = [](const Member& a, const Member& b) { return CompareElements(a.key, b.key) < 0; };
  if (std::ranges::is_sorted(members, before)) {
    // Nothing to do: so it is with maps, and with most lists.
  } else if (members.size() <= kShort) {
    for (size_t i = 1; i < members.size(); ++i) {
      for (size_t at = i; at > 0 && before(members[at], members[at - 1]); --at) std::swap(members[at], members[at - 1]);
    }
  } else {
    SortLong(members);
  }
  size_t kept = mark;
  for (size_t i = mark; i < stack_.size(); ++i) {
    if (kept == mark || stack_[kept - 1].key != stack_[i].key) {
      stack_[kept++] = stack_[i];
      continue;
    }
    const Value one = Value::ObjectOf(arena_, std::span(&stack_[kept - 1], 1));
    const Value other = Value::ObjectOf(arena_, std::span(&stack_[i], 1));
    stack_[kept - 1].value = Union(one, other, arena_).members().front().value;
  }
  stack_.resize(kept);
}

std::string_view FieldElement(std::string_view name, doc::Arena& arena) {
  auto* text = static_cast<char*>(arena.Allocate(name.size() + 2));
  text[0] = 'f';
  text[1] = ':';
  name.copy(text + 2, name.size());
  return {text, name.size() + 2};
}

namespace {

// Where the first difference of two JSON values lies within a text that has no escapes, as with most keys of lists,
// it decides without parsing either.
std::optional<int> OrderWithinText(std::string_view a, std::string_view b) {
  const auto [in_a, in_b] = std::ranges::mismatch(a, b);
  if (in_a == a.end() || in_b == b.end() || a.contains('\\') || b.contains('\\')) return std::nullopt;
  if (std::count(a.begin(), in_a, '"') % 2 == 0) return std::nullopt;
  // The text that ends here is the other one's beginning.
  if (*in_a == '"' || *in_b == '"') return *in_a == '"' ? -1 : 1;
  return Order(static_cast<unsigned char>(*in_a), static_cast<unsigned char>(*in_b));
}

}  // namespace

int CompareElements(std::string_view a, std::string_view b) {
  if (a == b) return 0;
  if (const int order = Order(KindRank(a), KindRank(b)); order != 0) return order;
  if (KindRank(a) == 0) return Order(a, b);
  if (const std::optional<int> order = OrderWithinText(a, b)) return *order;
  doc::Arena arena;
  return CompareValues(ParsedPart(a, arena), ParsedPart(b, arena));
}

Result<Value> ParseFieldSet(const Value& fields, doc::Arena& arena) { return FieldSetParser(arena).Root(fields); }

Value Union(const Value& a, const Value& b, doc::Arena& arena) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return OnRoots(arena, [&](SetBuilder& out) { UnionOf(out, a.members(), b.members()); });
}

Value Intersection(const Value& a, const Value& b, doc::Arena& arena) {
  if (a.empty() || b.empty()) return Value::Object();
  return OnRoots(arena, [&](SetBuilder& out) { IntersectionOf(out, a.members(), b.members()); });
}

Value Difference(const Value& a, const Value& b, doc::Arena& arena) {
  if (a.empty() || b.empty()) return a;
  return OnRoots(arena, [&](SetBuilder& out) { DifferenceOf(out, a.members(), b.members(), Below::kStays); });
}

Value RecursiveDifference(const Value& a, const Value& b, doc::Arena& arena) {
  if (a.empty() || b.empty()) return a;
  return OnRoots(arena, [&](SetBuilder& out) { DifferenceOf(out, a.members(), b.members(), Below::kGoes); });
}

Value Filtered(const Value& set, const Value& pattern, doc::Arena& arena) {
  return OnRoots(arena, [&](SetBuilder& out) { FilteredOf(out, set.members(), pattern.members()); });
}

bool Contains(const Value& set, PathElements path) {
  std::span<const Member> level = set.members();
  bool member = false;
  for (const std::string_view element : path) {
    const auto found = std::ranges::find(level, element, &Member::key);
    if (found == level.end()) return false;
    const Node node = NodeOf(found->value);
    member = node.member;
    level = node.children;
  }
  return member;
}

Value SetOf(PathElements path, doc::Arena& arena) {
  Value out = Value::Object();
  for (size_t i = path.size(); i > 0; --i) {
    Value around = Value::Object();
    around.AddMember(arena, arena.Copy(path[i - 1]), out);
    out = around;
  }
  return out;
}

void ForEachPath(const Value& set, const std::function<void(PathElements path)>& visit) {
  std::vector<std::string_view> path;
  Visit(set.members(), path, visit);
}

void AppendElementText(std::string_view element, std::string& out) {
  const std::string_view rest = Rest(element);
  if (KindRank(element) == 0) {
    out.append(".").append(rest);
    return;
  }
  out += '[';
  doc::Arena arena;
  if (KindRank(element) == 3) {
    out += rest;
  } else if (KindRank(element) == 2) {
    out += '=';
    AppendValueText(ParsedPart(element, arena), out);
  } else {
    bool first = true;
    for (const Member& key : ParsedPart(element, arena).members()) {
      if (!first) out += ',';
      first = false;
      out.append(key.key).append("=");
      AppendValueText(key.value, out);
    }
  }
  out += ']';
}

std::string PathText(PathElements path) {
  std::string out;
  for (const std::string_view element : path) AppendElementText(element, out);
  return out;
}

}  // namespace knarr::api::managed

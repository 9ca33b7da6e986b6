#pragma once

// Sets of fields, for server-side apply.
//
// A set is the tree that FieldsV1 writes it as, so that what is stored needs no decoding and no encoding:
//
//   {"f:metadata":{"f:labels":{".":{},"f:app":{}}},
//    "f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{}}}}}
//
// A member's key is a path element: "f:" and a field's name, "k:" and the keys of a list's element, "v:" and the value
// of a set's element, "i:" and an index. An empty object is a field that is in the set; one with members that begin
// with "." is in the set as well as some fields below it; one without "." is only the way to fields below it. The root
// itself is never in the set: {} is the empty set.
//
// The functions here want canonical sets, which is what they return: keys written as Kubernetes writes them, members in
// its order, "." first, nothing below a key that leads nowhere. Trees that came from elsewhere go through ParseFieldSet
// first. Results share subtrees with their arguments.

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "doc/value.h"

namespace knarr::api::managed {

/// Of a FieldsV1 tree from outside. Elements of unknown types are left out, as Kubernetes does. BadRequest for elements
/// that can't be read.
Result<doc::Value> ParseFieldSet(const doc::Value& fields, doc::Arena& arena);

/// What is in one or the other.
doc::Value Union(const doc::Value& a, const doc::Value& b, doc::Arena& arena);
/// What is in both.
doc::Value Intersection(const doc::Value& a, const doc::Value& b, doc::Arena& arena);
/// What is in `a` and not in `b`. Each field for itself: taking a field away leaves the fields below it.
doc::Value Difference(const doc::Value& a, const doc::Value& b, doc::Arena& arena);
/// What is in `a` and is neither in `b` nor below something that is.
doc::Value RecursiveDifference(const doc::Value& a, const doc::Value& b, doc::Arena& arena);
/// What a pattern lets through. A pattern is a tree like a set's: "*" stands for any element, and {} lets everything
/// below it through.
doc::Value Filtered(const doc::Value& set, const doc::Value& pattern, doc::Arena& arena);

using PathElements = std::span<const std::string_view>;
bool Contains(const doc::Value& set, PathElements path);
/// The set of one path.
doc::Value SetOf(PathElements path, doc::Arena& arena);

/// Calls with each path in the set: a level's own fields first, then what is below them.
void ForEachPath(const doc::Value& set, const std::function<void(PathElements path)>& visit);
/// `.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"]`
std::string PathText(PathElements path);
void AppendElementText(std::string_view element, std::string& out);

/// Kubernetes' order of path elements: <0, 0 or >0.
int CompareElements(std::string_view a, std::string_view b);

/// A node of a set below its root.
struct Node {
  bool member = false;
  std::span<const doc::Member> children;
};
Node NodeOf(const doc::Value& value);

/// Builds a set from the leaves up. For each node: Open, Add or the like for what is below it, Close.
class SetBuilder {
 public:
  explicit SetBuilder(doc::Arena& arena) : arena_(arena) { stack_.reserve(64); }
  doc::Arena& arena() const { return arena_; }

  using Mark = size_t;
  Mark Open() {
    stack_.push_back({".", doc::Value::Object()});
    return stack_.size();
  }
  /// The key must live as long as the arena.
  void Add(std::string_view key, doc::Value node) { stack_.push_back({key, node}); }
  void AddLeaf(std::string_view key) { Add(key, doc::Value::Object()); }
  /// Ends the node that began at `mark`, as `key` of the node around it; without anything in it there is none.
  void Close(Mark mark, std::string_view key, bool member);
  /// Whether nothing was added since `mark`.
  bool Empty(Mark mark) const { return stack_.size() == mark; }
  /// Ends the root.
  doc::Value CloseRoot(Mark mark);
  /// Brings what was added since `mark` into Kubernetes' order, where it was not added in it.
  void Sort(Mark mark);

 private:
  doc::Arena& arena_;
  std::vector<doc::Member> stack_;
};

/// "f:" before the name, in the arena.
std::string_view FieldElement(std::string_view name, doc::Arena& arena);

}  // namespace knarr::api::managed

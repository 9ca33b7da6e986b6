#include "doc/value.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace knarr::doc {
namespace {

TEST(Arena, BlocksGrowAndEverythingStaysAligned) {
  Arena arena;
  char* first = static_cast<char*>(arena.Allocate(1));
  char* second = static_cast<char*>(arena.Allocate(9));
  EXPECT_EQ(second - first, 8);
  for (size_t size : {1, 100, 5000, 3, 2'000'000, 8}) {
    void* p = arena.Allocate(size);
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 8, 0u);
    std::memset(p, 1, size);
  }
  EXPECT_GE(arena.bytes_reserved(), 2'005'000u);
  EXPECT_LT(arena.bytes_reserved(), 2'100'000u);
}

TEST(Arena, LargePieceDoesNotWasteTheCurrentBlock) {
  Arena arena(1024);
  char* first = static_cast<char*>(arena.Allocate(8));
  std::ignore = arena.Allocate(100'000);
  EXPECT_EQ(static_cast<char*>(arena.Allocate(8)) - first, 8);
}

TEST(Arena, MoveTakesTheMemoryAlong) {
  Arena a;
  std::string_view text = a.Copy("hello");
  Arena b(std::move(a));
  EXPECT_EQ(text, "hello");
  Arena c;
  std::ignore = c.Copy("other");
  c = std::move(b);
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(b.bytes_reserved(), 0u);
  EXPECT_EQ(b.Copy("again"), "again");  // NOLINT(bugprone-use-after-move): a moved-from arena is an empty one
}

TEST(Value, ScalarsReadAsTheirDefaultsWhenOfAnotherKind) {
  EXPECT_TRUE(Value().is_null());
  EXPECT_TRUE(Value::Bool(true).AsBool());
  EXPECT_FALSE(Value::Int(1).AsBool());
  EXPECT_EQ(Value::Int(-7).AsInt(), -7);
  EXPECT_EQ(Value::Double(2.5).AsInt(9), 9);
  EXPECT_EQ(Value::Int(3).AsDouble(), 3.0);
  EXPECT_EQ(Value::Borrow("x").AsString(), "x");
  EXPECT_EQ(Value::Int(3).AsString("none"), "none");
  EXPECT_EQ(Value::Int(3).items().size(), 0u);
  EXPECT_EQ(Value::Int(3).Find("a"), nullptr);
}

TEST(Value, ArrayInsertErase) {
  Arena arena;
  Value list;
  for (int i = 0; i < 20; ++i) list.Append(arena, Value::Int(i));
  list.Erase(0);
  list.Erase(list.size() - 1);
  list.Insert(arena, 0, Value::Int(100));
  list.Insert(arena, list.size(), Value::Int(200));
  list.Insert(arena, 2, Value::Int(300));
  std::string seen;
  for (const Value& v : list.items()) seen += std::to_string(v.AsInt()) + " ";
  EXPECT_EQ(seen, "100 1 300 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 200 ");
}

TEST(Value, ExactlySizedTreesGrowWithoutTouchingTheirNeighbour) {
  Arena arena;
  for (size_t size = 0; size < 20; ++size) {
    std::vector<Value> items(size, Value::Int(1));
    Value list = Value::ArrayOf(arena, items);
    Value guard = Value::ArrayOf(arena, items);
    for (int i = 0; i < 10; ++i) list.Append(arena, Value::Int(2));
    EXPECT_EQ(list.size(), size + 10);
    for (const Value& v : guard.items()) EXPECT_EQ(v.AsInt(), 1);
    for (size_t i = 0; i < list.size(); ++i) EXPECT_EQ(list[i].AsInt(), i < size ? 1 : 2);
  }
}

TEST(Value, ObjectKeepsItsOrder) {
  Arena arena;
  Value object;
  for (char c = 'z'; c >= 'a'; --c) object.SetCopy(arena, std::string(1, c), Value::Int(c));
  EXPECT_EQ(object.size(), 26u);
  EXPECT_EQ(object.members()[0].key, "z");
  object.Set(arena, "z", Value::Bool(true));
  EXPECT_EQ(object.size(), 26u);
  EXPECT_TRUE(object.At("z").AsBool());
  EXPECT_TRUE(object.Remove("z"));
  EXPECT_FALSE(object.Remove("z"));
  EXPECT_EQ(object.members()[0].key, "y");
  EXPECT_EQ(object.Get("a").AsInt(), 'a');
  EXPECT_TRUE(object.Get("a", "b", "c").is_null());
  object.Ensure(arena, "spec").Set(arena, "replicas", Value::Int(3));
  EXPECT_EQ(object.Ensure(arena, "spec").size(), 1u);
  EXPECT_EQ(object.Get("spec", "replicas").AsInt(), 3);
}

TEST(Value, EqualsIgnoresOrderAndNumberKind) {
  Arena arena;
  Value a;
  a.Set(arena, "x", Value::Int(1));
  a.Set(arena, "y", Value::Borrow("t"));
  Value b;
  b.Set(arena, "y", Value::Borrow("t"));
  b.Set(arena, "x", Value::Double(1.0));
  EXPECT_TRUE(a.Equals(b));
  b.Set(arena, "x", Value::Double(1.5));
  EXPECT_FALSE(a.Equals(b));
  b.Remove("x");
  EXPECT_FALSE(a.Equals(b));
  b.Set(arena, "z", Value::Int(1));
  EXPECT_FALSE(a.Equals(b));
  EXPECT_FALSE(Value::Null().Equals(Value::Bool(false)));
  EXPECT_FALSE(Value::Array().Equals(Value::Object()));
  EXPECT_TRUE(Value::Int(INT64_MAX).Equals(Value::Int(INT64_MAX)));
  EXPECT_FALSE(Value::Int(INT64_MAX).Equals(Value::Int(INT64_MAX - 1)));
}

TEST(Value, FitsDepth) {
  Arena arena;
  Value tree = Value::Int(1);
  EXPECT_TRUE(tree.FitsDepth(0));
  for (int i = 0; i < 3; ++i) {
    Value outer;
    if (i == 1) {
      outer.Append(arena, tree);
    } else {
      outer.Set(arena, "k", tree);
    }
    tree = outer;
  }
  EXPECT_TRUE(tree.FitsDepth(3));
  EXPECT_FALSE(tree.FitsDepth(2));
}

TEST(Value, SortMembers) {
  Arena arena;
  Value inner;
  for (std::string_view key : {"b", "B", "a", "10", "9"}) inner.Set(arena, key, Value::Int(1));
  Value list;
  list.Append(arena, inner);
  list.SortMembers();
  std::string keys;
  for (const Member& member : list[0].members()) keys += std::string(member.key) + " ";
  EXPECT_EQ(keys, "10 9 B a b ");
}

TEST(Document, CopyIsDeep) {
  Document copy;
  {
    Arena arena;
    std::string key = "name";
    std::string text = "web";
    Value inner;
    inner.Set(arena, key, Value::Borrow(text));
    Value list;
    list.Append(arena, inner);
    copy = Document::Copy(list);
    key = "XXXX";
    text = "YYY";
  }
  EXPECT_EQ(copy.root[0].Get("name").AsString(), "web");
}

}  // namespace
}  // namespace knarr::doc

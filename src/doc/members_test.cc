#include "doc/members.h"

#include <gtest/gtest.h>

#include <string>

#include "doc/json.h"
#include "doc/merge_patch.h"

namespace knarr::doc {
namespace {

Value Numbered(size_t count, Arena& arena) {
  Value object = Value::Object();
  for (size_t i = 0; i < count; ++i) {
    object.AddMember(arena, arena.Copy("k" + std::to_string(i)), Value::Int(static_cast<int64_t>(i)));
  }
  return object;
}

// Few edits look through the object, many have an index: both end the same.
TEST(MemberEditsTest, FewAndManyEditsAreTheSame) {
  for (const size_t expected : {1u, 1000u}) {
    Arena arena;
    Value object = Numbered(40, arena);
    MemberEdits edits(object, arena, expected);
    edits.Remove("k0");
    edits.Remove("k0");
    edits.Remove("k39");
    EXPECT_EQ(edits.Find("k0"), nullptr);
    edits.Set("k20", Value::Bool(true));
    edits.Set("new", Value::Int(1));
    edits.Set("k0", Value::Int(7));
    edits.Remove("new");
    ASSERT_NE(edits.Find("k38"), nullptr);
    *edits.Find("k38") = Value::Null();
    edits.End();
    EXPECT_EQ(object.size(), 39u);
    EXPECT_EQ(object.members().front().key, "k1");
    EXPECT_EQ(object.members().back().key, "k0");
    EXPECT_EQ(object.At("k0").AsInt(), 7);
    EXPECT_TRUE(object.At("k20").AsBool());
    EXPECT_EQ(object.Find("k39"), nullptr);
    EXPECT_EQ(object.Find("new"), nullptr);
    ASSERT_NE(object.Find("k38"), nullptr);
    EXPECT_TRUE(object.Find("k38")->is_null());
  }
}

TEST(MergePatchTest, OfVeryManyMembers) {
  Arena arena;
  constexpr size_t kMany = 100'000;
  Value object = Numbered(kMany, arena);
  Value patch = Value::Object();
  for (size_t i = 0; i < kMany; ++i) {
    const Value value = i % 2 == 0 ? Value::Null() : Value::Int(-1);
    patch.AddMember(arena, arena.Copy("k" + std::to_string(i)), value);
    patch.AddMember(arena, arena.Copy("n" + std::to_string(i)), Value::Int(1));
  }
  Value reversed = Value::Object();
  for (size_t i = patch.size(); i-- > 0;) {
    reversed.AddMember(arena, patch.members()[i].key, patch.members()[i].value);
  }
  EXPECT_TRUE(patch.Equals(reversed));
  const Value made = CreateMergePatch(object, patch, arena);
  ApplyMergePatch(patch, object, arena);
  EXPECT_EQ(object.size(), kMany + kMany / 2);
  EXPECT_EQ(object.members()[0].key, "k1");
  EXPECT_EQ(object.members()[0].value.AsInt(), -1);
  EXPECT_EQ(made.size(), 2 * kMany);
}

}  // namespace
}  // namespace knarr::doc

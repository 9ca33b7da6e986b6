#include "api/managed/field_set.h"

#include <gtest/gtest.h>

#include "doc/json.h"

namespace knarr::api::managed {
namespace {

class FieldSetTest : public ::testing::Test {
 protected:
  doc::Value Parse(std::string_view text) { return MUST(ParseFieldSet(Json(text), arena_)); }
  doc::Value Json(std::string_view text) { return MUST(doc::ParseJsonBorrowing(arena_.Copy(text), arena_)); }
  doc::Arena arena_;
};

TEST_F(FieldSetTest, IsWrittenAsKubernetesWritesIt) {
  const struct {
    std::string_view in;
    std::string_view out;
  } kCases[] = {
      {R"({})", R"({})"},
      {R"({"f:b":{},"f:a":{}})", R"({"f:a":{},"f:b":{}})"},
      {R"({".":{},"f:a":{}})", R"({"f:a":{}})"},
      {R"({"f:a":{"f:b":{},".":{}}})", R"({"f:a":{".":{},"f:b":{}}})"},
      // Nothing below: the field itself.
      {R"({"f:a":{".":{}}})", R"({"f:a":{}})"},
      {R"({"f:a":null})", R"({"f:a":{}})"},
      // Types nobody knows are left out, and what led only to them is a field.
      {R"({"f:a":{"q:b":{}},"z:c":{}})", R"({"f:a":{}})"},
      // Keys in the order of their names, numbers by their value, f before k before v before i.
      {R"({"k:{\"protocol\":\"TCP\",\"containerPort\":80}":{}})",
       R"({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{}})"},
      {R"({"k:{\"p\":80}":{},"k:{\"p\":9}":{}})", R"({"k:{\"p\":9}":{},"k:{\"p\":80}":{}})"},
      {R"({"i:10":{},"i:9":{},"v:\"a\"":{},"v:2":{},"k:{\"n\":\"x\"}":{},"f:z":{}})",
       R"({"f:z":{},"k:{\"n\":\"x\"}":{},"v:2":{},"v:\"a\"":{},"i:9":{},"i:10":{}})"},
      {R"({"k:{\"n\":\"a b\"}":{},"k:{\"n\":\"a\"}":{}})", R"({"k:{\"n\":\"a\"}":{},"k:{\"n\":\"a b\"}":{}})"},
      // One element in two spellings.
      {R"({"k:{\"n\":1}":{"f:a":{}},"k:{ \"n\":1}":{".":{},"f:b":{}}})",
       R"({"k:{\"n\":1}":{".":{},"f:a":{},"f:b":{}}})"},
  };
  for (const auto& c : kCases) EXPECT_EQ(doc::ToJson(Parse(c.in)), c.out) << c.in;
}

TEST_F(FieldSetTest, RefusesWhatIsNoPathElement) {
  for (const std::string_view text : {R"({"a":{}})", R"({"f":{}})", R"({"fa":{}})", R"({"i:x":{}})", R"({"v:":{}})",
                                      R"({"k:[]":{}})", R"({"k:{":{}})", R"({"f:a":1})", R"([])", R"("x")"}) {
    EXPECT_FALSE(ParseFieldSet(Json(text), arena_).ok()) << text;
  }
}

TEST_F(FieldSetTest, SortsLongLists) {
  std::string in = "{";
  std::string out = "{";
  for (int i = 0; i < 300; ++i) {
    in += (i > 0 ? "," : "") + std::string(R"("k:{\"p\":)") + std::to_string(299 - i) + R"(}":{})";
    out += (i > 0 ? "," : "") + std::string(R"("k:{\"p\":)") + std::to_string(i) + R"(}":{})";
  }
  EXPECT_EQ(doc::ToJson(Parse(in + "}")), out + "}");
}

TEST_F(FieldSetTest, JoinsAnElementInManySpellings) {
  std::string in = R"({"k:{\"p\":9}":{"f:z":{}})";
  for (int i = 0; i < 40; ++i) {
    in += R"(,"k:{\"p\":)" + std::string(static_cast<size_t>(i) + 1, ' ') + R"(8}":{"f:)" +
          static_cast<char>('a' + i % 3) + R"(":{}})";
  }
  EXPECT_EQ(doc::ToJson(Parse(in + "}")), R"({"k:{\"p\":8}":{"f:a":{},"f:b":{},"f:c":{}},"k:{\"p\":9}":{"f:z":{}}})");
}

TEST_F(FieldSetTest, Operations) {
  const struct {
    std::string_view a;
    std::string_view b;
    std::string_view sum;
    std::string_view common;
    std::string_view difference;
    std::string_view recursive;
  } kCases[] = {
      {R"({})", R"({"f:a":{}})", R"({"f:a":{}})", R"({})", R"({})", R"({})"},
      {R"({"f:a":{}})", R"({})", R"({"f:a":{}})", R"({})", R"({"f:a":{}})", R"({"f:a":{}})"},
      {R"({"f:a":{},"f:c":{}})", R"({"f:b":{},"f:c":{}})", R"({"f:a":{},"f:b":{},"f:c":{}})", R"({"f:c":{}})",
       R"({"f:a":{}})", R"({"f:a":{}})"},
      // A field and what is below it are two things.
      {R"({"f:a":{".":{},"f:b":{}}})", R"({"f:a":{}})", R"({"f:a":{".":{},"f:b":{}}})", R"({"f:a":{}})",
       R"({"f:a":{"f:b":{}}})", R"({})"},
      {R"({"f:a":{}})", R"({"f:a":{"f:b":{}}})", R"({"f:a":{".":{},"f:b":{}}})", R"({})", R"({"f:a":{}})",
       R"({"f:a":{}})"},
      {R"({"f:a":{"f:b":{},"f:c":{}}})", R"({"f:a":{"f:b":{}}})", R"({"f:a":{"f:b":{},"f:c":{}}})",
       R"({"f:a":{"f:b":{}}})", R"({"f:a":{"f:c":{}}})", R"({"f:a":{"f:c":{}}})"},
      {R"({"f:a":{"f:b":{}}})", R"({"f:a":{"f:b":{}}})", R"({"f:a":{"f:b":{}}})", R"({"f:a":{"f:b":{}}})", R"({})",
       R"({})"},
  };
  for (const auto& c : kCases) {
    const doc::Value a = Parse(c.a);
    const doc::Value b = Parse(c.b);
    EXPECT_EQ(doc::ToJson(Union(a, b, arena_)), c.sum) << c.a << c.b;
    EXPECT_EQ(doc::ToJson(Intersection(a, b, arena_)), c.common) << c.a << c.b;
    EXPECT_EQ(doc::ToJson(Difference(a, b, arena_)), c.difference) << c.a << c.b;
    EXPECT_EQ(doc::ToJson(RecursiveDifference(a, b, arena_)), c.recursive) << c.a << c.b;
  }
}

TEST_F(FieldSetTest, FiltersByPattern) {
  const doc::Value pattern = Json(R"({"f:spec":{"f:containers":{"*":{"f:resources":{}}}}})");
  const doc::Value set = Parse(
      R"({"f:metadata":{"f:labels":{}},"f:spec":{".":{},"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{},
      "f:resources":{"f:limits":{}}}},"f:nodeName":{}}})");
  EXPECT_EQ(doc::ToJson(Filtered(set, pattern, arena_)),
            R"({"f:spec":{".":{},"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:resources":{"f:limits":{}}}}}})");
}

TEST_F(FieldSetTest, NamesPaths) {
  const doc::Value set = Parse(
      R"({"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:ports":{
      "k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{}}}},"f:replicas":{}},"f:x":{"v:\"q\"":{},"i:3":{}}})");
  std::vector<std::string> paths;
  ForEachPath(set, [&](PathElements path) { paths.push_back(PathText(path)); });
  EXPECT_EQ(paths, (std::vector<std::string>{".spec.replicas", ".spec.containers[name=\"a\"]",
                                             ".spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"]",
                                             ".x[=\"q\"]", ".x[3]"}));
  const std::string_view replicas[] = {"f:spec", "f:replicas"};
  const std::string_view spec[] = {"f:spec"};
  EXPECT_TRUE(Contains(set, replicas));
  EXPECT_FALSE(Contains(set, spec));
  EXPECT_EQ(doc::ToJson(SetOf(replicas, arena_)), R"({"f:spec":{"f:replicas":{}}})");
}

}  // namespace
}  // namespace knarr::api::managed

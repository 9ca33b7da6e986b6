#include "doc/json_patch.h"

#include <gtest/gtest.h>

#include <string>

#include "doc/json.h"
#include "doc/json_pointer.h"
#include "doc/merge_patch.h"

namespace knarr::doc {
namespace {

std::string Patched(std::string_view target_text, std::string_view patch_text) {
  auto target = ParseJson(target_text);
  auto patch = ParseJson(patch_text);
  if (!target.ok() || !patch.ok()) return "bad test";
  const Ok applied = ApplyJsonPatch(patch->root, target->root, target->arena);
  return applied.ok() ? ToJson(target->root) : "error: " + applied.status().message();
}

TEST(JsonPatch, Operations) {
  struct Case {
    std::string_view target;
    std::string_view patch;
    std::string_view out;
  };
  const Case cases[] = {
      {R"({"a":1})", R"([])", R"({"a":1})"},
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":[2]}])", R"({"a":1,"b":[2]})"},
      {R"({"a":1})", R"([{"op":"add","path":"/a","value":2}])", R"({"a":2})"},
      {R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2,3]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":2}])", R"({"a":[1,2]})"},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/-1","value":9}])", R"({"a":[1,2,9]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/2","value":2}])",
       "error: error in add for path: '/a/2': Unable to access invalid index: 2: invalid index referenced"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/x","value":2}])",
       "error: error in add for path: '/a/x': value was not a proper array index: 'x': strconv.Atoi: parsing \"x\": "
       "invalid syntax"},
      {R"({})", R"([{"op":"add","path":"/a/b","value":2}])",
       "error: add operation does not apply: doc is missing path: \"/a/b\": missing value"},
      {R"({"a":1})", R"([{"op":"add","path":"/a/b","value":2}])",
       "error: add operation does not apply: doc is missing path: \"/a/b\": missing value"},
      {R"({})", R"([{"op":"add","path":"","value":{}}])",
       "error: add operation does not apply: doc is missing path: \"\": missing value"},
      {R"({})", R"([{"op":"add","value":2}])", "error: add operation failed to decode path: missing value"},
      {R"({"x/y":{"~":1}})", R"([{"op":"replace","path":"/x~1y/~0","value":2}])", R"({"x/y":{"~":2}})"},
      {R"({"a":1,"b":2})", R"([{"op":"remove","path":"/a"}])", R"({"b":2})"},
      {R"({"a":[1,2,3]})", R"([{"op":"remove","path":"/a/-1"}])", R"({"a":[1,2]})"},
      {R"({})", R"([{"op":"remove","path":"/a"}])",
       "error: error in remove for path: '/a': Unable to remove nonexistent key: a: missing value"},
      {R"({})", R"([{"op":"replace","path":"/a","value":1}])", R"({"a":1})"},
      {R"({"a":[]})", R"([{"op":"replace","path":"/a/0","value":1}])",
       "error: replace operation does not apply: doc is missing key: /a/0: missing value"},
      {R"({})", R"([{"op":"replace","path":"/a/b","value":1}])",
       "error: replace operation does not apply: doc is missing path: /a/b: missing value"},
      {R"({})", R"([{"op":"replace"}])",
       "error: replace operation failed to decode path: operation missing path field: missing value"},
      {R"({"a":1})", R"([{"op":"replace","path":"","value":[1]}])", "[1]"},
      {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a/b","path":"/c"}])", R"({"a":{},"c":1})"},
      {R"({"a":{}})", R"([{"op":"move","from":"/a/b","path":"/c"}])",
       "error: error in move for path: 'b': Unable to remove nonexistent key: b: missing value"},
      {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/b"}])",
       "error: move operation does not apply: doc is missing destination path: /a/b: missing value"},
      {R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/c"},{"op":"replace","path":"/a/b","value":2}])",
       R"({"a":{"b":2},"c":{"b":1}})"},
      {R"({"a":1})", R"([{"op":"copy","path":"/c"}])",
       "error: copy operation failed to decode from: operation, missing from field: missing value"},
      {R"({"a":[1,{"b":null}]})", R"([{"op":"test","path":"/a/1","value":{"b":null}}])", R"({"a":[1,{"b":null}]})"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":1.0}])", R"({"a":1})"},
      {R"({"a":1})", R"([{"op":"test","path":"/b","value":null}])", R"({"a":1})"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":2}])", "error: testing value /a failed: test failed"},
      {R"({"a":[]})", R"([{"op":"test","path":"/a/0","value":2}])",
       "error: error in test for path: '/a/0': Unable to access invalid index: 0: invalid index referenced"},
      {R"({})", R"([{"op":"jump","path":"/a"}])", "error: Unexpected kind: jump"},
      {R"({})", R"([{"path":"/a"}])", "error: Unexpected kind: unknown"},
      {R"({})", R"([5])", "error: json: cannot unmarshal number into Go value of type jsonpatch.Operation"},
      {R"({})", R"({"a":1})", "error: json: cannot unmarshal object into Go value of type jsonpatch.Patch"},
      {R"({})", R"([{"op":"add","path":5}])",
       "error: add operation failed to decode path: json: cannot unmarshal number into Go value of type string"},
  };
  for (const Case& c : cases) EXPECT_EQ(Patched(c.target, c.patch), c.out) << c.target << " " << c.patch;
}

TEST(JsonPatch, Bounds) {
  std::string many = "[";
  for (int i = 0; i < 10'001; ++i) many += R"({"op":"test","path":"/a","value":1},)";
  many.back() = ']';
  EXPECT_EQ(Patched(R"({"a":1})", many), "error: The allowed maximum operations in a JSON patch is 10000, got 10001");
  std::string copies = "[";
  for (int i = 0; i < 40; ++i) copies += R"({"op":"copy","from":"/a","path":"/a/-"},)";
  copies.back() = ']';
  const std::string out = Patched(R"({"a":["some text"]})", copies);
  EXPECT_TRUE(out.starts_with("error: ")) << out.substr(0, 200);
  // Deepens by two levels a step.
  std::string deep = "[";
  for (int i = 0; i < 5000; ++i) {
    deep += R"({"op":"add","path":"/b","value":{"x":{}}},{"op":"move","from":"/a","path":"/b/x/y"},)"
            R"({"op":"move","from":"/b","path":"/a"},)";
  }
  deep.back() = ']';
  EXPECT_EQ(Patched(R"({"a":1})", deep), "error: The allowed maximum operations in a JSON patch is 10000, got 15000");
  EXPECT_EQ(Patched(R"({"a":1})", deep.substr(0, deep.find("},{\"op\":\"add\"", deep.size() / 2)) + "}]"),
            "error: the patched document would exceed the max depth of 160");
}

TEST(MergePatch, Rfc7386) {
  struct Case {
    std::string_view target;
    std::string_view patch;
    std::string_view out;
  };
  const Case cases[] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", R"(null)", R"(null)"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  };
  for (const Case& c : cases) {
    auto target = ParseJson(c.target);
    auto patch = ParseJson(c.patch);
    ASSERT_TRUE(target.ok() && patch.ok());
    ApplyMergePatch(patch->root, target->root, target->arena);
    EXPECT_EQ(ToJson(target->root), c.out) << c.target << " " << c.patch;
  }
}

TEST(MergePatch, Create) {
  struct Case {
    std::string_view from;
    std::string_view to;
    std::string_view patch;
  };
  const Case cases[] = {
      {R"({"a":1})", R"({"a":1})", R"({})"},
      {R"({"a":1,"b":2})", R"({"a":1})", R"({"b":null})"},
      {R"({"a":{"x":1,"y":[1]}})", R"({"a":{"x":2,"y":[1]}})", R"({"a":{"x":2}})"},
      {R"({"a":[1,2]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"({"a":{"x":1}})", R"({"a":5,"c":{"d":{}}})", R"({"a":5,"c":{"d":{}}})"},
  };
  for (const Case& c : cases) {
    auto from = ParseJson(c.from);
    auto to = ParseJson(c.to);
    ASSERT_TRUE(from.ok() && to.ok());
    Arena arena;
    const Value patch = CreateMergePatch(from->root, to->root, arena);
    EXPECT_EQ(ToJson(patch), c.patch);
    ApplyMergePatch(patch, from->root, from->arena);
    EXPECT_TRUE(from->root.Equals(to->root)) << ToJson(from->root);
  }
}

TEST(JsonPointer, FindsAndEscapes) {
  auto document = ParseJson(R"({"a":[{"b/c":1},{"~":2}],"":3})");
  ASSERT_TRUE(document.ok());
  const auto find = [&](std::string_view pointer) {
    const Value* found = FindPointer(document->root, pointer);
    return found == nullptr ? "none" : ToJson(*found);
  };
  EXPECT_EQ(find("/a/0/b~1c"), "1");
  EXPECT_EQ(find("/a/1/~0"), "2");
  EXPECT_EQ(find("/"), "3");
  EXPECT_EQ(find("/a/0"), R"({"b/c":1})");
  for (std::string_view bad : {"a", "/a/2", "/a/01", "/a/-1", "/a/-", "/b", "/a/0/b~1c/d"})
    EXPECT_EQ(find(bad), "none");
  EXPECT_EQ(EscapePointerToken("a/b~c"), "a~1b~0c");
  EXPECT_EQ(UnescapePointerToken("a~1b~0c~2~01"), "a/b~c~2~1");
  EXPECT_EQ(ParsePointer("x").status().message(), "JSON pointer \"x\" must be empty or begin with \"/\"");
}

}  // namespace
}  // namespace knarr::doc

#include "doc/yaml.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "doc/json.h"
#include "doc/yaml_resolve.h"

namespace knarr::doc {
namespace {

std::string AsJson(std::string_view yaml) {
  auto parsed = ParseYaml(yaml);
  return parsed.ok() ? ToJson(parsed->root()) : "error: " + parsed.status().message();
}

TEST(Yaml, ScalarsResolveAsInGo) {
  struct Case {
    std::string_view in;
    std::string_view json;
  };
  const Case cases[] = {
      {"y", "true"},
      {"Yes", "true"},
      {"ON", "true"},
      {"yES", R"("yES")"},
      {"n", "false"},
      {"off", "false"},
      {"\"no\"", R"("no")"},
      {"'true'", R"("true")"},
      {"~", "null"},
      {"Null", "null"},
      {"nULL", R"("nULL")"},
      {"0", "0"},
      {"-0", "0"},
      {"+12", "12"},
      {"0777", "511"},
      {"0o777", "511"},
      {"08", "8"},
      {"0x1F", "31"},
      {"-0x1f", "-31"},
      {"0b101", "5"},
      {"-0b101", "-5"},
      {"1_000", "1000"},
      {"1.0", "1"},
      {"1e3", "1000"},
      {"1.5", "1.5"},
      {".5", "0.5"},
      {"5.", "5"},
      {"1e21", "1e+21"},
      {"1.e1", "10"},
      {"0x", R"("0x")"},
      {"-", "[null]"},
      {".", R"(".")"},
      {"1e", R"("1e")"},
      {"1e999", R"("1e999")"},
      {"12:30", R"("12:30")"},
      {"=", R"("=")"},
      {"1.2.3", R"("1.2.3")"},
      {"9223372036854775807", "9223372036854775807"},
      {"9223372036854775808", "9223372036854776000"},
      {"2026-11-21", R"("2026-11-21")"},
      {"2026-11-21T03:00:00Z", R"("2026-11-21T03:00:00Z")"},
      {"!!str 12", R"("12")"},
      {"!!int '12'", "12"},
      {"!!float 1", "1"},
      {"! 12", R"("12")"},
      {"!mine 12", R"("12")"},
      {"!!binary aGk=", R"("hi")"},
      {"!!binary /w==", "\"\ufffd\""},
      {"!!int x", "error: line 1, column 1: cannot decode `x` as a !!int"},
      {"!!binary '*'", "error: line 1, column 1: !!binary value contains invalid base64 data"},
      {".inf", "error: line 1, column 1: unsupported value: .inf has no form in JSON"},
      {"", "null"},
      {"# only a comment\n", "null"},
  };
  for (const Case& c : cases) EXPECT_EQ(AsJson(c.in), c.json) << c.in;
}

TEST(Yaml, Trees) {
  struct Case {
    std::string_view in;
    std::string_view json;
  };
  const Case cases[] = {
      {"a: 1\nb:\n- x\n- y: z\n  w: v\n", R"({"a":1,"b":["x",{"true":"z","w":"v"}]})"},
      {"{\"a\": [1, {\"b\": \"c\\n\"}], 'd': null}", R"({"a":[1,{"b":"c\n"}],"d":null})"},
      {"a: |\n  one\n  two\nb: >-\n  three\n  four\n", R"({"a":"one\ntwo\n","b":"three four"})"},
      {"1: a\ntrue: b\n1.5: c\n1.50: d\nx: e\n", "error: line 4, column 1: key \"1.5\" already set in map"},
      {"1: a\noff: b\n2.5: c\n", R"({"1":"a","false":"b","2.5":"c"})"},
      {"~: a\n", "error: line 1, column 1: unsupported map key: \"~\""},
      {"? [a]\n: b\n", "error: line 1, column 3: invalid map key: a key must be a scalar"},
      {"a: &x [1, 2]\nb: *x\n", R"({"a":[1,2],"b":[1,2]})"},
      {"a: &x 5\n*x : b\n", R"({"a":5,"5":"b"})"},
      {"base: &b {x: 1, z: 2}\nd:\n  <<: *b\n  x: 3\n", R"({"base":{"x":1,"z":2},"d":{"x":3,"z":2}})"},
      {"d:\n  x: 3\n  <<: {x: 1}\n", R"({"d":{"x":1}})"},
      {"<<: [{a: 1}, {a: 2, b: 3}]\n", R"({"a":1,"b":3})"},
      {"<<: 5\n", "error: line 1, column 5: map merge requires map or sequence of maps as the value"},
      {"<<: [5]\n", "error: line 1, column 5: map merge requires map or sequence of maps as the value"},
      {"'<<': 5\n", R"({"\u003c\u003c":5})"},
      {"a: *x\n", "error: line 1, column 4: unknown anchor 'x' referenced"},
      {"a: &x [*x]\n", "error: line 1, column 8: anchor 'x' value contains itself"},
      {"a: &x [&x 1, *x]\nb: *x\n", R"({"a":[1,1],"b":1})"},
  };
  for (const Case& c : cases) EXPECT_EQ(AsJson(c.in), c.json) << c.in;
}

TEST(Yaml, ErrorsSayWhereAndWhat) {
  struct Case {
    std::string_view in;
    std::string_view error;
  };
  const Case cases[] = {
      {"a: 1\n  b: 2\n", "line 2, column 4: mapping values are not allowed in this context"},
      {"a:\n  - b\n c: d\n",
       "line 3, column 2: did not find expected key (while parsing a block mapping from line 1, column 1)"},
      {"a: [1, 2\nb: 3\n",
       "line 2, column 2: did not find expected ',' or ']' (while parsing a flow sequence from line 1, column 4)"},
      {"a: 'x\n",
       "line 2, column 1: found unexpected end of stream (while scanning a quoted scalar from line 1, "
       "column 4)"},
      {"a: b\na: c\n", "line 2, column 1: key \"a\" already set in map"},
      {"a:\n\t- b\n",
       "line 2, column 1: found character that cannot start any token (while scanning for the next token "
       "from line 2, column 1)"},
      {"한: \xff\n", "line 1, column 4: invalid leading UTF-8 octet"},
  };
  for (const Case& c : cases) EXPECT_EQ(AsJson(c.in), "error: " + std::string(c.error)) << c.in;
}

TEST(Yaml, BombsAreRefused) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j) bomb += (j == 0 ? "*a" : ",*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_NE(AsJson(bomb).find("document contains excessive aliasing"), std::string::npos);
  std::string text = "- &a [" + std::string(100'000, 'x') + "]\n";
  for (int i = 0; i < 200; ++i) text += "- *a\n";
  EXPECT_NE(AsJson(text).find("document contains excessive aliasing"), std::string::npos);
  text = "k: &a " + std::string(100'000, 'x') + "\n";
  for (int i = 0; i < 200; ++i) text += "k" + std::to_string(i) + ": {*a : 1}\n";
  EXPECT_NE(AsJson(text).find("document contains excessive aliasing"), std::string::npos);
  std::string deep = "a0: &a0 [x]\n";
  for (int i = 1; i < 200; ++i) {
    deep += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
  }
  EXPECT_NE(AsJson(deep).find("exceeded max depth of 160"), std::string::npos);
  EXPECT_NE(AsJson(std::string(100'000, '[')).find("exceeded max depth of 160"), std::string::npos);
  std::string block;
  for (int i = 0; i < 400; ++i) block += "- ";
  EXPECT_NE(AsJson(block).find("exceeded max depth of 160"), std::string::npos);
}

TEST(Yaml, AliasedTreesCanBeChangedByThemselves) {
  auto parsed = ParseYaml("a: &x {k: 1}\nb: *x\n");
  ASSERT_TRUE(parsed.ok());
  Value& root = parsed->document.root;
  root.Find("b")->Set(parsed->document.arena, "k", Value::Int(2));
  EXPECT_EQ(ToJson(root), R"({"a":{"k":1},"b":{"k":2}})");
}

TEST(Yaml, DuplicatesCanBeToldInsteadOfRefused) {
  std::vector<std::string> seen;
  const YamlOptions options{.on_duplicate = [&](std::string_view path, Position at) {
    seen.push_back(std::string(path) + "@" + std::to_string(at.line) + ":" + std::to_string(at.column));
  }};
  auto parsed = ParseYaml("a:\n- b: 1\n  b: 2\na: 3\n", options);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"a[0].b@3:3", "a@4:1"}));
  EXPECT_EQ(ToJson(parsed->root()), R"({"a":3})");
  EXPECT_EQ(parsed->positions.Find("a"), (Position{4, 1}));
}

TEST(Yaml, Positions) {
  auto parsed = ParseYaml(R"(apiVersion: v1
metadata:
  labels:
    app.io/tier: web
    "a[b]": c
spec:
  containers:
  - name: 한국
    ports: [{containerPort: 80}, {containerPort: 81}]
  - image: x
)");
  ASSERT_TRUE(parsed.ok());
  struct Case {
    std::string_view path;
    Position at;
  };
  const Case cases[] = {
      {"apiVersion", {1, 1}},
      {"metadata.labels", {3, 3}},
      {"metadata.labels[app.io/tier]", {4, 5}},
      {"metadata.labels.app.io/tier", {4, 5}},
      {"metadata.labels[a[b]]", {5, 5}},
      {"spec.containers[0]", {8, 5}},
      {"spec.containers[0].name", {8, 5}},
      {"spec.containers[0].ports[1].containerPort", {9, 35}},
      {"spec.containers[1].image", {10, 5}},
      {"spec.containers[1].name", {10, 5}},  // missing: the container that lacks it
      {"spec.containers[7].name", {7, 3}},
      {"spec.nothing", {6, 1}},
      {"", {1, 1}},
      {"status", {1, 1}},
  };
  for (const Case& c : cases) {
    const Position at = parsed->positions.Find(c.path);
    EXPECT_EQ(at, c.at) << c.path << " at " << at.line << ":" << at.column;
  }
}

TEST(YamlStream, SplitsAsKubernetesDoes) {
  auto parsed = ParseYamlStream("---\na: 1\n--- # comment\n\n---\n# nothing\n---\nb: |\n  ---\n  x\n---  \n{\"c\": 3}");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  ASSERT_EQ(parsed->size(), 3u);
  EXPECT_EQ(ToJson((*parsed)[0].root()), R"({"a":1})");
  EXPECT_EQ(ToJson((*parsed)[1].root()), R"({"b":"---\nx\n"})");
  EXPECT_EQ(ToJson((*parsed)[2].root()), R"({"c":3})");
  EXPECT_EQ((*parsed)[0].positions.Find("a"), (Position{2, 1}));
  EXPECT_EQ((*parsed)[1].positions.Find("b"), (Position{8, 1}));
  EXPECT_EQ((*parsed)[2].positions.Find("c"), (Position{12, 2}));
  EXPECT_EQ(ParseYamlStream("a: 1\n---\nb: [\n").status().message(),
            "line 4, column 1: did not find expected node content (while parsing a flow node from line 4, column 1)");
  EXPECT_EQ(ParseYamlStream("a: 1\n--- b\n").status().message(),
            "line 2, column 4: invalid Yaml document separator: b");
  EXPECT_EQ(ParseYamlStream("")->size(), 0u);
  EXPECT_EQ(ParseYamlStream("\r\n \n---\r\n")->size(), 0u);
}

TEST(YamlStream, JsonThatYamlCannotReadIsReadAsJson) {
  auto parsed = ParseYamlStream("a: 1\n---\n{\"b\": \"\\ud83d\\ude00\"}\n");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ((*parsed)[1].root().Get("b").AsString(), "\U0001F600");
  EXPECT_EQ(ParseYamlStream("---\n{\"b\": 1\n").status().message(), "line 3, column 1: unexpected end of JSON input");
  EXPECT_EQ(ParseYamlStream("{\"b\": 1,\n \"b\": 2}").status().message(),
            "line 2, column 2: key \"b\" already set in map");
}

TEST(YamlWrite, AKeyThatWouldMergeIsQuoted) {
  const Document document = *ParseJson(R"({"<<":{"a":1},"b":["<<",{"<<":"<<"}]})");
  const std::string printed = ToYaml(document.root);
  EXPECT_EQ(printed, "\"<<\":\n  a: 1\nb:\n- <<\n- \"<<\": <<\n");
  EXPECT_TRUE(ParseYaml(printed)->root().Equals(document.root));
}

TEST(YamlResolve, Base60) {
  for (std::string_view text : {"1:30", "12:30:45", "-1:2.5", "+190:20:30.15", "1_0:5"}) {
    EXPECT_TRUE(LooksLikeBase60(text)) << text;
  }
  for (std::string_view text : {"1:", ":30", "1:60:", "1:99", "a:1", "", "-", "1:2x", "12"}) {
    EXPECT_FALSE(LooksLikeBase60(text)) << text;
  }
}

TEST(YamlResolve, Timestamps) {
  using What = YamlScalar::Kind;
  for (std::string_view text : {"2026-11-21", "2026-1-2", "2024-02-29", "2026-11-21T03:00:00Z",
                                "2026-11-21t3:0:0.5+01:00", "2026-11-21  3:00:00.123"}) {
    EXPECT_EQ(ResolveYamlScalar(text).kind, What::kTimestamp) << text;
  }
  for (std::string_view text : {"2026-13-01", "2025-02-29", "2026-11-21T03:00:00", "2026-11-21 25:00:00", "2026-11-21x",
                                "26-11-21", "2026-11-"}) {
    EXPECT_NE(ResolveYamlScalar(text).kind, What::kTimestamp) << text;
  }
}

}  // namespace
}  // namespace knarr::doc

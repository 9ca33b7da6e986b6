#include "doc/json_path.h"

#include <gtest/gtest.h>

#include <string>

#include "doc/json.h"

namespace knarr::doc {
namespace {

constexpr std::string_view kData = R"({
  "kind": "List", "num": 1000000.5, "empty": [], "null": null,
  "items": [
    {"metadata": {"name": "a", "labels": {"x.y/z": "v"}}, "n": 1, "ok": true, "l": ["p", "q"]},
    {"metadata": {"name": "b"}, "n": 2, "ok": false, "l": []},
    {"metadata": {"name": "c"}, "n": 10}
  ]
})";

std::string Print(std::string_view path, JsonPath::MissingKeys missing = JsonPath::MissingKeys::kError) {
  auto data = ParseJson(kData);
  auto parsed = JsonPath::Parse(path);
  if (!parsed.ok()) return "parse: " + parsed.status().message();
  auto out = parsed->Print(data->root, missing);
  return out.ok() ? *out : "error: " + out.status().message();
}

TEST(JsonPath, PrintsAsKubectl) {
  struct Case {
    std::string_view path;
    std::string_view out;
  };
  const Case cases[] = {
      {"plain text", "plain text"},
      {"{.kind}", "List"},
      {"{$.kind}", "List"},
      {"{ .kind }", "List"},
      {"kind={.kind};{.items[0].n}", "kind=List;1"},
      {"{.items[*].metadata.name}", "a b c"},
      {"{.items[0:2].n}", "1 2"},
      {"{.items[-1].n}", "10"},
      {"{.items[-2:].n}", "2 10"},
      {"{.items[::2].n}", "1 10"},
      {"{.items[0,2].n}", "1 10"},
      {"{.items[0]['metadata.name','n']}", "a 1"},
      {"{.items[0].metadata.labels.x\\.y/z}", "v"},
      {"{['items'][1].metadata}", R"({"name":"b"})"},
      {"{.items[0].l}", R"(["p","q"])"},
      {"{.items[0]}", R"({"l":["p","q"],"metadata":{"labels":{"x.y/z":"v"},"name":"a"},"n":1,"ok":true})"},
      {"{.num}", "1.0000005e+06"},
      {"{.null}", "null"},
      {"{.items[*].ok}", "true false"},
      {"{..name}", "a b c"},
      {"{.items[?(@.n>1)].metadata.name}", "b c"},
      {"{.items[?(@.metadata.name=='b')].n}", "2"},
      {"{.items[?(@.metadata.name != \"b\")].n}", "1 10"},
      {"{.items[?(@.ok)].n}", "1 2"},
      {"{.items[?(@.n<=2)].n}", "1 2"},
      {"{range .items[*]}{.metadata.name}{\"\\t\"}{.n}{\"\\n\"}{end}", "a\t1\nb\t2\nc\t10\n"},
      {"{range .items[0:2]}[{.metadata.name}{range .l[*]} {@}{end}]{end}!", "[a p q][b]!"},
      {"{range .empty[*]}{.x}{end}after", "error: x is not found"},
      {"{5}{true}{'x\\'y'}", "5truex'y"},
      {"{.kind}{'\\u00e9'}", "Listé"},
      // complaints
      {"{.nothing}", "error: nothing is not found"},
      {"{.items[7]}", "error: array index out of bounds: index 7, length 3"},
      {"{.items[2:1]}", "error: starting index 2 is greater than ending index 1"},
      {"{.items[::0]}", "error: step must be > 0"},
      {"{.kind[0]}", "error: string is not array or slice"},
      {"{.items[0].metadata[?(@.x)]}",
       "error: map[labels:map[x.y/z:v] name:a] is not array or slice and cannot be filtered"},
      {"{.items[?(@.n=='x')]}", "error: incompatible types for comparison"},
      {"{.items[?(@.n=>1)]}", "error: unrecognized filter operator =>"},
      {"{end}", "error: not in range, nothing to end"},
      {"{foo}", "error: unrecognized identifier foo"},
      {"{.kind", "parse: unclosed action"},
      {"{.items[0}", "parse: unterminated array"},
      {"{.items[x]}", "parse: invalid array index x"},
      {"{.items[?(@.n]}", "parse: unterminated filter"},
      {"{.items[?(@.n) }", "parse: unclosed array expect ]"},
      {"{\"x}", "parse: unterminated quoted string"},
      {"{'\\q'}", "parse: unquote string '\\q' error invalid syntax"},
      {"{....}", "parse: invalid multiple recursive descent"},
      {"{!}", "parse: unrecognized character in action: U+0021 '!'"},
      {"{1.2.3}", "parse: cannot parse number 1.2.3"},
  };
  for (const Case& c : cases) EXPECT_EQ(Print(c.path), c.out) << c.path;
}

TEST(JsonPath, MissingKeysMayBeIgnored) {
  EXPECT_EQ(Print("[{.nothing.at.all}]", JsonPath::MissingKeys::kIgnore), "[]");
  EXPECT_EQ(Print("{range .empty[*]}{.x}{end}after", JsonPath::MissingKeys::kIgnore), "after");
  EXPECT_EQ(Print("{.items[*].ok}", JsonPath::MissingKeys::kIgnore), "true false");
}

TEST(JsonPath, WorkIsBounded) {
  // Each union doubles what the next one starts from.
  std::string tree = "1";
  std::string doubling;
  for (int i = 0; i < 30; ++i) {
    tree = "{\"a\":" + tree + "}";
    doubling += "['a','a']";
  }
  auto data = ParseJson(tree);
  ASSERT_TRUE(data.ok());
  auto path = JsonPath::Parse("{" + doubling + "}");
  ASSERT_TRUE(path.ok());
  auto printed = path->Print(data->root, JsonPath::MissingKeys::kError);
  ASSERT_FALSE(printed.ok());
  EXPECT_EQ(printed.status().message(), "the template visits more than 10000000 values");
  EXPECT_FALSE(JsonPath::Parse(std::string(100'000, 'x')).ok());
}

TEST(JsonPath, Relaxed) {
  for (std::string_view text : {"x.y", ".x.y", "{x.y}", "{.x.y}"}) EXPECT_EQ(*RelaxJsonPath(text), "{.x.y}");
  EXPECT_EQ(*RelaxJsonPath(""), "");
  EXPECT_FALSE(RelaxJsonPath("{.a}{.b}").ok());
  EXPECT_FALSE(RelaxJsonPath("{").ok());
}

}  // namespace
}  // namespace knarr::doc

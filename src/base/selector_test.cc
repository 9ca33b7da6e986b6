#include "base/selector.h"

#include <gtest/gtest.h>

#include <map>

namespace knarr {
namespace {

bool Matches(const LabelSelector& selector, const std::map<std::string, std::string>& labels) {
  return selector.Matches([&](const std::string& key) -> std::optional<std::string_view> {
    const auto found = labels.find(key);
    if (found == labels.end()) return std::nullopt;
    return found->second;
  });
}

TEST(SelectorTest, ParsesToCanonicalText) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"a=b", "a=b"},
      {" c == d , a!=b ", "a!=b,c==d"},
      {"x in (c,a,b)", "x in (a,b,c)"},
      {"x notin ()", "x notin ()"},
      {"x in (,a)", "x in (,a)"},
      {"!y,z", "!y,z"},
      {"n>5,m<7", "m<7,n>5"},
      {"a=", "a="},
      {"in in (notin,in)", "in in (in,notin)"},
      {"example.com/a=b", "example.com/a=b"},
  };
  for (const auto& [text, canonical] : cases) {
    const Result<LabelSelector> selector = LabelSelector::Parse(text);
    ASSERT_TRUE(selector.ok()) << text << ": " << selector.status().message();
    EXPECT_EQ(selector->ToString(), canonical);
    EXPECT_EQ(*LabelSelector::Parse(selector->ToString()), *selector);
  }
}

TEST(SelectorTest, RefusesInUpstreamsWords) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {",", "found ',', expected: !, identifier, or 'end of string'"},
      {"a,", "found '', expected: identifier after ','"},
      {"a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"},
      {"a in x", "unable to parse requirement: found 'x' expected: '('"},
      {"a in (x", "unable to parse requirement: found '', expected: ',' or ')'"},
      {"a=b=c", "found '=', expected: ',' or 'end of string'"},
      {"!", "unable to parse requirement: found '', expected: identifier"},
      {"a>x",
       "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an "
       "integer"},
      {"/a=b", "unable to parse requirement: <nil>: Invalid value: \"/a\": prefix part must be non-empty"},
  };
  for (const auto& [text, message] : cases) {
    const Result<LabelSelector> selector = LabelSelector::Parse(text);
    ASSERT_FALSE(selector.ok()) << text;
    EXPECT_EQ(selector.status().message(), message);
  }
  EXPECT_EQ(Requirement::Create("a", SelectorOperator::kIn, {}).status().message(),
            "values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty");
}

TEST(SelectorTest, MatchesLabels) {
  struct Case {
    std::string_view selector;
    std::map<std::string, std::string> labels;
    bool matches;
  };
  const Case cases[] = {
      {"", {}, true},
      {"a=b", {{"a", "b"}}, true},
      {"a=b", {}, false},
      {"a=", {{"a", ""}}, true},
      {"a!=b", {}, true},
      {"a!=b", {{"a", "b"}}, false},
      {"a in (x,y)", {{"a", "y"}}, true},
      {"a notin (x,y)", {{"a", "y"}}, false},
      {"a notin (x,y)", {}, true},
      {"a", {{"a", ""}}, true},
      {"!a", {{"a", ""}}, false},
      {"n>5", {{"n", "6"}}, true},
      {"n>5", {{"n", "5"}}, false},
      {"n<5", {{"n", "x"}}, false},
      {"n<5", {}, false},
      {"a=b,c=d", {{"a", "b"}}, false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Matches(*LabelSelector::Parse(c.selector), c.labels), c.matches) << c.selector;
  }
  EXPECT_FALSE(Matches(LabelSelector::Nothing(), {}));
  EXPECT_TRUE(LabelSelector().empty());
  EXPECT_FALSE(LabelSelector::Nothing().empty());
  EXPECT_EQ(LabelSelector::FromMap({{"b", "1"}, {"a", "2"}}).ToString(), "a=2,b=1");
  EXPECT_EQ(LabelSelector::Parse("a in (x),b!=y")->ExactValue("a"), "x");
  EXPECT_EQ(LabelSelector::Parse("a in (x),b!=y")->ExactValue("b"), std::nullopt);
}

TEST(SelectorTest, FieldSelectors) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},  {"b=x,a!=y", "a!=y,b=x"}, {"a==b", "a=b"}, {R"(a=x\,y\=z\\)", R"(a=x\,y\=z\\)"}, {"a=", "a="},
      {"=", ""},
  };
  for (const auto& [text, canonical] : cases) {
    const Result<FieldSelector> selector = FieldSelector::Parse(text);
    ASSERT_TRUE(selector.ok()) << text;
    EXPECT_EQ(selector->ToString(), canonical);
  }
  EXPECT_EQ(FieldSelector::Parse("abc").status().message(), "invalid selector: 'abc'; can't understand 'abc'");
  EXPECT_EQ(FieldSelector::Parse("a=b=c").status().message(),
            "invalid field selector: unescaped character in value: 61");
  EXPECT_EQ(FieldSelector::Parse(R"(a=\x)").status().message(),
            R"(invalid field selector: invalid escape sequence: \x)");
  const FieldSelector selector = *FieldSelector::Parse("spec.nodeName=n1,status.phase!=Failed");
  const auto matches = [&](std::string_view node, std::string_view phase) {
    return selector.Matches([&](std::string_view field) { return field == "spec.nodeName" ? node : phase; });
  };
  EXPECT_TRUE(matches("n1", "Running"));
  EXPECT_FALSE(matches("n1", "Failed"));
  EXPECT_FALSE(matches("n2", "Running"));
  EXPECT_EQ(selector.ExactValue("spec.nodeName"), "n1");
}

}  // namespace
}  // namespace knarr

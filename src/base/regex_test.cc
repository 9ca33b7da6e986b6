#include "base/regex.h"

#include <gtest/gtest.h>

namespace knarr {
namespace {

TEST(RegexTest, FindsAsGoDoes) {
  struct Case {
    const char* pattern;
    const char* text;
    bool found;
  };
  for (const Case& c :
       {Case{"b", "abc", true}, Case{"^b", "abc", false}, Case{"^a.c$", "abc", true}, Case{"^a$", "a\n", false},
        Case{R"(^\d{3}-\w+$)", "123-x_y", true}, Case{"(?i)ABC", "xabcx", true}, Case{"^[[:alpha:]]+$", "abc1", false},
        Case{"^.$", "é", true}, Case{"(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false}}) {
    const Result<Regex> regex = Regex::Compile(c.pattern);
    ASSERT_TRUE(regex.ok()) << c.pattern;
    EXPECT_EQ(regex->Search(c.text), c.found) << c.pattern << " in " << c.text;
  }
}

TEST(RegexTest, SaysWhatIsWrongInGosWords) {
  struct Case {
    const char* pattern;
    const char* message;
  };
  for (const Case& c : {Case{"[a", "error parsing regexp: missing closing ]: `[a`"},
                        Case{"(a", "error parsing regexp: missing closing ): `(a`"},
                        Case{"a)", "error parsing regexp: unexpected ): `a)`"},
                        Case{"*a", "error parsing regexp: missing argument to repetition operator: `*`"},
                        Case{"a**", "error parsing regexp: invalid nested repetition operator: `**`"},
                        Case{R"(\y)", R"(error parsing regexp: invalid escape sequence: `\y`)"},
                        Case{"(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
                        Case{"a{1001}", "error parsing regexp: invalid repeat count: `{1001}`"},
                        Case{"[b-a]", "error parsing regexp: invalid character class range: `b-a`"}}) {
    const Result<Regex> regex = Regex::Compile(c.pattern);
    ASSERT_FALSE(regex.ok()) << c.pattern;
    EXPECT_EQ(regex.status().message(), c.message);
  }
}

}  // namespace
}  // namespace knarr

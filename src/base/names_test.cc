#include "base/names.h"

#include <gtest/gtest.h>

namespace knarr {
namespace {

constexpr std::string_view kLabel =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr std::string_view kSubdomain =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr std::string_view kQualified =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

Problems List(std::initializer_list<std::string_view> texts) { return {texts.begin(), texts.end()}; }

TEST(NamesTest, Dns1123Label) {
  for (const std::string_view good : {"a", "a-b", "0", "123-abc"}) EXPECT_EQ(CheckDns1123Label(good), Problems{});
  for (const std::string_view bad : {"", "A", "-a", "a-", "a_b", "a b", "é"}) {
    EXPECT_EQ(CheckDns1123Label(bad), List({kLabel})) << bad;
  }
  EXPECT_EQ(CheckDns1123Label("a.b"), List({"must not contain dots"}));
  EXPECT_EQ(CheckDns1123Label(std::string(64, 'a')), List({"must be no more than 63 characters"}));
}

TEST(NamesTest, Dns1123Subdomain) {
  for (const std::string_view good : {"a", "a.b", "a-b.c0"}) EXPECT_EQ(CheckDns1123Subdomain(good), Problems{});
  for (const std::string_view bad : {"", "a..b", ".a", "a.", "A.b", "a_b"}) {
    EXPECT_EQ(CheckDns1123Subdomain(bad), List({kSubdomain})) << bad;
  }
  EXPECT_EQ(CheckDns1123Subdomain(std::string(254, 'a')), List({"must be no more than 253 characters"}));
  EXPECT_TRUE(CheckDns1123SubdomainWithUnderscore("_sip._tcp").empty());
  EXPECT_TRUE(CheckWildcardDns1123Subdomain("*.a.b").empty());
  EXPECT_FALSE(CheckWildcardDns1123Subdomain("a.b").empty());
}

TEST(NamesTest, QualifiedName) {
  for (const std::string_view good : {"a", "MyName", "example.com/MyName", "a.b-c_d"}) {
    EXPECT_EQ(CheckQualifiedName(good), Problems{}) << good;
  }
  const std::string name = "name part " + std::string(kQualified);
  EXPECT_EQ(CheckQualifiedName(""), List({"name part must be non-empty", name}));
  EXPECT_EQ(CheckQualifiedName("/a"), List({"prefix part must be non-empty"}));
  EXPECT_EQ(CheckQualifiedName("A.com/a"), List({"prefix part " + std::string(kSubdomain)}));
  EXPECT_EQ(CheckQualifiedName(std::string(64, 'a')), List({"name part must be no more than 63 bytes"}));
  EXPECT_EQ(CheckQualifiedName("a/b/c"), List({"a valid label key " + std::string(kQualified) +
                                               " with an optional DNS subdomain prefix and '/' (e.g. "
                                               "'example.com/MyName')"}));
}

TEST(NamesTest, LabelValue) {
  for (const std::string_view good : {"", "a", "v1.2_3-x"}) EXPECT_EQ(CheckLabelValue(good), Problems{});
  for (const std::string_view bad : {"-a", "a b", "a/b"}) EXPECT_EQ(CheckLabelValue(bad).size(), 1U);
  EXPECT_EQ(CheckLabelValue(std::string(64, 'a')), List({"must be no more than 63 bytes"}));
}

TEST(NamesTest, Ports) {
  EXPECT_TRUE(CheckPortName("http-1").empty());
  EXPECT_EQ(CheckPortName("80"), List({"must contain at least one letter (a-z)"}));
  EXPECT_EQ(CheckPortName("a--b"), List({"must not contain consecutive hyphens"}));
  EXPECT_EQ(CheckPortName("-a"), List({"must not begin or end with a hyphen"}));
  EXPECT_EQ(CheckPortName("a-port-name-too-long"), List({"must be no more than 15 characters"}));
  EXPECT_EQ(CheckPortName("").size(), 2U);
  EXPECT_EQ(CheckPortNumber(0), List({"must be between 1 and 65535, inclusive"}));
  EXPECT_TRUE(CheckPortNumber(65535).empty());
  EXPECT_FALSE(CheckUserId(-1).empty());
}

TEST(NamesTest, OtherNames) {
  EXPECT_TRUE(CheckConfigMapKey("a.b_c-D").empty());
  EXPECT_EQ(CheckConfigMapKey(".."), List({"must not be '..'"}));
  EXPECT_EQ(CheckConfigMapKey("..a"), List({"must not start with '..'"}));
  EXPECT_TRUE(CheckRelaxedEnvVarName("9 a:b").empty());
  EXPECT_FALSE(CheckRelaxedEnvVarName("a=b").empty());
  EXPECT_TRUE(CheckEnvVarName("MY.ENV-1").empty());
  EXPECT_FALSE(CheckEnvVarName("1A").empty());
  EXPECT_TRUE(CheckPercent("50%").empty());
  EXPECT_FALSE(CheckPercent("%").empty());
  EXPECT_EQ(CheckPathSegmentName("a/b%"), List({"may not contain '/'", "may not contain '%'"}));
  EXPECT_EQ(CheckPathSegmentName(".."), List({"may not be '..'"}));
  EXPECT_FALSE(CheckCIdentifier("1a").empty());
  EXPECT_FALSE(CheckHttpHeaderName("").empty());
}

}  // namespace
}  // namespace knarr

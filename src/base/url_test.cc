#include "base/url.h"

#include <gtest/gtest.h>

namespace knarr {
namespace {

TEST(UrlTest, IsTakenApartAsInGo) {
  const ParsedUrl url = ParseUrl("HTTPS://u:p@h.example.com:80/a/b?q=1#f");
  EXPECT_EQ(url.problem, "");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_TRUE(url.has_user);
  EXPECT_EQ(url.user, "u:p");
  EXPECT_EQ(url.host, "h.example.com:80");
  EXPECT_EQ(url.path, "/a/b");
  EXPECT_EQ(url.query, "q=1");
  EXPECT_EQ(url.fragment, "f");
}

TEST(UrlTest, SaysWhatGoSays) {
  struct Case {
    std::string_view text;
    std::string_view problem;
  };
  for (const Case& c :
       {Case{"://x", "missing protocol scheme"}, Case{"https://h:port/", "invalid port \":port\" after host"},
        Case{"https://[::1/x", "missing ']' in host"}, Case{"https://h/%zz", "invalid URL escape \"%zz\""},
        Case{"a b:c", "first path segment in URL cannot contain colon"},
        Case{"h\x01", "net/url: invalid control character in URL"},
        Case{"https://a b/", "invalid character \" \" in host name"}}) {
    EXPECT_EQ(ParseUrl(c.text).problem, c.problem) << c.text;
  }
}

TEST(UrlTest, RequestsNameAPathOrAScheme) {
  for (const std::string_view text : {"/x", "https://h/x", "mailto:x", "*", "/a#b"}) {
    EXPECT_EQ(ParseRequestUri(text).problem, "") << text;
  }
  EXPECT_EQ(ParseRequestUri("").problem, "empty url");
  EXPECT_EQ(ParseRequestUri("x/y").problem, "invalid URI for request");
}

}  // namespace
}  // namespace knarr

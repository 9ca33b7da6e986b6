#include <gtest/gtest.h>

#include "net/http.h"

namespace knarr::net {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

TEST(Url, ParsesTargetsAsGoDoes) {
  struct Case {
    std::string_view text;
    std::string path;
    Pairs query;
    std::string target;
  };
  const Case cases[] = {
      {"/", "/", {}, "/"},
      {"/api/v1/pods?limit=5", "/api/v1/pods", {{"limit", "5"}}, "/api/v1/pods?limit=5"},
      {"/a%20b/c", "/a b/c", {}, "/a%20b/c"},
      {"/a%2Fb", "/a/b", {}, "/a%2Fb"},
      {"/x?a=1&a=2&b", "/x", {{"a", "1"}, {"a", "2"}, {"b", ""}}, "/x?a=1&a=2&b="},
      {"/x?labelSelector=app%3Dweb%2Ctier+in+%28a%29",
       "/x",
       {{"labelSelector", "app=web,tier in (a)"}},
       "/x?labelSelector=app%3Dweb%2Ctier+in+%28a%29"},
      {"/x?a=%zz&b=2", "/x", {{"b", "2"}}, "/x?b=2"},
      {"/x?a;b=1&c=2", "/x", {{"c", "2"}}, "/x?c=2"},
      {"/x?", "/x", {}, "/x"},
      {"/x#frag", "/x", {}, "/x"},
      {"*", "*", {}, "*"},
      {"/%ED%95%9C", "/한", {}, "/%ED%95%9C"},
      {"//double//slash", "//double//slash", {}, "//double//slash"},
  };
  for (const Case& c : cases) {
    auto url = Url::Parse(c.text);
    ASSERT_TRUE(url.ok()) << c.text << ": " << url.status().message();
    EXPECT_EQ(url->path, c.path) << c.text;
    EXPECT_EQ(url->query, c.query) << c.text;
    EXPECT_EQ(url->Target(), c.target) << c.text;
  }
}

TEST(Url, ParsesAbsoluteUrls) {
  struct Case {
    std::string_view text;
    std::string scheme, host;
    uint16_t port;
    std::string path, again;
  };
  const Case cases[] = {
      {"https://127.0.0.1:6443/api", "https", "127.0.0.1", 6443, "/api", "https://127.0.0.1:6443/api"},
      {"HTTPS://Example.COM", "https", "example.com", 0, "", "https://example.com/"},
      {"http://[::1]:80/x?y=z", "http", "::1", 80, "/x", "http://[::1]:80/x?y=z"},
      {"https://[fe80::1]/", "https", "fe80::1", 0, "/", "https://[fe80::1]/"},
      {"http://host:/p", "http", "host", 0, "/p", "http://host/p"},
      {"http://host?q=1", "http", "host", 0, "", "http://host/?q=1"},
  };
  for (const Case& c : cases) {
    auto url = Url::Parse(c.text);
    ASSERT_TRUE(url.ok()) << c.text << ": " << url.status().message();
    EXPECT_EQ(url->scheme, c.scheme);
    EXPECT_EQ(url->host, c.host);
    EXPECT_EQ(url->port, c.port);
    EXPECT_EQ(url->path, c.path);
    EXPECT_EQ(url->ToString(), c.again);
  }
}

TEST(Url, RefusesWhatIsNone) {
  for (std::string_view text :
       {"", "x", "/a%", "/a%2", "/a%zz", "://x", "http://", "http://a b/", "http://[::1", "http://h:99999/",
        "http://h:x/", "http://u:p@h/", "/a\nb", "http://h:+1/", "ht tp://x/"}) {
    EXPECT_FALSE(Url::Parse(text).ok()) << text;
  }
  EXPECT_EQ(Url::Parse("/a%zz").status().message(), "parse \"/a%zz\": invalid URL escape \"%zz\"");
}

TEST(Url, AChangedPathForgetsItsWriting) {
  auto url = Url::Parse("http://h/a%2Fb");
  ASSERT_TRUE(url.ok());
  url->path = "/c d";
  EXPECT_EQ(url->ToString(), "http://h/c%20d");
}

TEST(Url, Escapes) {
  EXPECT_EQ(QueryEscape("a b&c=d/é"), "a+b%26c%3Dd%2F%C3%A9");
  EXPECT_EQ(PathEscape("a b/c:d,e;f?g"), "a%20b%2Fc:d%2Ce%3Bf%3Fg");
}

TEST(Headers, CompareWithoutCase) {
  Headers headers;
  headers.Add("Content-Type", "a");
  headers.Add("X-A", "1");
  headers.Add("x-a", "2");
  EXPECT_EQ(headers.Get("content-type"), "a");
  EXPECT_EQ(headers.GetAll("X-a"), (std::vector<std::string_view>{"1", "2"}));
  headers.Set("X-A", "3");
  EXPECT_EQ(headers.GetAll("x-a"), (std::vector<std::string_view>{"3"}));
  EXPECT_TRUE(headers.Has("X-A"));
  headers.Remove("x-A");
  EXPECT_FALSE(headers.Has("X-A"));
  EXPECT_EQ(headers.Get("X-A"), "");
}

TEST(Http, Dates) {
  EXPECT_EQ(FormatHttpDate(WallTime(std::chrono::seconds(784111777))), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
}  // namespace knarr::net

#include "apiserver/request_info.h"

#include <gtest/gtest.h>

#include "apiserver/continue_token.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

TEST(RequestInfo, Table) {
  struct Case {
    std::string_view method, target, expected;
  };
  // verb group/version ns resource name subresource, or verb and path.
  const Case cases[] = {
      {"GET", "/api/v1/namespaces/a/pods", "list /v1 a pods - -"},
      {"GET", "/api/v1/namespaces/a/pods?watch=true", "watch /v1 a pods - -"},
      {"GET", "/api/v1/namespaces/a/pods?watch=0", "list /v1 a pods - -"},
      {"GET", "/api/v1/namespaces/a/pods/x?watch=1", "get /v1 a pods x -"},
      {"GET", "/api/v1/pods?fieldSelector=metadata.name%3Dx", "list /v1 - pods x -"},
      {"GET", "/api/v1/pods?fieldSelector=metadata.name%3Da%2Fb", "list /v1 - pods - -"},
      {"DELETE", "/api/v1/pods?fieldSelector=metadata.name%3Dx", "deletecollection /v1 - pods - -"},
      {"GET", "/api/v1/watch/namespaces/a/pods/x", "watch /v1 a pods x -"},
      {"GET", "/api/v1/watch/pods", "watch /v1 - pods - -"},
      {"GET", "/api/v1/namespaces", "list /v1 - namespaces - -"},
      {"GET", "/api/v1/namespaces/a", "get /v1 a namespaces a -"},
      {"PUT", "/api/v1/namespaces/a/finalize", "update /v1 a namespaces a finalize"},
      {"PATCH", "/api/v1/namespaces/a/status", "patch /v1 a namespaces a status"},
      {"POST", "/apis/apps/v1/namespaces/a/deployments", "create apps/v1 a deployments - -"},
      {"GET", "/apis/apps/v1/namespaces/a/deployments/d/scale", "get apps/v1 a deployments d scale"},
      {"DELETE", "/api/v1/nodes/n", "delete /v1 - nodes n -"},
      {"DELETE", "/api/v1/namespaces/a/pods", "deletecollection /v1 a pods - -"},
      {"POST", "/api/v1/namespaces/a/pods/x/exec?command=ls", "create /v1 a pods x exec"},
      {"GET", "/api/v1/namespaces/a/pods/x/proxy/b/c", "get /v1 a pods x proxy"},
      {"GET", "/api/v1", "get /api/v1"},
      {"GET", "/apis/apps/v1", "get /apis/apps/v1"},
      {"POST", "/healthz", "post /healthz"},
      {"GET", "/api/v1//x", "get /api/v1//x"},
      {"GET", "/", "get /"},
  };
  for (const Case& test : cases) {
    const auto url = net::Url::Parse(test.target);
    ASSERT_TRUE(url.ok()) << test.target;
    const Attributes a = ReadAttributes(test.method, *url);
    const auto shown = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
    const std::string got = a.resource_request ? a.verb + " " + a.group + "/" + a.version + " " + shown(a.ns) + " " +
                                                     a.resource + " " + shown(a.name) + " " + shown(a.subresource)
                                               : a.verb + " " + a.path;
    EXPECT_EQ(got, test.expected) << test.method << " " << test.target;
  }
}

TEST(RequestInfo, Selectors) {
  const auto read = [](std::string_view method, std::string_view target) {
    return ReadAttributes(method, *net::Url::Parse(target));
  };
  Attributes a = read("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn,a%21%3Db&labelSelector=x,y%3Dz");
  ASSERT_EQ(a.field_selector.requirements().size(), 2u);
  EXPECT_EQ(a.field_selector.requirements()[1], (FieldRequirement{"spec.nodeName", true, "n"}));
  EXPECT_EQ(a.label_selector.ToString(), "x,y=z");
  EXPECT_FALSE(a.field_selector_bad || a.label_selector_bad);
  a = read("DELETE", "/api/v1/pods?fieldSelector=a&labelSelector=%21%21");
  EXPECT_TRUE(a.field_selector_bad && a.label_selector_bad);
  // Only what reads or deletes many is limited by selectors.
  a = read("GET", "/api/v1/namespaces/a/pods/x?fieldSelector=spec.nodeName%3Dn");
  EXPECT_TRUE(a.field_selector.empty());
  a = read("GET", "/api/v1/watch/pods?fieldSelector=spec.nodeName%3Dn");
  EXPECT_TRUE(a.field_selector.empty());
}

TEST(ContinueToken, IsUpstreams) {
  // {"v":"meta.k8s.io/v1","rv":12,"start":"default/a\u0000"}
  const std::string upstream = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTIsInN0YXJ0IjoiZGVmYXVsdC9hXHUwMDAwIn0";
  EXPECT_EQ(EncodeContinueToken({12, "default/a"}), upstream);
  const auto read = DecodeContinueToken(upstream);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->revision, 12);
  EXPECT_EQ(read->start_after, "default/a");
  for (const char* bad : {"", "!", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJhIn0"}) {
    EXPECT_TRUE(DecodeContinueToken(bad).Failed(Reason::kBadRequest)) << bad;
  }
  for (const char* start : {"a..b", "..a", "default/a...b", "/a"}) {
    const auto token = DecodeContinueToken(EncodeContinueToken({12, start}));
    ASSERT_TRUE(token.ok()) << start;
    EXPECT_EQ(token->start_after, start);
  }
  for (const char* json : {R"("..")", R"("default/../b")", R"("default/./b")", R"("default//b")", R"("default/")"}) {
    const std::string token = R"({"v":"meta.k8s.io/v1","rv":12,"start":)" + std::string(json) + "}";
    EXPECT_TRUE(DecodeContinueToken(Base64UrlEncode(token)).Failed(Reason::kBadRequest)) << json;
  }
}

}  // namespace
}  // namespace knarr::apiserver

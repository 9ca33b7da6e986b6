#include "apiserver/http_world.h"

#include <algorithm>

namespace knarr::apiserver {
namespace {

TEST(Http, WhoMayWhat) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    struct Case {
      std::string_view token, target;
      int code;
      std::string_view message;
    };
    const Case cases[] = {
        {"", "/livez", 200, ""},
        {"", "/version", 200, ""},
        {"", "/readyz/ping", 403, "forbidden: User \"system:anonymous\" cannot get path \"/readyz/ping\""},
        {"", "/api", 403, "forbidden: User \"system:anonymous\" cannot get path \"/api\""},
        {"", "/metrics", 403, "forbidden: User \"system:anonymous\" cannot get path \"/metrics\""},
        {"bad", "/api", 401, "Unauthorized"},
        {"weak", "/api/v1/namespaces/default/pods", 403,
         "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace "
         "\"default\""},
        {"weak", "/apis/apps/v1/namespaces/d/deployments/x/scale", 403,
         "deployments.apps \"x\" is forbidden: User \"jane\" cannot get resource \"deployments/scale\" in API group "
         "\"apps\" in the namespace \"d\""},
        {"weak", "/api/v1/nodes", 403,
         "nodes is forbidden: User \"jane\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"},
        {"secret", "/api/v1/nodes", 200, ""},
        {"secret", "/api/v1/toads", 404, "the server could not find the requested resource"},
        {"secret", "/nowhere", 404, ""},
        {"secret", "/livez/nothing", 404, ""},
    };
    for (const Case& test : cases) {
      const Raw raw = world.Send("GET", test.target, "", "", test.token);
      EXPECT_EQ(raw.code, test.code) << test.target << raw.body;
      if (!test.message.empty()) {
        EXPECT_EQ(raw.Json().root.At("message").AsString(), test.message);
      }
    }
  });
}

TEST(Http, MadeUpMethodsAreCountedTogether) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    for (const char* method : {"TOAD", "FROG"}) {
      EXPECT_EQ(world.Send(method, "/api", "", "", "bad").code, 401);
    }
    const std::string metrics = world.Send("GET", "/metrics").body;
    EXPECT_EQ(metrics.find("toad"), std::string::npos);
    EXPECT_NE(metrics.find(R"(apiserver_request_total{code="401",component="apiserver",dry_run="",group="",)"
                           R"(resource="",scope="",subresource="",verb="other",version=""} 2)"),
              std::string::npos);
  });
}

TEST(Http, AcrossNamespacesThereAreOnlyLists) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    EXPECT_EQ(world.Send("GET", "/apis/batch/v1/jobs").code, 200);
    EXPECT_EQ(world.Send("GET", "/apis/batch/v1/jobs/x").code, 404);
    for (const char* method : {"POST", "PUT", "DELETE"}) {
      const Raw raw = world.Send(method, "/apis/batch/v1/jobs", "{}");
      EXPECT_EQ(raw.code, 405) << method;
      EXPECT_EQ(raw.Json().root.At("message").AsString(),
                "the server does not allow this method on the requested resource");
    }
  });
}

TEST(Http, ServiceAccountTokensAuthenticate) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    const Raw made = world.Send("POST", "/api/v1/namespaces/default/serviceaccounts/default/token",
                                R"({"spec":{"expirationSeconds":600}})");
    ASSERT_EQ(made.code, 201) << made.body;
    const doc::Document answer = made.Json();
    const std::string token(answer.root.Get("status", "token").AsString());
    Raw denied = world.Send("GET", "/api/v1/nodes", "", "", token);
    EXPECT_EQ(denied.code, 403);
    EXPECT_NE(denied.body.find("system:serviceaccount:default:default"), std::string::npos);
    EXPECT_EQ(world.Send("GET", "/api/v1/nodes", "", "", token + "x").code, 401);
    MUST(runtime.Sleep(700s));
    EXPECT_EQ(world.Send("GET", "/api/v1/nodes", "", "", token).code, 401);
  });
}

TEST(Http, BodiesAndForms) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    const std::string pods = "/api/v1/namespaces/default/pods";
    const std::string unknown = PodJson("p", "", R"(,"foo":1)");
    struct Case {
      std::string method, target, body, headers;
      int code;
      std::string_view text;  // somewhere in head or body
    };
    const Case cases[] = {
        {"POST", pods + "?fieldValidation=Strict", unknown, "", 400,
         R"(Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.foo\")"},
        {"POST", pods, unknown, "", 201, R"(299 - "unknown field \"spec.foo\"")"},
        {"POST", pods, "{", "", 400, "unexpected end of JSON input"},
        {"POST", pods, "kind: Pod\nmetadata: {name: yy}\nspec: {containers: [{name: a, image: b}]}\n",
         "Content-Type: application/yaml\r\n", 201, R"("name":"yy")"},
        {"POST", pods, "x", "Content-Type: text/plain\r\n", 415, "the body of the request was in an unknown format"},
        {"GET", pods, "", "Accept: text/html\r\n", 406, "406: Not Acceptable"},
        {"GET", pods, "", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n", 200, R"("kind":"Table")"},
        {"GET", pods, "", "Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io\r\n", 200,
         R"("kind":"PartialObjectMetadata")"},
        {"GET", pods, "", "Accept: application/yaml\r\n", 200, "kind: PodList"},
        {"GET", pods + "/p", "", "Accept: application/vnd.kubernetes.protobuf\r\n", 200, std::string_view("k8s\0", 4)},
        {"GET", pods + "/p/status", "", "", 200, R"("phase":"Pending")"},
        {"GET", pods + "/p/nothing", "", "", 404, "could not find the requested resource"},
        {"PATCH", pods + "/p", "{}", "Content-Type: application/apply-patch+cbor\r\n", 415,
         "415: Unsupported Media Type"},
        {"PATCH", pods + "/p", R"([{"op":"test","path":"/kind","value":"x"}])",
         "Content-Type: application/json-patch+json\r\n", 422, "the server rejected our request"},
        {"DELETE", pods + "/p", R"({"gracePeriodSeconds":0,"kind":"DeleteOptions","apiVersion":"v1"})", "", 200,
         R"("kind":"Pod")"},
        {"DELETE", "/api/v1/namespaces/default/configmaps/none", "", "", 404, R"(configmaps \"none\" not found)"},
        {"GET", pods + "?labelSelector=a%3D%3D%3Db", "", "", 400, "BadRequest"},
        {"GET", pods + "?resourceVersion=x", "", "", 400, "Invalid value"},
        {"GET", pods + "?resourceVersionMatch=Exact", "", "", 422, "unless resourceVersion is provided"},
        {"GET", pods + "?resourceVersion=99999", "", "", 504, "Too large resource version: 99999"},
        {"GET", pods + "/yy/exec?command=ls&stdout=1", "", "Upgrade: SPDY/3.1\r\nConnection: Upgrade\r\n", 400,
         "pod yy does not have a host assigned"},
        {"PUT", pods + "/yy", PodJson("z"), "", 400,
         "the name of the object (z) does not match the name on the URL (yy)"},
        {"POST", pods, std::string(static_cast<size_t>(4) << 20, ' '), "", 413, "TooLarge"},
        {"GET", "/apis", "", "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList\r\n", 200,
         R"("kind":"APIGroupDiscoveryList")"},
        {"GET", "/apis/apps", "", "", 200, R"("kind":"APIGroup")"},
        {"GET", "/openapi/v3", "", "", 200, "/openapi/v3/apis/apps/v1?hash="},
        {"GET", "/openapi/v3/apis/apps/v1", "", "", 200, "io.k8s.api.apps.v1.Deployment"},
        {"GET", "/openapi/v2", "", "", 200, R"("swagger":"2.0")"},
    };
    for (const Case& test : cases) {
      const Raw raw = world.Send(test.method, test.target, test.body, test.headers);
      EXPECT_EQ(raw.code, test.code) << test.method << " " << test.target << "\n" << raw.body.substr(0, 500);
      EXPECT_TRUE(raw.head.find(test.text) != std::string::npos || raw.body.find(test.text) != std::string::npos)
          << test.method << " " << test.target << "\n"
          << raw.head << "\n"
          << raw.body.substr(0, 500);
    }
  });
}

TEST(Http, WatchStreamsEvents) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    rt::TaskGroup group(runtime, "writer");
    group.Spawn("write", [&] {
      MUST(runtime.Sleep(1s));
      MUST(world.server.Create("ConfigMap", R"({"metadata":{"name":"a"}})"));
    });
    const Raw raw = world.Send("GET", "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=3");
    group.Join();
    EXPECT_EQ(raw.code, 200);
    EXPECT_TRUE(raw.body.starts_with(R"({"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1")")) << raw.body;
    EXPECT_EQ(std::ranges::count(raw.body, '\n'), 1);
    const Raw initial = world.Send("GET",
                                   "/api/v1/configmaps?watch=1&timeoutSeconds=1&sendInitialEvents=true&"
                                   "allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan");
    EXPECT_NE(initial.body.find("k8s.io/initial-events-end"), std::string::npos) << initial.body;
  });
}

TEST(Http, AnOldWatchIsToldExpired) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    MUST(world.server.Create("ConfigMap", R"({"metadata":{"name":"a"}})"));
    MUST(world.server.store().Compact(world.server.store().Latest()->revision()));
    const Raw raw = world.Send("GET", "/api/v1/configmaps?watch=1&resourceVersion=1");
    EXPECT_EQ(raw.code, 200);
    const doc::Document event = raw.Json();
    EXPECT_EQ(event.root.At("type").AsString(), "ERROR") << raw.body;
    EXPECT_EQ(event.root.Get("object", "code").AsInt(), 410);
    EXPECT_EQ(event.root.Get("object", "reason").AsString(), "Expired");
  });
}

TEST(Http, AnExpiredContinueTokenLetsGoOn) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    for (const char* name : {"a", "b", "c"}) {
      MUST(world.server.Create("ConfigMap", std::string(R"({"metadata":{"name":")") + name + R"("}})"));
    }
    const std::string path = "/api/v1/namespaces/default/configmaps?limit=1&continue=";
    const doc::Document first = world.Send("GET", path).Json();
    EXPECT_EQ(first.root.Get("metadata", "remainingItemCount").AsInt(), 2);
    const std::string token(first.root.Get("metadata", "continue").AsString());
    MUST(world.server.Create("Secret", R"({"metadata":{"name":"s"}})"));
    MUST(world.server.store().Compact(world.server.store().Latest()->revision()));
    const Raw expired = world.Send("GET", path + token);
    ASSERT_EQ(expired.code, 410) << expired.body;
    const std::string again(expired.Json().root.Get("metadata", "continue").AsString());
    const doc::Document second = world.Send("GET", path + again).Json();
    EXPECT_EQ(second.root.At("items")[0].Get("metadata", "name").AsString(), "b");
  });
}

TEST(Http, TooManyInFlight) {
  InSim([](rt::Runtime& runtime) {
    ApiServerOptions options;
    options.in_flight_max = 1;
    HttpWorld world(runtime, options);
    world.server.server().AddReadyCheck("slow", [&runtime]() -> Ok { return runtime.Sleep(5s); });
    rt::TaskGroup group(runtime, "first");
    group.Spawn("first", [&] { EXPECT_EQ(world.Send("GET", "/readyz", "", "", "weak").code, 200); });
    MUST(runtime.Sleep(1s));
    // Those who own the cluster are never turned away.
    EXPECT_EQ(world.Send("GET", "/api/v1/nodes").code, 200);
    const Raw raw = world.Send("GET", "/version", "", "", "weak");
    EXPECT_EQ(raw.code, 429) << raw.body;
    EXPECT_NE(ToLower(raw.head).find("retry-after: 1"), std::string::npos);
    group.Join();
  });
}

}  // namespace
}  // namespace knarr::apiserver

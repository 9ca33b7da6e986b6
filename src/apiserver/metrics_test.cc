// What monitors ask a server for: /metrics and the health endpoints.

#include <fmt/format.h>

#include "apiserver/http_world.h"

namespace knarr::apiserver {
namespace {

TEST(Metrics, RequestsAreCountedUnderUpstreamsLabels) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    const std::string maps = "/api/v1/namespaces/default/configmaps";
    const std::string apply = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}})";
    EXPECT_EQ(world.Send("POST", maps, R"({"metadata":{"name":"a"}})").code, 201);
    EXPECT_EQ(world.Send("POST", maps + "?dryRun=All", R"({"metadata":{"name":"d"}})").code, 201);
    EXPECT_EQ(world.Send("GET", maps).code, 200);
    EXPECT_EQ(world.Send("GET", "/api/v1/configmaps").code, 200);
    EXPECT_EQ(world.Send("GET", maps + "/a").code, 200);
    EXPECT_EQ(world.Send("GET", maps + "/a/nonsense").code, 404);
    const std::string_view patch_type = "Content-Type: application/apply-patch+yaml\r\n";
    EXPECT_EQ(world.Send("PATCH", maps + "/b?fieldManager=m", apply, patch_type).code, 201);
    EXPECT_EQ(world.Send("GET", "/apis/apps/v1/namespaces/default/deployments/x/scale").code, 404);
    EXPECT_EQ(world.Send("GET", maps + "?watch=1&timeoutSeconds=1").code, 200);
    const std::string text = world.Send("GET", "/metrics").body;
    struct Counted {
      int code;
      std::string_view dry_run, group, resource, scope, subresource, verb;
    };
    for (const Counted& c : {Counted{201, "", "", "configmaps", "resource", "", "POST"},
                             Counted{201, "All", "", "configmaps", "resource", "", "POST"},
                             Counted{200, "", "", "configmaps", "namespace", "", "LIST"},
                             Counted{200, "", "", "configmaps", "cluster", "", "LIST"},
                             Counted{201, "", "", "configmaps", "resource", "", "APPLY"},
                             Counted{404, "", "", "configmaps", "resource", "other", "GET"},
                             Counted{404, "", "apps", "deployments", "resource", "scale", "GET"},
                             Counted{200, "", "", "configmaps", "namespace", "", "WATCH"}}) {
      const std::string common =
          fmt::format(R"(group="{}",resource="{}",scope="{}",subresource="{}",verb="{}",version="v1")", c.group,
                      c.resource, c.scope, c.subresource, c.verb);
      const std::string line =
          fmt::format(R"(apiserver_request_total{{code="{}",component="apiserver",dry_run="{}",{}}} 1)", c.code,
                      c.dry_run, common);
      EXPECT_NE(text.find(line), std::string::npos) << line;
      // What streams is not timed.
      const std::string timed = fmt::format(
          R"(apiserver_request_duration_seconds_count{{component="apiserver",dry_run="{}",{}}} 1)", c.dry_run, common);
      EXPECT_EQ(text.find(timed) == std::string::npos, c.verb == "WATCH") << timed;
      const std::string objective = fmt::format(
          R"(apiserver_request_sli_duration_seconds_bucket{{component="apiserver",{},le="60"}})", common);
      EXPECT_EQ(text.find(objective) == std::string::npos, c.verb == "WATCH") << objective;
    }
    for (const std::string_view line :
         {R"(apiserver_longrunning_requests{component="apiserver",group="",resource="configmaps",scope="namespace",)"
          R"(subresource="",verb="WATCH",version="v1"} 0)",
          R"(apiserver_current_inflight_requests{request_kind="readOnly"} 1)",
          R"(apiserver_current_inflight_requests{request_kind="mutating"} 0)",
          R"(apiserver_resource_objects{group="",resource="configmaps"} 3)",
          R"(apiserver_storage_objects{resource="deployments.apps"} 0)"}) {
      EXPECT_NE(text.find(line), std::string::npos) << line;
    }
  });
}

TEST(Metrics, HealthHasUpstreamsChecks) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    struct Case {
      std::string_view target;
      int code;
      std::string_view body;
    };
    for (const Case& test : {Case{"/healthz", 200, "ok"}, Case{"/livez/etcd", 200, "ok"},
                             Case{"/readyz/etcd", 200, "ok"},
                             Case{"/readyz/etcd-readiness", 200, "ok"}, Case{"/livez/etcd-readiness", 404, ""},
                             Case{"/readyz/poststarthook/rbac/bootstrap-roles", 200, "ok"},
                             Case{"/readyz/x", 404, ""}}) {
      const Raw raw = world.Send("GET", test.target);
      EXPECT_EQ(raw.code, test.code) << test.target;
      if (!test.body.empty()) {
        EXPECT_EQ(raw.body, test.body);
      }
    }
    const std::string verbose = world.Send("GET", "/readyz?verbose&exclude=etcd").body;
    EXPECT_TRUE(verbose.starts_with("[+]ping ok\n[+]etcd excluded: ok\n[+]etcd-readiness ok\n")) << verbose;
    EXPECT_TRUE(verbose.ends_with("readyz check passed\n")) << verbose;
  });
}

}  // namespace
}  // namespace knarr::apiserver

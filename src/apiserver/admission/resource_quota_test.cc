#include "apiserver/admission/case.h"
#include "rt/sync.h"

namespace knarr::apiserver {
namespace {

const api::KindInfo& QuotaKind() { return TestServer::Kind("ResourceQuota"); }

/// Makes a quota whose use is counted as nothing: as the controller leaves it in an empty namespace.
void MakeQuota(TestServer& server, std::string_view name, std::string_view hard, std::string_view used,
               std::string_view spec = "") {
  const std::string json = std::string(R"({"kind":"ResourceQuota","metadata":{"name":")") + std::string(name) +
                           R"("},"spec":{"hard":)" + std::string(hard) + std::string(spec) + "}}";
  const auto made = Put(server.client(), json);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  doc::Document quota = doc::Document::Copy((*made)->tree());
  doc::Value& status = quota.root.Ensure(quota.arena, "status");
  status = doc::Value::Object();
  const doc::Document hard_tree = MUST(doc::ParseJson(hard));
  const doc::Document used_tree = MUST(doc::ParseJson(used));
  status.Set(quota.arena, "hard", hard_tree.root.Clone(quota.arena));
  status.Set(quota.arena, "used", used_tree.root.Clone(quota.arena));
  const auto written = server.client().Update(QuotaKind(), {"default", std::string(name)}, quota.root, "status");
  ASSERT_TRUE(written.ok()) << written.status().ToString();
}

std::string Used(TestServer& server, std::string_view resource, std::string_view name = "q") {
  const auto quota = server.client().Get(QuotaKind(), {"default", std::string(name)});
  return quota.ok() ? std::string((*quota)->tree().Get("status", "used", resource).AsString())
                    : quota.status().ToString();
}

std::string Pod(std::string_view name, std::string_view cpu, std::string_view spec = "") {
  return std::string(R"({"kind":"Pod","metadata":{"name":")") + std::string(name) +
         R"("},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":")" + std::string(cpu) +
         R"("}}}])" + std::string(spec) + "}}";
}

std::string Message(const Result<api::ObjectPtr>& result) { return result.ok() ? "" : result.status().message(); }

TEST(ResourceQuotaAdmission, CountsWithTheWriteAndRefusesMore) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    MakeQuota(server, "q", R"({"pods":"2","requests.cpu":"1"})", R"({"pods":"0","requests.cpu":"0"})");
    EXPECT_EQ(Message(Put(server.client(), Pod("a", "600m"))), "");
    EXPECT_EQ(Used(server, "pods"), "1");
    EXPECT_EQ(Used(server, "requests.cpu"), "600m");
    EXPECT_EQ(Message(Put(server.client(), Pod("b", "500m"))),
              "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, "
              "limited: requests.cpu=1");
    EXPECT_EQ(Message(Put(server.client(), Pod("b", "400m"))), "");
    EXPECT_EQ(Message(Put(server.client(), Pod("c", "1m"))),
              "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=1m, used: "
              "pods=2,requests.cpu=1, limited: pods=2,requests.cpu=1");
    EXPECT_EQ(Used(server, "pods"), "2");
    EXPECT_TRUE(server.client().Get(TestServer::Kind("Pod"), {"default", "c"}).Failed(Reason::kNotFound));
  });
}

TEST(ResourceQuotaAdmission, ADryRunIsHeldAgainstItButNotCounted) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    MakeQuota(server, "q", R"({"pods":"1"})", R"({"pods":"0"})");
    client::WriteOptions dry;
    dry.dry_run = true;
    EXPECT_EQ(Message(Put(server.client(), Pod("a", "1"), dry)), "");
    EXPECT_EQ(Used(server, "pods"), "0");
    EXPECT_EQ(Message(Put(server.client(), Pod("a", "1"))), "");
    EXPECT_EQ(Message(Put(server.client(), Pod("b", "1"), dry)),
              "pods \"b\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1");
  });
}

TEST(ResourceQuotaAdmission, WhatIsRacedForIsGivenOnce) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime, {}, store::OpenMemory(runtime, std::chrono::milliseconds(3)));
    MakeQuota(server, "q", R"({"count/configmaps":"10"})", R"({"count/configmaps":"0"})");
    int made = 0;
    rt::TaskGroup group(runtime, "racers");
    for (int i = 0; i < 40; ++i) {
      group.Spawn("racer", [&server, &made, i] {
        const std::string json = R"({"kind":"ConfigMap","metadata":{"name":"c)" + std::to_string(i) + R"("}})";
        if (Put(server.client(), json).ok()) ++made;
      });
    }
    group.Join();
    EXPECT_EQ(made, 10);
    EXPECT_EQ(Used(server, "count/configmaps"), "10");
  });
}

TEST(ResourceQuotaAdmission, EveryContainerMustSayWhatIsCounted) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    MakeQuota(server, "q", R"({"limits.cpu":"2","requests.memory":"1Gi"})",
              R"({"limits.cpu":"0","requests.memory":"0"})");
    EXPECT_EQ(Message(Put(server.client(), Pod("a", "1"))),
              "pods \"a\" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.memory for: c");
  });
}

TEST(ResourceQuotaAdmission, UncountedYet) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    MakeQuota(server, "q", R"({"pods":"2","requests.cpu":"1"})", R"({"pods":"0"})");
    EXPECT_EQ(Message(Put(server.client(), Pod("a", "1"))),
              "pods \"a\" is forbidden: status unknown for quota: q, resources: pods,requests.cpu");
  });
}

TEST(ResourceQuotaAdmission, ScopesChooseThePods) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    MakeQuota(server, "ending", R"({"pods":"1"})", R"({"pods":"0"})", R"(,"scopes":["Terminating"])");
    MakeQuota(
        server, "high", R"({"pods":"1"})", R"({"pods":"0"})",
        R"(,"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In","values":["high"]}]})");
    ASSERT_TRUE(Put(server.client(), R"({"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass",)"
                                     R"("metadata":{"name":"high"},"value":1000})")
                    .ok());
    EXPECT_EQ(Message(Put(server.client(), Pod("a", "1"))), "");
    EXPECT_EQ(Used(server, "pods", "ending"), "0");
    EXPECT_EQ(Message(Put(server.client(), Pod("b", "1", R"(,"activeDeadlineSeconds":5)"))), "");
    EXPECT_EQ(Message(Put(server.client(), Pod("c", "1", R"(,"activeDeadlineSeconds":5)"))),
              "pods \"c\" is forbidden: exceeded quota: ending, requested: pods=1, used: pods=1, limited: pods=1");
    EXPECT_EQ(Message(Put(server.client(), Pod("d", "1", R"(,"priorityClassName":"high")"))), "");
    EXPECT_EQ(Used(server, "pods", "high"), "1");
    EXPECT_EQ(Used(server, "pods", "ending"), "1");
  });
}

TEST(ResourceQuotaAdmission, ServicesAndClaims) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    MakeQuota(server, "q",
              R"({"services.nodeports":"1","requests.storage":"10Gi",)"
              R"("fast.storageclass.storage.k8s.io/requests.storage":"3Gi"})",
              R"({"services.nodeports":"0","requests.storage":"0",)"
              R"("fast.storageclass.storage.k8s.io/requests.storage":"0"})");
    const auto service = [&](std::string_view name, std::string_view type) {
      return Message(Put(server.client(), std::string(R"({"kind":"Service",)"
                                                      R"("metadata":{"name":")") +
                                              std::string(name) + R"("},"spec":{"type":")" + std::string(type) +
                                              R"(","ports":[{"port":80}]}})"));
    };
    EXPECT_EQ(service("a", "ClusterIP"), "");
    EXPECT_EQ(service("b", "NodePort"), "");
    EXPECT_EQ(service("c", "LoadBalancer"),
              "services \"c\" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: "
              "services.nodeports=1, limited: services.nodeports=1");
    const auto claim = [&](std::string_view name, std::string_view storage) {
      return Message(Put(server.client(),
                         std::string(R"({"kind":"PersistentVolumeClaim","metadata":{"name":")") + std::string(name) +
                             R"("},"spec":{"storageClassName":"fast","accessModes":["ReadWriteOnce"],"resources":{)" +
                             R"("requests":{"storage":")" + std::string(storage) + R"("}}}})"));
    };
    EXPECT_EQ(claim("a", "2Gi"), "");
    EXPECT_EQ(claim("b", "2Gi"),
              "persistentvolumeclaims \"b\" is forbidden: exceeded quota: q, requested: "
              "fast.storageclass.storage.k8s.io/requests.storage=2Gi, used: "
              "fast.storageclass.storage.k8s.io/requests.storage=2Gi, limited: "
              "fast.storageclass.storage.k8s.io/requests.storage=3Gi");
    EXPECT_EQ(Used(server, "requests.storage"), "2Gi");
  });
}

TEST(ResourceQuotaAdmission, LimitedResourcesNeedAQuota) {
  ApiServerOptions options;
  options.admission.configuration["ResourceQuota"] = R"(
apiVersion: apiserver.config.k8s.io/v1
kind: ResourceQuotaConfiguration
limitedResources:
- resource: pods
  matchContains: [requests.cpu]
- resource: pods
  matchScopes:
  - scopeName: PriorityClass
    operator: In
    values: [system-cluster-critical]
)";
  InSim([&](rt::Runtime& runtime) {
    TestServer server(runtime, options);
    EXPECT_EQ(Message(Put(server.client(), Pod("a", "1"))),
              "pods \"a\" is forbidden: insufficient quota to consume: requests.cpu");
    MakeQuota(server, "q", R"({"requests.cpu":"2"})", R"({"requests.cpu":"0"})");
    EXPECT_EQ(Message(Put(server.client(), Pod("a", "1"))), "");
    EXPECT_EQ(Message(Put(server.client(), Pod("b", "1", R"(,"priorityClassName":"system-cluster-critical")"))),
              "insufficient quota to match these scopes: [{PriorityClass In [system-cluster-critical]}]");
  });
}

}  // namespace
}  // namespace knarr::apiserver

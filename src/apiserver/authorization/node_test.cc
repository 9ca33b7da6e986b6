// What a node may do: the Node authoriser's graph, and its decisions in a whole server.

#include "apiserver/authorization/node_authorizer.h"

#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

// A pod that refers to something in every way there is.
constexpr std::string_view kPod =
    R"({"metadata":{"name":"p","namespace":"d"},"spec":{"nodeName":"n","serviceAccountName":"sa",
        "imagePullSecrets":[{"name":"pull"}],
        "containers":[{"name":"c","envFrom":[{"configMapRef":{"name":"cm-from"}},{"secretRef":{"name":"s-from"}}],
          "env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s-env","key":"k"}}},
                 {"name":"B","valueFrom":{"configMapKeyRef":{"name":"cm-env","key":"k"}}}]}],
        "initContainers":[{"name":"i","envFrom":[{"secretRef":{"name":"s-init"}}]}],
        "volumes":[{"name":"a","secret":{"secretName":"s-vol"}},{"name":"b","configMap":{"name":"cm-vol"}},
          {"name":"c","projected":{"sources":[{"secret":{"name":"s-proj"}},{"configMap":{"name":"cm-proj"}}]}},
          {"name":"d","persistentVolumeClaim":{"claimName":"claim"}},{"name":"e","ephemeral":{}},
          {"name":"f","csi":{"nodePublishSecretRef":{"name":"s-csi"}}},
          {"name":"g","rbd":{"secretRef":{"name":"s-rbd"}}},{"name":"h","azureFile":{"secretName":"s-azure"}}],
        "resourceClaims":[{"name":"x","resourceClaimName":"rc"},{"name":"y","resourceClaimTemplateName":"t"}]},
        "status":{"resourceClaimStatuses":[{"name":"y","resourceClaimName":"rc-made"}]}})";

TEST(NodeGraph, FollowsWhatPodsReferTo) {
  InSim([](rt::Runtime& runtime) {
    const auto store = store::OpenMemory(runtime);
    NodeGraph graph(runtime, *store);
    const std::string pod(kPod);
    graph.SetPod("d/p", &pod);
    const auto refers = [&](RefKind kind, std::string_view name) { return graph.Refers("n", kind, "d", name); };
    for (const char* secret : {"pull", "s-from", "s-env", "s-init", "s-vol", "s-proj", "s-csi", "s-rbd", "s-azure"}) {
      EXPECT_TRUE(refers(RefKind::kSecret, secret)) << secret;
      EXPECT_FALSE(graph.Refers("other", RefKind::kSecret, "d", secret)) << secret;
      EXPECT_FALSE(graph.Refers("n", RefKind::kSecret, "e", secret)) << secret;
    }
    for (const char* map : {"cm-from", "cm-env", "cm-vol", "cm-proj"}) {
      EXPECT_TRUE(refers(RefKind::kConfigMap, map)) << map;
      EXPECT_FALSE(refers(RefKind::kSecret, map)) << map;
    }
    EXPECT_TRUE(refers(RefKind::kClaim, "claim"));
    EXPECT_TRUE(refers(RefKind::kClaim, "p-e"));
    EXPECT_TRUE(refers(RefKind::kAccount, "sa"));
    EXPECT_TRUE(refers(RefKind::kResourceClaim, "rc"));
    EXPECT_TRUE(refers(RefKind::kResourceClaim, "rc-made"));
    EXPECT_TRUE(graph.RunsPod("n", "d", "p"));
    EXPECT_FALSE(graph.RunsPod("m", "d", "p"));

    // A volume bound to the claim, and its secrets.
    const std::string volume = R"({"metadata":{"name":"pv"},"spec":{"claimRef":{"namespace":"d","name":"claim"},
        "csi":{"nodeStageSecretRef":{"namespace":"k","name":"stage"},
               "controllerPublishSecretRef":{"namespace":"k","name":"control"}}}})";
    graph.SetVolume("pv", &volume);
    EXPECT_TRUE(graph.UsesVolume("n", "pv"));
    EXPECT_FALSE(graph.UsesVolume("m", "pv"));
    EXPECT_TRUE(graph.Refers("n", RefKind::kSecret, "k", "stage"));
    EXPECT_FALSE(graph.Refers("n", RefKind::kSecret, "k", "control"));
    graph.SetVolume("pv", nullptr);
    EXPECT_FALSE(graph.UsesVolume("n", "pv"));
    EXPECT_FALSE(graph.Refers("n", RefKind::kSecret, "k", "stage"));

    // Another pod of the node with the same secret keeps it when the first goes.
    const std::string second = R"({"metadata":{"name":"q"},"spec":{"nodeName":"n","volumes":[{"name":"a",
        "secret":{"secretName":"s-vol"}}]}})";
    graph.SetPod("d/q", &second);
    graph.SetPod("d/p", nullptr);
    EXPECT_TRUE(refers(RefKind::kSecret, "s-vol"));
    EXPECT_FALSE(refers(RefKind::kSecret, "s-env"));
    // A mirror gives its node nothing but the pod itself.
    const std::string mirror = R"({"metadata":{"name":"q","annotations":{"kubernetes.io/config.mirror":"x"}},
        "spec":{"nodeName":"n","volumes":[{"name":"a","secret":{"secretName":"s-vol"}}]}})";
    graph.SetPod("d/q", &mirror);
    EXPECT_FALSE(refers(RefKind::kSecret, "s-vol"));
    EXPECT_TRUE(graph.RunsPod("n", "d", "q"));

    const std::string attachment = R"({"spec":{"nodeName":"n"}})";
    graph.SetAttachment("va", &attachment);
    graph.SetSlice("rs", &attachment);
    EXPECT_TRUE(graph.HasAttachment("n", "va") && graph.HasSlice("n", "rs"));
    EXPECT_FALSE(graph.HasAttachment("m", "va") || graph.HasSlice("m", "rs"));
    graph.SetAttachment("va", nullptr);
    EXPECT_FALSE(graph.HasAttachment("n", "va"));
    store->Close();
  });
}

constexpr std::string_view kUnrelated = "no relationship found between node 'n1' and this object";

Attributes Ask(std::string verb, std::string group, std::string resource, std::string sub, std::string ns,
               std::string name, std::string_view selector = "") {
  Attributes out;
  out.user = {"system:node:n1", "", {"system:nodes", "system:authenticated"}};
  out.verb = std::move(verb);
  out.resource_request = true;
  out.group = std::move(group);
  out.resource = std::move(resource);
  out.subresource = std::move(sub);
  out.ns = std::move(ns);
  out.name = std::move(name);
  if (!selector.empty()) out.field_selector = MUST(FieldSelector::Parse(selector));
  return out;
}

struct Case {
  Attributes asked;
  bool allowed;
  std::string_view reason;
};

// What n1 asks when the pod p runs there and uses the secret "used".
std::vector<Case> NodeCases() {
  return {
      {Ask("get", "", "secrets", "", "default", "used"), true, ""},
      {Ask("watch", "", "secrets", "", "default", "used"), true, ""},
      {Ask("get", "", "secrets", "", "default", "mine"), false, kUnrelated},
      {Ask("list", "", "secrets", "", "default", ""), false, "No Object name found"},
      {Ask("list", "", "secrets", "", "", ""), false, "can only read namespaced object of this type"},
      {Ask("update", "", "secrets", "", "default", "used"), false, "can only read resources of this type"},
      {Ask("get", "", "pods", "", "default", "p"), true, ""},
      {Ask("get", "", "pods", "", "default", "elsewhere"), false, kUnrelated},
      {Ask("list", "", "pods", "", "", "", "spec.nodeName=n1"), true, ""},
      {Ask("list", "", "pods", "", "", "", "spec.nodeName!=n1"), false,
       "can only list/watch pods with spec.nodeName field selector"},
      {Ask("watch", "", "pods", "", "", "", "spec.nodeName=n2"), false,
       "can only list/watch pods with spec.nodeName field selector"},
      {Ask("update", "", "pods", "status", "default", "p"), true, ""},
      {Ask("update", "", "pods", "", "default", "p"), false, ""},
      {Ask("create", "", "pods", "eviction", "default", "p"), true, ""},
      {Ask("get", "", "nodes", "", "", "n1"), true, ""},
      {Ask("get", "", "nodes", "", "", "n2"), false, "node 'n1' cannot read 'n2', only its own Node object"},
      {Ask("list", "", "nodes", "", "", ""), false, "node 'n1' cannot read all nodes, only its own Node object"},
      {Ask("patch", "", "nodes", "status", "", "n1"), true, ""},
      {Ask("delete", "", "nodes", "", "", "n1"), false, ""},
      {Ask("update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n1"), true, ""},
      {Ask("update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n2"), false,
       "can only access node lease with the same name as the requesting node"},
      {Ask("get", "coordination.k8s.io", "leases", "", "default", "n1"), false,
       "can only access leases in the \"kube-node-lease\" system namespace"},
      {Ask("create", "", "serviceaccounts", "token", "default", "default"), true, ""},
      {Ask("create", "", "serviceaccounts", "token", "kube-system", "default"), false, kUnrelated},
      {Ask("get", "storage.k8s.io", "csinodes", "", "", "n1"), true, ""},
      {Ask("get", "storage.k8s.io", "csinodes", "", "", "n2"), false,
       "can only access CSINode with the same name as the requesting node"},
      {Ask("list", "", "services", "", "", ""), true, ""},
      {Ask("delete", "", "services", "", "default", "s"), false, ""},
      {Ask("create", "", "events", "", "default", ""), true, ""},
  };
}

TEST(NodeAuthorizer, Table) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    for (const char* name : {"mine", "used"}) {
      MUST(server.Create("Secret", R"({"metadata":{"name":")" + std::string(name) + R"("}})"));
    }
    MUST(server.Create("Pod", PodJson("p", "", R"(,"nodeName":"n1","volumes":[{"name":"v","secret":{"secretName":
        "used"}}])")));
    MUST(server.Create("Pod", PodJson("elsewhere", "", R"(,"nodeName":"n2")")));
    NodeGraph graph(runtime, server.store());
    graph.Start();
    const auto authorizer = MakeNodeAuthorizer(runtime, server.store(), graph);
    for (const Case& test : NodeCases()) {
      const Verdict verdict = authorizer->Authorize(runtime, test.asked);
      EXPECT_EQ(verdict.allowed(), test.allowed)
          << test.asked.verb << " " << test.asked.resource << " " << test.asked.name;
      EXPECT_EQ(verdict.reason, test.reason);
    }
    Attributes nameless = Ask("get", "", "nodes", "", "", "n1");
    nameless.user.name = "system:node:";
    EXPECT_EQ(authorizer->Authorize(runtime, nameless).reason, "unknown node for user \"system:node:\"");
    nameless.user = {"system:node:n1", "", {"system:authenticated"}};
    EXPECT_FALSE(authorizer->Authorize(runtime, nameless).allowed());
    graph.Stop();
  });
}

TEST(NodeAuthorizer, APodThatWasJustBoundCounts) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    const auto node = server.server().LocalClient({"system:node:n1", "", {"system:nodes", "system:authenticated"}});
    MUST(server.Create("Secret", R"({"metadata":{"name":"s"}})"));
    const api::KindInfo& secrets = TestServer::Kind("Secret");
    const auto refused = node->Get(secrets, {"default", "s"});
    ASSERT_TRUE(refused.Failed(Reason::kForbidden));
    EXPECT_EQ(
        refused.status().message(),
        "secrets \"s\" is forbidden: User \"system:node:n1\" cannot get resource \"secrets\" in API group \"\" in "
        "the namespace \"default\": no relationship found between node 'n1' and this object");
    MUST(server.Create("Pod", PodJson("p", "", R"(,"nodeName":"n1","imagePullSecrets":[{"name":"s"}])")));
    EXPECT_TRUE(node->Get(secrets, {"default", "s"}).ok());
    MUST(server.client().Delete(TestServer::Kind("Pod"), {"default", "p"}, {.grace_seconds = 0}));
    // What was allowed a moment ago is refused as soon as the graph has seen the change.
    for (int i = 0; i < 100 && node->Get(secrets, {"default", "s"}).ok(); ++i) MUST(runtime.Sleep(1ms));
    EXPECT_TRUE(node->Get(secrets, {"default", "s"}).Failed(Reason::kForbidden));
  });
}

}  // namespace
}  // namespace knarr::apiserver

#include "apiserver/admission/case.h"

namespace knarr::apiserver {
namespace {

/// A cluster with two nodes, a pod on the first, and the first node's client.
class Nodes {
 public:
  explicit Nodes(rt::Runtime& runtime) : server_(runtime) {
    for (const char* name : {"n1", "n2"}) {
      MUST(Put(server_.client(), std::string(R"({"kind":"Node","metadata":{"name":")") + name + R"("}})"));
    }
    for (const auto& [name, node] : {std::pair("mine", "n1"), std::pair("yours", "n2")}) {
      MUST(server_.Create("Pod", PodJson(name, "", std::string(R"(,"nodeName":")") + node + R"(")")));
    }
    node_ = server_.server().LocalClient({"system:node:n1", "", {"system:nodes", "system:authenticated"}});
    // Who may do everything but is a node: what only admission refuses.
    strong_ = server_.server().LocalClient({"system:node:n1", "", {"system:nodes", "system:masters"}});
  }

  client::Client& node() { return *node_; }
  client::Client& strong() { return *strong_; }
  TestServer& server() { return server_; }

  std::string PatchNode(std::string_view name, std::string_view patch) {
    const auto done =
        strong_->Patch(TestServer::Kind("Node"), {"", std::string(name)}, client::PatchType::kMerge, patch);
    return done.ok() ? "" : done.status().message();
  }
  std::string Create(std::string_view json) {
    const auto done = Put(*strong_, json);
    return done.ok() ? "" : done.status().message();
  }

 private:
  TestServer server_;
  std::unique_ptr<client::Client> node_;
  std::unique_ptr<client::Client> strong_;
};

TEST(NodeRestriction, ItsOwnNodeAndWithinLimits) {
  InSim([](rt::Runtime& runtime) {
    Nodes nodes(runtime);
    EXPECT_EQ(nodes.PatchNode("n1", R"({"metadata":{"labels":{"topology.kubernetes.io/zone":"z","mine":"x"}}})"), "");
    EXPECT_EQ(nodes.PatchNode("n2", R"({"metadata":{"labels":{"mine":"x"}}})"),
              "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"");
    EXPECT_EQ(nodes.PatchNode("n1", R"({"metadata":{"labels":{"node-restriction.kubernetes.io/a":"x",)"
                                    R"("node-role.kubernetes.io/worker":""}}})"),
              "nodes \"n1\" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/a, "
              "node-role.kubernetes.io/worker");
    EXPECT_EQ(nodes.PatchNode("n1", R"({"spec":{"taints":null}})"),
              "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify taints");
  });
}

TEST(NodeRestriction, MirrorPodsOnly) {
  InSim([](rt::Runtime& runtime) {
    Nodes nodes(runtime);
    EXPECT_EQ(
        nodes.Create(R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}})"),
        "pods \"p\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can "
        "only create mirror pods");
    const auto mirror = [&](std::string_view node, std::string_view owner, std::string_view spec = "") {
      return nodes.Create(std::string(R"({"kind":"Pod","metadata":{"name":"p","annotations":{)") +
                          R"("kubernetes.io/config.mirror":"h"},"ownerReferences":[)" + std::string(owner) +
                          R"(]},"spec":{"nodeName":")" + std::string(node) +
                          R"(","containers":[{"name":"c","image":"i"}])" + std::string(spec) + "}}");
    };
    const std::string uid(MUST(nodes.server().client().Get(TestServer::Kind("Node"), {"", "n1"}))->uid());
    const std::string owner =
        R"({"apiVersion":"v1","kind":"Node","name":"n1","controller":true,"uid":")" + uid + R"("})";
    EXPECT_EQ(mirror("n2", owner),
              "pods \"p\" is forbidden: node \"n1\" can only create pods with spec.nodeName set to itself");
    EXPECT_EQ(mirror("n1", ""),
              "pods \"p\" is forbidden: node \"n1\" can only create pods with an owner reference set to itself");
    EXPECT_EQ(mirror("n1", owner, R"(,"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}])"),
              "pods \"p\" is forbidden: node \"n1\" can not create pods that reference persistentvolumeclaims");
    EXPECT_EQ(mirror("n1", owner), "");
  });
}

TEST(NodeRestriction, PodsThatAreBoundToIt) {
  InSim([](rt::Runtime& runtime) {
    Nodes nodes(runtime);
    const api::KindInfo& pods = TestServer::Kind("Pod");
    const auto status = [&](const char* pod, std::string_view patch) {
      const auto done = nodes.strong().Patch(pods, {"default", pod}, client::PatchType::kMerge, patch, "status");
      return done.ok() ? "" : done.status().message();
    };
    EXPECT_EQ(status("mine", R"({"status":{"phase":"Running"}})"), "");
    EXPECT_EQ(status("yours", R"({"status":{"phase":"Running"}})"),
              "pods \"yours\" is forbidden: node \"n1\" can only update pod status for pods with spec.nodeName set to "
              "itself");
    EXPECT_EQ(status("mine", R"({"metadata":{"labels":{"a":"b"}}})"),
              "pods \"mine\" is forbidden: node \"n1\" cannot update labels through pod status");
    EXPECT_EQ(nodes.strong().Delete(pods, {"default", "yours"}).status().message(),
              "pods \"yours\" is forbidden: node \"n1\" can only delete pods with spec.nodeName set to itself");
    EXPECT_TRUE(nodes.strong().Delete(pods, {"default", "mine"}, {.grace_seconds = 0}).ok());
  });
}

TEST(NodeRestriction, TokensOfItsPods) {
  InSim([](rt::Runtime& runtime) {
    Nodes nodes(runtime);
    const auto ask = [&](std::string_view spec) {
      const doc::Document request = TestServer::Json(std::string(R"({"spec":{)") + std::string(spec) + "}}");
      const auto done =
          nodes.node().CreateSub(TestServer::Kind("ServiceAccount"), {"default", "default"}, "token", request.root);
      return done.ok() ? "" : done.status().message();
    };
    const auto uid = [&](const char* pod) {
      return std::string(MUST(nodes.server().client().Get(TestServer::Kind("Pod"), {"default", pod}))->uid());
    };
    const auto bound = [&](const char* pod, std::string_view rest = "") {
      return R"("boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":")" + std::string(pod) + R"(","uid":")" +
             uid(pod) + R"("})" + std::string(rest);
    };
    constexpr std::string_view kStart = "serviceaccounts \"default\" is forbidden: ";
    EXPECT_EQ(ask(""), std::string(kStart) + "node requested token not bound to a pod");
    EXPECT_EQ(ask(bound("yours")), std::string(kStart) +
                                       "node requested token bound to a pod scheduled on a different "
                                       "node");
    EXPECT_EQ(ask(bound("mine", R"(,"audiences":["vault"])")),
              std::string(kStart) +
                  "audience \"vault\" not found in pod spec volume, system:node:n1 is not authorized "
                  "to request tokens for this audience");
    // The server of a test has no key to sign with: this is behind admission.
    EXPECT_EQ(ask(bound("mine")), "failed to generate token: the server has no signing key");
  });
}

TEST(NodeRestriction, LeasesAndSigningRequests) {
  InSim([](rt::Runtime& runtime) {
    Nodes nodes(runtime);
    EXPECT_EQ(nodes.Create(R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"n1",)"
                           R"("namespace":"kube-node-lease"}})"),
              "");
    EXPECT_EQ(nodes.Create(R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"n2",)"
                           R"("namespace":"kube-node-lease"}})"),
              "leases.coordination.k8s.io \"n2\" is forbidden: can only access node lease with the same name as the "
              "requesting node");
    EXPECT_EQ(nodes.Create(R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"n1"}})"),
              "leases.coordination.k8s.io \"n1\" is forbidden: can only access leases in the \"kube-node-lease\" "
              "system namespace");
    // openssl req -new -newkey ed25519 -subj /O=system:nodes/CN=system:node:n2
    constexpr std::string_view kOther =
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHdk1HTUNBUUF3TURFVk1CTUdBMVVFQ2d3TWMzbHpkR1Z0T201"
        "dlpHVnpNUmN3RlFZRFZRUUREQTV6ZVhOMApaVzA2Ym05a1pUcHVNakFxTUFVR0F5dGxjQU1oQUxsUk9pMk5nMHhwa2trc3NWTUw1"
        "UlV4Q3pDOS9LLzFJMWF2CmRmdk04MUNXb0FBd0JRWURLMlZ3QTBFQWUwNVZwN1hiK2c5MWRIelN5di9YanpGb1M3QXRtekJFWm96"
        "aml5YXYKN2VOMFQ4eWg3TWxRTjhPMWdsK2NhclU3akdNV0pjbUN1YlpPRHFEbDRtWGhDZz09Ci0tLS0tRU5EIENFUlRJRklDQVRF"
        "IFJFUVVFU1QtLS0tLQo=";
    EXPECT_EQ(nodes.Create(R"({"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{)"
                           R"("name":"c"},"spec":{"signerName":"kubernetes.io/kube-apiserver-client-kubelet",)"
                           R"("usages":["client auth"],"request":")" +
                           std::string(kOther) + R"("}})"),
              "certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: can only create a node CSR with "
              "CN=system:node:n1");
  });
}

}  // namespace
}  // namespace knarr::apiserver

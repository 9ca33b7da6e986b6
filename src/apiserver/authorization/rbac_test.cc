// Roles and bindings as they decide on requests, in a whole server.

#include <fstream>
#include <map>

#include "apiserver/authorization/bootstrap_policy.h"
#include "apiserver/authorization/rbac_index.h"
#include "apiserver/test_server.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using client::ObjectName;

constexpr std::string_view kRbac = "rbac.authorization.k8s.io/v1";

class Rbac {
 public:
  explicit Rbac(rt::Runtime& runtime) : server_(runtime) {}

  Result<api::ObjectPtr> Make(client::Client& client, std::string_view kind, std::string_view ns,
                              std::string_view json) {
    return client.Create(TestServer::Kind(kind, kRbac), ns, TestServer::Json(json).root);
  }
  void Must(std::string_view kind, std::string_view ns, std::string_view json) {
    const auto made = Make(server_.client(), kind, ns, json);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
  }
  std::unique_ptr<client::Client> As(std::string name, std::vector<std::string> groups = {}) {
    groups.emplace_back("system:authenticated");
    return server_.server().LocalClient({std::move(name), "", std::move(groups)});
  }
  TestServer& server() { return server_; }

 private:
  TestServer server_;
};

template <typename T>
std::string Text(const Result<T>& result) {
  return result.ok() ? "" : result.status().message();
}

TEST(Rbac, WhatIsGrantedCountsAtOnce) {
  InSim([](rt::Runtime& runtime) {
    Rbac rbac(runtime);
    const auto ann = rbac.As("ann");
    const api::KindInfo& pods = TestServer::Kind("Pod");
    EXPECT_EQ(Text(ann->List(pods, "default")),
              "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace "
              "\"default\"");
    EXPECT_EQ(Text(ann->List(pods, "")),
              "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" at the cluster scope");
    EXPECT_EQ(
        Text(ann->Get(TestServer::Kind("Deployment", "apps/v1"), {"default", "d"}, "scale")),
        "deployments.apps \"d\" is forbidden: User \"ann\" cannot get resource \"deployments/scale\" in API group "
        "\"apps\" in the namespace \"default\"");
    rbac.Must("Role", "default", R"({"metadata":{"name":"r"},"rules":[{"verbs":["list"],"apiGroups":[""],
        "resources":["pods"]}]})");
    rbac.Must("RoleBinding", "default", R"({"metadata":{"name":"b"},"subjects":[{"kind":"User","name":"ann",
        "apiGroup":"rbac.authorization.k8s.io"}],"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role",
        "name":"r"}})");
    EXPECT_EQ(Text(ann->List(pods, "default")), "");
    EXPECT_NE(Text(ann->List(pods, "")), "");
    EXPECT_NE(Text(ann->List(pods, "kube-system")), "");
    // The role changes, goes, comes back, and the binding goes.
    const api::KindInfo& roles = TestServer::Kind("Role", kRbac);
    client::Client& admin = rbac.server().client();
    ASSERT_TRUE(admin.Patch(roles, {"default", "r"}, client::PatchType::kMerge, R"({"rules":null})").ok());
    EXPECT_NE(Text(ann->List(pods, "default")), "");
    ASSERT_TRUE(admin.Delete(roles, {"default", "r"}).ok());
    EXPECT_EQ(Text(ann->List(pods, "default")),
              "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace "
              "\"default\": RBAC: role.rbac.authorization.k8s.io \"r\" not found");
    rbac.Must("Role", "default", R"({"metadata":{"name":"r"},"rules":[{"verbs":["*"],"apiGroups":["*"],
        "resources":["*"]}]})");
    EXPECT_EQ(Text(ann->List(pods, "default")), "");
    ASSERT_TRUE(admin.Delete(TestServer::Kind("RoleBinding", kRbac), {"default", "b"}).ok());
    EXPECT_NE(Text(ann->List(pods, "default")), "");
  });
}

TEST(Rbac, NobodyWaitsForAnIndexThatDoesNotFollow) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    RbacIndex index(runtime, server.store());
    const MonoTime began = runtime.Mono();
    index.WaitFor(server.store().Latest()->revision());
    index.Start();
    index.Stop();
    index.WaitFor(server.store().Latest()->revision() + 1);
    EXPECT_EQ(runtime.Mono(), began);
  });
}

TEST(Rbac, SubjectsOfEveryKind) {
  InSim([](rt::Runtime& runtime) {
    Rbac rbac(runtime);
    rbac.Must("ClusterRoleBinding", "", R"({"metadata":{"name":"viewers"},"subjects":[
        {"kind":"Group","name":"devs","apiGroup":"rbac.authorization.k8s.io"},
        {"kind":"ServiceAccount","name":"robot","namespace":"tools"}],
        "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"}})");
    const api::KindInfo& secrets = TestServer::Kind("Secret");
    EXPECT_TRUE(rbac.As("bob", {"devs"})->List(secrets, "").ok());
    EXPECT_FALSE(rbac.As("devs")->List(secrets, "").ok());
    EXPECT_TRUE(rbac.As("system:serviceaccount:tools:robot")->List(secrets, "").ok());
    EXPECT_FALSE(rbac.As("system:serviceaccount:default:robot")->List(secrets, "").ok());
    EXPECT_TRUE(rbac.As("root", {"system:masters"})->List(secrets, "").ok());
    // A service account without a namespace is one of the binding's.
    rbac.Must("RoleBinding", "default", R"({"metadata":{"name":"here"},"subjects":[
        {"kind":"ServiceAccount","name":"x"}],
        "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"}})");
    EXPECT_TRUE(rbac.As("system:serviceaccount:default:x")->List(secrets, "default").ok());
    EXPECT_FALSE(rbac.As("system:serviceaccount:default:x")->List(secrets, "kube-system").ok());
  });
}

TEST(Rbac, NobodyGrantsWhatTheyLack) {
  InSim([](rt::Runtime& runtime) {
    Rbac rbac(runtime);
    rbac.Must("ClusterRole", "", R"({"metadata":{"name":"rbac-editor"},"rules":[
        {"verbs":["*"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles","rolebindings","clusterroles",
         "clusterrolebindings"],"resourceNames":[]},
        {"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]})");
    rbac.Must("ClusterRole", "", R"({"metadata":{"name":"rbac-writer"},"rules":[
        {"verbs":["create","update","patch","get"],"apiGroups":["rbac.authorization.k8s.io"],
         "resources":["roles","rolebindings","clusterroles","clusterrolebindings"]},
        {"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]})");
    for (const char* name : {"rbac-editor", "rbac-writer"}) {
      rbac.Must("ClusterRoleBinding", "",
                R"({"metadata":{"name":")" + std::string(name) + R"("},"subjects":[
          {"kind":"User","name":")" +
                    name + R"("}],"roleRef":{"apiGroup":"rbac.authorization.k8s.io",
          "kind":"ClusterRole","name":")" +
                    name + R"("}})");
    }
    const auto writer = rbac.As("rbac-writer", {"g"});
    const char* const pods = R"({"metadata":{"name":"p"},"rules":[{"verbs":["get"],"apiGroups":[""],
        "resources":["pods"]}]})";
    EXPECT_EQ(Text(rbac.Make(*writer, "Role", "default", pods)), "");
    EXPECT_EQ(Text(rbac.Make(*writer, "Role", "default", R"({"metadata":{"name":"q"},"rules":[{"verbs":["get","list"],
        "apiGroups":[""],"resources":["pods"]},{"verbs":["get"],"nonResourceURLs":["/x"]}]})")),
              "roles.rbac.authorization.k8s.io \"q\" is forbidden: user \"rbac-writer\" (groups=[\"g\" "
              "\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n"
              "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\"]}\n"
              "{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}");
    // What is there may not be widened either; what has no new rules may be changed.
    const api::KindInfo& roles = TestServer::Kind("Role", kRbac);
    EXPECT_EQ(
        Text(writer->Patch(roles, {"default", "p"}, client::PatchType::kMerge, R"({"metadata":{"labels":{"a":"b"}}})")),
        "");
    EXPECT_NE(Text(writer->Patch(roles, {"default", "p"}, client::PatchType::kMerge,
                                 R"({"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]})")),
              "");
    EXPECT_EQ(Text(rbac.Make(*writer, "ClusterRole", "", R"({"metadata":{"name":"agg"},"aggregationRule":
        {"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}})")),
              "clusterroles.rbac.authorization.k8s.io \"agg\" is forbidden: must have cluster-admin privileges to use "
              "the aggregationRule");
    const char* const admin_binding = R"({"metadata":{"name":"me"},"subjects":[{"kind":"User","name":"me"}],
        "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"}})";
    EXPECT_EQ(Text(rbac.Make(*writer, "ClusterRoleBinding", "", admin_binding)),
              "clusterrolebindings.rbac.authorization.k8s.io \"me\" is forbidden: user \"rbac-writer\" (groups=[\"g\" "
              "\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n"
              "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n"
              "{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}");
    const auto missing = rbac.Make(*writer, "RoleBinding", "default", R"({"metadata":{"name":"none"},"roleRef":
        {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"nope"}})");
    EXPECT_TRUE(missing.Failed(Reason::kNotFound));
    EXPECT_EQ(Text(missing), "roles.rbac.authorization.k8s.io \"nope\" not found");
    // "escalate" and "bind" lift it.
    const auto editor = rbac.As("rbac-editor");
    EXPECT_EQ(Text(rbac.Make(*editor, "ClusterRoleBinding", "", admin_binding)), "");
    EXPECT_EQ(Text(rbac.Make(*editor, "ClusterRole", "", R"({"metadata":{"name":"all"},"rules":[{"verbs":["*"],
        "apiGroups":["*"],"resources":["*"]}]})")),
              "");
  });
}

// Every role and binding a new cluster has, compared with those of Kubernetes 1.36.3's own API server.
TEST(Rbac, DefaultRolesAreUpstreams) {
  std::map<std::string, std::string> expected;
  std::ifstream in(KNARR_SOURCE_DIR "/tests/golden/rbac/bootstrap_policy.jsonl");
  const auto name_of = [](const doc::Value& object) {
    const doc::Value& metadata = object.At("metadata");
    return Join(std::vector<std::string_view>{object.At("kind").AsString(), metadata.At("namespace").AsString(),
                                              metadata.At("name").AsString()},
                "/");
  };
  for (std::string line; std::getline(in, line);) {
    const doc::Document object = TestServer::Json(line);
    expected[name_of(object.root)] = doc::ToJson(object.root);
  }
  ASSERT_EQ(expected.size(), 133u);
  std::map<std::string, std::string> made;
  const BootstrapPolicy policy = ReadBootstrapPolicy();
  const auto add = [&](const doc::Document& object) { made[name_of(object.root)] = doc::ToJson(object.root); };
  for (const PolicyRole& role : policy.roles) add(PolicyObject(role));
  for (const PolicyBinding& binding : policy.bindings) add(PolicyObject(binding));
  EXPECT_EQ(made, expected);
}

TEST(Rbac, DefaultRolesAreReconciled) {
  InSim([](rt::Runtime& runtime) {
    auto store = store::OpenMemory(runtime);
    const api::KindInfo& roles = TestServer::Kind("ClusterRole", kRbac);
    const api::KindInfo& bindings = TestServer::Kind("ClusterRoleBinding", kRbac);
    const auto run = [&](const std::function<void(client::Client&)>& body) {
      const auto server = MUST(ApiServer::Create(runtime, {&runtime}, *store, {}));
      MUST(server->Bootstrap());
      const auto admin = server->LocalClient({"root", "", {"system:masters"}});
      body(*admin);
      server->Stop(Duration(0));
    };
    const auto patch = [&](client::Client& client, const api::KindInfo& kind, std::string name, std::string_view json) {
      const auto done = client.Patch(kind, {"", std::move(name)}, client::PatchType::kMerge, json);
      ASSERT_TRUE(done.ok()) << done.status().ToString();
    };
    std::string untouched;
    run([&](client::Client& admin) {
      untouched = MUST(admin.Get(roles, {"", "system:node"}))->resource_version();
      patch(admin, roles, "system:discovery",
            R"({"metadata":{"labels":{"kubernetes.io/bootstrapping":"mine"}},"rules":[{"verbs":["get"],
               "nonResourceURLs":["/mine","/api"]}]})");
      patch(admin, roles, "system:basic-user",
            R"({"metadata":{"annotations":{"rbac.authorization.kubernetes.io/autoupdate":"false"}},"rules":[]})");
      patch(admin, bindings, "system:basic-user", R"({"subjects":[{"kind":"User","name":"only"}]})");
      ASSERT_TRUE(admin.Delete(roles, {"", "view"}).ok());
    });
    run([&](client::Client& admin) {
      EXPECT_EQ(MUST(admin.Get(roles, {"", "system:node"}))->resource_version(), untouched);
      const std::string discovery = MUST(admin.Get(roles, {"", "system:discovery"}))->json();
      EXPECT_NE(discovery.find(R"("nonResourceURLs":["/mine","/api"])"), std::string::npos);
      EXPECT_NE(discovery.find(R"("nonResourceURLs":["/healthz"])"), std::string::npos);
      EXPECT_EQ(discovery.find(R"("nonResourceURLs":["/api"])"), std::string::npos);
      EXPECT_NE(discovery.find(R"("kubernetes.io/bootstrapping":"mine")"), std::string::npos);
      const std::string basic = MUST(admin.Get(roles, {"", "system:basic-user"}))->json();
      EXPECT_EQ(basic.find("selfsubjectaccessreviews"), std::string::npos);
      const std::string binding = MUST(admin.Get(bindings, {"", "system:basic-user"}))->json();
      EXPECT_NE(binding.find("\"only\""), std::string::npos);
      EXPECT_NE(binding.find("\"system:authenticated\""), std::string::npos);
      EXPECT_TRUE(admin.Get(roles, {"", "view"}).ok());
    });
    store->Close();
  });
}

}  // namespace
}  // namespace knarr::apiserver

// Acting as somebody else, against what Kubernetes 1.36.3's own API server answered.

#include "apiserver/authentication/impersonation.h"

#include "apiserver/authorization/rbac_authorizer.h"

#include "apiserver/http_world.h"

namespace knarr::apiserver {
namespace {

class Impersonation {
 public:
  explicit Impersonation(rt::Runtime& runtime) : world_(runtime) {}

  /// Who the request turns out to be (name, uid, groups, extra), or the refusal's message. `headers` are without
  /// "Impersonate-", separated by bars.
  std::string Who(std::string_view token, std::string_view headers) {
    const Raw raw =
        world_.Send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", Lines(headers), token);
    const doc::Document answer = raw.Json();
    return raw.code == 201 ? doc::ToJson(answer.root.Get("status", "userInfo"))
                           : std::string(answer.root.At("message").AsString());
  }
  std::string Get(std::string_view target, std::string_view token, std::string_view headers) {
    const Raw raw = world_.Send("GET", target, "", Lines(headers), token);
    return raw.code == 200 ? "200" : std::string(raw.Json().root.At("message").AsString());
  }
  /// Gives jane a ClusterRole of these rules.
  void Grant(std::string_view name, std::string_view rules) {
    client::Client& admin = world_.server.client();
    MUST(admin.Create(
        TestServer::Kind("ClusterRole", "rbac.authorization.k8s.io/v1"), "",
        TestServer::Json(R"({"metadata":{"name":")" + std::string(name) + R"("},"rules":)" + std::string(rules) + "}")
            .root));
    MUST(admin.Create(TestServer::Kind("ClusterRoleBinding", "rbac.authorization.k8s.io/v1"), "",
                      TestServer::Json(R"({"metadata":{"name":")" + std::string(name) +
                                       R"("},"subjects":[{"kind":"User","name":"jane"}],"roleRef":{"kind":"ClusterRole",
        "apiGroup":"rbac.authorization.k8s.io","name":")" +
                                       std::string(name) + "\"}}")
                          .root));
  }

 private:
  static std::string Lines(std::string_view headers) {
    std::string out;
    for (const std::string_view header : Split(headers, '|')) {
      if (!header.empty()) out += "Impersonate-" + std::string(header) + "\r\n";
    }
    return out;
  }
  HttpWorld world_;
};

TEST(Impersonation, AnAdministratorMayBeAnybody) {
  InSim([](rt::Runtime& runtime) {
    Impersonation as(runtime);
    struct Case {
      std::string_view headers;
      std::string_view who;
    };
    const Case cases[] = {
        {"", R"({"username":"root","groups":["system:masters","system:authenticated"]})"},
        {"User: bob", R"({"username":"bob","groups":["system:authenticated"]})"},
        {"User: system:node:n", R"({"username":"system:node:n","groups":["system:nodes","system:authenticated"]})"},
        {"User: system:serviceaccount:default:x",
         R"({"username":"system:serviceaccount:default:x","groups":["system:serviceaccounts",)"
         R"("system:serviceaccounts:default","system:authenticated"]})"},
        {"User: bob|Group: g|Uid: 7|Extra-Foo%2fBar: v|Extra-foo: w",
         R"({"username":"bob","uid":"7","groups":["g","system:authenticated"],"extra":{"foo":["w"],"foo/bar":["v"]}})"},
        // That way was one of old, which is then tried first, and knows nothing of nodes' groups.
        {"User: system:node:n", R"({"username":"system:node:n","groups":["system:authenticated"]})"},
        {"User: system:node:n|Group: system:nodes",
         R"({"username":"system:node:n","groups":["system:nodes","system:authenticated"]})"},
        {"User: bob|Group: system:masters", R"({"username":"bob","groups":["system:masters","system:authenticated"]})"},
        {"User: system:anonymous",
         "selfsubjectreviews.authentication.k8s.io is forbidden: User \"system:anonymous\" cannot create resource "
         "\"selfsubjectreviews\" in API group \"authentication.k8s.io\" at the cluster scope"},
        {"User: bob|Group: system:unauthenticated",
         "selfsubjectreviews.authentication.k8s.io is forbidden: User \"bob\" cannot create resource "
         "\"selfsubjectreviews\" in API group \"authentication.k8s.io\" at the cluster scope"},
        {"Group: g",
         "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"g\"}, Extra:map[string][]string(nil)} "
         "without impersonating a user name"},
        {"Uid: g|Extra-a: b",
         "requested &user.DefaultInfo{Name:\"\", UID:\"g\", Groups:[]string(nil), "
         "Extra:map[string][]string{\"a\":[]string{\"b\"}}} without impersonating a user name"},
    };
    for (const Case& test : cases) EXPECT_EQ(as.Who("secret", test.headers), test.who) << test.headers;
    EXPECT_EQ(as.Get("/api/v1/pods", "secret", "User: bob"),
              "pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" at the cluster scope");
  });
}

TEST(Impersonation, OthersNeedTheRight) {
  InSim([](rt::Runtime& runtime) {
    Impersonation as(runtime);
    EXPECT_EQ(
        as.Who("weak", "User: bob"),
        "selfsubjectreviews.authentication.k8s.io is forbidden: User \"jane\" cannot "
        "impersonate-on:user-info:create resource \"selfsubjectreviews\" in API group \"authentication.k8s.io\" at "
        "the cluster scope");
    EXPECT_EQ(as.Get("/healthz", "weak", "User: bob"),
              "forbidden: User \"jane\" cannot impersonate-on:user-info:get path \"/healthz\"");
    EXPECT_EQ(
        as.Who("weak", "User: system:serviceaccount:default:x|Group: g"),
        "serviceaccounts \"x\" is forbidden: User \"jane\" cannot impersonate resource \"serviceaccounts\" in API "
        "group \"\" in the namespace \"default\"");
    as.Grant("imp", R"([{"verbs":["impersonate"],"apiGroups":[""],"resources":["users","groups"]}])");
    EXPECT_EQ(as.Who("weak", "User: bob|Group: system:masters"),
              R"({"username":"bob","groups":["system:masters","system:authenticated"]})");
    EXPECT_EQ(
        as.Who("weak", "User: bob|Uid: 1"),
        "uids.authentication.k8s.io \"1\" is forbidden: User \"jane\" cannot impersonate resource \"uids\" in API "
        "group \"authentication.k8s.io\" at the cluster scope");
  });
}

TEST(Impersonation, Constrained) {
  InSim([](rt::Runtime& runtime) {
    Impersonation as(runtime);
    as.Grant("one", R"([{"verbs":["impersonate:user-info"],"apiGroups":["authentication.k8s.io"],
        "resources":["users"],"resourceNames":["bob"]},
        {"verbs":["impersonate:user-info"],"apiGroups":["authentication.k8s.io"],"resources":["groups"]},
        {"verbs":["impersonate-on:user-info:create"],"apiGroups":["authentication.k8s.io"],
         "resources":["selfsubjectreviews"]}])");
    EXPECT_EQ(as.Who("weak", "User: bob|Group: g"), R"({"username":"bob","groups":["g","system:authenticated"]})");
    // Only that user, only for that, and never the masters.
    EXPECT_EQ(as.Who("weak", "User: eve"),
              "users.authentication.k8s.io \"eve\" is forbidden: User \"jane\" cannot impersonate:user-info resource "
              "\"users\" in API group \"authentication.k8s.io\" at the cluster scope");
    EXPECT_EQ(
        as.Get("/api/v1/pods", "weak", "User: bob"),
        "pods is forbidden: User \"jane\" cannot impersonate-on:user-info:list resource \"pods\" in API group \"\" "
        "at the cluster scope");
    EXPECT_EQ(as.Who("weak", "User: bob|Group: system:masters"),
              "groups.authentication.k8s.io \"system:masters\" is forbidden: User \"jane\" cannot "
              "impersonate:user-info resource \"groups\" in API group \"authentication.k8s.io\" at the cluster scope: "
              "impersonating the system:masters group is not allowed");
    EXPECT_EQ(
        as.Who("weak", "User: bob|Extra-foo: x"),
        "userextras.authentication.k8s.io is forbidden: User \"jane\" cannot impersonate:user-info resource "
        "\"userextras\" in API group \"authentication.k8s.io\" at the cluster scope: impersonating an invalid key "
        "in extra is not allowed: extra.key: Invalid value: \"foo\": must be a domain-prefixed path (such as "
        "\"acme.io/foo\")");
  });
}

TEST(Impersonation, APodsAccountMayBeItsNode) {
  InSim([](rt::Runtime& runtime) {
    TestServer server(runtime);
    client::Client& admin = server.client();
    const auto make = [&](std::string_view kind, std::string_view json) {
      MUST(admin.Create(TestServer::Kind(kind, "rbac.authorization.k8s.io/v1"), "", TestServer::Json(json).root));
    };
    make("ClusterRole", R"({"metadata":{"name":"own"},"rules":[
        {"verbs":["impersonate:associated-node"],"apiGroups":["authentication.k8s.io"],"resources":["nodes"],
         "resourceNames":["*"]},
        {"verbs":["impersonate-on:associated-node:list"],"apiGroups":[""],"resources":["pods"]}]})");
    make("ClusterRoleBinding", R"({"metadata":{"name":"own"},
        "subjects":[{"kind":"ServiceAccount","name":"agent","namespace":"default"}],
        "roleRef":{"kind":"ClusterRole","apiGroup":"rbac.authorization.k8s.io","name":"own"}})");
    RbacIndex index(runtime, server.store());
    index.Start();
    const auto authorizer = MakeRbacAuthorizer(index);
    Impersonator impersonator(*authorizer, {&runtime});
    Attributes list;
    list.user = ServiceAccountUser("default", "agent");
    list.user.extra = {{"authentication.kubernetes.io/node-name", {"n1"}}};
    list.verb = "list";
    list.resource_request = true;
    list.resource = "pods";
    const auto be = [&](std::string name) {
      return impersonator.Impersonate(runtime, {std::move(name), "", {}}, list);
    };
    const auto own = be("system:node:n1");
    ASSERT_TRUE(own.ok()) << own.status().ToString();
    EXPECT_EQ(own->user, (UserInfo{"system:node:n1", "", {"system:nodes", "system:authenticated"}}));
    EXPECT_EQ(own->constraint, "impersonate:associated-node");
    EXPECT_TRUE(be("system:node:n2").Failed(Reason::kForbidden));
    list.verb = "watch";
    EXPECT_TRUE(be("system:node:n1").Failed(Reason::kForbidden));
    index.Stop();
  });
}

}  // namespace
}  // namespace knarr::apiserver

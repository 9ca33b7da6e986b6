// The reviews of authorization.k8s.io, against what Kubernetes 1.36.3's own API server answered.

#include "apiserver/authorization/access_review.h"

#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kAuthorization = "authorization.k8s.io/v1";

class Reviewer {
 public:
  explicit Reviewer(rt::Runtime& runtime) : server_(runtime) {}

  Result<api::ObjectPtr> Ask(std::string_view kind, std::string_view ns, std::string_view json,
                             UserInfo user = {"admin", "", {"system:masters"}}) {
    const auto client = server_.server().LocalClient(std::move(user));
    return client->Create(TestServer::Kind(kind, kAuthorization), ns, TestServer::Json(json).root);
  }
  /// The status of the answer, or the error's message.
  std::string Status(std::string_view kind, std::string_view ns, std::string_view json,
                     UserInfo user = {"admin", "", {"system:masters"}}) {
    const auto answer = Ask(kind, ns, json, std::move(user));
    return answer.ok() ? doc::ToJson((*answer)->tree().At("status")) : answer.status().message();
  }
  TestServer& server() { return server_; }

 private:
  TestServer server_;
};

TEST(AccessReview, SubjectAccessReview) {
  InSim([](rt::Runtime& runtime) {
    Reviewer reviewer(runtime);
    struct Case {
      std::string_view spec;
      std::string_view status;
    };
    const Case cases[] = {
        {R"({"user":"alice","groups":["system:masters"],"resourceAttributes":{"verb":"get","resource":"pods"}})",
         R"({"allowed":true})"},
        {R"({"user":"alice","resourceAttributes":{"verb":"get","resource":"pods"}})", R"({"allowed":false})"},
        {R"({"user":"alice","groups":["system:authenticated"],"nonResourceAttributes":{"verb":"get","path":"/api"}})",
         R"({"allowed":true,"reason":"RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole )"
         R"(\"system:discovery\" to Group \"system:authenticated\""})"},
        {R"({"user":"system:node:n","groups":["system:nodes"],)"
         R"("resourceAttributes":{"verb":"list","resource":"nodes"}})",
         R"({"allowed":false,"reason":"node 'n' cannot read all nodes, only its own Node object"})"},
        {R"({"user":"system:kube-scheduler","resourceAttributes":{"verb":"create","resource":"pods",)"
         R"("subresource":"binding","namespace":"x"}})",
         R"({"allowed":true,"reason":"RBAC: allowed by ClusterRoleBinding \"system:kube-scheduler\" of ClusterRole )"
         R"(\"system:kube-scheduler\" to User \"system:kube-scheduler\""})"},
        {R"({"user":"system:serviceaccount:kube-system:ttl-controller","resourceAttributes":{"verb":"patch",)"
         R"("resource":"nodes"}})",
         R"({"allowed":true,"reason":"RBAC: allowed by ClusterRoleBinding \"system:controller:ttl-controller\" of )"
         R"(ClusterRole \"system:controller:ttl-controller\" to ServiceAccount \"ttl-controller/kube-system\""})"},
        {"{}",
         ".authorization.k8s.io \"\" is invalid: [spec.resourceAttributes: Invalid value: null: exactly one of "
         "nonResourceAttributes or resourceAttributes must be specified, spec.user: Invalid value: \"\": at least one "
         "of user or group must be specified]"},
        {R"({"user":"a","resourceAttributes":{"fieldSelector":{}},"nonResourceAttributes":{"path":"/x"}})",
         ".authorization.k8s.io \"\" is invalid: [spec.nonResourceAttributes: Invalid value: "
         "{\"Path\":\"/x\",\"Verb\":\"\"}: cannot be specified in combination with resourceAttributes, "
         "spec.resourceAttributes.fieldSelector.requirements: Required value: when "
         "spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required]"},
        {R"({"user":"a","resourceAttributes":{"fieldSelector":{"rawSelector":"a=b","requirements":[{"key":"",)"
         R"("operator":"In"}]},"labelSelector":{"requirements":[{"key":"x","operator":"Exists","values":["a"]}]}}})",
         ".authorization.k8s.io \"\" is invalid: [spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: "
         "\"a=b\": may not specified at the same time as requirements, "
         "spec.resourceAttributes.fieldSelector.requirements[0].key: Required value: must be specified, "
         "spec.resourceAttributes.fieldSelector.requirements[0].values: Required value: must be specified when "
         "`operator` is 'In' or 'NotIn', spec.resourceAttributes.labelSelector.requirements[0].values: Forbidden: may "
         "not be specified when `operator` is 'Exists' or 'DoesNotExist']"},
    };
    for (const Case& test : cases) {
      EXPECT_EQ(reviewer.Status("SubjectAccessReview", "", "{\"spec\":" + std::string(test.spec) + "}"), test.status);
    }
    EXPECT_EQ(reviewer.Status("SubjectAccessReview", "",
                              R"({"metadata":{"name":"x"},"spec":{"user":"a","nonResourceAttributes":{}}})"),
              ".authorization.k8s.io \"\" is invalid: metadata: Invalid value: {\"name\":\"x\",\"managedFields\":["
              "{\"manager\":\"knarr\",\"operation\":\"Update\",\"apiVersion\":\"authorization.k8s.io/v1\",\"time\":"
              "\"2019-12-20T00:00:00Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{"
              "\"f:nonResourceAttributes\":{},\"f:user\":{}}}}]}: must be empty");
  });
}

TEST(AccessReview, LocalAndSelf) {
  InSim([](rt::Runtime& runtime) {
    Reviewer reviewer(runtime);
    const char* const local = R"({"spec":{"user":"alice","resourceAttributes":{"verb":"get","resource":"pods",
        "namespace":"default"}}})";
    EXPECT_EQ(reviewer.Status("LocalSubjectAccessReview", "default", local), R"({"allowed":false})");
    EXPECT_EQ(reviewer.Status("LocalSubjectAccessReview", "kube-system", local),
              ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"default\": "
              "must match metadata.namespace");
    EXPECT_EQ(reviewer.Status("LocalSubjectAccessReview", "default",
                              R"({"spec":{"user":"alice","nonResourceAttributes":{"verb":"get","path":"/api"}}})"),
              ".authorization.k8s.io \"\" is invalid: spec.nonResourceAttributes: Invalid value: "
              "{\"Path\":\"/api\",\"Verb\":\"get\"}: disallowed on this kind of request");
    EXPECT_EQ(reviewer.Status("LocalSubjectAccessReview", "default", R"({"metadata":{"namespace":"x"},"spec":{}})"),
              "the namespace of the provided object does not match the namespace sent on the request");
    const UserInfo alice{"alice", "uid-alice", {"devs", "system:authenticated"}};
    EXPECT_EQ(
        reviewer.Status("SelfSubjectAccessReview", "", R"({"spec":{"resourceAttributes":{"verb":"get",
        "resource":"pods","fieldSelector":{"rawSelector":"a"},"labelSelector":{"requirements":[{"key":"a",
        "operator":"Foo"},{"key":"b","operator":"Exists"}]}}}})",
                        alice),
        R"({"allowed":false,"evaluationError":"spec.resourceAttributes.fieldSelector ignored due to parse error; )"
        R"(spec.resourceAttributes.labelSelector partially ignored due to parse error"})");
    // Who is nobody may not even ask.
    EXPECT_EQ(reviewer.Status("SelfSubjectAccessReview", "", R"({"spec":{"nonResourceAttributes":{}}})",
                              {"system:anonymous", "", {"system:unauthenticated"}}),
              "selfsubjectaccessreviews.authorization.k8s.io is forbidden: User \"system:anonymous\" cannot create "
              "resource \"selfsubjectaccessreviews\" in API group \"authorization.k8s.io\" at the cluster scope");
  });
}

TEST(AccessReview, SelfSubjectRulesReview) {
  InSim([](rt::Runtime& runtime) {
    Reviewer reviewer(runtime);
    const UserInfo alice{"alice", "", {"system:authenticated"}};
    const auto answer = reviewer.Ask("SelfSubjectRulesReview", "", R"({"spec":{"namespace":"default"}})", alice);
    ASSERT_TRUE(answer.ok()) << answer.status().ToString();
    EXPECT_EQ((*answer)->json(),
              R"({"kind":"SelfSubjectRulesReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":{},)"
              R"("status":{"resourceRules":[{"verbs":["create"],"apiGroups":["authorization.k8s.io"],)"
              R"("resources":["selfsubjectaccessreviews","selfsubjectrulesreviews"]},{"verbs":["create"],)"
              R"("apiGroups":["authentication.k8s.io"],"resources":["selfsubjectreviews"]}],)"
              R"("nonResourceRules":[{"verbs":["get"],"nonResourceURLs":["/api","/api/*","/apis","/apis/*","/healthz",)"
              R"("/livez","/openapi","/openapi/*","/readyz","/version","/version/"]},{"verbs":["get"],)"
              R"("nonResourceURLs":["/healthz","/livez","/readyz","/version","/version/"]}],"incomplete":false}})");
    EXPECT_EQ(reviewer.Status("SelfSubjectRulesReview", "", R"({"spec":{}})", alice), "no namespace on request");
    const auto node = reviewer.Ask("SelfSubjectRulesReview", "", R"({"spec":{"namespace":"default"}})",
                                   {"system:node:n", "", {"system:nodes", "system:authenticated"}});
    ASSERT_TRUE(node.ok());
    EXPECT_EQ((*node)->tree().Get("status", "evaluationError").AsString(),
              "node authorizer does not support user rule resolution");
    EXPECT_TRUE((*node)->tree().Get("status", "incomplete").AsBool());
  });
}

TEST(AccessReview, AreOnlyCreated) {
  InSim([](rt::Runtime& runtime) {
    Reviewer reviewer(runtime);
    client::Client& admin = reviewer.server().client();
    const api::KindInfo& kind = TestServer::Kind("SelfSubjectAccessReview", kAuthorization);
    EXPECT_TRUE(admin.List(kind, "").Failed(Reason::kMethodNotAllowed));
    EXPECT_TRUE(admin.Get(kind, {"", "x"}).Failed(Reason::kMethodNotAllowed));
    EXPECT_TRUE(admin.Delete(kind, {"", "x"}).Failed(Reason::kMethodNotAllowed));
  });
}

}  // namespace
}  // namespace knarr::apiserver

// Webhooks that know tokens, and that are asked who may what.

#include "apiserver/authentication/webhook.h"
#include "apiserver/authentication/authenticator.h"
#include "apiserver/authorization/webhook_authorizer.h"
#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

// Answers each review with the status it is told to.
class Hook : public Remote {
 public:
  Result<RemoteAnswer> Send(const net::ClientRequest& request, Duration /*timeout*/) override {
    ++calls;
    last = request;
    if (failures > 0) {
      --failures;
      return Unavailable("connection refused");
    }
    const doc::Document review = TestServer::Json(request.body);
    std::string body = R"({"kind":")" + std::string(review.root.At("kind").AsString()) + R"(","apiVersion":")" +
                       std::string(review.root.At("apiVersion").AsString()) + R"(","status":)" + status + "}";
    return RemoteAnswer{code, {}, std::move(body)};
  }

  std::string status = "{}";
  int code = 200;
  int failures = 0;
  int calls = 0;
  net::ClientRequest last;
};

client::RestConfig Config() {
  client::RestConfig config;
  config.server = "https://hook.example/ask";
  config.token = "t0";
  return config;
}

TEST(TokenWebhook, Answers) {
  InSim([](rt::Runtime& runtime) {
    Hook hook;
    ReviewWebhook webhook(runtime, hook, Config(), "authentication.k8s.io/v1beta1", "TokenReview");
    const auto authenticator = MakeWebhookTokenAuthenticator(webhook, 120s, {"api"});
    const std::vector<std::string> audiences = {"api", "x"};
    const auto who = [&]() -> std::string {
      const auto owner = authenticator->Authenticate({runtime, "the-token", audiences});
      if (!owner.ok()) return owner.status().message();
      if (!owner->has_value()) return "nobody";
      return (*owner)->user.name + "/" + (*owner)->user.uid + " for " + (*owner)->audiences.front();
    };
    hook.status = R"({"authenticated":true,"user":{"username":"ann","uid":"7","groups":["g"],"extra":{"k":["v"]}}})";
    EXPECT_EQ(who(), "ann/7 for api");
    EXPECT_EQ(hook.last.url.ToString(), "https://hook.example/ask");
    EXPECT_EQ(hook.last.headers.Get("Authorization"), "Bearer t0");
    EXPECT_EQ(hook.last.body, R"({"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","metadata":{},)"
                              R"("spec":{"token":"the-token","audiences":["api","x"]}})");
    hook.status = R"({"authenticated":true,"user":{"username":"ann"},"audiences":["x"]})";
    EXPECT_EQ(who(), "ann/ for x");
    hook.status = R"({"authenticated":true,"user":{"username":"ann"},"audiences":["y"]})";
    EXPECT_EQ(who(), "nobody");
    hook.status = R"({"authenticated":false})";
    EXPECT_EQ(who(), "nobody");
    hook.status = R"({"authenticated":false,"error":"no such token"})";
    EXPECT_EQ(who(), "no such token");
    hook.failures = 4;
    EXPECT_EQ(who(), "no such token");  // the fifth try
    hook.failures = 5;
    EXPECT_EQ(who(), "connection refused");
    hook.failures = 0;
    hook.code = 403;
    const int before = hook.calls;
    EXPECT_NE(who(), "nobody");
    EXPECT_EQ(hook.calls, before + 1);  // that would not get better
  });
}

TEST(TokenWebhook, AnswersAreUsedAgain) {
  InSim([](rt::Runtime& runtime) {
    Hook hook;
    hook.status = R"({"authenticated":true,"user":{"username":"ann"}})";
    SecurityOptions options;
    options.token_webhook = WebhookServer{Config(), "v1", &hook};
    TestServer server(runtime, {.security = options});
    net::Request request;
    request.headers.Set("Authorization", "Bearer abc");
    const auto store = store::OpenMemory(runtime);
    const ServiceAccountTokens accounts = MUST(ServiceAccountTokens::Create("", "i"));
    ReviewWebhook webhook(runtime, hook, Config(), "authentication.k8s.io/v1", "TokenReview");
    const auto tokens = MakeWebhookTokenAuthenticator(webhook, 120s, {"i"});
    Authenticator authenticator({{}, {"i"}, true}, accounts, *store, {&runtime}, {tokens.get()});
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(MUST(authenticator.Authenticate(runtime, request)), (UserInfo{"ann", "", {"system:authenticated"}}));
    }
    EXPECT_EQ(hook.calls, 1);
    MUST(runtime.Sleep(121s));
    MUST(authenticator.Authenticate(runtime, request));
    EXPECT_EQ(hook.calls, 2);
    store->Close();
  });
}

TEST(AuthorizationWebhook, IsAskedWhatNobodyElseAllows) {
  InSim([](rt::Runtime& runtime) {
    Hook hook;
    SecurityOptions options;
    options.authorization_webhook = WebhookServer{Config(), "v1", &hook};
    TestServer server(runtime, {.security = options});
    EXPECT_EQ(hook.calls, 0);  // the system's own users need no webhook
    const auto ann = server.server().LocalClient({"ann", "7", {"g"}, {{"k", {"v"}}}});
    const api::KindInfo& pods = TestServer::Kind("Pod");
    hook.status = R"({"allowed":false,"reason":"not today"})";
    const auto list = [&](client::ListOptions what = {}) {
      const auto listed = ann->List(pods, "default", what);
      return listed.ok() ? "" : listed.status().message();
    };
    EXPECT_EQ(list({.label_selector = "a=b,!c", .field_selector = "spec.nodeName!=n"}),
              "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace "
              "\"default\": not today");
    EXPECT_EQ(
        hook.last.body,
        R"({"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":)"
        R"({"resourceAttributes":{"namespace":"default","verb":"list","version":"v1","resource":"pods",)"
        R"("fieldSelector":{"requirements":[{"key":"spec.nodeName","operator":"NotIn","values":["n"]}]},)"
        R"("labelSelector":{"requirements":[{"key":"a","operator":"In","values":["b"]},)"
        R"({"key":"c","operator":"DoesNotExist"}]}},"user":"ann","groups":["g"],"extra":{"k":["v"]},"uid":"7"}})");
    hook.status = R"({"allowed":true})";
    EXPECT_EQ(list(), "");
    const int calls = hook.calls;
    EXPECT_EQ(list(), "");
    EXPECT_EQ(hook.calls, calls);  // known
    MUST(runtime.Sleep(301s));
    hook.status = R"({"denied":true,"reason":"never"})";
    EXPECT_NE(list().find(": never"), std::string::npos);
    MUST(runtime.Sleep(31s));
    hook.failures = 5;
    EXPECT_NE(list(), "");
  });
}

}  // namespace
}  // namespace knarr::apiserver

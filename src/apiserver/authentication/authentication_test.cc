// Who a request comes from, in a whole server.

#include "apiserver/authentication/authenticator.h"

#include "apiserver/http_world.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kReviews = "/apis/authentication.k8s.io/v1/tokenreviews";
constexpr std::string_view kIssuer = "https://kubernetes.default.svc.cluster.local";

class Tokens {
 public:
  explicit Tokens(rt::Runtime& runtime) : runtime_(runtime), world_(runtime) {
    account_uid_ = MUST(world_.server.Create("ServiceAccount", R"({"metadata":{"name":"robot"}})"))->uid();
  }

  /// The answer to a TokenRequest for default/robot.
  Raw Request(std::string_view spec) {
    return world_.Send("POST", "/api/v1/namespaces/default/serviceaccounts/robot/token",
                       "{\"spec\":" + std::string(spec) + "}");
  }
  std::string Make(std::string_view spec) {
    const Raw made = Request(spec);
    EXPECT_EQ(made.code, 201) << made.body;
    return std::string(made.Json().root.Get("status", "token").AsString());
  }
  /// The message of a TokenRequest that is refused.
  std::string Refusal(std::string_view spec) {
    const Raw raw = Request(spec);
    return raw.code == 201 ? "" : std::string(raw.Json().root.At("message").AsString());
  }
  /// A TokenReview's status.
  std::string Review(std::string_view token, std::string_view more = "") {
    const Raw raw =
        world_.Send("POST", kReviews, "{\"spec\":{\"token\":\"" + std::string(token) + "\"" + std::string(more) + "}}");
    const doc::Document answer = raw.Json();
    return raw.code == 201 ? doc::ToJson(answer.root.At("status")) : std::string(answer.root.At("message").AsString());
  }
  std::string Error(std::string_view token, std::string_view more = "") {
    return std::string(TestServer::Json(Review(token, more)).root.At("error").AsString());
  }
  bool Good(std::string_view token) { return TestServer::Json(Review(token)).root.At("authenticated").AsBool(); }

  rt::Runtime& runtime() { return runtime_; }
  HttpWorld& world() { return world_; }
  client::Client& admin() { return world_.server.client(); }
  const std::string& account_uid() const { return account_uid_; }

 private:
  rt::Runtime& runtime_;
  HttpWorld world_;
  std::string account_uid_;
};

doc::Document ClaimsOf(std::string_view token) {
  return MUST(ParseJwt(token)).claims.root.is_object() ? doc::Document::Copy(MUST(ParseJwt(token)).claims.root)
                                                       : doc::Document();
}

TEST(ServiceAccountTokens, ClaimsAndUser) {
  InSim([](rt::Runtime& runtime) {
    Tokens tokens(runtime);
    const std::string token = tokens.Make("{}");
    doc::Document claims = ClaimsOf(token);
    const std::string id(claims.root.At("jti").AsString());
    EXPECT_EQ(claims.root.At("exp").AsInt() - claims.root.At("iat").AsInt(), 3600);
    EXPECT_EQ(claims.root.At("nbf").AsInt(), claims.root.At("iat").AsInt());
    for (const char* varies : {"exp", "iat", "nbf", "jti"}) claims.root.Remove(varies);
    EXPECT_EQ(doc::ToJson(claims.root),
              R"({"aud":["https://kubernetes.default.svc.cluster.local"],)"
              R"("iss":"https://kubernetes.default.svc.cluster.local",)"
              R"("kubernetes.io":{"namespace":"default","serviceaccount":{"name":"robot","uid":")" +
                  tokens.account_uid() + R"("}},"sub":"system:serviceaccount:default:robot"})");
    EXPECT_EQ(tokens.Review(token),
              R"({"authenticated":true,"user":{"username":"system:serviceaccount:default:robot","uid":")" +
                  tokens.account_uid() +
                  R"(","groups":["system:serviceaccounts","system:serviceaccounts:default","system:authenticated"],)"
                  R"("extra":{"authentication.kubernetes.io/credential-id":["JTI=)" +
                  id + R"("]}},"audiences":["https://kubernetes.default.svc.cluster.local"]})");
    const Raw self = tokens.world().Send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", "", token);
    EXPECT_EQ(self.code, 201);
    EXPECT_EQ(self.Json().root.Get("status", "userInfo", "username").AsString(), "system:serviceaccount:default:robot");
  });
}

TEST(ServiceAccountTokens, AudiencesAndTimes) {
  InSim([](rt::Runtime& runtime) {
    Tokens tokens(runtime);
    const std::string other = tokens.Make(R"({"audiences":["foo","bar"],"expirationSeconds":600})");
    EXPECT_EQ(tokens.Error(other),
              "[invalid bearer token, token audiences [\"foo\" \"bar\"] is invalid for the target audiences "
              "[\"https://kubernetes.default.svc.cluster.local\"]]");
    EXPECT_EQ(tokens.world().Send("GET", "/api", "", "", other).code, 401);
    const std::string found = tokens.Review(other, R"(,"audiences":["x","bar"])");
    EXPECT_NE(found.find(R"("audiences":["bar"])"), std::string::npos) << found;
    EXPECT_EQ(tokens.Error("secret", R"(,"audiences":["x"])"), "invalid bearer token");

    const std::string token = tokens.Make(R"({"expirationSeconds":600})");
    EXPECT_TRUE(tokens.Good(token));
    MUST(runtime.Sleep(659s));
    EXPECT_TRUE(tokens.Good(token));  // clocks differ
    MUST(runtime.Sleep(2s));
    EXPECT_EQ(tokens.Error(token), "[invalid bearer token, service account token has expired]");
    EXPECT_EQ(tokens.Error(token + "x"), "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]");
    EXPECT_EQ(tokens.Error("a.b.c"), "invalid bearer token");
    EXPECT_EQ(tokens.Review(""), "token is required for TokenReview in authentication");
    EXPECT_EQ(tokens.Refusal(R"({"expirationSeconds":5})"),
              "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 5: may not "
              "specify a duration less than 10 minutes");
    EXPECT_EQ(tokens.Refusal(R"({"expirationSeconds":4294967297})"),
              "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 4294967297: "
              "may not specify a duration larger than 2^32 seconds");
  });
}

TEST(ServiceAccountTokens, EndWithWhatTheyAreBoundTo) {
  InSim([](rt::Runtime& runtime) {
    Tokens tokens(runtime);
    MUST(tokens.admin().Create(TestServer::Kind("Node"), "", TestServer::Json(R"({"metadata":{"name":"n"}})").root));
    const auto pod =
        MUST(tokens.world().server.Create("Pod", PodJson("p", "", R"(,"serviceAccountName":"robot","nodeName":"n")")));
    const std::string pod_uid(pod->uid());
    MUST(tokens.world().server.Create("Secret", R"({"metadata":{"name":"s"}})"));
    const auto bind = [](std::string_view kind, std::string_view name) {
      return R"({"expirationSeconds":3607,"boundObjectRef":{"apiVersion":"v1","kind":")" + std::string(kind) +
             R"(","name":")" + std::string(name) + R"("}})";
    };
    EXPECT_EQ(tokens.Refusal(bind("Pod", "nope")), "pods \"nope\" not found");
    EXPECT_EQ(tokens.Refusal(bind("Foo", "p")), "cannot bind token to object of type /v1, Kind=Foo");
    EXPECT_EQ(tokens.Refusal(R"({"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p","uid":"zzz"}})"),
              "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (zzz) does not match "
              "the UID in record. The object might have been deleted and then recreated");
    MUST(tokens.world().server.Create("Pod", PodJson("other")));
    EXPECT_EQ(tokens.Refusal(bind("Pod", "other")),
              "cannot bind token for serviceaccount \"robot\" to pod running with different serviceaccount name.");

    const std::string of_pod = tokens.Make(bind("Pod", "p"));
    const std::string of_secret = tokens.Make(bind("Secret", "s"));
    const std::string of_node = tokens.Make(bind("Node", "n"));
    const doc::Document claims = ClaimsOf(of_pod);
    // A pod's own token goes on for a year, and says when it should have been renewed.
    EXPECT_EQ(claims.root.At("exp").AsInt() - claims.root.At("iat").AsInt(), 365 * 24 * 3600);
    EXPECT_EQ(claims.root.Get("kubernetes.io", "warnafter").AsInt() - claims.root.At("iat").AsInt(), 3607);
    EXPECT_NE(tokens.Review(of_pod).find(R"("authentication.kubernetes.io/pod-name":["p"],)"
                                         R"("authentication.kubernetes.io/pod-uid":[")" +
                                         pod_uid),
              std::string::npos);
    EXPECT_NE(tokens.Review(of_node).find(R"("authentication.kubernetes.io/node-name":["n"])"), std::string::npos);
    EXPECT_TRUE(tokens.Good(of_secret));

    constexpr std::string_view kGone = "[invalid bearer token, service account token has been invalidated]";
    MUST(tokens.admin().Delete(TestServer::Kind("Pod"), {"default", "p"}, {.grace_seconds = 0}));
    EXPECT_EQ(tokens.Error(of_pod), kGone);
    MUST(tokens.world().server.Create("Pod", PodJson("p", "", R"(,"serviceAccountName":"robot")")));
    EXPECT_NE(tokens.Error(of_pod).find("does not match service account pod ref claim (" + pod_uid + ")"),
              std::string::npos);
    MUST(tokens.admin().Delete(TestServer::Kind("Secret"), {"default", "s"}));
    EXPECT_EQ(tokens.Error(of_secret), kGone);
    MUST(tokens.admin().Delete(TestServer::Kind("Node"), {"", "n"}));
    EXPECT_EQ(tokens.Error(of_node), kGone);

    const std::string token = tokens.Make("{}");
    MUST(tokens.admin().Delete(TestServer::Kind("ServiceAccount"), {"default", "robot"}));
    EXPECT_EQ(tokens.Error(token), "[invalid bearer token, serviceaccounts \"robot\" not found]");
    const auto again = MUST(tokens.world().server.Create("ServiceAccount", R"({"metadata":{"name":"robot"}})"));
    EXPECT_EQ(tokens.Error(token), "[invalid bearer token, service account UID (" + std::string(again->uid()) +
                                       ") does not match claim (" + tokens.account_uid() + ")]");
  });
}

TEST(ServiceAccountTokens, AnObjectThatIsEndingHoldsItsTokenForAMinute) {
  InSim([](rt::Runtime& runtime) {
    Tokens tokens(runtime);
    MUST(tokens.world().server.Create("Secret", R"({"metadata":{"name":"s","finalizers":["a/b"]}})"));
    const std::string token = tokens.Make(R"({"boundObjectRef":{"apiVersion":"v1","kind":"Secret","name":"s"}})");
    MUST(tokens.admin().Delete(TestServer::Kind("Secret"), {"default", "s"}));
    EXPECT_TRUE(tokens.Good(token));
    MUST(runtime.Sleep(62s));
    EXPECT_FALSE(tokens.Good(token));
  });
}

TEST(ServiceAccountTokens, TheRequestMustNameTheAccount) {
  InSim([](rt::Runtime& runtime) {
    Tokens tokens(runtime);
    const auto refusal = [&](std::string_view metadata) {
      const Raw raw = tokens.world().Send("POST", "/api/v1/namespaces/default/serviceaccounts/robot/token",
                                          "{\"metadata\":" + std::string(metadata) + ",\"spec\":{}}");
      return std::string(raw.Json().root.At("message").AsString());
    };
    EXPECT_EQ(
        refusal(R"({"name":"y"})"),
        "TokenRequest.authentication.k8s.io \"robot\" is invalid: metadata.name: Invalid value: \"y\": must match "
        "the service account name if specified");
    EXPECT_EQ(refusal(R"({"uid":"u"})"),
              "Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"robot\": the UID in the token "
              "request (u) does not match the UID of the service account (" +
                  tokens.account_uid() + ")");
    EXPECT_EQ(refusal(R"({"name":"robot","namespace":"default"})"), "");
  });
}

TEST(ServiceAccountTokens, OthersFindTheKey) {
  InSim([](rt::Runtime& runtime) {
    Tokens tokens(runtime);
    const std::string token = tokens.Make(R"({"audiences":["theirs"]})");
    const Raw configuration = tokens.world().Send("GET", "/.well-known/openid-configuration");
    EXPECT_EQ(configuration.body,
              R"({"issuer":"https://kubernetes.default.svc.cluster.local",)"
              R"("jwks_uri":"https://127.0.0.1:6443/openid/v1/jwks","response_types_supported":["id_token"],)"
              R"("subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]})");
    EXPECT_NE(configuration.head.find("public, max-age=3600"), std::string::npos);
    const Raw keys = tokens.world().Send("GET", "/openid/v1/jwks");
    EXPECT_NE(keys.head.find("application/jwk-set+json"), std::string::npos);
    const doc::Document set = keys.Json();
    const doc::Value& key = set.root.At("keys")[0];
    const auto number = [&](std::string_view name) { return MUST(Base64UrlDecode(key.At(name).AsString())); };
    const net::JwsKey public_key = MUST(net::JwsKey::FromP256(number("x"), number("y")));
    const Jwt parsed = MUST(ParseJwt(token));
    EXPECT_EQ(parsed.key_id, key.At("kid").AsString());
    EXPECT_EQ(MUST(public_key.Id()), parsed.key_id);
    EXPECT_TRUE(MUST(IsSignedBy(parsed, public_key)));
    EXPECT_EQ(parsed.issuer(), kIssuer);
    EXPECT_EQ(tokens.world().Send("GET", "/openid/v1/jwks", "", "", "").code, 403);
  });
}

TEST(BootstrapTokens, Table) {
  InSim([](rt::Runtime& runtime) {
    Tokens tokens(runtime);
    const auto secret = [&](std::string_view id, std::string_view data) {
      MUST(tokens.admin().Create(
          TestServer::Kind("Secret"), "kube-system",
          TestServer::Json(R"({"metadata":{"name":"bootstrap-token-)" + std::string(id) +
                           R"("},"type":"bootstrap.kubernetes.io/token","data":{)" + std::string(data) + "}}")
              .root));
    };
    const auto item = [](std::string_view key, std::string_view value) {
      return "\"" + std::string(key) + "\":\"" + Base64Encode(value) + "\"";
    };
    const std::string right =
        item("token-secret", "0123456789abcdef") + "," + item("usage-bootstrap-authentication", "true") + ",";
    secret("aaaaaa", right + item("token-id", "aaaaaa") + "," +
                         item("auth-extra-groups", "system:bootstrappers:z,system:bootstrappers:a"));
    secret("bbbbbb", right + item("token-id", "bbbbbb") + "," + item("expiration", "2001-01-01T00:00:00Z"));
    secret("cccccc", right + item("token-id", "dddddd"));
    secret("eeeeee", item("token-secret", "0123456789abcdef") + "," + item("token-id", "eeeeee"));
    secret("ffffff", right + item("token-id", "ffffff") + "," + item("auth-extra-groups", "system:masters"));
    EXPECT_EQ(tokens.Review("aaaaaa.0123456789abcdef"),
              R"({"authenticated":true,"user":{"username":"system:bootstrap:aaaaaa","groups":["system:bootstrappers",)"
              R"("system:bootstrappers:a","system:bootstrappers:z","system:authenticated"]},)"
              R"("audiences":["https://kubernetes.default.svc.cluster.local"]})");
    for (const char* bad :
         {"aaaaaa.0123456789abcdee", "bbbbbb.0123456789abcdef", "cccccc.0123456789abcdef", "eeeeee.0123456789abcdef",
          "ffffff.0123456789abcdef", "gggggg.0123456789abcdef", "AAAAAA.0123456789abcdef", "aaaaaa.0123"}) {
      EXPECT_EQ(tokens.Error(bad), "invalid bearer token") << bad;
    }
  });
}

// The headers upstream takes for a bearer token.
TEST(Authenticator, Headers) {
  InSim([](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    const auto who = [&](std::string_view header) {
      const Raw raw = world.Send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", header, "");
      return raw.code == 201 ? std::string(raw.Json().root.Get("status", "userInfo", "username").AsString())
                             : std::to_string(raw.code);
    };
    EXPECT_EQ(who("Authorization: Bearer secret\r\n"), "root");
    EXPECT_EQ(who("Authorization: bEARER secret more\r\n"), "root");
    EXPECT_EQ(who("Authorization: Bearer  secret\r\n"), "403");  // nobody
    EXPECT_EQ(who("Authorization: Bearer wrong\r\n"), "401");
    EXPECT_EQ(who("Authorization: Basic secret\r\n"), "403");
    EXPECT_EQ(who("Sec-WebSocket-Protocol: x, base64url.bearer.authorization.k8s.io.d2Vhaw\r\n"), "jane");
  });
}

TEST(Authenticator, Certificates) {
  InSim([](rt::Runtime& runtime) {
    const auto store = store::OpenMemory(runtime);
    const ServiceAccountTokens accounts = MUST(ServiceAccountTokens::Create("", "i"));
    Authenticator authenticator({{}, {"i"}, true}, accounts, *store, {&runtime}, {});
    net::CertificateInfo info;
    info.common_name = "ann";
    info.organizations = {"devs"};
    info.user_ids = {"7"};
    info.fingerprint_hex = "f00";
    info.not_before = runtime.Wall();
    info.not_after = runtime.Wall() + 1h;
    const auto ask = [&](const net::CertificateInfo& shown) {
      net::Request request;
      request.certificate = std::make_shared<const net::CertificateInfo>(shown);
      const Result<UserInfo> user = authenticator.Authenticate(runtime, request);
      return user.ok() ? *user : UserInfo{"401", "", {}};
    };
    const UserInfo ann{"ann",
                       "7",
                       {"devs", "system:authenticated"},
                       {{"authentication.kubernetes.io/credential-id", {"X509SHA256=f00"}}}};
    EXPECT_EQ(ask(info), ann);
    EXPECT_EQ(ask(info), ann);
    net::CertificateInfo bad = info;
    bad.refused_because = "x509: certificate signed by unknown authority";
    EXPECT_EQ(ask(bad).name, "401");
    bad = info;
    bad.user_ids = {"7", "8"};
    EXPECT_EQ(ask(bad).name, "401");
    MUST(runtime.Sleep(2h));
    EXPECT_EQ(ask(info).name, "401");
    store->Close();
  });
}

}  // namespace
}  // namespace knarr::apiserver

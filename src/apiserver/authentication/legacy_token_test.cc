// Tokens that stand in secrets, in a whole server.

#include "api/core_v1.h"
#include "apiserver/http_world.h"

namespace knarr::apiserver {
namespace {

class LegacyTokens {
 public:
  explicit LegacyTokens(rt::Runtime& runtime) : runtime_(runtime), world_(runtime) {
    uid_ = MUST(world_.server.Create("ServiceAccount", R"({"metadata":{"name":"robot"}})"))->uid();
    token_ = MUST(world_.server.server().SignSecretToken("default", "robot", uid_, "t"));
    MUST(world_.server.Create("Secret", R"({"metadata":{"name":"t","annotations":{
        "kubernetes.io/service-account.name":"robot","kubernetes.io/service-account.uid":")" +
                                            uid_ + R"("}},
        "type":"kubernetes.io/service-account-token","data":{"token":")" +
                                            Base64Encode(token_) + R"("}})"));
  }

  /// A TokenReview's user, or its error.
  std::string Review() {
    const Raw raw =
        world_.Send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", R"({"spec":{"token":")" + token_ + R"("}})");
    const doc::Document answer = raw.Json();
    const doc::Value& status = answer.root.At("status");
    return std::string(status.At("authenticated").AsBool() ? status.Get("user", "username").AsString()
                                                           : status.At("error").AsString());
  }
  std::string Label(std::string_view label) {
    return std::string(
        Get(api::core_v1::SecretInfo(), "default", "t")->tree().Get("metadata", "labels", label).AsString());
  }
  api::ObjectPtr Get(const api::KindInfo& kind, const std::string& ns, const std::string& name) {
    const auto found = client().Get(kind, {ns, name});
    return found.ok() ? *found : nullptr;
  }
  void Patch(const std::string& patch) {
    MUST(client().Patch(api::core_v1::SecretInfo(), {"default", "t"}, client::PatchType::kMerge, patch));
  }
  void Pass(Duration time) { MUST(runtime_.Sleep(time)); }
  std::string Today() { return FormatTime(runtime_.Wall()).substr(0, 10); }
  client::Client& client() { return world_.server.client(); }
  HttpWorld& world() { return world_; }
  const std::string& token() const { return token_; }

 private:
  rt::Runtime& runtime_;
  HttpWorld world_;
  std::string uid_;
  std::string token_;
};

constexpr std::string_view kLastUsed = "kubernetes.io/legacy-token-last-used";
constexpr std::string_view kRobot = "system:serviceaccount:default:robot";

TEST(LegacyTokens, AreGoodWhileTheyStandInTheirSecret) {
  InSim([](rt::Runtime& runtime) {
    LegacyTokens tokens(runtime);
    EXPECT_EQ(tokens.Review(), kRobot);
    const Raw who =
        tokens.world().Send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", "", tokens.token());
    EXPECT_NE(who.body.find(kRobot), std::string::npos) << who.body;
    tokens.Patch(R"({"metadata":{"labels":{"kubernetes.io/legacy-token-invalid-since":"2020-01-01"}}})");
    EXPECT_EQ(
        tokens.Review(),
        "[invalid bearer token, the token in secret default/t for service account default/robot has been marked "
        "invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the "
        "'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token]");
    tokens.Patch(R"({"metadata":{"labels":{"kubernetes.io/legacy-token-invalid-since":null}}})");
    EXPECT_EQ(tokens.Review(), kRobot);
    tokens.Patch(R"({"data":{"token":"eA=="}})");
    EXPECT_EQ(tokens.Review(), "[invalid bearer token, Token does not match server's copy]");
    MUST(tokens.client().Delete(api::core_v1::SecretInfo(), {"default", "t"}));
    EXPECT_EQ(tokens.Review(), "[invalid bearer token, Token has been invalidated]");
  });
}

TEST(LegacyTokens, TheirUseIsWrittenDown) {
  InSim([](rt::Runtime& runtime) {
    LegacyTokens tokens(runtime);
    EXPECT_EQ(tokens.Label(kLastUsed), "");
    EXPECT_EQ(tokens.Review(), kRobot);
    tokens.Pass(1s);
    EXPECT_EQ(tokens.Label(kLastUsed), tokens.Today());
    const std::string first = tokens.Today();
    tokens.Pass(24h);
    EXPECT_EQ(tokens.Label(kLastUsed), first);
    EXPECT_EQ(tokens.Review(), kRobot);
    tokens.Pass(1s);
    EXPECT_EQ(tokens.Label(kLastUsed), tokens.Today());
    // One that is marked is used all the same.
    tokens.Pass(24h);
    tokens.Patch(R"({"metadata":{"labels":{"kubernetes.io/legacy-token-invalid-since":"2020-01-01"}}})");
    EXPECT_NE(tokens.Review(), kRobot);
    tokens.Pass(1s);
    EXPECT_EQ(tokens.Label(kLastUsed), tokens.Today());
  });
}

TEST(LegacyTokens, SinceWhenIsWrittenDown) {
  InSim([](rt::Runtime& runtime) {
    LegacyTokens tokens(runtime);
    const auto& maps = api::core_v1::ConfigMapInfo();
    const std::string name = "kube-apiserver-legacy-service-account-token-tracking";
    const auto since = [&] {
      const api::ObjectPtr map = tokens.Get(maps, "kube-system", name);
      return map == nullptr ? "none" : std::string(map->tree().Get("data", "since").AsString());
    };
    tokens.Pass(1s);
    const std::string first = tokens.Today();
    EXPECT_EQ(since(), first);
    MUST(tokens.client().Patch(maps, {"kube-system", name}, client::PatchType::kMerge, R"({"data":{"since":"soon"}})"));
    tokens.Pass(1s);
    EXPECT_EQ(since(), first);
    MUST(tokens.client().Delete(maps, {"kube-system", name}));
    tokens.Pass(1s);
    EXPECT_EQ(since(), "none");
    tokens.Pass(30min);
    EXPECT_EQ(since(), tokens.Today());
  });
}

}  // namespace
}  // namespace knarr::apiserver

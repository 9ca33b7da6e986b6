// Controllers of what has to do with who may do what, with the API server they write to.

#include <gtest/gtest.h>

#include "api/authentication_v1.h"
#include "api/core_v1.h"
#include "api/rbac_v1.h"
#include "base/strings.h"
#include "doc/json.h"
#include "net/tls.h"
#include "rt/sim.h"
#include "sim/cluster.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using client::ObjectName;

class World {
 public:
  explicit World(rt::Runtime& runtime) : runtime_(runtime), journal_(runtime), cluster_(runtime, journal_, Options()) {
    cluster_.StartControlPlane();
  }
  ~World() { cluster_.Stop(); }

  client::Client& client() { return cluster_.client(); }
  const std::string& authority() const { return authority_; }
  ObjectPtr Create(const api::KindInfo& kind, std::string_view ns, const std::string& json) {
    const doc::Document object = MUST(doc::ParseJson(json));
    return MUST(client().Create(kind, ns, object.root));
  }
  /// The object, or null.
  ObjectPtr Get(const api::KindInfo& kind, const ObjectName& name) {
    auto found = client().Get(kind, name);
    return found.ok() ? *found : nullptr;
  }
  /// Whether it comes true within a minute.
  bool Eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 60; ++i) {
      if (condition()) return true;
      MUST(runtime_.Sleep(1s));
    }
    return false;
  }
  /// Whose a token is; "" when it is nobody's.
  std::string WhoHas(const std::string& token) {
    const ObjectPtr answer =
        Create(api::authentication_v1::TokenReviewInfo(), "", R"({"spec":{"token":")" + token + R"("}})");
    return std::string(answer->tree().Get("status", "user", "username").AsString());
  }

 private:
  ClusterOptions Options() {
    net::CertificateRequest request;
    request.common_name = "authority";
    request.authority = true;
    request.not_before = runtime_.Wall() - 1h;
    request.not_after = runtime_.Wall() + 24h * 3650;
    const net::KeyPair pair = MUST(net::IssueCertificate(request, nullptr));
    authority_ = pair.certificate_pem;
    return {.ca_certificate_pem = pair.certificate_pem,
            .ca_key_pem = pair.key_pem,
            .service_account_key_pem = MUST(net::GenerateKey(false))};
  }
  rt::Runtime& runtime_;
  std::string authority_;
  Journal journal_;
  Cluster cluster_;
};

void InWorld(const std::function<void(World&)>& body) {
  const auto runtime = rt::SimRuntime::Create({.seed = 1});
  runtime->Run([&] {
    World world(*runtime);
    body(world);
  });
}

std::string SecretFor(std::string_view name, std::string_view account) {
  return R"({"metadata":{"name":")" + std::string(name) + R"(","annotations":{"kubernetes.io/service-account.name":")" +
         std::string(account) + R"("}},"type":"kubernetes.io/service-account-token"})";
}

TEST(TokenSecrets, AreFilledAndGoWithTheirAccount) {
  const auto& accounts = api::core_v1::ServiceAccountInfo();
  const auto& secrets = api::core_v1::SecretInfo();
  InWorld([&](World& world) {
    const ObjectPtr account = world.Create(accounts, "default", R"({"metadata":{"name":"robot"},"secrets":[
        {"name":"other"},{"name":"t"}]})");
    world.Create(secrets, "default", SecretFor("t", "robot"));
    world.Create(secrets, "default", SecretFor("u", "robot"));
    ObjectPtr filled;
    ASSERT_TRUE(world.Eventually([&] {
      filled = world.Get(secrets, {"default", "t"});
      return !filled->tree().Get("data", "token").AsString().empty();
    }));
    const auto data = [&](std::string_view key) {
      return MUST(Base64Decode(filled->tree().Get("data", key).AsString()));
    };
    EXPECT_EQ(data("ca.crt"), world.authority());
    EXPECT_EQ(data("namespace"), "default");
    EXPECT_EQ(filled->tree().Get("metadata", "annotations", "kubernetes.io/service-account.uid").AsString(),
              account->uid());
    const std::string token = data("token");
    EXPECT_EQ(world.WhoHas(token), "system:serviceaccount:default:robot");

    // A secret that goes takes its token along, and the account forgets it.
    MUST(world.client().Delete(secrets, {"default", "t"}));
    EXPECT_EQ(world.WhoHas(token), "");
    EXPECT_TRUE(world.Eventually([&] {
      return doc::ToJson(world.Get(accounts, {"default", "robot"})->tree().At("secrets")) == R"([{"name":"other"}])";
    }));
    MUST(world.client().Delete(accounts, {"default", "robot"}));
    EXPECT_TRUE(world.Eventually([&] { return world.Get(secrets, {"default", "u"}) == nullptr; }));
    world.Create(secrets, "default", SecretFor("v", "nobody"));
    EXPECT_TRUE(world.Eventually([&] { return world.Get(secrets, {"default", "v"}) == nullptr; }));
  });
}

TEST(ClusterRoleAggregation, RolesFollow) {
  const auto& roles = api::rbac_v1::ClusterRoleInfo();
  InWorld([&](World& world) {
    world.Create(roles, "", R"({"metadata":{"name":"boats","labels":
        {"rbac.authorization.k8s.io/aggregate-to-view":"true"}},
        "rules":[{"verbs":["get"],"apiGroups":["example.com"],"resources":["boats"]}]})");
    const auto views = [&](std::string_view role) {
      return doc::ToJson(world.Get(roles, {"", std::string(role)})->tree().At("rules")).find("boats") !=
             std::string::npos;
    };
    EXPECT_TRUE(world.Eventually([&] { return views("view") && views("edit") && views("admin"); }));
    MUST(world.client().Delete(roles, {"", "boats"}));
    EXPECT_TRUE(world.Eventually([&] { return !views("view") && !views("edit") && !views("admin"); }));
  });
}

}  // namespace
}  // namespace knarr::sim

// Controllers of what has to do with who may do what, with the API server they write to.

#include <gtest/gtest.h>

#include "api/authentication_v1.h"
#include "api/certificates_v1.h"
#include "api/core_v1.h"
#include "api/rbac_v1.h"
#include "base/strings.h"
#include "net/certificate_request.h"
#include "net/test_requests.h"
#include "sim/testing_world.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using client::ObjectName;

class World : public TestWorld {
 public:
  explicit World(rt::Runtime& runtime) : World(runtime, MakeAuthority(runtime)) {}

  std::unique_ptr<client::Client> ClientOf(const std::string& user, std::vector<std::string> groups = {}) {
    groups.emplace_back(apiserver::kAllAuthenticated);
    return cluster().api().LocalClient({user, "", std::move(groups)});
  }
  const std::string& authority() const { return authority_; }
  /// Whose a token is; "" when it is nobody's.
  std::string WhoHas(const std::string& token) {
    const ObjectPtr answer =
        Create(api::authentication_v1::TokenReviewInfo(), "", R"({"spec":{"token":")" + token + R"("}})");
    return std::string(answer->tree().Get("status", "user", "username").AsString());
  }

 private:
  World(rt::Runtime& runtime, const net::KeyPair& authority)
      : TestWorld(runtime, {.ca_certificate_pem = authority.certificate_pem,
                            .ca_key_pem = authority.key_pem,
                            .service_account_key_pem = MUST(net::GenerateKey(false))}),
        authority_(authority.certificate_pem) {}

  static net::KeyPair MakeAuthority(rt::Runtime& runtime) {
    net::CertificateRequest request;
    request.common_name = "authority";
    request.authority = true;
    request.not_before = runtime.Wall() - 1h;
    request.not_after = runtime.Wall() + 24h * 3650;
    return MUST(net::IssueCertificate(request, nullptr));
  }
  std::string authority_;
};

void InWorld(const std::function<void(World&)>& body) { InWorldOf<World>(body); }

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

TEST(TokenSecrets, ThoseOfOldGoWhenNobodyUsesThem) {
  const auto& secrets = api::core_v1::SecretInfo();
  InWorld([&](World& world) {
    world.Create(api::core_v1::ServiceAccountInfo(), "default", R"({"metadata":{"name":"robot"},"secrets":[
        {"name":"unused"},{"name":"mounted"},{"name":"used"}]})");
    const ObjectName standard{"default", "default"};
    ASSERT_TRUE(world.Eventually([&] { return world.Get(api::core_v1::ServiceAccountInfo(), standard) != nullptr; }));
    world.Create(api::core_v1::PodInfo(), "default", R"({"metadata":{"name":"p"},"spec":{"containers":[
        {"name":"c","image":"i","envFrom":[{"secretRef":{"name":"mounted"}}]}]}})");
    const std::string names[] = {"unused", "mounted", "used", "own"};
    for (const std::string& name : names) world.Create(secrets, "default", SecretFor(name, "robot"));
    const auto state = [&] {
      std::string out;
      for (const std::string& name : names) {
        const ObjectPtr secret = world.Get(secrets, {"default", name});
        const std::string_view label = "kubernetes.io/legacy-token-invalid-since";
        const bool marked = secret != nullptr && !secret->tree().Get("metadata", "labels", label).is_null();
        out += name + (secret == nullptr ? " gone" : marked ? " marked" : "") + (name == "own" ? "" : ",");
      }
      return out;
    };
    const auto use = [&] {
      const ObjectPtr secret = world.Get(secrets, {"default", "used"});
      std::string owner = world.WhoHas(MUST(Base64Decode(secret->tree().Get("data", "token").AsString())));
      MUST(world.runtime().Sleep(1s));  // the use is written down
      return owner;
    };
    // The last of the days is lived through: the controller looks once a day.
    const auto days = [&](int count) {
      dynamic_cast<rt::SimRuntime&>(world.runtime()).StepClock(24h * (count - 1));
      MUST(world.runtime().Sleep(24h));
    };
    days(364);
    EXPECT_EQ(use(), "system:serviceaccount:default:robot");
    EXPECT_EQ(state(), "unused,mounted,used,own");
    days(4);
    EXPECT_EQ(state(), "unused marked,mounted,used,own");
    days(350);
    EXPECT_EQ(use(), "system:serviceaccount:default:robot");
    EXPECT_EQ(state(), "unused marked,mounted,used,own");
    days(20);
    EXPECT_EQ(state(), "unused gone,mounted,used,own");
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

const api::KindInfo& Requests() { return api::certificates_v1::CertificateSigningRequestInfo(); }

std::string Request(std::string_view name, const char* pem, std::string_view signer, std::string_view usages) {
  return R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":{"signerName":"kubernetes.io/)" +
         std::string(signer) + R"(","request":")" + Base64Encode(pem) + R"(","usages":[)" + std::string(usages) + "]}}";
}

constexpr std::string_view kKubelet = "kube-apiserver-client-kubelet";
constexpr std::string_view kClientUsages = R"("digital signature","client auth")";

class CertificateWorld {
 public:
  explicit CertificateWorld(World& world) : world_(world) {}

  void Bind(const std::string& group, const std::string& role) {
    world_.Create(api::rbac_v1::ClusterRoleBindingInfo(), "",
                  R"({"metadata":{"name":")" + group + "-" + role.substr(role.find_last_of(':') + 1) +
                      R"("},"subjects":[{"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":")" + group +
                      R"("}],"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":")" + role +
                      R"("}})");
  }
  void Ask(client::Client& client, const std::string& json) {
    const doc::Document object = MUST(doc::ParseJson(json));
    MUST(client.Create(Requests(), "", object.root));
  }
  void Decide(const std::string& name, std::string_view type) {
    doc::Document changed = doc::Document::Copy(world_.Get(Requests(), {"", name})->tree());
    const doc::Document condition = MUST(
        doc::ParseJson(R"({"conditions":[{"type":")" + std::string(type) + R"(","status":"True","reason":"Asked"}]})"));
    changed.root.Set(changed.arena, "status", condition.root.Clone(changed.arena));
    MUST(world_.client().Update(Requests(), {"", name}, changed.root, "approval"));
  }
  /// The certificate of a request, when there is one within a minute.
  std::optional<net::CertificateInfo> Issued(const std::string& name) {
    std::string pem;
    (void)world_.Eventually([&] {
      pem = Base64Decode(Status(name).At("certificate").AsString()).value_or("");
      return !pem.empty();
    });
    if (pem.empty()) return std::nullopt;
    return MUST(net::ReadCertificate(pem));
  }
  /// "TYPE: MESSAGE" of its last condition.
  std::string Condition(const std::string& name) {
    const doc::Value& conditions = Status(name).At("conditions");
    if (conditions.empty()) return {};
    const doc::Value& last = conditions[conditions.size() - 1];
    return std::string(last.At("type").AsString()) + ": " + std::string(last.At("message").AsString());
  }

 private:
  const doc::Value& Status(const std::string& name) {
    kept_ = world_.Get(Requests(), {"", name});
    return kept_->tree().At("status");
  }
  World& world_;
  ObjectPtr kept_;
};

TEST(CertificateRequests, NodesGetTheirs) {
  InWorld([](World& world) {
    CertificateWorld requests(world);
    const std::string prefix = "system:certificates.k8s.io:certificatesigningrequests:";
    requests.Bind("joining", "system:node-bootstrapper");
    requests.Bind("strangers", "system:node-bootstrapper");
    requests.Bind("joining", prefix + "nodeclient");
    requests.Bind("system:nodes", prefix + "selfnodeclient");
    const auto joining = world.ClientOf("system:bootstrap:abcdef", {"joining"});
    requests.Ask(*joining, Request("new", net::kNodeRequest, kKubelet, kClientUsages));
    const auto issued = requests.Issued("new");
    ASSERT_TRUE(issued.has_value());
    EXPECT_EQ(requests.Condition("new"),
              "Approved: Auto approving kubelet client certificate after SubjectAccessReview.");
    EXPECT_EQ(issued->common_name, "system:node:n1");
    EXPECT_EQ(issued->organizations, std::vector<std::string>{"system:nodes"});
    EXPECT_LT(issued->not_before, world.runtime().Wall() - 4min);
    EXPECT_GT(issued->not_after, world.runtime().Wall() + 24h * 364);

    const auto node = world.ClientOf("system:node:n1", {"system:nodes"});
    requests.Ask(*node, Request("again", net::kNodeRequest, kKubelet, kClientUsages));
    EXPECT_TRUE(requests.Issued("again").has_value());
    EXPECT_EQ(requests.Condition("again"),
              "Approved: Auto approving self kubelet client certificate after SubjectAccessReview.");

    // Who may not is not approved, nor is what is no node's own.
    const auto stranger = world.ClientOf("eve", {"strangers"});
    requests.Ask(*stranger, Request("eves", net::kNodeRequest, kKubelet, kClientUsages));
    requests.Ask(*joining, Request("users", net::kUserRequest, "kube-apiserver-client", kClientUsages));
    MUST(world.runtime().Sleep(10s));
    EXPECT_EQ(requests.Condition("eves"), "");
    EXPECT_EQ(requests.Condition("users"), "");
  });
}

TEST(CertificateRequests, AreSignedWhenApprovedAndGoWhenOld) {
  InWorld([](World& world) {
    CertificateWorld requests(world);
    client::Client& admin = world.client();
    requests.Ask(admin, Request("ann", net::kUserRequest, "kube-apiserver-client", kClientUsages));
    requests.Ask(admin, Request("odd", net::kUserRequest, "kube-apiserver-client", R"("client auth","server auth")"));
    requests.Ask(admin, Request("no", net::kUserRequest, "kube-apiserver-client", kClientUsages));
    requests.Ask(admin, Request("left", net::kUserRequest, "kube-apiserver-client", kClientUsages));
    requests.Decide("ann", "Approved");
    requests.Decide("odd", "Approved");
    requests.Decide("no", "Denied");
    const auto issued = requests.Issued("ann");
    ASSERT_TRUE(issued.has_value());
    EXPECT_EQ(issued->common_name, "ann");
    EXPECT_TRUE(world.Eventually(
        [&] { return requests.Condition("odd") == "Failed: invalid usage for client certificate: server auth"; }));
    EXPECT_EQ(requests.Condition("no"), "Denied: ");

    MUST(world.runtime().Sleep(50min));
    const auto there = [&](const std::string& name) { return world.Get(Requests(), {"", name}) != nullptr; };
    EXPECT_TRUE(there("ann") && there("odd") && there("no") && there("left"));
    MUST(world.runtime().Sleep(15min));
    EXPECT_FALSE(there("ann") || there("odd") || there("no"));
    EXPECT_TRUE(there("left"));
    MUST(world.runtime().Sleep(24h));
    EXPECT_FALSE(there("left"));
  });
}

}  // namespace
}  // namespace knarr::sim

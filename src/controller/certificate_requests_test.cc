#include "controller/certificate_requests.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "doc/json.h"
#include "net/test_requests.h"

namespace knarr::controller {
namespace {

constexpr WallTime kMade{std::chrono::seconds(1'790'000'000)};

api::ObjectPtr Request(const std::string& spec, const std::string& status = "{}") {
  return api::Object::FromDocument(
      MUST(doc::ParseJson(R"({"metadata":{"name":"r","creationTimestamp":")" + FormatTime(kMade) + R"("},"spec":)" +
                          spec + R"(,"status":)" + status + "}")));
}

TEST(CertificateRequests, SignersAreStrict) {
  struct Case {
    std::string_view signer;
    const char* request;
    std::vector<std::string> usages;
    std::string_view problem;
  };
  const std::vector<std::string> client = {"client auth", "digital signature"};
  const std::vector<std::string> server = {"digital signature", "key encipherment", "server auth"};
  const Case cases[] = {
      {kApiServerClientKubelet, net::kNodeRequest, client, ""},
      {kApiServerClientKubelet, net::kNodeRequest, {"key encipherment", "client auth", "digital signature"}, ""},
      {kApiServerClientKubelet,
       net::kNodeRequest,
       {"client auth"},
       "usages did not match [client auth digital signature key encipherment]"},
      {kApiServerClientKubelet, net::kServingRequest, client, "DNS subjectAltNames are not allowed"},
      {kApiServerClientKubelet, net::kUserRequest, client, "subject organization is not system:nodes"},
      {kKubeletServing, net::kServingRequest, server, ""},
      {kKubeletServing, net::kServingRequest, client,
       "usages did not match [digital signature key encipherment server auth]"},
      {kKubeletServing, net::kNodeRequest, server, "DNS or IP subjectAltName is required"},
      {kKubeletServing, net::kMailRequest, server, "subject organization is not system:nodes"},
      {kApiServerClient, net::kUserRequest, client, ""},
      {kApiServerClient,
       net::kUserRequest,
       {"client auth", "server auth"},
       "invalid usage for client certificate: server auth"},
      {kApiServerClient,
       net::kUserRequest,
       {"digital signature"},
       "missing required usage for client certificate: client auth"},
      {kLegacyUnknown, net::kMailRequest, {"any"}, ""},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(SignerProblem(test.signer, MUST(net::ReadSigningRequest(test.request)), test.usages), test.problem)
        << test.signer << " " << test.request;
  }
}

TEST(CertificateRequests, Life) {
  const auto life = [](const std::string& spec, Duration most) { return CertificateLife(*Request(spec), most); };
  EXPECT_EQ(life("{}", 24h), 24h);
  EXPECT_EQ(life(R"({"expirationSeconds":3600})", 24h), 1h);
  EXPECT_EQ(life(R"({"expirationSeconds":60})", 24h), 10min);
  EXPECT_EQ(life(R"({"expirationSeconds":864000})", 24h), 24h);
  EXPECT_EQ(life(R"({"expirationSeconds":60})", 5min), 5min);
}

TEST(CertificateRequests, AreRemoved) {
  const std::string at = FormatTime(kMade + 10min);
  const auto condition = [&](std::string_view type) {
    return R"("conditions":[{"type":")" + std::string(type) + R"(","status":"True","lastUpdateTime":")" + at + R"("}])";
  };
  net::CertificateRequest asked;
  asked.not_before = kMade;
  asked.not_after = kMade + 30min;
  const std::string certificate =
      R"("certificate":")" + Base64Encode(MUST(net::IssueCertificate(asked, nullptr)).certificate_pem) + R"(",)";
  const std::pair<std::string, std::optional<WallTime>> cases[] = {
      {"{}", kMade + 24h},
      {"{" + condition("Approved") + "}", kMade + 10min + 24h},
      {"{" + condition("Denied") + "}", kMade + 10min + 1h},
      {"{" + condition("Failed") + "}", kMade + 10min + 1h},
      {R"({"certificate":"!",)" + condition("Approved") + "}", kMade + 10min + 1h},
      {"{" + certificate + condition("Approved") + "}", kMade + 30min},
      {"{" + condition("Other") + "}", std::nullopt},
  };
  for (const auto& [status, when] : cases) EXPECT_EQ(RemoveAt(*Request("{}", status)), when) << status;
}

}  // namespace
}  // namespace knarr::controller

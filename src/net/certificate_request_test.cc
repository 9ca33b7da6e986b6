#include "net/certificate_request.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "net/test_requests.h"

namespace knarr::net {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'790'000'000)};

std::string Text(const SigningRequest& request) {
  return request.common_name + " [" + Join(request.organizations, ",") + "] dns=" + Join(request.dns_names, ",") +
         " ip=" + Join(request.ip_addresses, ",") + " mail=" + Join(request.email_addresses, ",") +
         " uri=" + Join(request.uris, ",");
}

KeyPair Authority() {
  CertificateRequest request;
  request.common_name = "authority";
  request.authority = true;
  request.not_before = kNow - 1h;
  request.not_after = kNow + 24h;
  return MUST(IssueCertificate(request, nullptr));
}

TEST(SigningRequest, SaysWhatIsAskedFor) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {kNodeRequest, "system:node:n1 [system:nodes] dns= ip= mail= uri="},
      {kServingRequest, "system:node:n1 [system:nodes] dns=n1 ip=10.0.0.1,fd00::1 mail= uri="},
      {kUserRequest, "ann [devs,ops] dns= ip= mail= uri="},
      {kMailRequest, "x [] dns= ip= mail=a@b.c uri=https://u"},
  };
  for (const auto& [pem, text] : cases) EXPECT_EQ(Text(MUST(ReadSigningRequest(pem))), text);
}

TEST(SigningRequest, MustBeSignedByItsKey) {
  const auto problem = [](const std::string& pem) { return ReadSigningRequest(pem).status().message(); };
  EXPECT_EQ(problem(""), "PEM block type must be CERTIFICATE REQUEST");
  EXPECT_EQ(problem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "PEM block type must be CERTIFICATE REQUEST");
  EXPECT_TRUE(problem("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
                  .starts_with("certificate request: "));
  // Another letter in the subject.
  std::string pem = kUserRequest;
  const size_t at = pem.find("YW5uMFk");
  ASSERT_NE(at, std::string::npos);
  pem[at + 1] = 'X';
  EXPECT_EQ(problem(pem), "unable to verify certificate request signature");
  EXPECT_EQ(problem(std::string(100'000, 'x')), "certificate request: too long");
}

TEST(SigningRequest, IsSigned) {
  const KeyPair authority = Authority();
  const std::vector<std::string> usages = {"digital signature", "key encipherment", "server auth"};
  const std::string pem = MUST(SignRequest(kServingRequest, {usages, kNow, kNow + 48h}, authority));
  const CertificateInfo info = MUST(ReadCertificate(pem));
  EXPECT_EQ(info.common_name, "system:node:n1");
  EXPECT_EQ(info.organizations, std::vector<std::string>{"system:nodes"});
  EXPECT_EQ(info.dns_names, std::vector<std::string>{"n1"});
  EXPECT_EQ(info.ip_addresses, (std::vector<std::string>{"10.0.0.1", "fd00::1"}));
  EXPECT_EQ(info.not_before, kNow);
  EXPECT_EQ(info.not_after, kNow + 24h) << "no later than the authority's own end";
  const std::string shorter = MUST(SignRequest(kUserRequest, {usages, kNow, kNow + 1h}, authority));
  EXPECT_EQ(MUST(ReadCertificate(shorter)).not_after, kNow + 1h);

  const std::vector<std::string> unknown = {"client auth", "singing"};
  EXPECT_EQ(SignRequest(kUserRequest, {unknown, kNow, kNow + 1h}, authority).status().message(),
            "unrecognized usage values: [\"singing\"]");
  EXPECT_TRUE(SignRequest(kUserRequest, {usages, kNow + 48h, kNow + 49h}, authority)
                  .status()
                  .message()
                  .starts_with("the signer has expired: NotAfter="));
}

}  // namespace
}  // namespace knarr::net

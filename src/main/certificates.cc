#include "main/certificates.h"

#include <algorithm>

#include "rt/file_system.h"

namespace knarr::main {
namespace {

constexpr Duration kYear = 365 * 24h;
constexpr Duration kAuthorityLife = 10 * kYear;
// Clocks of clients may be behind ours.
constexpr Duration kBackdate = 1h;

Result<std::optional<net::KeyPair>> Read(rt::Runtime& runtime, const std::string& base) {
  Result<std::string> certificate = runtime.files().ReadFile(base + ".crt");
  Result<std::string> key = runtime.files().ReadFile(base + ".key");
  if (certificate.Failed(Reason::kNotFound) || key.Failed(Reason::kNotFound)) return std::optional<net::KeyPair>();
  if (!certificate.ok()) return certificate.status();
  if (!key.ok()) return key.status();
  return std::optional(net::KeyPair{*certificate, *key});
}

Ok Write(rt::Runtime& runtime, const std::string& base, const net::KeyPair& pair) {
  // The key first: a certificate without its key would be taken for a whole pair.
  TRY(runtime.files().WriteFileAtomic(base + ".key", pair.key_pem, 0600));
  return runtime.files().WriteFileAtomic(base + ".crt", pair.certificate_pem, 0644);
}

WallTime RenewAt(const net::CertificateInfo& info) { return info.not_after - (info.not_after - info.not_before) / 3; }

/// The pair on disk if it is good for a while yet and names all hosts; otherwise a new one.
Result<net::KeyPair> Ensure(rt::Runtime& runtime, const std::string& base, net::CertificateRequest request,
                            const net::KeyPair* issuer, WallTime* renew_at) {
  const WallTime now = runtime.Wall();
  auto covers = [](const std::vector<std::string>& have, const std::vector<std::string>& want) {
    return std::ranges::all_of(want, [&](const std::string& name) { return std::ranges::count(have, name) > 0; });
  };
  std::optional<net::KeyPair> present = TRY(Read(runtime, base));
  if (present) {
    net::CertificateInfo info = TRY(net::ReadCertificate(present->certificate_pem).Context(base + ".crt"));
    const bool named = covers(info.dns_names, request.dns_names) && covers(info.ip_addresses, request.ip_addresses);
    if (now < RenewAt(info) && named) {
      if (renew_at != nullptr) *renew_at = std::min(*renew_at, RenewAt(info));
      return std::move(*present);
    }
  }
  request.not_before = now - kBackdate;
  request.not_after = now + (request.authority ? kAuthorityLife : kYear);
  net::KeyPair made = TRY(net::IssueCertificate(request, issuer));
  TRY(Write(runtime, base, made));
  if (renew_at != nullptr) *renew_at = std::min(*renew_at, request.not_after - kYear / 3);
  return made;
}

}  // namespace

Result<Certificates> EnsureCertificates(rt::Runtime& runtime, const std::string& directory,
                                        const std::vector<std::string>& dns_names,
                                        const std::vector<std::string>& ip_addresses) {
  TRY(runtime.files().MakeDirectories(directory, 0700));
  Certificates out;
  out.renew_at = runtime.Wall() + kYear;
  out.authority =
      TRY(Ensure(runtime, directory + "/ca", {.common_name = "knarr-ca", .authority = true}, nullptr, nullptr));
  out.server = TRY(Ensure(
      runtime, directory + "/server",
      {.common_name = "kube-apiserver", .dns_names = dns_names, .ip_addresses = ip_addresses, .server_auth = true},
      &out.authority, &out.renew_at));
  out.admin = TRY(Ensure(runtime, directory + "/admin",
                         {.common_name = "kubernetes-admin", .organizations = {"system:masters"}, .client_auth = true},
                         &out.authority, &out.renew_at));
  const std::string key_file = directory + "/service-account.key";
  Result<std::string> key = runtime.files().ReadFile(key_file);
  if (key.Failed(Reason::kNotFound)) {
    key = TRY(net::GenerateKey(false));
    TRY(runtime.files().WriteFileAtomic(key_file, *key, 0600));
  }
  out.service_account_key = TRY(std::move(key));
  return out;
}

}  // namespace knarr::main

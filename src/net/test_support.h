#pragma once

// Helpers of this folder's tests.

#include <functional>
#include <memory>
#include <string>

#include "net/tls.h"
#include "rt/real.h"
#include "rt/sim.h"

namespace knarr::net {

inline void RunReal(const std::function<void(rt::RealRuntime&)>& body) {
  auto runtime = rt::RealRuntime::Create({.name = "test"}, rt::BlockingPool::Create(4));
  runtime->Run([&] { body(*runtime); });
}

inline void RunSim(const std::function<void(rt::Runtime&)>& body, uint64_t seed = 1) {
  auto runtime = rt::SimRuntime::Create({.seed = seed});
  runtime->Run([&] { body(*runtime); });
}

/// An authority and what it issued, for 127.0.0.1 and localhost.
struct TestCertificates {
  KeyPair authority;
  KeyPair server;
  KeyPair client;

  static TestCertificates Make(WallTime now) {
    TestCertificates out;
    CertificateRequest request;
    request.common_name = "test-ca";
    request.authority = true;
    request.not_before = now - 1h;
    request.not_after = now + 24h;
    // The requests are right by construction, and nothing outside is involved.
    out.authority = MUST(IssueCertificate(request, nullptr));
    request.authority = false;
    request.common_name = "server";
    request.server_auth = true;
    request.dns_names = {"localhost"};
    request.ip_addresses = {"127.0.0.1", "::1"};
    out.server = MUST(IssueCertificate(request, &out.authority));
    CertificateRequest user = request;
    user.common_name = "admin";
    user.organizations = {"system:masters", "dev"};
    user.server_auth = false;
    user.client_auth = true;
    user.dns_names.clear();
    user.ip_addresses.clear();
    out.client = MUST(IssueCertificate(user, &out.authority));
    return out;
  }
};

}  // namespace knarr::net

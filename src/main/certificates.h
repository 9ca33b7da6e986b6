#pragma once

// The cluster's keys and certificates: made at the first start, kept in <data>/tls, renewed while running.
//
//   ca.crt, ca.key              the authority, ten years
//   server.crt, server.key      the API server, one year
//   admin.crt, admin.key        the user who started it (system:masters), one year
//   service-account.key         signs tokens

#include <string>
#include <vector>

#include "base/status.h"
#include "net/tls.h"
#include "rt/runtime.h"

namespace knarr::main {

struct Certificates {
  net::KeyPair authority;
  net::KeyPair server;
  net::KeyPair admin;
  std::string service_account_key;
  /// When the first of server and admin must be renewed: a third of its life before it ends.
  WallTime renew_at;
};

/// Reads what is there; makes what is missing, about to end, or (the server's) does not name every host in `hosts`.
/// An unreadable file is an error, not a reason to make another.
Result<Certificates> EnsureCertificates(rt::Runtime& runtime, const std::string& directory,
                                        const std::vector<std::string>& dns_names,
                                        const std::vector<std::string>& ip_addresses);

}  // namespace knarr::main

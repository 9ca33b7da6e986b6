#pragma once

// etcd's API over gRPC, on whichever member answers: one connection at a time, to the next member when it fails, when
// it has lost its leader, or when it answers nothing.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/tls.h"
#include "store/etcd/api.h"

namespace knarr::store::etcd {

struct ClusterOptions {
  /// "http://10.0.0.1:2379", "https://etcd-1.example:2379"; at least one.
  std::vector<std::string> servers;
  std::string ca_pem;  ///< of https; "": the system's roots
  std::optional<net::KeyPair> identity;
  std::string user;  ///< "": none; a client certificate may name one
  std::string password;
  /// For one call, and to find a member that takes it.
  Duration call_timeout = std::chrono::seconds(5);
};

/// BadRequest names what is wrong with the options. Connects in the background. World fiber.
Result<std::unique_ptr<Api>> OpenCluster(rt::Runtime& world, ClusterOptions options);

}  // namespace knarr::store::etcd

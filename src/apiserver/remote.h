#pragma once

// Other servers that this one asks: OpenID Connect providers and webhooks.

#include <memory>
#include <string>

#include "net/http_client.h"

namespace knarr::apiserver {

struct RemoteAnswer {
  int code = 0;
  net::Headers headers;
  std::string body;
};

/// Belongs to the world; its fibers call it.
class Remote {
 public:
  virtual ~Remote() = default;
  /// The whole answer, whatever its code. Timeout when it takes longer; answers above a megabyte are refused.
  virtual Result<RemoteAnswer> Send(const net::ClientRequest& request, Duration timeout) = 0;
};

/// Over HTTPS, trusting `ca_pem` ("": the system's authorities) and showing `identity`, if there is one.
Result<std::unique_ptr<Remote>> MakeHttpRemote(rt::Runtime& world, net::TlsClientOptions tls);

}  // namespace knarr::apiserver

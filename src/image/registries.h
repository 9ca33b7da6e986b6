#pragma once

// registries.yaml, in k3s' format: where images of a registry are really fetched from, and how.
//
//   mirrors:
//     docker.io: {endpoint: ["http://127.0.0.1:5000"]}     # "*" stands for every registry
//   configs:
//     "registry.example.com:5000":
//       auth: {username: u, password: p}                   # or auth: base64 of u:p, or identity_token / token
//       tls: {ca_file: …, cert_file: …, key_file: …, insecure_skip_verify: true}

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/http.h"

namespace knarr::image {

struct RegistryAuth {
  std::string username;
  std::string password;
  std::string identity_token;  ///< exchanged for an access token (OAuth 2 refresh token)
  bool empty() const { return username.empty() && identity_token.empty(); }
};

struct RegistryHostConfig {
  RegistryAuth auth;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  bool insecure_skip_verify = false;
};

/// A place to ask: the URL that paths such as "/<repository>/manifests/<tag>" are put after.
struct RegistryEndpoint {
  net::Url base;
  bool mirror = false;  ///< told by "?ns=" which registry is meant
};

struct RegistriesConfig {
  std::map<std::string, std::vector<std::string>> mirrors;
  std::map<std::string, RegistryHostConfig> configs;

  static Result<RegistriesConfig> Parse(std::string_view yaml);
  /// The mirrors in order, then the registry itself (HTTP when it is on loopback, HTTPS otherwise).
  Result<std::vector<RegistryEndpoint>> Endpoints(std::string_view registry) const;
  /// Of "host:port" or "host"; nullptr when nothing is said about it. docker.io's own hosts are one.
  const RegistryHostConfig* HostConfig(std::string_view host) const;
};

/// "host" or "host:port", as it stands in `configs`.
std::string HostOf(const net::Url& url);
bool IsLoopbackHost(std::string_view host);

/// A WWW-Authenticate header: `Bearer realm="https://…",service="…",scope="…"`.
struct AuthChallenge {
  std::string scheme;  ///< lower case
  std::map<std::string, std::string> parameters;
};
/// BadRequest for text that is no challenge.
Result<AuthChallenge> ParseAuthChallenge(std::string_view header);

}  // namespace knarr::image

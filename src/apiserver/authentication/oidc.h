#pragma once

// Identity tokens of an OpenID Connect provider, as kube-apiserver's --oidc-* flags have them.
//
// The provider's discovery document is fetched once (again and again until it is there), its keys when a token is
// signed by one that is not known and what is known is as old as the provider said it may get.

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/authentication/jwt.h"
#include "apiserver/authentication/token_authenticator.h"
#include "apiserver/remote.h"
#include "rt/sync.h"

namespace knarr::apiserver {

struct OidcOptions {
  std::string issuer_url;  ///< https
  std::string client_id;
  std::string ca_pem;  ///< "": the system's authorities
  std::string username_claim = "sub";
  /// Before each user name. "": the issuer and "#", but nothing for e-mail addresses; "-": nothing.
  std::string username_prefix;
  std::string groups_claim;
  std::string groups_prefix;
  std::vector<std::string> signing_algorithms = {"RS256"};
  std::vector<std::pair<std::string, std::string>> required_claims;
};
/// BadRequest with what is wrong, by the flags' names.
Ok CheckOidcOptions(const OidcOptions& options);

/// A provider's public keys.
struct KeySet {
  struct Key {
    std::string id;
    net::JwsKey key;
  };
  std::vector<Key> keys;
  MonoTime fresh_until{};
};
/// The keys of a JWKS document that tokens can be verified with; others are left out. BadRequest for no document.
Result<std::vector<KeySet::Key>> ParseKeySet(std::string_view json);
/// The URL of the keys in a discovery document of this issuer.
Result<std::string> ParseDiscovery(std::string_view json, std::string_view issuer);
/// The user of verified claims: Unauthorized with upstream's words.
Result<UserInfo> UserOfClaims(const OidcOptions& options, const doc::Value& claims);

class OidcAuthenticator : public TokenAuthenticator {
 public:
  /// Everything must outlive it.
  OidcAuthenticator(rt::Runtime& world, Remote& remote, OidcOptions options, std::vector<std::string> api_audiences);
  /// Looks for the provider in the background. World fiber.
  void Start() override;
  void Stop() override { tasks_.StopAndJoin(); }
  Duration cache_time() const override { return std::chrono::seconds(10); }
  Result<std::optional<TokenOwner>> Authenticate(const TokenQuestion& question) override;

 private:
  Ok Discover();
  /// New keys, unless somebody else got some since `seen`. World fiber.
  Ok Refresh(const std::shared_ptr<const KeySet>& seen);
  Ok FetchKeys();
  Ok CheckSignature(rt::Runtime& here, const Jwt& token);
  Ok CheckClaims(const doc::Value& claims, WallTime now) const;

  rt::Runtime& world_;
  Remote& remote_;
  const OidcOptions options_;
  const std::vector<std::string> api_audiences_;
  // Of the world:
  std::string keys_url_;
  rt::Mutex refreshing_;
  uint64_t failures_ = 0;  // fetches of keys
  Ok last_failure_;
  std::atomic<std::shared_ptr<const KeySet>> keys_;  // null until the provider was found
  rt::TaskGroup tasks_;
};

}  // namespace knarr::apiserver

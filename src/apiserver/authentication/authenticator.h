#pragma once

// Who a request comes from: a client certificate, a bearer token (of the token file, of a service account, of a
// bootstrap secret, of an OpenID Connect provider, or one that a webhook knows), or else nobody in particular.
//
// What a certificate says, and whether a service account's token is signed by us, is found out once and kept for each
// of the server's runtimes; whether the account is still there is asked each time.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apiserver/authentication/service_account_tokens.h"
#include "apiserver/authentication/token_authenticator.h"
#include "apiserver/authentication/token_file.h"
#include "net/http.h"
#include "rt/runtime.h"
#include "store/store.h"

namespace knarr::apiserver {

struct AuthenticatorOptions {
  StaticTokens tokens;
  std::vector<std::string> api_audiences;
  bool anonymous = true;
};

/// What a review of a token finds.
struct TokenReview {
  std::optional<TokenOwner> owner;
  std::string error;  ///< "" when there is an owner
};

class Authenticator {
 public:
  /// `more` are asked about tokens that are neither in the options nor a service account's, in this order. `runtimes`
  /// are all that ask. Everything must outlive it.
  Authenticator(AuthenticatorOptions options, const ServiceAccountTokens& accounts, const store::Store& store,
                const std::vector<rt::Runtime*>& runtimes, std::vector<TokenAuthenticator*> more);
  ~Authenticator();

  /// Calls back when a token of old is used, on the runtime it is used on: at least the first time each day. Before
  /// requests come.
  void OnLegacyUse(std::function<void(const TokenClaims& claims)> told) { on_legacy_use_ = std::move(told); }

  /// Unauthorized for credentials that are no good.
  Result<UserInfo> Authenticate(rt::Runtime& here, const net::Request& request);
  /// For TokenReviews: whose token it is, for any of the audiences (empty: the API server's own).
  TokenReview Review(rt::Runtime& here, std::string_view token, const std::vector<std::string>& audiences);

 private:
  struct PerRuntime;
  PerRuntime& Here(rt::Runtime& here);
  std::optional<UserInfo> FromCertificate(rt::Runtime& here, const std::shared_ptr<const net::CertificateInfo>& shown);
  /// All but the static tokens' errors go to `errors`.
  std::optional<TokenOwner> FromToken(const TokenQuestion& question, std::vector<std::string>& errors);
  Result<std::optional<TokenOwner>> FromServiceAccount(const TokenQuestion& question);
  std::optional<TokenOwner> FromTokenFile(const TokenQuestion& question) const;

  std::vector<std::string> api_audiences_;
  const bool anonymous_;
  std::unordered_map<std::string, UserInfo> static_tokens_;  // by the token's digest
  const ServiceAccountTokens& accounts_;
  std::function<void(const TokenClaims& claims)> on_legacy_use_;
  const store::Store& store_;
  std::vector<TokenAuthenticator*> more_;
  std::vector<std::unique_ptr<PerRuntime>> per_runtime_;
};

/// The token of a request's Authorization header, or of a WebSocket subprotocol; "" for none.
std::string BearerToken(const net::Request& request);

}  // namespace knarr::apiserver

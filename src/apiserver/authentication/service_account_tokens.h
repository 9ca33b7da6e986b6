#pragma once

// Tokens of service accounts, signed with the server's key: those that a TokenRequest makes (for an audience, until a
// time, perhaps bound to a pod, a secret or a node), and those of old that stand in a secret and never end. Verified
// means that the signature is ours; whether the account and what the token is bound to are still there is asked each
// time it is used.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authentication/jwt.h"
#include "apiserver/user.h"
#include "store/store.h"

namespace knarr::apiserver {

struct ObjectRef {
  std::string name;
  std::string uid;  ///< "": whatever its uid is
};

struct TokenClaims {
  std::string id;  ///< "jti"
  std::string ns;
  ObjectRef account;
  std::vector<std::string> audiences;  ///< empty: the API server's own (tokens of old)
  WallTime issued{};
  std::optional<WallTime> not_before;
  std::optional<WallTime> expires;
  /// When whoever uses it still is to be warned; it goes on being good.
  std::optional<WallTime> warn_after;
  // What it is bound to besides its account. A node together with a pod is only told.
  std::optional<ObjectRef> pod;
  std::optional<ObjectRef> secret;
  std::optional<ObjectRef> node;
  bool legacy = false;
};

/// Stored objects that a token was found to be good with: as long as they are the same bytes, nothing has changed.
struct SeenObjects {
  std::array<store::Bytes, 2> bytes;
  /// A token of old stands in its secret, and its account is there: whether or not it is good, it is in use.
  bool legacy_use = false;
  bool SameBytes(const SeenObjects& other) const { return bytes == other.bytes; }
};

class ServiceAccountTokens {
 public:
  /// `key_pem` signs, or is "": then there are no tokens.
  static Result<ServiceAccountTokens> Create(std::string_view key_pem, std::string issuer);

  bool has_key() const { return key_.has_value(); }
  const std::string& issuer() const { return issuer_; }
  const net::JwsKey& key() const { return *key_; }
  const std::string& key_id() const { return key_id_; }

  /// Internal when there is no key.
  Result<std::string> Issue(const TokenClaims& claims) const;
  /// The token of a secret of type kubernetes.io/service-account-token.
  Result<std::string> IssueLegacy(std::string_view ns, const ObjectRef& account, std::string_view secret) const;

  /// nullopt when it is none of ours; Unauthorized, with the reason in upstream's words, when it says so and is not.
  Result<std::optional<TokenClaims>> Verify(std::string_view token) const;

 private:
  ServiceAccountTokens() = default;
  std::optional<net::JwsKey> key_;
  std::string key_id_;
  std::string issuer_;
};

/// The user of a verified token, if it is good now: Unauthorized with upstream's words otherwise. `token` is the text,
/// which must be the secret's for one of old. `seen` becomes what was looked at.
Result<UserInfo> UserOfToken(const TokenClaims& claims, std::string_view token, const store::Snapshot& snapshot,
                             WallTime now, SeenObjects& seen);
/// What UserOfToken would look at now.
SeenObjects ObjectsOfToken(const TokenClaims& claims, const store::Snapshot& snapshot);
/// Whether the token's times allow it now.
Ok CheckTimes(const TokenClaims& claims, WallTime now);

}  // namespace knarr::apiserver

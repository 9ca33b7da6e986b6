#pragma once

// Service account tokens: JWTs signed with the server's key, bound to the account (and to a pod or secret, if asked).

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/apiserver.h"
#include "base/status.h"
#include "base/time.h"
#include "store/store.h"

namespace knarr::apiserver {

struct TokenClaims {
  std::string ns;
  std::string account;
  std::string account_uid;
  std::vector<std::string> audiences;
  WallTime issued;
  WallTime expires;
  /// What the token is bound to besides: "pod" or "secret", its name and uid. "" for nothing.
  std::string bound_kind;
  std::string bound_name;
  std::string bound_uid;
};

class TokenIssuer {
 public:
  TokenIssuer(std::string key_pem, std::string issuer) : key_(std::move(key_pem)), issuer_(std::move(issuer)) {}

  Result<std::string> Issue(const TokenClaims& claims, std::string_view id) const;
  /// Checks form, signature, issuer, audience and time. Unauthorized otherwise.
  Result<TokenClaims> Verify(std::string_view token, WallTime now) const;
  const std::string& issuer() const { return issuer_; }

 private:
  std::string key_;
  std::string issuer_;
};

/// The user of a token whose account, and whatever it is bound to, still exist with the same uids.
Result<UserInfo> UserOfToken(const TokenClaims& claims, const store::Snapshot& snapshot);

/// The answer to a TokenRequest for an account.
Result<doc::Document> AnswerTokenRequest(const TokenIssuer& issuer, rt::Runtime& runtime,
                                         const store::Snapshot& snapshot, const doc::Value& account,
                                         doc::Document request);

}  // namespace knarr::apiserver

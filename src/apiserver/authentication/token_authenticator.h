#pragma once

// Who a bearer token belongs to. Several authenticators are asked in turn; each says whose token it is, that it is
// none of its own, or that it should be one of its own and is no good.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/user.h"
#include "base/status.h"
#include "rt/runtime.h"

namespace knarr::apiserver {

struct TokenQuestion {
  rt::Runtime& here;  ///< whose fiber asks
  std::string_view token;
  const std::vector<std::string>& audiences;  ///< whom the token must be for: one of these
};

struct TokenOwner {
  UserInfo user;
  /// Those of the question that the token is for.
  std::vector<std::string> audiences;
};

class TokenAuthenticator {
 public:
  virtual ~TokenAuthenticator() = default;
  /// nullopt: none of mine. Unauthorized: mine, and no good; the message says why. Any of the server's runtimes.
  virtual Result<std::optional<TokenOwner>> Authenticate(const TokenQuestion& question) = 0;
  /// How long an answer may be used again for the same token.
  virtual Duration cache_time() const { return Duration(0); }
  /// Begins and ends what goes on in the background. World fiber.
  virtual void Start() {}
  virtual void Stop() {}
};

/// The members of `wanted` that `have` has, too, in the order of `wanted`.
std::vector<std::string> CommonAudiences(const std::vector<std::string>& have, const std::vector<std::string>& wanted);

/// Compares without telling by its time where the texts differ.
bool SameSecret(std::string_view a, std::string_view b);

}  // namespace knarr::apiserver

#pragma once

// JSON Web Tokens in their compact form. Parsing checks the form only; whose signature it is, and what the claims say,
// is for the caller.

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "doc/value.h"
#include "net/tls.h"

namespace knarr::apiserver {

/// Tokens above this size are none.
inline constexpr size_t kTokenBytesMax = 64 << 10;
/// Clocks of machines differ: times are compared with this much leniency.
inline constexpr Duration kClockLeeway = std::chrono::minutes(1);

struct Jwt {
  std::string signed_text;  ///< header and payload as they were signed
  std::string signature;
  std::string algorithm;  ///< "RS256", …
  std::string key_id;     ///< "" when it names none
  doc::Document claims;   ///< an object

  /// The text of the claim "iss", which nobody has verified yet.
  std::string_view issuer() const { return claims.root.At("iss").AsString(); }
};

/// BadRequest for what is no token.
Result<Jwt> ParseJwt(std::string_view token);
/// Whether the key made the signature, with the algorithm that the header names.
Result<bool> IsSignedBy(const Jwt& token, const net::JwsKey& key);
std::string SignJwt(const net::JwsKey& key, std::string_view header_json, std::string_view claims_json);

/// A claim of seconds since 1970, which may have a fraction; nullopt when it is not there. BadRequest when it is no
/// number, or beyond what a time can be.
Result<std::optional<WallTime>> TimeClaim(const doc::Value& claims, std::string_view name);
int64_t ToSeconds(WallTime time);
WallTime FromSeconds(int64_t seconds);

/// The claim "aud": one text or a list of them.
std::vector<std::string> AudienceClaim(const doc::Value& claims);

}  // namespace knarr::apiserver

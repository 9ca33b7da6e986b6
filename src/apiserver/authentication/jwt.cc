#include "apiserver/authentication/jwt.h"

#include <cmath>

#include "base/check.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

// Times further away than this are no times that anybody means.
constexpr int64_t kSecondsMost = 9'000'000'000;

}  // namespace

Result<Jwt> ParseJwt(std::string_view token) {
  if (token.size() > kTokenBytesMax) return BadRequest("token: too long");
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return BadRequest("token: not of three parts");
  }
  const std::string header_text = TRY(Base64UrlDecode(token.substr(0, first)).Context("token"));
  const std::string claims_text = TRY(Base64UrlDecode(token.substr(first + 1, second - first - 1)).Context("token"));
  Jwt out;
  out.signature = TRY(Base64UrlDecode(token.substr(second + 1)).Context("token"));
  out.signed_text = token.substr(0, second);
  const doc::Document header = TRY(doc::ParseJson(header_text).Context("token"));
  out.algorithm = header.root.At("alg").AsString();
  out.key_id = header.root.At("kid").AsString();
  // An extension that must be understood: none is.
  if (!header.root.At("crit").is_null()) return BadRequest("token: unknown critical header");
  out.claims = doc::Document::Copy(TRY(doc::ParseJson(claims_text).Context("token")).root);
  if (!out.claims.root.is_object()) return BadRequest("token: its claims are no object");
  return out;
}

Result<bool> IsSignedBy(const Jwt& token, const net::JwsKey& key) {
  if (token.algorithm != key.algorithm()) return false;
  return key.Verify(token.signed_text, token.signature);
}

std::string SignJwt(const net::JwsKey& key, std::string_view header_json, std::string_view claims_json) {
  std::string token = Base64UrlEncode(header_json) + "." + Base64UrlEncode(claims_json);
  // The key is a private one that has signed before.
  const std::string signature = MUST(key.Sign(token));
  return token + "." + Base64UrlEncode(signature);
}

Result<std::optional<WallTime>> TimeClaim(const doc::Value& claims, std::string_view name) {
  const doc::Value& value = claims.At(name);
  if (value.is_null()) return std::optional<WallTime>();
  if (!value.is_number()) return BadRequest("token: its times are no numbers");
  const double seconds = value.AsDouble();
  if (!std::isfinite(seconds) || std::abs(seconds) > static_cast<double>(kSecondsMost)) {
    return BadRequest("token: its times are beyond all times");
  }
  return std::optional(FromSeconds(static_cast<int64_t>(seconds)));
}

int64_t ToSeconds(WallTime time) { return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count(); }
WallTime FromSeconds(int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

std::vector<std::string> AudienceClaim(const doc::Value& claims) {
  const doc::Value& audience = claims.At("aud");
  std::vector<std::string> out;
  if (audience.is_string()) out.emplace_back(audience.AsString());
  for (const doc::Value& item : audience.items()) out.emplace_back(item.AsString());
  return out;
}

}  // namespace knarr::apiserver

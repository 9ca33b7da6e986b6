#include "apiserver/authentication/issuer_discovery.h"

#include <fmt/format.h>

#include "apiserver/errors.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kConfigurationPath = "/.well-known/openid-configuration";
constexpr std::string_view kKeysPath = "/openid/v1/jwks";

std::string ConfigurationJson(const ServiceAccountTokens& tokens, std::string_view keys_url) {
  doc::Arena arena;
  const auto list = [&](std::string_view text) {
    const Value item = Value::Borrow(text);
    return Value::ArrayOf(arena, {&item, 1});
  };
  Value root = Value::Object();
  root.AddMember(arena, "issuer", Value::Borrow(tokens.issuer()));
  root.AddMember(arena, "jwks_uri", Value::Borrow(keys_url));
  root.AddMember(arena, "response_types_supported", list("id_token"));
  root.AddMember(arena, "subject_types_supported", list("public"));
  root.AddMember(arena, "id_token_signing_alg_values_supported", list(tokens.key().algorithm()));
  return doc::ToJson(root);
}

Result<std::string> KeysJson(const ServiceAccountTokens& tokens) {
  const net::JwsKey& key = tokens.key();
  const auto [first, second] = TRY(key.Numbers());
  const bool rsa = key.algorithm() == "RS256";
  doc::Arena arena;
  Value one = Value::Object();
  const auto add = [&](std::string_view name, std::string_view text) {
    one.AddMember(arena, name, Value::String(arena, text));
  };
  add("use", "sig");
  add("kty", rsa ? "RSA" : "EC");
  add("kid", tokens.key_id());
  if (!rsa) add("crv", "P-256");
  add("alg", key.algorithm());
  add(rsa ? "n" : "x", Base64UrlEncode(first));
  add(rsa ? "e" : "y", Base64UrlEncode(second));
  Value root = Value::Object();
  root.AddMember(arena, "keys", Value::ArrayOf(arena, {&one, 1}));
  return doc::ToJson(root);
}

}  // namespace

bool IsIssuerDiscoveryPath(std::string_view path) { return path == kConfigurationPath || path == kKeysPath; }

Result<Answer> AnswerIssuerDiscovery(const Call& call, Core& core) {
  const ServiceAccountTokens& tokens = core.security().tokens();
  if (!tokens.has_key()) return NoSuchResourceError();
  Answer answer;
  answer.headers.Set("Cache-Control", "public, max-age=3600");
  if (call.request.url.path == kKeysPath) {
    answer.content_type = "application/jwk-set+json";
    answer.body.text = TRY(KeysJson(tokens));
    return answer;
  }
  std::string url = core.security().options().service_account_keys_url;
  if (url.empty()) url = fmt::format("https://{}{}", core.options().listen.ToString(), kKeysPath);
  answer.body.text = ConfigurationJson(tokens, url);
  return answer;
}

}  // namespace knarr::apiserver

#include "apiserver/token.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "doc/json.h"
#include "net/tls.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr size_t kTokenBytesMax = 16 << 10;
constexpr size_t kEs256Bytes = 64;  // the length of an ES256 signature: RSA's are longer
constexpr int64_t kExpirationLeast = 600;
constexpr int64_t kExpirationMost = int64_t{1} << 32;
constexpr int64_t kExpirationDefault = 3600;
// Clocks of machines differ a little.
constexpr Duration kLeeway = std::chrono::seconds(10);

int64_t Seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}
WallTime FromSeconds(int64_t seconds) {
  // Bounded, so that hostile numbers do not overflow.
  return WallTime(std::chrono::seconds(std::clamp<int64_t>(seconds, 0, int64_t{1} << 33)));
}

Value ClaimsValue(const TokenClaims& claims, std::string_view issuer, std::string_view id, doc::Arena& arena) {
  const auto text = [&](std::string_view t) { return Value::String(arena, t); };
  Value root = Value::Object();
  Value audiences = Value::Array();
  for (const std::string& audience : claims.audiences) audiences.Append(arena, text(audience));
  root.AddMember(arena, "aud", audiences);
  root.AddMember(arena, "exp", Value::Int(Seconds(claims.expires)));
  root.AddMember(arena, "iat", Value::Int(Seconds(claims.issued)));
  root.AddMember(arena, "iss", text(issuer));
  root.AddMember(arena, "jti", text(id));
  Value own = Value::Object();
  own.AddMember(arena, "namespace", text(claims.ns));
  if (!claims.bound_kind.empty()) {
    Value bound = Value::Object();
    bound.AddMember(arena, "name", text(claims.bound_name));
    bound.AddMember(arena, "uid", text(claims.bound_uid));
    own.AddMember(arena, arena.Copy(claims.bound_kind), bound);
  }
  Value account = Value::Object();
  account.AddMember(arena, "name", text(claims.account));
  account.AddMember(arena, "uid", text(claims.account_uid));
  own.AddMember(arena, "serviceaccount", account);
  root.AddMember(arena, "kubernetes.io", own);
  root.AddMember(arena, "nbf", Value::Int(Seconds(claims.issued)));
  root.AddMember(arena, "sub", text(fmt::format("system:serviceaccount:{}:{}", claims.ns, claims.account)));
  return root;
}

}  // namespace

Result<std::string> TokenIssuer::Issue(const TokenClaims& claims, std::string_view id) const {
  if (key_.empty()) return Internal("service account tokens: the server has no signing key");
  // Which algorithm the key is for shows in the length of what it signs.
  const std::string probe = TRY(net::SignJws(key_, "probe"));
  const std::string_view algorithm = probe.size() == kEs256Bytes ? "ES256" : "RS256";
  doc::Arena arena;
  const std::string header = fmt::format(R"({{"alg":"{}","typ":"JWT"}})", algorithm);
  const std::string payload = doc::ToJson(ClaimsValue(claims, issuer_, id, arena));
  std::string token = Base64UrlEncode(header) + "." + Base64UrlEncode(payload);
  const std::string signature = TRY(net::SignJws(key_, token));
  return token + "." + Base64UrlEncode(signature);
}

Result<TokenClaims> TokenIssuer::Verify(std::string_view token, WallTime now) const {
  const auto refuse = [](std::string_view why) { return Unauthorized(fmt::format("invalid bearer token: {}", why)); };
  if (key_.empty() || token.size() > kTokenBytesMax) return refuse("not a token of this server");
  const std::vector<std::string_view> parts = Split(token, '.');
  if (parts.size() != 3) return refuse("not a token of this server");
  const auto header = Base64UrlDecode(parts[0]);
  const auto payload = Base64UrlDecode(parts[1]);
  const auto signature = Base64UrlDecode(parts[2]);
  if (!header.ok() || !payload.ok() || !signature.ok()) return refuse("malformed");
  const auto head = doc::ParseJson(*header);
  const std::string_view expected = signature->size() == kEs256Bytes ? "ES256" : "RS256";
  if (!head.ok() || head->root.At("alg").AsString() != expected) return refuse("unexpected algorithm");
  const Result<bool> fits = net::VerifyJws(key_, token.substr(0, parts[0].size() + 1 + parts[1].size()), *signature);
  if (!fits.ok() || !*fits) return refuse("the signature does not fit");

  const auto body = doc::ParseJson(*payload);
  if (!body.ok()) return refuse("malformed");
  const Value& root = body->root;
  if (root.At("iss").AsString() != issuer_) return refuse("issued by another");
  TokenClaims claims;
  claims.issued = FromSeconds(root.At("nbf").AsInt());
  claims.expires = FromSeconds(root.At("exp").AsInt());
  if (now + kLeeway < claims.issued) return refuse("not valid yet");
  if (now > claims.expires + kLeeway) return refuse("token has expired");
  for (const Value& audience : root.At("aud").items()) claims.audiences.emplace_back(audience.AsString());
  if (std::ranges::find(claims.audiences, issuer_) == claims.audiences.end()) return refuse("for another audience");
  const Value& own = root.At("kubernetes.io");
  claims.ns = own.At("namespace").AsString();
  claims.account = own.Get("serviceaccount", "name").AsString();
  claims.account_uid = own.Get("serviceaccount", "uid").AsString();
  for (const std::string_view kind : {"pod", "secret"}) {
    if (own.At(kind).is_null()) continue;
    claims.bound_kind = kind;
    claims.bound_name = own.Get(kind, "name").AsString();
    claims.bound_uid = own.Get(kind, "uid").AsString();
  }
  return claims;
}

Result<UserInfo> UserOfToken(const TokenClaims& claims, const store::Snapshot& snapshot) {
  const auto uid_of = [&](std::string_view resource, std::string_view name) -> std::string {
    const auto found = snapshot.Get(fmt::format("/registry/core/{}/{}/{}", resource, claims.ns, name));
    if (!found.has_value()) return {};
    return std::string(DecodeStored(*found->value).root.Get("metadata", "uid").AsString());
  };
  if (claims.account_uid.empty() || uid_of("serviceaccounts", claims.account) != claims.account_uid) {
    return Unauthorized("invalid bearer token: service account has been deleted");
  }
  if (!claims.bound_kind.empty() && uid_of(claims.bound_kind + "s", claims.bound_name) != claims.bound_uid) {
    return Unauthorized(fmt::format("invalid bearer token: the {} it is bound to has been deleted", claims.bound_kind));
  }
  UserInfo user;
  user.name = fmt::format("system:serviceaccount:{}:{}", claims.ns, claims.account);
  user.uid = claims.account_uid;
  user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + claims.ns, "system:authenticated"};
  return user;
}

namespace {

Status InvalidRequest(std::string field, std::string message) {
  StatusDetails details;
  details.group = "authentication.k8s.io";
  details.kind = "TokenRequest";
  std::string text = fmt::format("TokenRequest.authentication.k8s.io \"\" is invalid: {}: {}", field, message);
  details.causes.push_back({"FieldValueInvalid", std::move(message), std::move(field)});
  return {Reason::kInvalid, std::move(text), std::move(details)};
}

// What the token is to be bound to besides its account: it must be there.
Ok Bind(const Value& reference, const store::Snapshot& snapshot, TokenClaims& claims) {
  if (reference.is_null()) return {};
  const std::string_view kind = reference.At("kind").AsString();
  if (kind != "Pod" && kind != "Secret") {
    return BadRequest(fmt::format("cannot bind token for serviceaccount \"{}\" to {}", claims.account, GoQuote(kind)));
  }
  claims.bound_kind = kind == "Pod" ? "pod" : "secret";
  claims.bound_name = reference.At("name").AsString();
  const std::string resource = claims.bound_kind + "s";
  const auto found = snapshot.Get(fmt::format("/registry/core/{}/{}/{}", resource, claims.ns, claims.bound_name));
  if (!found.has_value()) return NotFoundError({"", resource}, claims.bound_name);
  claims.bound_uid = DecodeStored(*found->value).root.Get("metadata", "uid").AsString();
  const std::string_view wanted = reference.At("uid").AsString();
  if (!wanted.empty() && wanted != claims.bound_uid) {
    return ConflictError({"", resource}, claims.bound_name,
                         fmt::format("the UID in the bound object reference ({}) does not match the UID in record. "
                                     "The object might have been deleted and then recreated",
                                     wanted));
  }
  return {};
}

}  // namespace

Result<doc::Document> AnswerTokenRequest(const TokenIssuer& issuer, rt::Runtime& runtime,
                                         const store::Snapshot& snapshot, const Value& account, doc::Document request) {
  const Value& spec = request.root.Ensure(request.arena, "spec");
  const int64_t seconds = spec.At("expirationSeconds").AsInt(kExpirationDefault);
  if (seconds < kExpirationLeast) {
    return InvalidRequest("spec.expirationSeconds",
                          fmt::format("Invalid value: {}: may not specify a duration less than 10 minutes", seconds));
  }
  if (seconds > kExpirationMost) {
    return InvalidRequest(
        "spec.expirationSeconds",
        fmt::format("Invalid value: {}: may not specify a duration larger than 2^32 seconds", seconds));
  }
  TokenClaims claims;
  claims.ns = account.Get("metadata", "namespace").AsString();
  claims.account = NameOf(account);
  claims.account_uid = account.Get("metadata", "uid").AsString();
  claims.issued = runtime.Wall();
  claims.expires = claims.issued + std::chrono::seconds(seconds);
  for (const Value& audience : spec.At("audiences").items()) claims.audiences.emplace_back(audience.AsString());
  if (claims.audiences.empty()) claims.audiences.push_back(issuer.issuer());
  TRY(Bind(spec.At("boundObjectRef"), snapshot, claims));
  std::array<uint8_t, 16> random{};
  runtime.RandomBytes(random.data(), random.size());
  const std::string token = TRY(issuer.Issue(claims, MakeUuid(random)));

  doc::Arena& arena = request.arena;
  Value metadata = Value::Object();
  metadata.AddMember(arena, "name", Value::String(arena, claims.account));
  metadata.AddMember(arena, "namespace", Value::String(arena, claims.ns));
  metadata.AddMember(arena, "creationTimestamp", Value::String(arena, FormatTime(claims.issued)));
  request.root.Set(arena, "metadata", metadata);
  Value& answer_spec = request.root.Ensure(arena, "spec");
  if (!answer_spec.is_object()) answer_spec = Value::Object();
  Value audiences = Value::Array();
  for (const std::string& audience : claims.audiences) audiences.Append(arena, Value::String(arena, audience));
  answer_spec.Set(arena, "audiences", audiences);
  answer_spec.Set(arena, "expirationSeconds", Value::Int(seconds));
  Value status = Value::Object();
  status.AddMember(arena, "token", Value::String(arena, token));
  status.AddMember(arena, "expirationTimestamp", Value::String(arena, FormatTime(claims.expires)));
  request.root.Set(arena, "status", status);
  return request;
}

}  // namespace knarr::apiserver

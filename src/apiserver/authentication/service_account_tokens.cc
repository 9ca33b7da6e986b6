#include "apiserver/authentication/service_account_tokens.h"

#include <fmt/format.h>

#include "apiserver/authentication/token_authenticator.h"
#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kLegacyIssuer = "kubernetes/serviceaccount";
constexpr std::string_view kLegacyClaim = "kubernetes.io/serviceaccount/";
constexpr std::string_view kCredentialId = "authentication.kubernetes.io/credential-id";

Value RefValue(const ObjectRef& ref, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "name", Value::String(arena, ref.name));
  if (!ref.uid.empty()) out.AddMember(arena, "uid", Value::String(arena, ref.uid));
  return out;
}

std::string Subject(std::string_view ns, std::string_view account) {
  return fmt::format("{}{}:{}", kServiceAccountPrefix, ns, account);
}

// Members in the order of their names, as Go writes maps.
std::string ClaimsJson(const TokenClaims& claims, std::string_view issuer) {
  doc::Arena arena;
  const auto text = [&](std::string_view t) { return Value::String(arena, t); };
  Value root = Value::Object();
  Value audiences = Value::Array();
  for (const std::string& audience : claims.audiences) audiences.Append(arena, text(audience));
  root.AddMember(arena, "aud", audiences);
  if (claims.expires.has_value()) root.AddMember(arena, "exp", Value::Int(ToSeconds(*claims.expires)));
  root.AddMember(arena, "iat", Value::Int(ToSeconds(claims.issued)));
  root.AddMember(arena, "iss", text(issuer));
  root.AddMember(arena, "jti", text(claims.id));
  Value own = Value::Object();
  own.AddMember(arena, "namespace", text(claims.ns));
  if (claims.node.has_value()) own.AddMember(arena, "node", RefValue(*claims.node, arena));
  if (claims.pod.has_value()) own.AddMember(arena, "pod", RefValue(*claims.pod, arena));
  if (claims.secret.has_value()) own.AddMember(arena, "secret", RefValue(*claims.secret, arena));
  own.AddMember(arena, "serviceaccount", RefValue(claims.account, arena));
  if (claims.warn_after.has_value()) own.AddMember(arena, "warnafter", Value::Int(ToSeconds(*claims.warn_after)));
  root.AddMember(arena, "kubernetes.io", own);
  root.AddMember(arena, "nbf", Value::Int(ToSeconds(claims.issued)));
  root.AddMember(arena, "sub", text(Subject(claims.ns, claims.account.name)));
  return doc::ToJson(root);
}

std::optional<ObjectRef> ReadRef(const Value& ref) {
  if (ref.is_null()) return std::nullopt;
  return ObjectRef{std::string(ref.At("name").AsString()), std::string(ref.At("uid").AsString())};
}

Result<TokenClaims> ReadClaims(const Value& root) {
  TokenClaims out;
  out.id = root.At("jti").AsString();
  out.audiences = AudienceClaim(root);
  out.issued = TRY(TimeClaim(root, "iat")).value_or(WallTime());
  out.not_before = TRY(TimeClaim(root, "nbf"));
  out.expires = TRY(TimeClaim(root, "exp"));
  const Value& own = root.At("kubernetes.io");
  out.warn_after = TRY(TimeClaim(own, "warnafter"));
  out.ns = own.At("namespace").AsString();
  out.account = ReadRef(own.At("serviceaccount")).value_or(ObjectRef());
  out.pod = ReadRef(own.At("pod"));
  out.secret = ReadRef(own.At("secret"));
  out.node = ReadRef(own.At("node"));
  return out;
}

Result<TokenClaims> ReadLegacyClaims(const Value& root) {
  const auto claim = [&](std::string_view name) {
    return std::string(root.At(std::string(kLegacyClaim).append(name)).AsString());
  };
  TokenClaims out;
  out.legacy = true;
  out.ns = claim("namespace");
  out.account = {claim("service-account.name"), claim("service-account.uid")};
  out.secret = ObjectRef{claim("secret.name"), ""};
  const std::string_view subject = root.At("sub").AsString();
  if (subject.empty()) return Unauthorized("sub claim is missing");
  if (out.ns.empty()) return Unauthorized("namespace claim is missing");
  if (out.secret->name.empty()) return Unauthorized("secretName claim is missing");
  if (out.account.name.empty()) return Unauthorized("serviceAccountName claim is missing");
  if (out.account.uid.empty()) return Unauthorized("serviceAccountUID claim is missing");
  if (subject != Subject(out.ns, out.account.name)) return Unauthorized("sub claim is invalid");
  return out;
}

std::string CoreKey(std::string_view resource, std::string_view ns, std::string_view name) {
  if (ns.empty()) return fmt::format("/registry/core/{}/{}", resource, name);
  return fmt::format("/registry/core/{}/{}/{}", resource, ns, name);
}

store::Bytes Find(const store::Snapshot& snapshot, const std::string& key) {
  const auto found = snapshot.Get(key);
  return found.has_value() ? found->value : nullptr;
}

// Whether the object's deletion began so long ago that what is bound to it has ended.
bool IsDeleted(const Value& object, WallTime now) {
  const Value& deletion = object.Get("metadata", "deletionTimestamp");
  if (deletion.is_null()) return false;
  const Result<WallTime> when = ParseTime(deletion.AsString());
  return !when.ok() || *when < now - kClockLeeway;
}

// What a token is bound to: its resource, place and claim.
struct Bond {
  std::string_view resource;
  std::string_view kind;   ///< as messages name it
  std::string_view lower;  ///< in the middle of a message
  std::string key;
  const ObjectRef* ref;
};

std::optional<Bond> BondOf(const TokenClaims& claims) {
  if (claims.secret.has_value()) {
    return Bond{"secrets", "secret", "secret", CoreKey("secrets", claims.ns, claims.secret->name), &*claims.secret};
  }
  if (claims.pod.has_value()) {
    return Bond{"pods", "pod", "pod", CoreKey("pods", claims.ns, claims.pod->name), &*claims.pod};
  }
  if (claims.node.has_value()) {
    return Bond{"nodes", "node", "node", CoreKey("nodes", "", claims.node->name), &*claims.node};
  }
  return std::nullopt;
}

Ok CheckBond(const Bond& bond, const store::Bytes& bytes, WallTime now) {
  if (bytes == nullptr) return Unauthorized("service account token has been invalidated");
  const doc::Document object = DecodeStored(*bytes);
  const std::string_view uid = object.root.Get("metadata", "uid").AsString();
  if (uid != bond.ref->uid) {
    return Unauthorized(fmt::format("{} UID ({}) does not match service account {} ref claim ({})", bond.kind, uid,
                                    bond.lower, bond.ref->uid));
  }
  if (IsDeleted(object.root, now)) return Unauthorized("service account token has been invalidated");
  return {};
}

Ok CheckAccount(const TokenClaims& claims, const store::Bytes& bytes, WallTime now) {
  if (bytes == nullptr) return NotFoundError({"", "serviceaccounts"}, claims.account.name);
  const doc::Document object = DecodeStored(*bytes);
  const std::string_view uid = object.root.Get("metadata", "uid").AsString();
  if (uid != claims.account.uid) {
    return Unauthorized(fmt::format("service account UID ({}) does not match claim ({})", uid, claims.account.uid));
  }
  if (IsDeleted(object.root, now)) {
    return Unauthorized(fmt::format("service account {}/{} has been deleted", claims.ns, claims.account.name));
  }
  return {};
}

// A token of old is good as long as it stands in its secret.
Ok CheckLegacy(const TokenClaims& claims, std::string_view token, SeenObjects& seen) {
  if (seen.bytes[1] == nullptr) return Unauthorized("Token has been invalidated");
  const doc::Document secret = DecodeStored(*seen.bytes[1]);
  if (!secret.root.Get("metadata", "deletionTimestamp").is_null()) return Unauthorized("Token has been invalidated");
  const Result<std::string> stored = Base64Decode(secret.root.Get("data", "token").AsString());
  if (!stored.ok() || !SameSecret(*stored, token)) return Unauthorized("Token does not match server's copy");
  if (seen.bytes[0] == nullptr) return NotFoundError({"", "serviceaccounts"}, claims.account.name);
  const doc::Document account = DecodeStored(*seen.bytes[0]);
  const std::string name = fmt::format("{}/{}", claims.ns, claims.account.name);
  if (!account.root.Get("metadata", "deletionTimestamp").is_null()) {
    return Unauthorized(fmt::format("ServiceAccount {} has been deleted", name));
  }
  const std::string_view uid = account.root.Get("metadata", "uid").AsString();
  if (uid != claims.account.uid) {
    return Unauthorized(fmt::format("ServiceAccount UID ({}) does not match claim ({})", uid, claims.account.uid));
  }
  seen.legacy_use = true;
  constexpr std::string_view kInvalidSince = "kubernetes.io/legacy-token-invalid-since";
  if (secret.root.Get("metadata", "labels", kInvalidSince).AsString().empty()) return {};
  return Unauthorized(
      fmt::format("the token in secret {}/{} for service account {} has been marked invalid. Use tokens from the "
                  "TokenRequest API or manually created secret-based tokens, or remove the '{}' label from the secret "
                  "to temporarily allow use of this token",
                  claims.ns, claims.secret->name, name, kInvalidSince));
}

UserInfo MakeUser(const TokenClaims& claims) {
  UserInfo user = ServiceAccountUser(claims.ns, claims.account.name);
  user.groups.pop_back();  // that it is authenticated is added for everybody
  user.uid = claims.account.uid;
  const auto add = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) user.extra.emplace_back(key, std::vector<std::string>{value});
  };
  if (!claims.id.empty()) add(kCredentialId, "JTI=" + claims.id);
  if (claims.node.has_value()) {
    add("authentication.kubernetes.io/node-name", claims.node->name);
    add("authentication.kubernetes.io/node-uid", claims.node->uid);
  }
  if (claims.pod.has_value()) {
    add("authentication.kubernetes.io/pod-name", claims.pod->name);
    add("authentication.kubernetes.io/pod-uid", claims.pod->uid);
  }
  return user;
}

}  // namespace

Result<ServiceAccountTokens> ServiceAccountTokens::Create(std::string_view key_pem, std::string issuer) {
  ServiceAccountTokens out;
  out.issuer_ = std::move(issuer);
  if (!key_pem.empty()) {
    out.key_ = TRY(net::JwsKey::Create(key_pem).Context("the key of service account tokens"));
    out.key_id_ = TRY(out.key_->Id());
  }
  return out;
}

Result<std::string> ServiceAccountTokens::Issue(const TokenClaims& claims) const {
  if (!key_.has_value()) return Internal("failed to generate token: the server has no signing key");
  const std::string header = fmt::format(R"({{"alg":"{}","kid":"{}"}})", key_->algorithm(), key_id_);
  return SignJwt(*key_, header, ClaimsJson(claims, issuer_));
}

Result<std::string> ServiceAccountTokens::IssueLegacy(std::string_view ns, const ObjectRef& account,
                                                      std::string_view secret) const {
  if (!key_.has_value()) return Internal("failed to generate token: the server has no signing key");
  doc::Arena arena;
  Value root = Value::Object();
  const auto add = [&](std::string_view name, std::string_view text) {
    root.SetCopy(arena, name, Value::String(arena, text));
  };
  add("iss", kLegacyIssuer);
  add(std::string(kLegacyClaim) + "namespace", ns);
  add(std::string(kLegacyClaim) + "secret.name", secret);
  add(std::string(kLegacyClaim) + "service-account.name", account.name);
  add(std::string(kLegacyClaim) + "service-account.uid", account.uid);
  add("sub", Subject(ns, account.name));
  const std::string header = fmt::format(R"({{"alg":"{}","kid":"{}"}})", key_->algorithm(), key_id_);
  return SignJwt(*key_, header, doc::ToJson(root));
}

Result<std::optional<TokenClaims>> ServiceAccountTokens::Verify(std::string_view token) const {
  const std::optional<TokenClaims> none;
  if (!key_.has_value()) return none;
  const Result<Jwt> parsed = ParseJwt(token);
  if (!parsed.ok()) return none;
  const bool legacy = parsed->issuer() == kLegacyIssuer;
  if (!legacy && parsed->issuer() != issuer_) return none;
  if (!parsed->key_id.empty() && parsed->key_id != key_id_) return Unauthorized("invalid signature, no keys found");
  const Result<bool> fits = IsSignedBy(*parsed, *key_);
  if (!fits.ok() || !*fits) return Unauthorized("go-jose/go-jose: error in cryptographic primitive");
  const Value& root = parsed->claims.root;
  Result<TokenClaims> claims = legacy ? ReadLegacyClaims(root) : ReadClaims(root);
  if (!claims.ok()) return Unauthorized(claims.status().message());
  return std::optional(std::move(*claims));
}

Ok CheckTimes(const TokenClaims& claims, WallTime now) {
  if (claims.not_before.has_value() && now + kClockLeeway < *claims.not_before) {
    return Unauthorized("service account token is not valid yet");
  }
  if (claims.expires.has_value() && now - kClockLeeway > *claims.expires) {
    return Unauthorized("service account token has expired");
  }
  if (now + kClockLeeway < claims.issued) return Unauthorized("service account token is issued in the future");
  return {};
}

SeenObjects ObjectsOfToken(const TokenClaims& claims, const store::Snapshot& snapshot) {
  SeenObjects seen;
  seen.bytes[0] = Find(snapshot, CoreKey("serviceaccounts", claims.ns, claims.account.name));
  if (const std::optional<Bond> bond = BondOf(claims)) seen.bytes[1] = Find(snapshot, bond->key);
  return seen;
}

Result<UserInfo> UserOfToken(const TokenClaims& claims, std::string_view token, const store::Snapshot& snapshot,
                             WallTime now, SeenObjects& seen) {
  TRY(CheckTimes(claims, now));
  seen = ObjectsOfToken(claims, snapshot);
  if (claims.legacy) {
    TRY(CheckLegacy(claims, token, seen));
  } else {
    TRY(CheckAccount(claims, seen.bytes[0], now));
    if (const std::optional<Bond> bond = BondOf(claims)) TRY(CheckBond(*bond, seen.bytes[1], now));
  }
  return MakeUser(claims);
}

}  // namespace knarr::apiserver

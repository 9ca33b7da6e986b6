#include "apiserver/authentication/oidc.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/remote_call.h"
#include "base/log.h"
#include "base/strings.h"
#include "doc/json.h"
#include "doc/text.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr Duration kFetchTimeout = std::chrono::seconds(30);
constexpr Duration kDiscoverAgain = std::chrono::seconds(10);
// Keys are looked for no more often than this, whatever tokens come along.
constexpr Duration kKeysKeptLeast = std::chrono::seconds(1);
constexpr Duration kKeysKeptMost = std::chrono::hours(24);
constexpr size_t kKeysMax = 100;

std::string QuotedList(const std::vector<std::string>& list) {
  std::vector<std::string> out;
  for (const std::string& text : list) out.push_back(GoQuote(text));
  return "[" + Join(out, " ") + "]";
}

std::optional<net::JwsKey> ReadKey(const Value& key) {
  const auto number = [&](std::string_view name) {
    // Some providers pad.
    Result<std::string> decoded = Base64UrlDecode(TrimRight(key.At(name).AsString(), "="));
    return decoded.ok() ? *decoded : std::string();
  };
  const std::string_view type = key.At("kty").AsString();
  if (key.At("use").AsString("sig") != "sig") return std::nullopt;
  Result<net::JwsKey> made = BadRequest("");
  if (type == "RSA") made = net::JwsKey::FromRsa(number("n"), number("e"));
  if (type == "EC" && key.At("crv").AsString() == "P-256") made = net::JwsKey::FromP256(number("x"), number("y"));
  if (!made.ok()) return std::nullopt;
  return std::move(*made);
}

// How long an answer may be kept, as it says itself.
Duration MaxAge(const net::Headers& headers) {
  for (std::string_view directive : Split(headers.Get("Cache-Control"), ',')) {
    directive = TrimSpace(directive);
    if (!ConsumePrefix(directive, "max-age=")) continue;
    const Result<int64_t> seconds = ParseInt64(directive);
    if (!seconds.ok()) continue;
    return std::clamp<Duration>(std::chrono::seconds(std::clamp<int64_t>(*seconds, 0, 1 << 30)), kKeysKeptLeast,
                                kKeysKeptMost);
  }
  return kKeysKeptLeast;
}

Result<RemoteAnswer> Fetch(Remote& remote, const std::string& url) {
  net::ClientRequest request;
  request.url = TRY(net::Url::Parse(url));
  request.headers.Set("Accept", "application/json");
  RemoteAnswer answer = TRY(remote.Send(request, kFetchTimeout));
  if (answer.code != 200) {
    return Unavailable(fmt::format("{} {}: {}", answer.code, net::HttpStatusText(answer.code), answer.body));
  }
  return answer;
}

// What Go says of a claim that should be a text.
std::string WrongType(const Value& value, std::string_view wanted) {
  return fmt::format("json: cannot unmarshal {} into Go value of type {}", doc::GoKind(value), wanted);
}

Result<std::vector<std::string>> Groups(const OidcOptions& options, const Value& claims) {
  std::vector<std::string> out;
  const Value* groups = options.groups_claim.empty() ? nullptr : claims.Find(options.groups_claim);
  if (groups == nullptr || groups->is_null()) return out;
  const auto wrong = [&](const Value& value) {
    return Unauthorized(
        fmt::format("oidc: parse groups claim {}: {}", GoQuote(options.groups_claim), WrongType(value, "string")));
  };
  if (groups->is_string()) {
    out.emplace_back(groups->AsString());
  } else if (!groups->is_array()) {
    return wrong(*groups);
  }
  for (const Value& group : groups->items()) {
    if (!group.is_string()) return wrong(*groups);
    out.emplace_back(group.AsString());
  }
  for (std::string& group : out) group = options.groups_prefix + group;
  return out;
}

Ok CheckEmail(const Value& claims) {
  const Value* verified = claims.Find("email_verified");
  if (verified == nullptr) return {};
  if (!verified->is_bool()) {
    return Unauthorized("oidc: parse 'email_verified' claim: " + WrongType(*verified, "bool"));
  }
  if (!verified->AsBool()) return Unauthorized("oidc: email not verified");
  return {};
}

Result<std::string> UserName(const OidcOptions& options, const Value& claims) {
  const Value* claim = claims.Find(options.username_claim);
  const auto wrong = [&](std::string_view why) {
    return Unauthorized(fmt::format("oidc: parse username claims {}: {}", GoQuote(options.username_claim), why));
  };
  if (claim == nullptr) return wrong("claim not present");
  if (!claim->is_string() && !claim->is_null()) return wrong(WrongType(*claim, "string"));
  const bool email = options.username_claim == "email";
  if (email) TRY(CheckEmail(claims));
  std::string prefix = options.username_prefix;
  if (prefix.empty() && !email) prefix = options.issuer_url + "#";
  if (prefix == "-") prefix.clear();
  return prefix + std::string(claim->AsString());
}

Ok CheckRequired(const OidcOptions& options, const Value& claims) {
  for (const auto& [name, wanted] : options.required_claims) {
    const Value* claim = claims.Find(name);
    if (claim == nullptr) return Unauthorized(fmt::format("oidc: required claim {} not present in ID token", name));
    if (!claim->is_string()) {
      return Unauthorized(fmt::format("oidc: parse claim {}: {}", name, WrongType(*claim, "string")));
    }
    if (claim->AsString() != wanted) {
      return Unauthorized(fmt::format("oidc: required claim {} value does not match. Got = {}, want = {}", name,
                                      claim->AsString(), wanted));
    }
  }
  return {};
}

}  // namespace

Ok CheckOidcOptions(const OidcOptions& options) {
  if (options.client_id.empty()) return BadRequest("oidc-issuer-url and oidc-client-id must be specified together");
  const Result<net::Url> url = net::Url::Parse(options.issuer_url);
  if (!url.ok()) return url.status().WithContext("oidc-issuer-url");
  if (url->scheme != "https" || url->host.empty()) {
    return BadRequest(fmt::format("oidc-issuer-url: {}: URL scheme must be https", GoQuote(options.issuer_url)));
  }
  if (!url->query.empty()) return BadRequest("oidc-issuer-url: URL must not contain a query");
  for (const std::string& algorithm : options.signing_algorithms) {
    if (algorithm != "RS256" && algorithm != "ES256") {
      return BadRequest(fmt::format("oidc-signing-algs: unsupported signing alg: {}", GoQuote(algorithm)));
    }
  }
  return {};
}

Result<std::vector<KeySet::Key>> ParseKeySet(std::string_view json) {
  const doc::Document document = TRY(doc::ParseJson(json).Context("oidc: failed to decode keys"));
  std::vector<KeySet::Key> out;
  for (const Value& key : document.root.At("keys").items()) {
    if (out.size() == kKeysMax) break;
    std::optional<net::JwsKey> made = ReadKey(key);
    if (made.has_value()) out.push_back({std::string(key.At("kid").AsString()), std::move(*made)});
  }
  return out;
}

Result<std::string> ParseDiscovery(std::string_view json, std::string_view issuer) {
  const doc::Document document = TRY(doc::ParseJson(json).Context("oidc: failed to decode provider discovery object"));
  const std::string_view own = document.root.At("issuer").AsString();
  if (own != issuer) {
    return BadRequest(fmt::format("oidc: issuer did not match the issuer returned by provider, expected {} got {}",
                                  GoQuote(issuer), GoQuote(own)));
  }
  const std::string url(document.root.At("jwks_uri").AsString());
  const Result<net::Url> parsed = net::Url::Parse(url);
  if (!parsed.ok() || parsed->scheme != "https") return BadRequest("oidc: the provider names no https jwks_uri");
  return url;
}

Result<UserInfo> UserOfClaims(const OidcOptions& options, const Value& claims) {
  UserInfo user;
  user.name = TRY(UserName(options, claims));
  user.groups = TRY(Groups(options, claims));
  const std::string_view id = claims.At("jti").AsString();
  if (!id.empty()) {
    user.extra.emplace_back("authentication.kubernetes.io/credential-id",
                            std::vector<std::string>{"JTI=" + std::string(id)});
  }
  TRY(CheckRequired(options, claims));
  return user;
}

OidcAuthenticator::OidcAuthenticator(rt::Runtime& world, Remote& remote, OidcOptions options,
                                     std::vector<std::string> api_audiences)
    : world_(world),
      remote_(remote),
      options_(std::move(options)),
      api_audiences_(std::move(api_audiences)),
      refreshing_(world),
      tasks_(world, "oidc") {}

void OidcAuthenticator::Start() {
  tasks_.Spawn("discover", [this] {
    for (;;) {
      const Ok found = Discover();
      if (found.ok() || found.Failed(Reason::kCancelled)) return;
      LOG_WARN("oidc: the provider is not there", {"issuer", options_.issuer_url}, {"error", found.status()});
      if (!world_.Sleep(kDiscoverAgain).ok()) return;
    }
  });
}

Ok OidcAuthenticator::Discover() {
  std::string url(TrimRight(options_.issuer_url, "/"));
  const RemoteAnswer answer = TRY(Fetch(remote_, url + "/.well-known/openid-configuration"));
  keys_url_ = TRY(ParseDiscovery(answer.body, options_.issuer_url));
  keys_.store(std::make_shared<const KeySet>(), std::memory_order_release);
  return {};
}

Ok OidcAuthenticator::Refresh(const std::shared_ptr<const KeySet>& seen) {
  const uint64_t failures = failures_;
  const auto guard = TRY(refreshing_.Lock());
  if (keys_.load() != seen) return {};
  // Who waited for a fetch that failed does not make another: they would wait for each other's, one after the other.
  if (failures_ != failures) return last_failure_;
  const Ok fetched = FetchKeys();
  if (!fetched.ok() && !fetched.Failed(Reason::kCancelled)) {
    ++failures_;
    last_failure_ = fetched;
  }
  return fetched;
}

Ok OidcAuthenticator::FetchKeys() {
  const RemoteAnswer answer = TRY(Fetch(remote_, keys_url_).Context("fetching keys oidc: get keys failed"));
  auto fresh = std::make_shared<KeySet>();
  fresh->keys = TRY(ParseKeySet(answer.body).Context("fetching keys"));
  fresh->fresh_until = world_.Mono() + MaxAge(answer.headers);
  keys_.store(std::move(fresh), std::memory_order_release);
  return {};
}

Ok OidcAuthenticator::CheckSignature(rt::Runtime& here, const Jwt& token) {
  const auto fits = [&](const KeySet& set) {
    return std::ranges::any_of(set.keys, [&](const KeySet::Key& key) {
      if (!token.key_id.empty() && token.key_id != key.id) return false;
      const Result<bool> signed_by = IsSignedBy(token, key.key);
      return signed_by.ok() && *signed_by;
    });
  };
  std::shared_ptr<const KeySet> keys = keys_.load(std::memory_order_acquire);
  if (keys == nullptr) return Unauthorized("oidc: authenticator not initialized");
  // Keys that are too old still count: the provider may be away.
  if (fits(*keys)) return {};
  if (here.Mono() >= keys->fresh_until) {
    const Ok refreshed = CallOnCancellable(here, world_, [&] { return Refresh(keys); });
    if (!refreshed.ok()) {
      return Unauthorized("oidc: verify token: failed to verify signature: " + refreshed.status().message());
    }
    keys = keys_.load(std::memory_order_acquire);
    if (fits(*keys)) return {};
  }
  return Unauthorized("oidc: verify token: failed to verify signature: failed to verify id token signature");
}

Ok OidcAuthenticator::CheckClaims(const Value& claims, WallTime now) const {
  const std::vector<std::string> audiences = AudienceClaim(claims);
  if (std::ranges::find(audiences, options_.client_id) == audiences.end()) {
    return Unauthorized(fmt::format("oidc: verify token: oidc: expected audience in {} got {}",
                                    QuotedList({options_.client_id}), QuotedList(audiences)));
  }
  const auto expires = TRY(TimeClaim(claims, "exp"));
  if (!expires.has_value() || *expires < now) {
    return Unauthorized(fmt::format("oidc: verify token: oidc: token is expired (Token Expiry: {})",
                                    FormatTime(expires.value_or(WallTime()))));
  }
  const auto not_before = TRY(TimeClaim(claims, "nbf"));
  if (not_before.has_value() && now + kClockLeeway < *not_before) {
    return Unauthorized(fmt::format("oidc: verify token: oidc: current time {} before the nbf (not before) time: {}",
                                    FormatTime(now), FormatTime(*not_before)));
  }
  return {};
}

Result<std::optional<TokenOwner>> OidcAuthenticator::Authenticate(const TokenQuestion& question) {
  const std::optional<TokenOwner> none;
  const Result<Jwt> token = ParseJwt(question.token);
  if (!token.ok() || token->issuer() != options_.issuer_url) return none;
  std::vector<std::string> audiences = CommonAudiences(api_audiences_, question.audiences);
  if (audiences.empty()) return none;
  const std::vector<std::string>& algorithms = options_.signing_algorithms;
  if (std::ranges::find(algorithms, token->algorithm) == algorithms.end()) {
    return Unauthorized(
        fmt::format("oidc: verify token: oidc: id token signed with unsupported algorithm, expected {} got {}",
                    QuotedList(algorithms), GoQuote(token->algorithm)));
  }
  TRY(CheckSignature(question.here, *token));
  const Value& claims = token->claims.root;
  const Ok good = CheckClaims(claims, question.here.Wall());
  if (!good.ok()) return Unauthorized(good.status().message());
  return std::optional(TokenOwner{TRY(UserOfClaims(options_, claims)), std::move(audiences)});
}

}  // namespace knarr::apiserver

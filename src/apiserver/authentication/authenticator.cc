#include "apiserver/authentication/authenticator.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/authorization/authorizer.h"
#include "base/check.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kBearerProtocol = "base64url.bearer.authorization.k8s.io.";
constexpr std::string_view kInvalidToken = "invalid bearer token";
// Per runtime. When there are more, what was kept is forgotten and found out again.
constexpr size_t kKnownTokensMax = 10000;
constexpr size_t kKnownCertificatesMax = 20000;

void AddAuthenticated(UserInfo& user) {
  if (user.name == kAnonymous || IsMember(user, kAllAuthenticated) || IsMember(user, kAllUnauthenticated)) return;
  user.groups.emplace_back(kAllAuthenticated);
}

UserInfo UserOfCertificate(const net::CertificateInfo& certificate) {
  UserInfo user{certificate.common_name, certificate.user_ids.empty() ? "" : certificate.user_ids.front(),
                certificate.organizations};
  user.extra.emplace_back("authentication.kubernetes.io/credential-id",
                          std::vector<std::string>{"X509SHA256=" + certificate.fingerprint_hex});
  AddAuthenticated(user);
  return user;
}

// Whether something that was looked at is being deleted.
bool IsEnding(const SeenObjects& seen) {
  return std::ranges::any_of(seen.bytes, [](const store::Bytes& bytes) {
    return bytes != nullptr && bytes->find("deletionTimestamp") != std::string::npos;
  });
}

}  // namespace

std::vector<std::string> CommonAudiences(const std::vector<std::string>& have, const std::vector<std::string>& wanted) {
  std::vector<std::string> out;
  for (const std::string& audience : wanted) {
    if (std::ranges::find(have, audience) != have.end()) out.push_back(audience);
  }
  return out;
}

bool SameSecret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char different = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    different = static_cast<unsigned char>(different | (a[i] ^ b[i]));
  }
  return different == 0;
}

std::string BearerToken(const net::Request& request) {
  const std::vector<std::string_view> words = Split(TrimSpace(request.headers.Get("Authorization")), ' ');
  // An empty second word is a second space: then there is no token.
  if (words.size() >= 2 && EqualIgnoreCase(words[0], "bearer")) return std::string(words[1]);
  for (const std::string_view value : request.headers.GetAll("Sec-WebSocket-Protocol")) {
    for (std::string_view protocol : Split(value, ',')) {
      protocol = TrimSpace(protocol);
      if (!ConsumePrefix(protocol, kBearerProtocol)) continue;
      Result<std::string> token = Base64UrlDecode(protocol);
      if (token.ok()) return std::move(*token);
    }
  }
  return {};
}

/// What one runtime has found out.
struct Authenticator::PerRuntime {
  struct Certificate {
    std::weak_ptr<const net::CertificateInfo> shown;
    UserInfo user;
  };
  struct Token {
    TokenClaims claims;
    SeenObjects seen;
    std::optional<UserInfo> user;  ///< good as long as `seen` is what there is
    bool ending = false;           ///< what was seen can change its meaning as time goes by
    int64_t told_day = -1;         ///< the last day its use was told, of a token of old
  };
  struct Answer {
    TokenOwner owner;
    MonoTime until;
  };
  rt::Runtime* runtime;
  std::unordered_map<const net::CertificateInfo*, Certificate> certificates;
  std::unordered_map<std::string, Token> tokens;  // by the token's digest
  /// What the authenticators said that let their answers be used again: by the digests of token and audiences.
  std::unordered_map<std::string, Answer> answers;
};

Authenticator::Authenticator(AuthenticatorOptions options, const ServiceAccountTokens& accounts,
                             const store::Store& store, const std::vector<rt::Runtime*>& runtimes,
                             std::vector<TokenAuthenticator*> more)
    : api_audiences_(std::move(options.api_audiences)),
      anonymous_(options.anonymous),
      accounts_(accounts),
      store_(store),
      more_(std::move(more)) {
  for (auto& [token, user] : options.tokens) static_tokens_.insert_or_assign(net::Sha256(token), std::move(user));
  for (rt::Runtime* runtime : runtimes) per_runtime_.push_back(std::make_unique<PerRuntime>(runtime));
}

Authenticator::~Authenticator() = default;

Authenticator::PerRuntime& Authenticator::Here(rt::Runtime& here) {
  for (const auto& one : per_runtime_) {
    if (one->runtime == &here) return *one;
  }
  CHECK(false && "a runtime that is not the server's");
}

std::optional<UserInfo> Authenticator::FromCertificate(rt::Runtime& here,
                                                       const std::shared_ptr<const net::CertificateInfo>& shown) {
  const WallTime now = here.Wall();
  // A connection may outlive its certificate.
  if (now < shown->not_before || now > shown->not_after) return std::nullopt;
  if (shown->common_name.empty() || shown->user_ids.size() > 1) return std::nullopt;
  auto& known = Here(here).certificates;
  const auto found = known.find(shown.get());
  if (found != known.end()) {
    // The address may have been another certificate's before.
    const std::weak_ptr<const net::CertificateInfo>& owner = found->second.shown;
    if (!owner.owner_before(shown) && !shown.owner_before(owner)) return found->second.user;
  }
  if (known.size() >= kKnownCertificatesMax) known.clear();
  UserInfo user = UserOfCertificate(*shown);
  known.insert_or_assign(shown.get(), PerRuntime::Certificate{shown, user});
  return user;
}

std::optional<TokenOwner> Authenticator::FromTokenFile(const TokenQuestion& question) const {
  if (static_tokens_.empty()) return std::nullopt;
  std::vector<std::string> audiences = CommonAudiences(api_audiences_, question.audiences);
  if (audiences.empty()) return std::nullopt;
  const auto found = static_tokens_.find(net::Sha256(question.token));
  if (found == static_tokens_.end()) return std::nullopt;
  return TokenOwner{found->second, std::move(audiences)};
}

Result<std::optional<TokenOwner>> Authenticator::FromServiceAccount(const TokenQuestion& question) {
  const std::optional<TokenOwner> none;
  auto& known = Here(question.here).tokens;
  const std::string digest = net::Sha256(question.token);
  auto found = known.find(digest);
  if (found == known.end()) {
    std::optional<TokenClaims> claims = TRY(accounts_.Verify(question.token));
    if (!claims.has_value()) return none;
    if (known.size() >= kKnownTokensMax) known.clear();
    found = known.emplace(digest, PerRuntime::Token{std::move(*claims), {}, {}}).first;
  }
  PerRuntime::Token& token = found->second;
  const std::vector<std::string>& own = token.claims.audiences.empty() ? api_audiences_ : token.claims.audiences;
  std::vector<std::string> audiences = CommonAudiences(own, question.audiences);
  if (audiences.empty()) {
    const auto quoted = [](const std::vector<std::string>& list) {
      std::vector<std::string> out;
      for (const std::string& text : list) out.push_back(GoQuote(text));
      return "[" + Join(out, " ") + "]";
    };
    return Unauthorized(fmt::format("token audiences {} is invalid for the target audiences {}", quoted(own),
                                    quoted(question.audiences)));
  }
  const WallTime now = question.here.Wall();
  const std::shared_ptr<const store::Snapshot> snapshot = store_.Latest();
  const auto tell_use = [&] {
    const int64_t day = std::chrono::floor<std::chrono::days>(now).time_since_epoch().count();
    if (!token.seen.legacy_use || !on_legacy_use_ || token.told_day == day) return;
    token.told_day = day;
    on_legacy_use_(token.claims);
  };
  if (!token.user.has_value() || token.ending || !ObjectsOfToken(token.claims, *snapshot).SameBytes(token.seen)) {
    token.user.reset();
    Result<UserInfo> user = UserOfToken(token.claims, question.token, *snapshot, now, token.seen);
    token.ending = IsEnding(token.seen);
    tell_use();
    token.user = TRY(std::move(user));
  } else {
    TRY(CheckTimes(token.claims, now));
    tell_use();
  }
  return std::optional(TokenOwner{*token.user, std::move(audiences)});
}

std::optional<TokenOwner> Authenticator::FromToken(const TokenQuestion& question, std::vector<std::string>& errors) {
  if (std::optional<TokenOwner> owner = FromTokenFile(question)) return owner;
  const auto take = [&](Result<std::optional<TokenOwner>> answer) -> std::optional<TokenOwner> {
    if (answer.ok()) return std::move(*answer);
    errors.push_back(answer.status().message());
    return std::nullopt;
  };
  if (std::optional<TokenOwner> owner = take(FromServiceAccount(question))) return owner;
  auto& answers = Here(question.here).answers;
  const std::string key = net::Sha256(question.token) + net::Sha256(Join(question.audiences, "\n"));
  const auto known = answers.find(key);
  if (known != answers.end() && question.here.Mono() < known->second.until) return known->second.owner;
  for (TokenAuthenticator* authenticator : more_) {
    std::optional<TokenOwner> owner = take(authenticator->Authenticate(question));
    if (!owner.has_value()) continue;
    if (answers.size() >= kKnownTokensMax) answers.clear();
    const Duration kept = authenticator->cache_time();
    if (kept > Duration(0)) answers.insert_or_assign(key, PerRuntime::Answer{*owner, question.here.Mono() + kept});
    return owner;
  }
  return std::nullopt;
}

Result<UserInfo> Authenticator::Authenticate(rt::Runtime& here, const net::Request& request) {
  if (request.certificate != nullptr && request.certificate->refused_because.empty()) {
    if (std::optional<UserInfo> user = FromCertificate(here, request.certificate)) return std::move(*user);
  }
  const std::string token = BearerToken(request);
  if (!token.empty()) {
    std::vector<std::string> errors;
    std::optional<TokenOwner> owner = FromToken({here, token, api_audiences_}, errors);
    // Why it is no good is not for whoever shows it.
    if (!owner.has_value()) return Unauthorized("Unauthorized");
    AddAuthenticated(owner->user);
    return std::move(owner->user);
  }
  // Whoever shows a bad certificate wants to be somebody.
  const bool bad_certificate = request.certificate != nullptr && !request.certificate->common_name.empty();
  if (bad_certificate || !anonymous_) return Unauthorized("Unauthorized");
  return UserInfo{std::string(kAnonymous), "", {std::string(kAllUnauthenticated)}};
}

TokenReview Authenticator::Review(rt::Runtime& here, std::string_view token,
                                  const std::vector<std::string>& audiences) {
  std::vector<std::string> errors;
  TokenReview review;
  review.owner = FromToken({here, token, audiences.empty() ? api_audiences_ : audiences}, errors);
  if (review.owner.has_value()) {
    AddAuthenticated(review.owner->user);
  } else {
    errors.insert(errors.begin(), std::string(kInvalidToken));
    review.error = AggregateText(errors);
  }
  return review;
}

}  // namespace knarr::apiserver

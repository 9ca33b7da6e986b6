#include "apiserver/authentication/bootstrap_token.h"

#include <algorithm>

#include "apiserver/object_io.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "doc/value.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr size_t kIdBytes = 6;
constexpr size_t kSecretBytes = 16;
constexpr std::string_view kGroup = "system:bootstrappers";

bool IsLowerAlphanumeric(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

std::string Data(const Value& secret, std::string_view key) {
  const Result<std::string> decoded = Base64Decode(secret.Get("data", key).AsString());
  return decoded.ok() ? *decoded : std::string();
}

// A time that can't be read has passed.
bool HasExpired(const Value& secret, WallTime now) {
  const std::string text = Data(secret, "expiration");
  if (text.empty()) return false;
  const Result<WallTime> expires = ParseTime(text);
  return !expires.ok() || *expires <= now;
}

// "system:bootstrappers:" and up to 256 of [a-z0-9:-], with a letter or digit at the end.
bool IsGroupName(std::string_view group) {
  if (!ConsumePrefix(group, "system:bootstrappers:") || group.empty() || group.size() > 256) return false;
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ':' || c == '-'; };
  return std::ranges::all_of(group, fits) && group.back() != ':' && group.back() != '-';
}

class BootstrapTokenAuthenticator : public TokenAuthenticator {
 public:
  BootstrapTokenAuthenticator(const store::Store& store, std::vector<std::string> api_audiences)
      : store_(store), api_audiences_(std::move(api_audiences)) {}

  Result<std::optional<TokenOwner>> Authenticate(const TokenQuestion& question) override {
    const std::optional<TokenOwner> none;
    const auto parts = Cut(question.token, ".");
    if (!parts.has_value()) return none;
    const auto [id, secret] = *parts;
    if (id.size() != kIdBytes || secret.size() != kSecretBytes || !IsLowerAlphanumeric(id) ||
        !IsLowerAlphanumeric(secret)) {
      return none;
    }
    std::vector<std::string> audiences = CommonAudiences(api_audiences_, question.audiences);
    const auto found = store_.Latest()->Get("/registry/core/secrets/kube-system/bootstrap-token-" + std::string(id));
    if (audiences.empty() || !found.has_value()) return none;
    const doc::Document object = DecodeStored(*found->value);
    std::optional<UserInfo> user = UserOf(object.root, id, secret, question.here.Wall());
    if (!user.has_value()) return none;
    return std::optional(TokenOwner{std::move(*user), std::move(audiences)});
  }

 private:
  static std::optional<UserInfo> UserOf(const Value& object, std::string_view id, std::string_view secret,
                                        WallTime now) {
    const auto refuse = [&](std::string_view why) -> std::optional<UserInfo> {
      LOG_DEBUG("a bootstrap token is no good", {"id", id}, {"why", why});
      return std::nullopt;
    };
    if (!object.Get("metadata", "deletionTimestamp").is_null()) return refuse("its secret is being deleted");
    if (object.At("type").AsString() != "bootstrap.kubernetes.io/token") return refuse("its secret's type");
    if (!SameSecret(Data(object, "token-secret"), secret)) return refuse("another token-secret");
    if (Data(object, "token-id") != id) return refuse("another token-id");
    if (HasExpired(object, now)) return refuse("it has expired");
    if (Data(object, "usage-bootstrap-authentication") != "true") return refuse("not for authentication");
    UserInfo user{"system:bootstrap:" + std::string(id), "", {std::string(kGroup)}};
    const std::string more = Data(object, "auth-extra-groups");
    if (more.empty()) return user;
    for (const std::string_view group : Split(more, ',')) {
      if (!IsGroupName(group)) return refuse("its auth-extra-groups");
      user.groups.emplace_back(group);
    }
    std::ranges::sort(user.groups);
    const auto repeated = std::ranges::unique(user.groups);
    user.groups.erase(repeated.begin(), repeated.end());
    return user;
  }

  const store::Store& store_;
  const std::vector<std::string> api_audiences_;
};

}  // namespace

std::unique_ptr<TokenAuthenticator> MakeBootstrapTokenAuthenticator(const store::Store& store,
                                                                    std::vector<std::string> api_audiences) {
  return std::make_unique<BootstrapTokenAuthenticator>(store, std::move(api_audiences));
}

}  // namespace knarr::apiserver

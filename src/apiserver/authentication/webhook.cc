#include "apiserver/authentication/webhook.h"

#include "base/log.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

std::vector<std::string> Texts(const Value& list) {
  std::vector<std::string> out;
  for (const Value& item : list.items()) out.emplace_back(item.AsString());
  return out;
}

class WebhookTokenAuthenticator : public TokenAuthenticator {
 public:
  WebhookTokenAuthenticator(ReviewWebhook& webhook, Duration cache_time, std::vector<std::string> api_audiences)
      : webhook_(webhook), cache_time_(cache_time), api_audiences_(std::move(api_audiences)) {}

  Duration cache_time() const override { return cache_time_; }

  Result<std::optional<TokenOwner>> Authenticate(const TokenQuestion& question) override {
    const std::optional<TokenOwner> none;
    doc::Arena arena;
    Value spec = Value::Object();
    spec.AddMember(arena, "token", Value::String(arena, question.token));
    Value wanted = Value::Array();
    for (const std::string& audience : question.audiences) wanted.Append(arena, Value::String(arena, audience));
    spec.AddMember(arena, "audiences", wanted);
    const Result<doc::Document> answer = webhook_.Ask(question.here, spec);
    if (!answer.ok()) {
      LOG_WARN("the token webhook", {"error", answer.status()});
      return Unauthorized(answer.status().message());
    }
    const Value& status = answer->root;
    const std::vector<std::string> found = Texts(status.At("audiences"));
    TokenOwner owner;
    owner.audiences = CommonAudiences(found.empty() ? api_audiences_ : found, question.audiences);
    if (owner.audiences.empty()) return none;
    if (!status.At("authenticated").AsBool()) {
      const std::string_view error = status.At("error").AsString();
      if (error.empty()) return none;
      return Unauthorized(std::string(error));
    }
    const Value& user = status.At("user");
    owner.user = {std::string(user.At("username").AsString()), std::string(user.At("uid").AsString()),
                  Texts(user.At("groups"))};
    for (const doc::Member& extra : user.At("extra").members()) {
      owner.user.extra.emplace_back(extra.key, Texts(extra.value));
    }
    return std::optional(std::move(owner));
  }

 private:
  ReviewWebhook& webhook_;
  const Duration cache_time_;
  const std::vector<std::string> api_audiences_;
};

}  // namespace

std::unique_ptr<TokenAuthenticator> MakeWebhookTokenAuthenticator(ReviewWebhook& webhook, Duration cache_time,
                                                                  std::vector<std::string> api_audiences) {
  return std::make_unique<WebhookTokenAuthenticator>(webhook, cache_time, std::move(api_audiences));
}

}  // namespace knarr::apiserver

#include "apiserver/webhook_review.h"

#include <fmt/format.h>

#include "apiserver/remote_call.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr Duration kTimeout = std::chrono::seconds(30);
constexpr int kTries = 5;
constexpr Duration kPauseFirst = std::chrono::milliseconds(500);

bool IsPassing(const Status& status) {
  return status.Is(Reason::kServiceUnavailable) || status.Is(Reason::kTimeout) || status.Is(Reason::kInternalError) ||
         status.Is(Reason::kTooManyRequests);
}

}  // namespace

ReviewWebhook::ReviewWebhook(rt::Runtime& world, Remote& remote, const client::RestConfig& config,
                             std::string api_version, std::string kind)
    : world_(world),
      remote_(remote),
      url_(net::Url::Parse(config.server)),
      api_version_(std::move(api_version)),
      kind_(std::move(kind)) {
  request_.method = "POST";
  if (url_.ok()) request_.url = *url_;
  if (request_.url.path.empty()) request_.url.path = "/";
  request_.headers.Set("Content-Type", "application/json");
  request_.headers.Set("Accept", "application/json");
  if (!config.token.empty()) request_.headers.Set("Authorization", "Bearer " + config.token);
  if (config.token.empty() && !config.username.empty()) {
    request_.headers.Set("Authorization", "Basic " + Base64Encode(config.username + ":" + config.password));
  }
}

Result<doc::Document> ReviewWebhook::Post(const std::string& body) {
  net::ClientRequest request = request_;
  request.body = body;
  const RemoteAnswer answer = TRY(remote_.Send(request, kTimeout));
  if (answer.code >= 300) return net::StatusOfResponse(answer.code, answer.body);
  const doc::Document review = TRY(doc::ParseJson(answer.body).Context("webhook"));
  if (review.root.At("kind").AsString() != kind_ || review.root.At("apiVersion").AsString() != api_version_) {
    return BadRequest(fmt::format("webhook: expected webhook response of {}, Kind={}, got {}, Kind={}", api_version_,
                                  kind_, review.root.At("apiVersion").AsString(), review.root.At("kind").AsString()));
  }
  return doc::Document::Copy(review.root.At("status"));
}

Result<doc::Document> ReviewWebhook::Ask(rt::Runtime& here, const Value& spec) {
  TRY(url_);
  doc::Arena arena;
  Value review = Value::Object();
  review.AddMember(arena, "kind", Value::Borrow(kind_));
  review.AddMember(arena, "apiVersion", Value::Borrow(api_version_));
  review.AddMember(arena, "metadata", Value::Object());
  review.AddMember(arena, "spec", spec);
  const std::string body = doc::ToJson(review);
  return CallOnCancellable(here, world_, [&]() -> Result<doc::Document> {
    Duration pause = kPauseFirst;
    for (int attempt = 1;; ++attempt) {
      Result<doc::Document> status = Post(body);
      if (status.ok() || attempt == kTries || !IsPassing(status.status())) return status;
      TRY(world_.Sleep(pause));
      pause = pause * 3 / 2;
    }
  });
}

Result<std::unique_ptr<Remote>> MakeRemoteOf(rt::Runtime& world, const client::RestConfig& config) {
  net::TlsClientOptions tls;
  tls.ca_pem = config.ca_pem;
  tls.insecure = config.insecure;
  tls.server_name = config.tls_server_name;
  if (!config.client_certificate_pem.empty()) {
    tls.identity = net::KeyPair{config.client_certificate_pem, config.client_key_pem};
  }
  return MakeHttpRemote(world, std::move(tls));
}

}  // namespace knarr::apiserver

#include "apiserver/security.h"

#include "apiserver/authentication/bootstrap_token.h"
#include "apiserver/authentication/webhook.h"
#include "apiserver/authorization/node_authorizer.h"
#include "apiserver/authorization/rbac_authorizer.h"
#include "base/check.h"

namespace knarr::apiserver {
namespace {

SecurityOptions WithAudiences(SecurityOptions options) {
  if (options.api_audiences.empty()) options.api_audiences.push_back(options.issuer);
  return options;
}

template <typename T>
std::vector<T*> PointersTo(const std::vector<std::unique_ptr<T>>& owned) {
  std::vector<T*> out;
  for (const auto& one : owned) out.push_back(one.get());
  return out;
}

}  // namespace

Security::Security(rt::Runtime& world, const std::vector<rt::Runtime*>& runtimes, store::Store& store,
                   SecurityOptions options)
    : world_(world),
      options_(WithAudiences(std::move(options))),
      // The key was looked at before.
      tokens_(MUST(ServiceAccountTokens::Create(options_.service_account_key_pem, options_.issuer))),
      rbac_(world, store),
      node_graph_(world, store) {
  MakeAuthorizers(store, runtimes);
  role_guard_ = std::make_unique<RoleGuard>(rbac_, *authorizer_);
  MakeTokenAuthenticators(store);
  authenticator_ = std::make_unique<Authenticator>(
      AuthenticatorOptions{options_.tokens, options_.api_audiences, options_.anonymous_auth}, tokens_, store, runtimes,
      PointersTo(token_authenticators_));
  impersonator_ = std::make_unique<Impersonator>(*authorizer_, runtimes);
}

Security::~Security() = default;

std::unique_ptr<ReviewWebhook> Security::MakeWebhook(const std::optional<WebhookServer>& server, std::string_view group,
                                                     std::string_view kind) const {
  if (!server.has_value()) return nullptr;
  return std::make_unique<ReviewWebhook>(world_, *server->remote, server->config,
                                         std::string(group) + "/" + server->version, std::string(kind));
}

void Security::MakeAuthorizers(const store::Store& store, const std::vector<rt::Runtime*>& runtimes) {
  authorizers_.push_back(MakeMastersAuthorizer());
  authorizers_.push_back(MakeNodeAuthorizer(world_, store, node_graph_));
  authorizers_.push_back(MakeRbacAuthorizer(rbac_));
  authorization_webhook_ = MakeWebhook(options_.authorization_webhook, "authorization.k8s.io", "SubjectAccessReview");
  if (authorization_webhook_ != nullptr) {
    authorizers_.push_back(
        MakeWebhookAuthorizer(*authorization_webhook_, options_.authorization_webhook_cache, runtimes));
  }
  authorizer_ = MakeUnionAuthorizer(PointersTo(authorizers_));
}

void Security::MakeTokenAuthenticators(const store::Store& store) {
  const std::vector<std::string>& audiences = options_.api_audiences;
  if (options_.bootstrap_tokens) token_authenticators_.push_back(MakeBootstrapTokenAuthenticator(store, audiences));
  if (const auto& oidc = options_.oidc; oidc.has_value()) {
    token_authenticators_.push_back(
        std::make_unique<OidcAuthenticator>(world_, *oidc->remote, oidc->options, audiences));
  }
  token_webhook_ = MakeWebhook(options_.token_webhook, "authentication.k8s.io", "TokenReview");
  if (token_webhook_ != nullptr) {
    token_authenticators_.push_back(
        MakeWebhookTokenAuthenticator(*token_webhook_, options_.token_webhook_cache, audiences));
  }
}

void Security::Start() {
  rbac_.Start();
  node_graph_.Start();
  for (const auto& authenticator : token_authenticators_) authenticator->Start();
}

void Security::Stop() {
  for (const auto& authenticator : token_authenticators_) authenticator->Stop();
  node_graph_.Stop();
  rbac_.Stop();
}

}  // namespace knarr::apiserver

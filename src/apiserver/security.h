#pragma once

// What decides who a request comes from and what it may do: all of its parts, and how they hang together.

#include <memory>
#include <string>
#include <vector>

#include "apiserver/authentication/authenticator.h"
#include "apiserver/authentication/impersonation.h"
#include "apiserver/authorization/node_graph.h"
#include "apiserver/authorization/role_guard.h"
#include "apiserver/security_options.h"

namespace knarr::apiserver {

class Security {
 public:
  /// `runtimes` are all of the server's. The key of `options` must be one (ServiceAccountTokens::Create). Everything
  /// must outlive it.
  Security(rt::Runtime& world, const std::vector<rt::Runtime*>& runtimes, store::Store& store, SecurityOptions options);
  ~Security();
  Security(const Security&) = delete;
  Security& operator=(const Security&) = delete;

  /// Begins and ends what goes on in the background. World fiber.
  void Start();
  void Stop();

  const SecurityOptions& options() const { return options_; }
  Authenticator& authenticator() { return *authenticator_; }
  Impersonator& impersonator() { return *impersonator_; }
  /// All authorisers, asked in turn.
  Authorizer& authorizer() { return *authorizer_; }
  const RoleGuard& role_guard() const { return *role_guard_; }
  const ServiceAccountTokens& tokens() const { return tokens_; }
  /// Whom tokens for this server name.
  const std::vector<std::string>& api_audiences() const { return options_.api_audiences; }

 private:
  void MakeAuthorizers(const store::Store& store, const std::vector<rt::Runtime*>& runtimes);
  void MakeTokenAuthenticators(const store::Store& store);
  std::unique_ptr<ReviewWebhook> MakeWebhook(const std::optional<WebhookServer>& server, std::string_view group,
                                             std::string_view kind) const;

  rt::Runtime& world_;
  const SecurityOptions options_;
  const ServiceAccountTokens tokens_;
  RbacIndex rbac_;
  NodeGraph node_graph_;
  std::unique_ptr<ReviewWebhook> authorization_webhook_;
  std::vector<std::unique_ptr<Authorizer>> authorizers_;
  std::unique_ptr<Authorizer> authorizer_;
  std::unique_ptr<RoleGuard> role_guard_;
  std::unique_ptr<ReviewWebhook> token_webhook_;
  std::vector<std::unique_ptr<TokenAuthenticator>> token_authenticators_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<Impersonator> impersonator_;
};

}  // namespace knarr::apiserver

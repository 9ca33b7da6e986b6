#pragma once

// What a server is told about who may come in and what they may do, beyond its own objects.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apiserver/authentication/oidc.h"
#include "apiserver/authentication/token_file.h"
#include "apiserver/authorization/webhook_authorizer.h"
#include "apiserver/user.h"
#include "client/kubeconfig.h"

namespace knarr::apiserver {

/// A provider of identity tokens, and the way to it (which must outlive the server).
struct OidcProvider {
  OidcOptions options;
  Remote* remote;
};

/// A webhook, and the way to it (which must outlive the server).
struct WebhookServer {
  client::RestConfig config;
  std::string version = "v1beta1";  ///< of the reviews: "v1" or "v1beta1"
  Remote* remote;
};

struct SecurityOptions {
  /// Static bearer tokens: token → user.
  StaticTokens tokens;
  /// PEM key that signs service account tokens; "": there are none.
  std::string service_account_key_pem;
  std::string issuer = "https://kubernetes.default.svc.cluster.local";
  /// Whether requests that show nothing of themselves are let in (as system:anonymous).
  bool anonymous_auth = true;
  /// Whether the tokens of kube-system's bootstrap secrets are good.
  bool bootstrap_tokens = true;
  /// Whom tokens for this server name; empty: the issuer.
  std::vector<std::string> api_audiences;
  /// Where others are told to find the public key of tokens; "": at the listening address.
  std::string service_account_keys_url;
  std::optional<OidcProvider> oidc;
  std::optional<WebhookServer> token_webhook;
  Duration token_webhook_cache = std::chrono::minutes(2);
  std::optional<WebhookServer> authorization_webhook;
  WebhookAuthorizerOptions authorization_webhook_cache;
};

}  // namespace knarr::apiserver

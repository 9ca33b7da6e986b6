#pragma once

// Who may come in and what they may do, as `knarr server`'s flags: kube-apiserver's names and meanings.

#include <memory>
#include <string>
#include <vector>

#include "apiserver/security_options.h"
#include "cli/flags.h"
#include "rt/runtime.h"

namespace knarr::main {

struct SecurityFlags {
  bool anonymous_auth = true;
  bool bootstrap_tokens = true;
  std::string token_auth_file;
  std::string issuer;
  std::vector<std::string> api_audiences;
  std::string jwks_uri;

  apiserver::OidcOptions oidc;
  std::string oidc_ca_file;
  std::vector<std::string> oidc_required_claims;

  std::string token_webhook_file;
  std::string token_webhook_version = "v1beta1";
  Duration token_webhook_cache = std::chrono::minutes(2);

  std::string authorization_webhook_file;
  std::string authorization_webhook_version = "v1beta1";
  apiserver::WebhookAuthorizerOptions authorization_webhook_cache;
};

void RegisterSecurityFlags(cli::FlagSet& flags, SecurityFlags& out);

/// The options, and the ways to other servers that they point to.
struct SecuritySetup {
  apiserver::SecurityOptions options;
  std::vector<std::unique_ptr<apiserver::Remote>> remotes;
};
/// Reads the files that the flags name. BadRequest names the flag. World fiber.
Result<SecuritySetup> SetUpSecurity(rt::Runtime& world, const SecurityFlags& flags);

}  // namespace knarr::main

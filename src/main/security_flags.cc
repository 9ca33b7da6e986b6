#include "main/security_flags.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "rt/file_system.h"

namespace knarr::main {
namespace {

constexpr size_t kFileMax = 8 << 20;

Result<apiserver::WebhookServer> ReadWebhook(rt::Runtime& world, std::string_view flag, const std::string& file,
                                             const std::string& version, SecuritySetup& setup) {
  if (version != "v1" && version != "v1beta1") {
    return BadRequest(fmt::format("--{}: unsupported webhook version {}, supported versions are \"v1\", \"v1beta1\"",
                                  ReplaceAll(flag, "config-file", "version"), GoQuote(version)));
  }
  client::KubeconfigSource source;
  source.path = file;
  apiserver::WebhookServer server{TRY(client::LoadKubeconfig(world, source).Context(fmt::format("--{}", flag))),
                                  version, nullptr};
  setup.remotes.push_back(TRY(apiserver::MakeRemoteOf(world, server.config).Context(fmt::format("--{}", flag))));
  server.remote = setup.remotes.back().get();
  return server;
}

Result<apiserver::OidcProvider> ReadOidc(rt::Runtime& world, const SecurityFlags& flags, SecuritySetup& setup) {
  apiserver::OidcProvider provider{flags.oidc, nullptr};
  for (const std::string& claim : flags.oidc_required_claims) {
    const auto parts = Cut(claim, "=");
    if (!parts.has_value()) return BadRequest(fmt::format("--oidc-required-claim: {}: want key=value", claim));
    provider.options.required_claims.emplace_back(parts->first, parts->second);
  }
  if (!flags.oidc_ca_file.empty()) {
    provider.options.ca_pem = TRY(world.files().ReadFile(flags.oidc_ca_file, kFileMax).Context("--oidc-ca-file"));
  }
  TRY(apiserver::CheckOidcOptions(provider.options));
  net::TlsClientOptions tls;
  tls.ca_pem = provider.options.ca_pem;
  setup.remotes.push_back(TRY(apiserver::MakeHttpRemote(world, std::move(tls)).Context("--oidc-ca-file")));
  provider.remote = setup.remotes.back().get();
  return provider;
}

}  // namespace

void RegisterSecurityFlags(cli::FlagSet& flags, SecurityFlags& out) {
  flags.Bool(&out.anonymous_auth, "anonymous-auth", 0, "Let requests in that show nothing of themselves");
  flags.Bool(&out.bootstrap_tokens, "enable-bootstrap-token-auth", 0,
             "Accept the tokens of kube-system's bootstrap secrets");
  flags.String(&out.token_auth_file, "token-auth-file", 0, "A CSV file of tokens and their users");
  flags.String(&out.issuer, "service-account-issuer", 0, "The issuer that service accounts' tokens name");
  flags.StringSlice(&out.api_audiences, "api-audiences", 0,
                    "Whom tokens for this server are for, instead of the issuer");
  flags.String(&out.jwks_uri, "service-account-jwks-uri", 0, "Where others find the public key of tokens");
  apiserver::OidcOptions& oidc = out.oidc;
  flags.String(&oidc.issuer_url, "oidc-issuer-url", 0, "The URL of an OpenID Connect provider, https");
  flags.String(&oidc.client_id, "oidc-client-id", 0, "Whom the provider's tokens must be for");
  flags.String(&out.oidc_ca_file, "oidc-ca-file", 0, "The authorities of the provider's certificate");
  flags.String(&oidc.username_claim, "oidc-username-claim", 0, "The claim that is the user's name");
  flags.String(&oidc.username_prefix, "oidc-username-prefix", 0,
               "What comes before it; \"-\" for nothing, else the issuer by default");
  flags.String(&oidc.groups_claim, "oidc-groups-claim", 0, "The claim that lists the user's groups");
  flags.String(&oidc.groups_prefix, "oidc-groups-prefix", 0, "What comes before each of them");
  flags.StringSlice(&oidc.signing_algorithms, "oidc-signing-algs", 0, "Allowed signatures: RS256, ES256");
  flags.StringArray(&out.oidc_required_claims, "oidc-required-claim", 0, "A key=value that tokens must have");
  flags.String(&out.token_webhook_file, "authentication-token-webhook-config-file", 0,
               "A kubeconfig for a webhook that knows tokens");
  flags.String(&out.token_webhook_version, "authentication-token-webhook-version", 0, "The version of its reviews");
  flags.DurationOf(&out.token_webhook_cache, "authentication-token-webhook-cache-ttl", 0,
                   "How long its answers are used");
  flags.String(&out.authorization_webhook_file, "authorization-webhook-config-file", 0,
               "A kubeconfig for a webhook that is asked what RBAC does not allow");
  flags.String(&out.authorization_webhook_version, "authorization-webhook-version", 0, "The version of its reviews");
  flags.DurationOf(&out.authorization_webhook_cache.allowed_time, "authorization-webhook-cache-authorized-ttl", 0,
                   "How long its yes is used");
  flags.DurationOf(&out.authorization_webhook_cache.refused_time, "authorization-webhook-cache-unauthorized-ttl", 0,
                   "How long its no is used");
}

Result<SecuritySetup> SetUpSecurity(rt::Runtime& world, const SecurityFlags& flags) {
  SecuritySetup out;
  apiserver::SecurityOptions& options = out.options;
  options.anonymous_auth = flags.anonymous_auth;
  options.bootstrap_tokens = flags.bootstrap_tokens;
  if (!flags.issuer.empty()) options.issuer = flags.issuer;
  options.api_audiences = flags.api_audiences;
  options.service_account_keys_url = flags.jwks_uri;
  if (!flags.token_auth_file.empty()) {
    const std::string text = TRY(world.files().ReadFile(flags.token_auth_file, kFileMax).Context("--token-auth-file"));
    options.tokens = TRY(apiserver::ParseTokenFile(text, flags.token_auth_file).Context("--token-auth-file"));
  }
  if (!flags.oidc.issuer_url.empty()) {
    options.oidc = TRY(ReadOidc(world, flags, out));
  } else if (!flags.oidc.client_id.empty()) {
    return BadRequest("oidc-issuer-url and oidc-client-id must be specified together");
  }
  if (!flags.token_webhook_file.empty()) {
    options.token_webhook = TRY(ReadWebhook(world, "authentication-token-webhook-config-file", flags.token_webhook_file,
                                            flags.token_webhook_version, out));
    options.token_webhook_cache = flags.token_webhook_cache;
  }
  if (!flags.authorization_webhook_file.empty()) {
    options.authorization_webhook =
        TRY(ReadWebhook(world, "authorization-webhook-config-file", flags.authorization_webhook_file,
                        flags.authorization_webhook_version, out));
    options.authorization_webhook_cache = flags.authorization_webhook_cache;
  }
  return out;
}

}  // namespace knarr::main

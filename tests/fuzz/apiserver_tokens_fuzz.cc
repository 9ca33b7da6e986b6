// What stands in tokens, in the file of tokens, in what a provider of tokens answers, and in impersonation headers.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "apiserver/authentication/impersonation.h"
#include "apiserver/authentication/jwt.h"
#include "apiserver/authentication/oidc.h"
#include "apiserver/authentication/service_account_tokens.h"
#include "apiserver/authentication/token_file.h"
#include "base/check.h"
#include "base/strings.h"
#include "doc/json.h"

namespace {

using namespace knarr;

// Any claims, signed by a key that is trusted: what they say must still be read with care.
void ReadSignedClaims(std::string_view claims) {
  static const std::string pem = MUST(net::GenerateKey(false));
  static const auto tokens = MUST(apiserver::ServiceAccountTokens::Create(pem, "i"));
  const std::string token = apiserver::SignJwt(tokens.key(), R"({"alg":"ES256"})", claims);
  const auto verified = tokens.Verify(token);
  if (verified.ok() && verified->has_value()) (void)apiserver::CheckTimes(**verified, WallTime());
  const auto document = doc::ParseJson(claims);
  apiserver::OidcOptions options;
  options.issuer_url = "https://i";
  options.groups_claim = "groups";
  if (document.ok()) (void)apiserver::UserOfClaims(options, document->root);
}

void ReadHeaders(std::string_view text) {
  net::Headers headers;
  for (const std::string_view line : Lines(text)) {
    const auto parts = Cut(line, ":");
    if (parts.has_value()) headers.Add(std::string(parts->first), std::string(parts->second));
  }
  const auto wanted = apiserver::WantedUser(headers);
  CHECK(!wanted.ok() || !wanted->has_value() || !(*wanted)->name.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0: {
      const auto token = apiserver::ParseJwt(text);
      CHECK(!token.ok() || token->claims.root.is_object());
      break;
    }
    case 1:
      ReadSignedClaims(text);
      break;
    case 2: {
      const auto tokens = apiserver::ParseTokenFile(text, "f");
      if (!tokens.ok()) break;
      for (const auto& [token, user] : *tokens) CHECK(!token.empty());
      break;
    }
    case 3:
      (void)apiserver::ParseKeySet(text);
      break;
    case 4:
      (void)apiserver::ParseDiscovery(text, "https://i");
      break;
    default:
      ReadHeaders(text);
  }
  return 0;
}

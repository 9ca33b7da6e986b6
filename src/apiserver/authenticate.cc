#include "apiserver/authenticate.h"

#include <algorithm>

#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kBearerProtocol = "base64url.bearer.authorization.k8s.io.";

// The token of the Authorization header, or, for browsers, which can't set one, of a WebSocket subprotocol.
std::string BearerToken(const net::Request& request) {
  const std::string_view header = TrimSpace(request.headers.Get("Authorization"));
  const auto parts = Cut(header, " ");
  if (parts.has_value() && EqualIgnoreCase(parts->first, "bearer")) return std::string(TrimSpace(parts->second));
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

// Compares without telling by its time where the texts differ.
bool SameSecret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char different = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    different = static_cast<unsigned char>(different | (a[i] ^ b[i]));
  }
  return different == 0;
}

void AddAuthenticated(UserInfo& user) {
  constexpr std::string_view kGroup = "system:authenticated";
  if (std::ranges::find(user.groups, kGroup) == user.groups.end()) user.groups.emplace_back(kGroup);
}

}  // namespace

Result<UserInfo> Authenticate(const net::Request& request, Core& core, rt::Runtime& runtime) {
  if (request.certificate.has_value() && !request.certificate->common_name.empty()) {
    UserInfo user{request.certificate->common_name, "", request.certificate->organizations};
    AddAuthenticated(user);
    return user;
  }
  const std::string token = BearerToken(request);
  if (!token.empty()) {
    const UserInfo* found = nullptr;
    for (const auto& [known, user] : core.options().tokens) {
      if (SameSecret(known, token)) found = &user;
    }
    if (found != nullptr) {
      UserInfo user = *found;
      AddAuthenticated(user);
      return user;
    }
    const Result<TokenClaims> claims = core.tokens().Verify(token, runtime.Wall());
    // Why it is no good is not for whoever shows it.
    if (!claims.ok()) return Unauthorized("Unauthorized");
    Result<UserInfo> user = UserOfToken(*claims, *core.store().Latest());
    if (!user.ok()) return Unauthorized("Unauthorized");
    return user;
  }
  return UserInfo{"system:anonymous", "", {"system:unauthenticated"}};
}

}  // namespace knarr::apiserver

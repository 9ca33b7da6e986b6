#include "apiserver/continue_token.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {

// {"v":"meta.k8s.io/v1","rv":12,"start":"default/a\u0000"}: the start is the first key that may come, which is the
// least key behind the last one given: that one with a zero byte.

std::string EncodeContinueToken(const ContinueToken& token) {
  std::string json = fmt::format(R"({{"v":"meta.k8s.io/v1","rv":{},"start":)", token.revision);
  doc::WriteJsonString(token.start_after + '\0', json);
  json += '}';
  return Base64UrlEncode(json);
}

Result<ContinueToken> DecodeContinueToken(std::string_view text) {
  const auto refuse = [](std::string_view why) {
    return BadRequest(fmt::format("invalid continue token: continue key is not valid: {}", why));
  };
  Result<std::string> json = Base64UrlDecode(TrimRight(text, "="));
  if (!json.ok()) return refuse(json.status().message());
  Result<doc::Document> document = doc::ParseJson(*json);
  if (!document.ok()) return refuse(document.status().message());
  const doc::Value& root = document->root;
  if (root.At("v").AsString() != "meta.k8s.io/v1") {
    return refuse(fmt::format("server does not recognize this encoded version {}", root.At("v").AsString()));
  }
  ContinueToken token;
  token.revision = root.At("rv").AsInt();
  if (token.revision == 0) return refuse("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  std::string_view start = root.At("start").AsString();
  if (start.empty()) return refuse("encoded start key empty (version meta.k8s.io/v1)");
  // Upstream's keys are paths, and this must be a clean one. (Names such as "a..b" are.)
  std::string_view path = start;
  ConsumePrefix(path, "/");
  const auto unclean = [](std::string_view part) { return part.empty() || part == "." || part == ".."; };
  if (std::ranges::any_of(Split(path, '/'), unclean)) return refuse(start);
  ConsumeSuffix(start, std::string_view("\0", 1));
  token.start_after = start;
  return token;
}

}  // namespace knarr::apiserver

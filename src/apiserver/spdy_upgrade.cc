#include "apiserver/spdy_upgrade.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kVersionHeader = "X-Stream-Protocol-Version";

/// As net/http's Error.
Ok Refuse(Call& call, int code, std::string_view text, net::Headers headers = {}) {
  headers.Set("Content-Type", "text/plain; charset=utf-8");
  headers.Set("X-Content-Type-Options", "nosniff");
  return call.response.Send(code, std::move(headers), fmt::format("unable to upgrade: {}\n", text));
}

}  // namespace

Result<SpdyUpgrade> AcceptSpdy(Call& call, std::span<const std::string_view> protocols) {
  const auto values = call.request.headers.GetAll(kVersionHeader);
  if (values.empty()) {
    TRY(Refuse(call, 400,
               fmt::format("header {} does not exist in request with {} headers", kVersionHeader,
                           call.request.headers.all().size())));
    return SpdyUpgrade();
  }
  std::vector<std::string_view> offered;
  for (const std::string_view value : values) {
    for (const std::string_view name : Split(value, ',')) {
      if (!TrimSpace(name).empty()) offered.push_back(TrimSpace(name));
    }
  }
  if (offered.empty()) {
    TRY(Refuse(call, 400,
               fmt::format("header {} contains [{}], but no valid protocols", kVersionHeader, Join(values, " "))));
    return SpdyUpgrade();
  }
  const auto chosen = std::ranges::find_if(
      offered, [&](std::string_view name) { return std::ranges::find(protocols, name) != protocols.end(); });
  if (chosen == offered.end()) {
    net::Headers headers;
    std::string accepted;
    for (const std::string_view name : protocols) {
      headers.Add("X-Accepted-Stream-Protocol-Versions", std::string(name));
      accepted += (accepted.empty() ? "" : " ") + std::string(name);
    }
    TRY(Refuse(call, 403,
               fmt::format("unable to negotiate protocol: client supports [{}], server accepts [{}]",
                           Join(offered, " "), accepted),
               std::move(headers)));
    return SpdyUpgrade();
  }
  SpdyUpgrade out;
  out.protocol = *chosen;
  net::Headers headers;
  headers.Add("Connection", "Upgrade");
  headers.Add("Upgrade", "SPDY/3.1");
  headers.Add(std::string(kVersionHeader), out.protocol);
  auto stream = TRY(call.response.Hijack(std::move(headers)));
  out.session = net::SpdySession::Create(call.context.runtime, std::move(stream), net::SpdySide::kServer);
  return out;
}

}  // namespace knarr::apiserver

#include "net/spdy_client.h"

#include <utility>

#include "net/http1_client.h"

namespace knarr::net {
namespace {

constexpr size_t kRefusalMax = 64 << 10;
constexpr uint16_t kHttpPort = 80;
constexpr std::string_view kVersionHeader = "X-Stream-Protocol-Version";

/// The connection once it is upgraded.
Result<std::unique_ptr<Stream>> Upgrade(rt::Runtime& runtime, const ClientRequest& request,
                                        const std::string& protocol) {
  const Url& url = request.url;
  const Endpoint endpoint{url.host, url.port != 0 ? url.port : kHttpPort, {}};
  auto connection = std::make_unique<Http1Client>(TRY(Connect(runtime, endpoint)));
  ClientRequest upgrade = request;
  upgrade.headers.Set("Connection", "Upgrade");
  upgrade.headers.Set("Upgrade", "SPDY/3.1");
  upgrade.headers.Set(kVersionHeader, protocol);
  ResponseHead head = TRY(Exchange(*connection, upgrade));
  if (head.code != 101) {
    const int code = head.code;
    const auto response = MakeHttp1Response(std::move(connection), std::move(head), [](auto) {});
    const std::string body = TRY(response->ReadAll(kRefusalMax));
    if (code >= 400) return StatusOfResponse(code, body);
    return BadRequest("SPDY: the server answered " + std::to_string(code) + " instead of upgrading").WithCode(code);
  }
  if (!HasToken(head.headers, "Upgrade", "spdy/3.1") || head.headers.Get(kVersionHeader) != protocol) {
    return BadRequest("SPDY: the server agreed to something else than " + protocol);
  }
  const std::string early(connection->input.bytes());
  return WithPrefix(std::move(connection->stream), early);
}

}  // namespace

Result<std::unique_ptr<SpdySession>> OpenSpdy(rt::Runtime& runtime, const ClientRequest& request,
                                              const std::string& protocol, Duration timeout) {
  std::unique_ptr<Stream> stream;
  {
    // Of this much only: the session's fibers are not to end with the time.
    const rt::CancelScope scope(runtime, timeout);
    stream = TRY(Upgrade(runtime, request, protocol));
  }
  return SpdySession::Create(runtime, std::move(stream), SpdySide::kClient);
}

}  // namespace knarr::net

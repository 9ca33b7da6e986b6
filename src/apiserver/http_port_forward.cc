#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "apiserver/http_face.h"
#include "apiserver/port_forwarding.h"
#include "apiserver/remote_call.h"
#include "apiserver/remote_stream.h"
#include "apiserver/spdy_upgrade.h"
#include "apiserver/streams.h"
#include "base/strings.h"
#include "net/splice.h"
#include "net/websocket_stream.h"
#include "rt/sync.h"

// Connections to ports of a pod. Over SPDY, by itself or inside a WebSocket, each connection is a pair of streams
// (data, and error for what went wrong) that name the port and the same request; over a WebSocket's channels (browsers'
// and older clients) the ports stand in the query, and each has one connection.

namespace knarr::apiserver {
namespace {

constexpr std::array<std::string_view, 1> kSpdyProtocols = {"portforward.k8s.io"};
constexpr std::string_view kTunnel = "SPDY/3.1+portforward.k8s.io";
/// How long the second stream of a pair may stay away.
constexpr Duration kPairLimit = 30s;
constexpr size_t kPortsMax = 64;

using StreamPtr = std::shared_ptr<net::SpdyStream>;

Result<uint16_t> ParsePort(std::string_view text) {
  const Result<uint16_t> port = ParseInt<uint16_t>(text);
  if (!port.ok()) return BadRequest(fmt::format("unable to parse {} as a port", GoQuote(text)));
  if (*port == 0) return BadRequest(fmt::format("port {} must be > 0", GoQuote(text)));
  return *port;
}

class SpdyForwarder {
 public:
  SpdyForwarder(rt::Runtime& runtime, std::string_view pod, const PortDialer& dialer, net::SpdySession& session)
      : runtime_(runtime), pod_(pod), dialer_(dialer), session_(session), waits_(runtime) {}

  void Run() {
    rt::TaskGroup helpers(runtime_, "port forward pairs");
    helpers.Spawn("half pairs", [this] { DropHalfPairs(); });
    rt::TaskGroup connections(runtime_, "port forward");
    for (;;) {
      auto stream = session_.Accept();
      if (!stream.ok()) break;
      if (!Take(*stream, connections).ok()) (*stream)->Close();
    }
    // The peer opens no more; the connections there are go on until it ends them, or all at once.
    if (connections.size() > 0) (void)session_.WaitClosed();
    connections.StopAndJoin();
    helpers.StopAndJoin();
    waiting_.clear();
    session_.Close();
  }

 private:
  struct Pair {
    StreamPtr data;
    StreamPtr error;
    MonoTime begun{};
  };

  Ok Take(const StreamPtr& stream, rt::TaskGroup& connections) {
    const net::Headers& headers = stream->headers();
    const std::string_view type = headers.Get("streamType");
    if (type != "data" && type != "error") return BadRequest(fmt::format("invalid stream type {}", GoQuote(type)));
    TRY(ParsePort(headers.Get("port")));
    std::string request(headers.Get("requestID"));
    // Clients from before there was one open the error stream first.
    if (request.empty()) request = std::to_string(type == "error" ? stream->id() : stream->id() - 2);
    Pair& pair = waiting_[request];
    StreamPtr& place = type == "data" ? pair.data : pair.error;
    if (place != nullptr) return BadRequest("a second stream of one kind for one connection");
    place = stream;
    if (pair.data == nullptr || pair.error == nullptr) {
      pair.begun = runtime_.Mono();
      waits_.NotifyAll();
      return {};
    }
    connections.Spawn("connection", [this, whole = std::move(pair)] { Forward(whole); });
    waiting_.erase(request);
    return {};
  }

  // Halves whose other half does not come are closed in time.
  void DropHalfPairs() {
    while (waits_.WaitUntil([this] { return !waiting_.empty(); }).ok()) {
      MonoTime oldest = MonoTime::max();
      for (const auto& [request, pair] : waiting_) oldest = std::min(oldest, pair.begun);
      const MonoTime now = runtime_.Mono();
      if (oldest + kPairLimit > now) {
        if (!runtime_.Sleep(oldest + kPairLimit - now).ok()) return;
        continue;
      }
      std::vector<StreamPtr> late;
      std::erase_if(waiting_, [&](const auto& entry) {
        const Pair& pair = entry.second;
        if (pair.begun + kPairLimit > now) return false;
        late.push_back(pair.data != nullptr ? pair.data : pair.error);
        return true;
      });
      for (const StreamPtr& stream : late) stream->Close();
    }
  }

  void Forward(const Pair& pair) {
    const uint16_t port = MUST(ParsePort(pair.data->headers().Get("port")));  // looked at when it was taken
    auto stream = dialer_(port);
    if (stream.ok()) {
      (void)net::Splice(runtime_, *pair.data, **stream);  // that one breaks is one of the ways to end
    } else {
      (void)pair.error->Write(ForwardError(port, pod_, stream.status()));
    }
    (void)pair.error->CloseWrite();
    (void)pair.data->CloseWrite();
    pair.data->Close();
  }

  rt::Runtime& runtime_;
  const std::string_view pod_;
  const PortDialer& dialer_;
  net::SpdySession& session_;
  rt::WaitQueue waits_;
  std::map<std::string, Pair> waiting_;
};

void ForwardOverSpdy(rt::Runtime& runtime, std::string_view pod, const PortDialer& dialer,
                     std::unique_ptr<net::SpdySession> session) {
  SpdyForwarder(runtime, pod, dialer, *session).Run();
}

/// The ports of the query: each value may be several.
Result<std::vector<uint16_t>> ReadPorts(const net::Url& url) {
  std::vector<uint16_t> out;
  for (const auto& [name, value] : url.query) {
    if (name != "ports") continue;
    for (const std::string_view text : Split(value, ',')) out.push_back(TRY(ParsePort(text)));
  }
  if (out.size() > kPortsMax) return BadRequest(fmt::format("at most {} ports can be forwarded at once", kPortsMax));
  return out;
}

Ok ForwardOverWebSocket(Call& call, const PortDialer& dialer) {
  rt::Runtime& here = call.context.runtime;
  const std::vector<uint16_t> ports = TRY(ReadPorts(call.request.url));
  const auto offered = Join(call.request.headers.GetAll("Sec-WebSocket-Protocol"), ",");
  net::WebSocketOptions options;
  if (offered.find(kTunnel) != std::string::npos) {
    options.protocols = {std::string(kTunnel)};
  } else {
    if (ports.empty()) return BadRequest("query parameter \"port\" is required");
    options.protocols = {"v4.channel.k8s.io", "v4.base64.channel.k8s.io"};
  }
  auto socket = TRY(net::AcceptWebSocket(here, call.request, call.response, options));
  const StreamScope scope(call.context.local, here);
  if (socket->protocol() == kTunnel) {
    auto stream = net::MakeWebSocketStream(std::move(socket));
    ForwardOverSpdy(here, call.attributes.name, dialer,
                    net::SpdySession::Create(here, std::move(stream), net::SpdySide::kServer));
  } else {
    ForwardOverChannels(here, *socket, ports, call.attributes.name, dialer);
  }
  return {};
}

}  // namespace

std::string ForwardError(uint16_t port, std::string_view pod, const Status& status) {
  return fmt::format("error forwarding port {} to pod {}, uid : {}", port, pod, status.message());
}

Ok ServePortForward(Call& call, Core& core) {
  TRY(MayConnect(call, core));
  PodTarget target;
  target.pod = TRY(core.operations().registry().Get(call.context, *call.resource, call.name()));
  target.node = target.pod->tree().Get("spec", "nodeName").AsString();
  if (!net::IsWebSocketUpgrade(call.request) && !net::IsSpdyUpgrade(call.request)) {
    return BadRequest("Upgrade request required");
  }
  client::NodeAccess& node = TRY(FindPodNode(call, core, target)).get();
  rt::Runtime& here = call.context.runtime;
  const PortDialer dialer = [&](uint16_t port) -> Result<std::unique_ptr<net::Stream>> {
    auto stream = TRY(CallOnCancellable(
        here, node.runtime(), [&] { return node.Dial(call.attributes.ns, call.attributes.name, port); }));
    return BringHere(here, node.runtime(), std::move(stream));
  };
  if (net::IsWebSocketUpgrade(call.request)) return ForwardOverWebSocket(call, dialer);
  SpdyUpgrade upgrade = TRY(AcceptSpdy(call, kSpdyProtocols));
  if (upgrade.session == nullptr) return {};
  const StreamScope scope(call.context.local, here);
  ForwardOverSpdy(here, call.attributes.name, dialer, std::move(upgrade.session));
  return {};
}

}  // namespace knarr::apiserver

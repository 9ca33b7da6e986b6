#pragma once

// A whole API server with one node ("echo") and a pod ("p") on it, and connections to it that are taken over: for
// tests.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "apiserver/echo_node.h"
#include "apiserver/http_world.h"
#include "apiserver/test_server.h"
#include "net/spdy.h"
#include "net/websocket.h"

namespace knarr::apiserver {

inline constexpr std::string_view kWebSocketUpgrade =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ";
inline constexpr std::string_view kSpdyUpgrade =
    "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ";

struct StreamWorld {
  explicit StreamWorld(rt::Runtime& rt, ApiServerOptions options = {})
      : runtime(rt), server(rt, Prepare(std::move(options))), node(rt), group(rt, "connection") {
    server.server().SetNodeAccess("echo", &node);
    MUST(server.Create("Pod", PodJson("p", "", R"(,"nodeName":"echo")")));
  }
  ~StreamWorld() { group.StopAndJoin(); }

  /// The token "secret" is an administrator's, "viewer" belongs to jane.
  static ApiServerOptions Prepare(ApiServerOptions options) {
    options.security.tokens.push_back({"secret", {"root", "", {"system:masters"}}});
    options.security.tokens.push_back({"viewer", {"jane", "", {}}});
    return options;
  }

  /// The answer's head; with 101 `stream` is the connection, taken over.
  std::string Ask(std::string_view method, std::string_view target, std::string_view headers,
                  std::string_view token = "secret") {
    auto [ours, theirs] = net::MemoryPipe(runtime);
    group.Spawn("serve", [this, end = std::make_shared<std::unique_ptr<net::Stream>>(std::move(theirs))] {
      net::ServeConnection(runtime, std::move(*end), {}, server.server().handler());
    });
    stream = std::move(ours);
    MUST(stream->Write(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" +
                       "Authorization: Bearer " + std::string(token) + "\r\n" + std::string(headers) + "\r\n"));
    std::string head;
    char byte = 0;
    while (!head.ends_with("\r\n\r\n") && MUST(stream->Read(&byte, 1)) == 1) head += byte;
    return head;
  }

  std::unique_ptr<net::WebSocket> OpenWebSocket(std::string_view target, const std::string& protocol) {
    const std::string head = Ask("GET", target, std::string(kWebSocketUpgrade) + protocol + "\r\n");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 101")) << head;
    return net::MakeWebSocket(runtime, std::move(stream), true, protocol, 1 << 20);
  }

  std::unique_ptr<net::SpdySession> OpenSpdy(std::string_view target, const std::string& protocols) {
    const std::string head = Ask("POST", target, std::string(kSpdyUpgrade) + protocols + "\r\n");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 101")) << head;
    return net::SpdySession::Create(runtime, std::move(stream), net::SpdySide::kClient);
  }

  rt::Runtime& runtime;
  TestServer server;
  EchoNode node;
  std::unique_ptr<net::Stream> stream;
  rt::TaskGroup group;
};

inline std::string ReadToEnd(net::Stream& stream) {
  std::string out;
  char part[1024];
  for (;;) {
    const auto count = stream.Read(part, sizeof part);
    if (!count.ok() || *count == 0) return out;
    out.append(part, *count);
  }
}

}  // namespace knarr::apiserver

#include "net/websocket.h"

#include <gtest/gtest.h>

#include <array>

#include "net/http_client.h"
#include "net/test_support.h"
#include "net/websocket_frame.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Answers every message with itself until the peer closes.
void Echo(rt::Runtime& runtime, Request& request, Response& response, const WebSocketOptions& options,
          std::string* error = nullptr) {
  auto socket = AcceptWebSocket(runtime, request, response, options);
  if (!socket.ok()) {
    EXPECT_TRUE(response.Send(400, {}, socket.status().message()).ok());
    return;
  }
  while (true) {
    auto message = (*socket)->Read();
    if (!message.ok()) {
      if (error != nullptr) *error = message.status().message();
      break;
    }
    if (!(*socket)->Write(message->data, message->binary).ok()) break;
  }
  (*socket)->Close();
}

/// What an echo server answers to raw bytes after the upgrade, and how its reading ended.
std::string RawEcho(std::string_view after_upgrade, std::string* error = nullptr, size_t message_max = 1 << 20) {
  std::string out;
  RunSim([&](rt::Runtime& runtime) {
    auto ends = MemoryPipe(runtime, 1 << 20);
    rt::TaskGroup group(runtime, "test");
    group.Spawn("server", [&] {
      ServeConnection(runtime, std::move(ends.first), {}, [&](Request& request, Response& response) {
        Echo(runtime, request, response, {{"a"}, message_max}, error);
      });
    });
    // In one write: the server must hand over what it read beyond the request.
    EXPECT_TRUE(ends.second->Write(std::string(kUpgrade) + "\r\n" + std::string(after_upgrade)).ok());
    EXPECT_TRUE(ends.second->CloseWrite().ok());
    std::array<char, 1000> part;
    while (true) {
      auto count = ends.second->Read(part.data(), part.size());
      if (!count.ok() || *count == 0) break;
      out.append(part.data(), *count);
    }
    group.Join();
  });
  size_t end = out.find("\r\n\r\n");
  EXPECT_TRUE(out.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << out;
  EXPECT_NE(out.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos) << out;
  return out.substr(end + 4);
}

std::string Frame(uint8_t first, std::string_view data, bool masked = true) {
  std::string out;
  AppendFrameHead(out, static_cast<WebSocketOpcode>(first & 0x0f), data.size(),
                  masked ? std::optional<uint32_t>(0x01020304) : std::nullopt);
  out[0] = static_cast<char>(first);
  std::string payload(data);
  if (masked) ApplyMask(payload.data(), payload.size(), 0x01020304, 0);
  return out + payload;
}

TEST(WebSocketFrames, MaskIsItsOwnInverseAtAnyOffset) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i);
  std::string whole = text;
  ApplyMask(whole.data(), whole.size(), 0xa1b2c3d4, 0);
  std::string pieces = text;
  for (size_t at = 0, step = 1; at < pieces.size(); at += step, step = step % 13 + 1) {
    ApplyMask(pieces.data() + at, std::min(step, pieces.size() - at), 0xa1b2c3d4, at);
  }
  EXPECT_EQ(whole, pieces);
  ApplyMask(whole.data(), whole.size(), 0xa1b2c3d4, 0);
  EXPECT_EQ(whole, text);
}

TEST(WebSocketFrames, HeadsReadAsTheyWereWritten) {
  for (uint64_t length : {0ULL, 1ULL, 125ULL, 126ULL, 65535ULL, 65536ULL, 1ULL << 40}) {
    std::string bytes;
    AppendFrameHead(bytes, WebSocketOpcode::kBinary, length, 0x55667788);
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      EXPECT_FALSE(ParseFrameHead(std::string_view(bytes).substr(0, cut))->has_value());
    }
    auto head = ParseFrameHead(bytes);
    ASSERT_TRUE(head.ok() && head->has_value());
    EXPECT_EQ((*head)->length, length);
    EXPECT_EQ((*head)->mask, 0x55667788U);
    EXPECT_EQ((*head)->head_size, bytes.size());
  }
}

TEST(WebSocketServer, EchoesFragmentsPingsAndCloses) {
  std::string in = Frame(0x01, "he") + Frame(0x89, "ping") + Frame(0x80, "llo") + Frame(0x82, std::string(70000, 'b')) +
                   Frame(0x88,
                         "\x03\xe8"
                         "bye");
  std::string error;
  std::string out = RawEcho(in, &error);
  std::string expected = Frame(0x8a, "ping", false) + Frame(0x81, "hello", false) +
                         Frame(0x82, std::string(70000, 'b'), false) + Frame(0x88, "\x03\xe8", false);
  EXPECT_EQ(out, expected);
  EXPECT_EQ(error, "WebSocket closed by the peer: 1000 bye");
}

TEST(WebSocketServer, RefusesWhatTheRfcForbids) {
  struct Case {
    std::string name;
    std::string bytes;
    uint16_t code;
  };
  const Case cases[] = {
      {"unmasked", Frame(0x82, "x", false), 1002},
      {"reserved bit", Frame(0xc2, "x"), 1002},
      {"unknown opcode", Frame(0x83, "x"), 1002},
      {"unknown control", Frame(0x8b, "x"), 1002},
      {"fragmented ping", Frame(0x09, "x"), 1002},
      {"long ping", Frame(0x89, std::string(126, 'x')), 1002},
      {"continuation first", Frame(0x80, "x"), 1002},
      {"two beginnings", Frame(0x01, "x") + Frame(0x81, "y"), 1002},
      {"bad text", Frame(0x81, "\xff\xfe"), 1007},
      {"surrogate", Frame(0x81, "\xed\xa0\x80"), 1007},
      {"too big", Frame(0x82, std::string(2000, 'x')), 1009},
      {"too big in pieces", Frame(0x02, std::string(900, 'x')) + Frame(0x80, std::string(900, 'x')), 1009},
      {"close of one byte", Frame(0x88, "x"), 1002},
      {"length with zeros", std::string("\x82\xfe\x00\x05", 4) + "abcdxxxxx", 1002},
      {"length with the top bit", std::string("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10) + "abcd", 1002},
  };
  for (const Case& c : cases) {
    std::string close = {'\x88', '\x02', static_cast<char>(c.code >> 8), static_cast<char>(c.code & 0xff)};
    EXPECT_EQ(RawEcho(c.bytes, nullptr, 1000), close) << c.name;
  }
}

TEST(WebSocketServer, RefusesBadUpgrades) {
  const std::string_view requests[] = {
      "GET /ws HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
      "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: short\r\n\r\n",
      "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: x, y\r\n\r\n",
  };
  for (std::string_view request : requests) {
    RunSim([&](rt::Runtime& runtime) {
      auto ends = MemoryPipe(runtime);
      rt::TaskGroup group(runtime, "test");
      group.Spawn("server", [&] {
        ServeConnection(runtime, std::move(ends.first), {},
                        [&](Request& q, Response& p) { Echo(runtime, q, p, {{"a"}, 100}); });
      });
      EXPECT_TRUE(ends.second->Write(request).ok());
      EXPECT_TRUE(ends.second->CloseWrite().ok());
      std::array<char, 4000> part;
      size_t count = *ends.second->Read(part.data(), part.size());
      EXPECT_TRUE(std::string_view(part.data(), count).starts_with("HTTP/1.1 400 ")) << request;
      group.Join();
    });
  }
}

struct EchoWorld {
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
  ClientRequest request;

  EchoWorld(rt::RealRuntime& runtime, bool tls) {
    auto certificates = TestCertificates::Make(runtime.Wall());
    HttpServerOptions options;
    HttpClientOptions client_options;
    if (tls) {
      options.tls = *TlsServerContext::Create({certificates.server, "", {"h2", "http/1.1"}});
      client_options.tls = *TlsClientContext::Create({certificates.authority.certificate_pem, {}, false, "", {}});
    }
    server = *HttpServer::Start({&runtime}, *Endpoint::Parse("127.0.0.1:0"), options, [&](Request& q, Response& p) {
      if (q.url.path == "/forbidden") {
        EXPECT_TRUE(p.Send(403, {}, R"({"kind":"Status","reason":"Forbidden","message":"not you","code":403})").ok());
      } else {
        Echo(runtime, q, p, {{"v5.channel.k8s.io", "v4.channel.k8s.io"}, 8 << 20});
      }
    });
    client = HttpClient::Create(runtime, client_options);
    request.url = *Url::Parse((tls ? "https://" : "http://") + server->local().ToString() + "/ws");
  }
  ~EchoWorld() { server->Stop(0s); }
};

TEST(WebSocketClient, TalksToTheServer) {
  for (bool tls : {false, true}) {
    RunReal([&](rt::RealRuntime& runtime) {
      EchoWorld world(runtime, tls);
      auto socket = world.client->OpenWebSocket(world.request, {"v9", "v4.channel.k8s.io", "v5.channel.k8s.io"});
      ASSERT_TRUE(socket.ok()) << socket.status().message();
      EXPECT_EQ((*socket)->protocol(), "v4.channel.k8s.io");
      std::string big(5 << 20, 'x');
      rt::TaskGroup group(runtime, "test");
      group.Spawn("write", [&] {
        EXPECT_TRUE((*socket)->Write("text", false).ok());
        EXPECT_TRUE((*socket)->Ping().ok());
        EXPECT_TRUE((*socket)->Write(big).ok());
        EXPECT_TRUE((*socket)->Write("").ok());
      });
      auto first = (*socket)->Read();
      ASSERT_TRUE(first.ok()) << first.status().message();
      EXPECT_EQ(first->data, "text");
      EXPECT_FALSE(first->binary);
      EXPECT_EQ((*socket)->Read()->data, big);
      EXPECT_EQ((*socket)->Read()->data, "");
      group.Join();
      MonoTime start = runtime.Mono();
      (*socket)->Close();
      EXPECT_LT(runtime.Mono() - start, 500ms);
    });
  }
}

TEST(WebSocketClient, ARefusalIsItsStatus) {
  RunReal([&](rt::RealRuntime& runtime) {
    EchoWorld world(runtime, true);
    world.request.url.path = "/forbidden";
    auto socket = world.client->OpenWebSocket(world.request, {"v5.channel.k8s.io"});
    ASSERT_FALSE(socket.ok());
    EXPECT_EQ(socket.status().reason(), Reason::kForbidden);
    EXPECT_EQ(socket.status().message(), "not you");
  });
}

TEST(WebSocketClient, ACutConnectionIsUnavailable) {
  RunReal([&](rt::RealRuntime& runtime) {
    EchoWorld world(runtime, false);
    auto socket = world.client->OpenWebSocket(world.request, {});
    ASSERT_TRUE(socket.ok()) << socket.status().message();
    world.server->Stop(0s);
    auto message = (*socket)->Read();
    ASSERT_FALSE(message.ok());
    EXPECT_TRUE(message.Failed(Reason::kServiceUnavailable) || message.Failed(Reason::kGone))
        << message.status().message();
  });
}

}  // namespace
}  // namespace knarr::net

#include "apiserver/echo_node.h"
#include "apiserver/test_server.h"
#include "base/strings.h"
#include "net/websocket.h"

namespace knarr::apiserver {
namespace {

struct ExecWorld {
  explicit ExecWorld(rt::Runtime& rt) : runtime(rt), server(rt, Options()), node(rt), group(rt, "connection") {
    server.server().SetNodeAccess("echo", &node);
    MUST(server.Create("Pod", PodJson("p", "", R"(,"nodeName":"echo")")));
  }
  ~ExecWorld() { group.StopAndJoin(); }

  static ApiServerOptions Options() {
    ApiServerOptions options;
    options.security.tokens.push_back({"secret", {"root", "", {"system:masters"}}});
    return options;
  }

  /// The answer's head; with 101 the stream is a WebSocket's.
  std::string Ask(std::string_view query, std::string_view upgrade) {
    auto [ours, theirs] = net::MemoryPipe(runtime);
    group.Spawn("serve", [this, end = std::make_shared<std::unique_ptr<net::Stream>>(std::move(theirs))] {
      net::ServeConnection(runtime, std::move(*end), {}, server.server().handler());
    });
    stream = std::move(ours);
    MUST(stream->Write("GET /api/v1/namespaces/default/pods/p/exec?" + std::string(query) +
                       " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nConnection: Upgrade\r\n" +
                       std::string(upgrade) + "\r\n"));
    std::string head;
    char byte = 0;
    while (!head.ends_with("\r\n\r\n") && MUST(stream->Read(&byte, 1)) == 1) head += byte;
    return head;
  }

  std::unique_ptr<net::WebSocket> Open(std::string_view query, const std::string& protocol) {
    const std::string head = Ask(query,
                                 "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                                 "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " +
                                     protocol + "\r\n");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 101")) << head;
    return net::MakeWebSocket(runtime, std::move(stream), true, protocol, 1 << 20);
  }

  rt::Runtime& runtime;
  TestServer server;
  EchoNode node;
  std::unique_ptr<net::Stream> stream;
  rt::TaskGroup group;
};

// Everything until the close, a channel's digit before each message.
std::string ReadAll(net::WebSocket& socket) {
  std::string out;
  for (;;) {
    const auto message = socket.Read();
    if (!message.ok()) return out;
    const char first = message->data.empty() ? '?' : message->data.front();
    out += first < 10 ? static_cast<char>('0' + first) : first;
    out += message->data.substr(1) + "|";
  }
}

TEST(Exec, ChannelsOfEachProtocol) {
  struct Case {
    std::string protocol, query, expected;
  };
  const std::string failed =
      R"(3{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: exit status 3",)"
      R"("reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}|)";
  const Case cases[] = {
      {"v5.channel.k8s.io", "command=ls&command=-l&stdout=1", "1|1ls -l\n|3{\"metadata\":{},\"status\":\"Success\"}|"},
      {"v4.channel.k8s.io", "command=exit&command=3&stdout=1", "1|1exit 3\n|" + failed},
      {"channel.k8s.io", "command=ls&stdout=1", "1|1ls\n|"},
      {"base64.channel.k8s.io", "command=ls&stdout=1", "1|1" + Base64Encode("ls\n") + "|"},
  };
  for (const Case& test : cases) {
    InSim([&](rt::Runtime& runtime) {
      ExecWorld world(runtime);
      auto socket = world.Open(test.query, test.protocol);
      EXPECT_EQ(ReadAll(*socket), test.expected) << test.protocol;
    });
  }
}

TEST(Exec, InputResizeAndClose) {
  InSim([](rt::Runtime& runtime) {
    ExecWorld world(runtime);
    auto socket = world.Open("command=cat&stdin=1&stdout=1&tty=1", "v5.channel.k8s.io");
    MUST(socket->Write(std::string("\0hi", 3)));
    MUST(socket->Write("\x04{\"Width\":80,\"Height\":24}"));
    MUST(socket->Write(std::string("\xff\0", 2)));
    EXPECT_EQ(ReadAll(*socket), "1|1cat\n|1<hi>|1[80x24]|3{\"metadata\":{},\"status\":\"Success\"}|");
  });
}

TEST(Exec, RefusalsBeforeTheUpgrade) {
  InSim([](rt::Runtime& runtime) {
    ExecWorld world(runtime);
    const std::string spdy = "Upgrade: SPDY/3.1\r\n";
    EXPECT_TRUE(world.Ask("command=ls&stdout=1", spdy).starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(world.Ask("command=ls&stdout=1&container=none", spdy).starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(world.Ask("stdout=1", spdy).starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(world.Ask("command=ls&stdout=1", "").starts_with("HTTP/1.1 400"));
  });
}

TEST(Exec, AClientThatGoesEndsTheCommand) {
  InSim([](rt::Runtime& runtime) {
    ExecWorld world(runtime);
    auto socket = world.Open("command=cat&stdin=1&stdout=1", "v5.channel.k8s.io");
    MUST(socket->Read());
    socket.reset();
    world.group.Join();  // the server's side has ended by itself
  });
}

}  // namespace
}  // namespace knarr::apiserver

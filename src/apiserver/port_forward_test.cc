#include "apiserver/stream_world.h"
#include "net/websocket_stream.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kTarget = "/api/v1/namespaces/default/pods/p/portforward";

struct Connection {
  Connection(net::SpdySession& session, int port, int request) {
    const auto open = [&](const std::string& type) {
      net::Headers headers;
      headers.Add("streamType", type);
      headers.Add("port", std::to_string(port));
      if (request >= 0) headers.Add("requestID", std::to_string(request));
      return MUST(session.Open(headers));
    };
    error = open("error");
    MUST(error->CloseWrite());
    data = open("data");
  }
  std::shared_ptr<net::SpdyStream> error;
  std::shared_ptr<net::SpdyStream> data;
};

void TalkOver(net::SpdySession& session) {
  const Connection first(session, 80, 0);
  const Connection second(session, 81, 1);
  const Connection old(session, 82, -1);
  const Connection refused(session, 1, 2);
  MUST(first.data->Write("one"));
  MUST(second.data->Write("two"));
  MUST(old.data->Write("three"));
  MUST(second.data->CloseWrite());
  EXPECT_EQ(ReadToEnd(*second.data), "two");
  MUST(first.data->Write(" more"));
  MUST(first.data->CloseWrite());
  EXPECT_EQ(ReadToEnd(*first.data), "one more");
  EXPECT_EQ(ReadToEnd(*first.error), "");
  MUST(old.data->CloseWrite());
  EXPECT_EQ(ReadToEnd(*old.data), "three");
  EXPECT_EQ(ReadToEnd(*refused.error),
            "error forwarding port 1 to pod p, uid : dial tcp4 127.0.0.1:1: connect: connection refused");
  EXPECT_EQ(ReadToEnd(*refused.data), "");
}

TEST(PortForward, OverSpdy) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    auto session = world.OpenSpdy(kTarget, "portforward.k8s.io");
    TalkOver(*session);
    session.reset();
    world.group.Join();
  });
}

TEST(PortForward, OverSpdyInAWebSocket) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    auto socket = world.OpenWebSocket(kTarget, "SPDY/3.1+portforward.k8s.io");
    auto session =
        net::SpdySession::Create(runtime, net::MakeWebSocketStream(std::move(socket)), net::SpdySide::kClient);
    TalkOver(*session);
    session->Close();
    session.reset();
    world.group.Join();
  });
}

TEST(PortForward, ALotOfBytes) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    auto session = world.OpenSpdy(kTarget, "portforward.k8s.io");
    const Connection connection(*session, 80, 0);
    const std::string sent(1 << 20, 'x');
    rt::TaskGroup group(runtime, "writer");
    group.Spawn("write", [&] {
      MUST(connection.data->Write(sent));
      MUST(connection.data->CloseWrite());
    });
    EXPECT_EQ(ReadToEnd(*connection.data), sent);
    group.Join();
  });
}

TEST(PortForward, BadStreamsAreReset) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    auto session = world.OpenSpdy(kTarget, "portforward.k8s.io");
    const auto open = [&](const std::string& type, const std::string& port) {
      net::Headers headers;
      headers.Add("streamType", type);
      headers.Add("port", port);
      headers.Add("requestID", "7");
      return MUST(session->Open(headers));
    };
    char byte = 0;
    for (const auto& [type, port] : {std::pair("data", "x"), {"data", "0"}, {"data", "65536"}, {"other", "80"}}) {
      EXPECT_FALSE(open(type, port)->Read(&byte, 1).ok()) << type << port;
    }
    const auto alone = open("data", "80");
    EXPECT_FALSE(open("data", "80")->Read(&byte, 1).ok()) << "two of a kind";
    EXPECT_FALSE(alone->Read(&byte, 1).ok()) << "its other half does not come";
  });
}

TEST(PortForward, OverChannels) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    EXPECT_TRUE(world.Ask("GET", kTarget, std::string(kWebSocketUpgrade) + "v4.channel.k8s.io\r\n")
                    .starts_with("HTTP/1.1 400"))
        << "no ports";
    auto socket = world.OpenWebSocket(std::string(kTarget) + "?ports=80&ports=1", "v4.channel.k8s.io");
    std::string numbers;
    for (int i = 0; i < 4; ++i) numbers += MUST(socket->Read()).data;
    EXPECT_EQ(numbers, std::string("\0\x50\0\1\x50\0\2\1\0\3\1\0", 12));
    EXPECT_EQ(MUST(socket->Read()).data,
              "\3error forwarding port 1 to pod p, uid : dial tcp4 127.0.0.1:1: connect: connection refused");
    MUST(socket->Write(std::string("\0hi", 3)));
    EXPECT_EQ(MUST(socket->Read()).data, std::string("\0hi", 3));
    socket.reset();
    world.group.Join();
  });
}

}  // namespace
}  // namespace knarr::apiserver

#include "apiserver/stream_world.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kPod = "/api/v1/namespaces/default/pods/p/";

std::string Target(std::string_view sub, std::string_view query) {
  return std::string(kPod) + std::string(sub) + "?" + std::string(query);
}

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

const std::string kExitThree =
    R"({"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: exit status 3",)"
    R"("reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}})";
const std::string kSuccess = R"({"metadata":{},"status":"Success"})";

TEST(Exec, ChannelsOfEachProtocol) {
  struct Case {
    std::string protocol, query, expected;
  };
  const Case cases[] = {
      {"v5.channel.k8s.io", "command=ls&command=-l&stdout=1", "1|1ls -l\n|3" + kSuccess + "|"},
      {"v4.channel.k8s.io", "command=exit&command=3&stdout=1", "1|1exit 3\n|3" + kExitThree + "|"},
      {"channel.k8s.io", "command=ls&stdout=1", "1|1ls\n|"},
      {"base64.channel.k8s.io", "command=ls&stdout=1", "1|1" + Base64Encode("ls\n") + "|"},
  };
  for (const Case& test : cases) {
    InSim([&](rt::Runtime& runtime) {
      StreamWorld world(runtime);
      auto socket = world.OpenWebSocket(Target("exec", test.query), test.protocol);
      EXPECT_EQ(ReadAll(*socket), test.expected) << test.protocol;
    });
  }
}

TEST(Exec, InputResizeAndClose) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    auto socket = world.OpenWebSocket(Target("exec", "command=cat&stdin=1&stdout=1&tty=1"), "v5.channel.k8s.io");
    MUST(socket->Write(std::string("\0hi", 3)));
    MUST(socket->Write("\x04{\"Width\":80,\"Height\":24}"));
    MUST(socket->Write(std::string("\xff\0", 2)));
    EXPECT_EQ(ReadAll(*socket), "1|1cat\n|1<hi>|1[80x24]|3" + kSuccess + "|");
  });
}

TEST(Exec, RefusalsBeforeTheUpgrade) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    const std::string v4 = std::string(kSpdyUpgrade) + "v4.channel.k8s.io\r\n";
    const auto code = [&](std::string_view query, std::string_view headers) {
      return world.Ask("POST", Target("exec", query), headers).substr(9, 3);
    };
    EXPECT_EQ(code("command=ls&stdout=1&container=none", v4), "400");
    EXPECT_EQ(code("stdout=1", v4), "400");
    EXPECT_EQ(code("command=ls", v4), "400");
    EXPECT_EQ(code("command=ls&stdout=1", ""), "400") << "no upgrade";
    EXPECT_EQ(code("command=ls&stdout=1", "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"), "400") << "no protocol";
    const std::string refused =
        world.Ask("POST", Target("exec", "command=ls&stdout=1"), std::string(kSpdyUpgrade) + "v9.channel.k8s.io\r\n");
    EXPECT_TRUE(refused.starts_with("HTTP/1.1 403")) << refused;
    EXPECT_NE(refused.find("X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io"), std::string::npos) << refused;
  });
}

TEST(Exec, AClientThatGoesEndsTheCommand) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    auto socket = world.OpenWebSocket(Target("exec", "command=cat&stdin=1&stdout=1"), "v5.channel.k8s.io");
    MUST(socket->Read());
    socket.reset();
    world.group.Join();  // the server's side has ended by itself
    auto session = world.OpenSpdy(Target("exec", "command=cat&stdin=1&stdout=1"), "v4.channel.k8s.io");
    session.reset();
    world.group.Join();
  });
}

/// The streams of one command over SPDY.
struct SpdyCommand {
  SpdyCommand(StreamWorld& world, std::string_view target, const std::string& protocols)
      : session(world.OpenSpdy(target, protocols)) {}
  std::shared_ptr<net::SpdyStream> Open(const std::string& type) {
    net::Headers headers;
    headers.Add("streamType", type);
    return MUST(session->Open(headers));
  }
  std::unique_ptr<net::SpdySession> session;
};

TEST(Exec, OverSpdy) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    SpdyCommand command(world, Target("exec", "command=cat&stdin=1&stdout=1&stderr=1"),
                        "v5.channel.k8s.io, v4.channel.k8s.io");
    const auto error = command.Open("error");
    const auto in = command.Open("stdin");
    const auto out = command.Open("stdout");
    const auto err = command.Open("stderr");
    MUST(in->Write("hi"));
    MUST(in->CloseWrite());
    EXPECT_EQ(ReadToEnd(*out), "cat\n<hi>");
    EXPECT_EQ(ReadToEnd(*err), "");
    EXPECT_EQ(ReadToEnd(*error), kSuccess);
    command.session.reset();
    world.group.Join();
  });
}

TEST(Exec, OverSpdyOutcomesAndSizes) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    SpdyCommand failing(world, Target("exec", "command=exit&command=3&stdout=1"), "v4.channel.k8s.io");
    const auto out = failing.Open("stdout");
    EXPECT_EQ(ReadToEnd(*failing.Open("error")), kExitThree);
    EXPECT_EQ(ReadToEnd(*out), "exit 3\n");
    SpdyCommand old(world, Target("exec", "command=exit&command=3&stdout=1"), "v2.channel.k8s.io");
    const auto old_out = old.Open("stdout");
    EXPECT_EQ(ReadToEnd(*old.Open("error")), "command terminated with non-zero exit code: exit status 3");
    SpdyCommand terminal(world, Target("exec", "command=sh&stdin=1&stdout=1&tty=1"), "v4.channel.k8s.io");
    const auto error = terminal.Open("error");
    const auto in = terminal.Open("stdin");
    const auto screen = terminal.Open("stdout");
    const auto sizes = terminal.Open("resize");
    MUST(sizes->Write("{\"Width\":80,\"Height\":24}\n{\"Width\":9"));
    MUST(sizes->Write("0,\"Height\":30}\n"));
    (void)runtime.Sleep(1ms);
    MUST(in->CloseWrite());
    EXPECT_EQ(ReadToEnd(*screen), "sh\n[80x24][90x30]");
  });
}

TEST(Exec, WhatCannotBeStarted) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    const std::string why = R"(error executing command in container: exec: \"missing\": executable file not found in )"
                            R"($PATH: unknown)";
    const std::string status = R"({"metadata":{},"status":"Failure","message":"Internal error occurred: )" + why +
                               R"(","reason":"InternalError","details":{"causes":[{"message":")" + why +
                               R"("}]},"code":500})";
    auto socket = world.OpenWebSocket(Target("exec", "command=missing&stdout=1"), "v5.channel.k8s.io");
    EXPECT_EQ(ReadAll(*socket), "1|3" + status + "|");
    SpdyCommand command(world, Target("exec", "command=missing&stdout=1"), "v4.channel.k8s.io");
    const auto out = command.Open("stdout");
    EXPECT_EQ(ReadToEnd(*command.Open("error")), status);
    EXPECT_EQ(ReadToEnd(*out), "");
  });
}

TEST(Exec, StreamsThatDoNotCome) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    SpdyCommand command(world, Target("exec", "command=ls&stdout=1"), "v4.channel.k8s.io");
    const auto error = command.Open("error");
    EXPECT_NE(ReadToEnd(*error).find("timed out waiting for client to create streams"), std::string::npos);
    SpdyCommand wrong(world, Target("exec", "command=ls&stdout=1"), "v4.channel.k8s.io");
    EXPECT_EQ(ReadToEnd(*wrong.Open("none")), "");
  });
}

TEST(Attach, BothWays) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    auto socket = world.OpenWebSocket(Target("attach", "stdin=1&stdout=1"), "v5.channel.k8s.io");
    MUST(socket->Write(std::string("\0hi", 3)));
    MUST(socket->Write(std::string("\xff\0", 2)));
    EXPECT_EQ(ReadAll(*socket), "1|1attached\n|1<hi>|3" + kSuccess + "|");
    SpdyCommand command(world, Target("attach", "stdout=1"), "v4.channel.k8s.io");
    const auto out = command.Open("stdout");
    EXPECT_EQ(ReadToEnd(*command.Open("error")), kSuccess);
    EXPECT_EQ(ReadToEnd(*out), "attached\n");
    EXPECT_TRUE(world.Ask("GET", Target("attach", "stdout=1"), "").starts_with("HTTP/1.1 400")) << "no upgrade";
    EXPECT_TRUE(world.Ask("PUT", Target("attach", "stdout=1"), "").starts_with("HTTP/1.1 405"));
  });
}

// To read a pod is not to run commands in it, though browsers' WebSockets are GET requests.
TEST(Exec, NeedsTheVerbCreate) {
  InSim([](rt::Runtime& runtime) {
    StreamWorld world(runtime);
    const auto grant = [&](const std::string& name, const std::string& verb) {
      MUST(world.server.client().Create(
          TestServer::Kind("ClusterRole", "rbac.authorization.k8s.io/v1"), "",
          TestServer::Json(R"({"metadata":{"name":")" + name + R"("},"rules":[{"apiGroups":[""],"resources":)" +
                           R"(["pods/exec","pods/attach","pods/portforward"],"verbs":[")" + verb + R"("]}]})")
              .root,
          {}));
      MUST(world.server.client().Create(
          TestServer::Kind("ClusterRoleBinding", "rbac.authorization.k8s.io/v1"), "",
          TestServer::Json(R"({"metadata":{"name":")" + name +
                           R"("},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":")" +
                           name + R"("},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User",)" +
                           R"("name":"jane"}]})")
              .root,
          {}));
    };
    const std::string upgrade = std::string(kWebSocketUpgrade) + "v5.channel.k8s.io\r\n";
    grant("readers", "get");
    for (const std::string_view sub : {"exec", "attach", "portforward"}) {
      const std::string head = world.Ask("GET", Target(sub, "command=ls&stdout=1&ports=80"), upgrade, "viewer");
      EXPECT_TRUE(head.starts_with("HTTP/1.1 403")) << sub << head;
    }
    grant("writers", "create");
    const std::string head = world.Ask("GET", Target("exec", "command=ls&stdout=1"), upgrade, "viewer");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 101")) << head;
  });
}

}  // namespace
}  // namespace knarr::apiserver

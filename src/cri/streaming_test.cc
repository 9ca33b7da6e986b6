#include "cri/streaming.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <map>

#include "net/http.h"
#include "net/spdy.h"
#include "rt/real.h"
#include "rt/sync.h"

namespace knarr::cri {
namespace {

using StreamPtr = std::shared_ptr<net::SpdyStream>;

/// What the streaming server does with the streams that were opened, by their types.
using Script = std::function<void(std::map<std::string, StreamPtr>& streams)>;

std::string ReadAll(net::Stream& stream) {
  std::string out;
  std::array<char, 4096> part;
  while (true) {
    const auto count = stream.Read(part.data(), part.size());
    if (!count.ok() || *count == 0) return out;
    out.append(part.data(), *count);
  }
}

/// A streaming server as containerd's, for one session of `count` streams.
void WithServer(size_t count, const Script& script, const std::function<void(rt::Runtime&, const std::string&)>& body) {
  auto runtime = rt::RealRuntime::Create({.name = "test"}, rt::BlockingPool::Create(2));
  runtime->Run([&] {
    const auto serve = [&](net::Request& request, net::Response& response) {
      if (!net::IsSpdyUpgrade(request) || request.url.path != "/exec/token") {
        (void)response.Send(404, {}, "no such token");
        return;
      }
      net::Headers headers;
      headers.Set("Connection", "Upgrade");
      headers.Set("Upgrade", "SPDY/3.1");
      headers.Set("X-Stream-Protocol-Version", std::string(request.headers.Get("X-Stream-Protocol-Version")));
      auto session =
          net::SpdySession::Create(*runtime, MUST(response.Hijack(std::move(headers))), net::SpdySide::kServer);
      std::map<std::string, StreamPtr> streams;
      while (streams.size() < count) {
        const auto opened = session->Accept();
        if (!opened.ok()) return;  // who asked has gone
        streams[std::string((*opened)->headers().Get("streamType"))] = *opened;
      }
      script(streams);
      session->Close();
    };
    net::Endpoint any{"127.0.0.1", 0, {}};
    auto server = MUST(net::HttpServer::Start({runtime.get()}, any, {}, serve));
    body(*runtime, "http://127.0.0.1:" + std::to_string(server->local().port));
    server->Stop(1s);
  });
}

void Finish(std::map<std::string, StreamPtr>& streams, std::string_view outcome) {
  for (const char* name : {"stdout", "stderr"}) {
    if (streams.contains(name)) (void)streams[name]->CloseWrite();
  }
  (void)streams["error"]->Write(outcome);
  (void)streams["error"]->CloseWrite();
}

constexpr std::string_view kExit3 =
    R"({"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}})";

TEST(CriStreaming, InputGoesThereAndOutputComesBack) {
  WithServer(
      4,
      [](std::map<std::string, StreamPtr>& streams) {
        (void)streams["stderr"]->Write("careful");
        (void)streams["stdout"]->Write(ReadAll(*streams["stdin"]));
        Finish(streams, kExit3);
      },
      [](rt::Runtime& runtime, const std::string& url) {
        auto session = MUST(OpenStreams(runtime, url + "/exec/token", {.stdin_open = true}));
        const std::string large(300'000, 'x');
        ASSERT_TRUE(session->WriteStdin("hello ").ok());
        std::map<int, std::string> got;
        rt::TaskGroup group(runtime, "writer");
        group.Spawn("writer", [&] {
          EXPECT_TRUE(session->WriteStdin(large).ok());
          session->CloseStdin();
        });
        while (true) {
          const auto chunk = MUST(session->Read());
          if (chunk.data.empty()) break;
          got[chunk.fd] += chunk.data;
        }
        group.Join();
        EXPECT_EQ(got[1], "hello " + large);
        EXPECT_EQ(got[2], "careful");
        EXPECT_EQ(MUST(session->Wait()), 3);
        EXPECT_FALSE(session->Resize(1, 1).ok()) << "no terminal";
      });
}

TEST(CriStreaming, ATerminalHasOneOutputAndSizes) {
  std::string sizes;
  WithServer(
      3,
      [&](std::map<std::string, StreamPtr>& streams) {
        std::array<char, 64> part;
        sizes = std::string(part.data(), streams["resize"]->Read(part.data(), part.size()).value_or(0));
        (void)streams["stdout"]->Write("$ ");
        Finish(streams, R"({"status":"Success"})");
      },
      [](rt::Runtime& runtime, const std::string& url) {
        const StreamsWanted wanted{.stdin_open = false, .stdout_open = true, .stderr_open = false, .tty = true};
        auto session = MUST(OpenStreams(runtime, url + "/exec/token", wanted));
        ASSERT_TRUE(session->Resize(80, 24).ok());
        EXPECT_EQ(MUST(session->Read()).data, "$ ");
        EXPECT_EQ(MUST(session->Wait()), 0);
        EXPECT_FALSE(session->WriteStdin("x").ok());
      });
  EXPECT_EQ(sizes, "{\"Width\":80,\"Height\":24}\n");
}

TEST(CriStreaming, EndsThatAreNone) {
  WithServer(
      3, [](std::map<std::string, StreamPtr>& streams) { Finish(streams, ""); },
      [](rt::Runtime& runtime, const std::string& url) {
        auto session = MUST(OpenStreams(runtime, url + "/exec/token", {}));
        EXPECT_EQ(MUST(session->Read()).data, "");
        EXPECT_TRUE(session->Wait().Failed(Reason::kServiceUnavailable)) << "nobody knows how it ended";
        EXPECT_TRUE(OpenStreams(runtime, url + "/exec/other", {}).Failed(Reason::kNotFound));
        for (const char* bad : {"", "https://127.0.0.1:1/x", "http://%zz/"}) {
          EXPECT_FALSE(OpenStreams(runtime, bad, {}).ok()) << bad;
        }
      });
  WithServer(
      3,
      [](std::map<std::string, StreamPtr>& streams) {
        Finish(streams, R"({"status":"Failure","message":"failed to exec","code":500})");
      },
      [](rt::Runtime& runtime, const std::string& url) {
        auto session = MUST(OpenStreams(runtime, url + "/exec/token", {}));
        const auto outcome = session->Wait();
        ASSERT_FALSE(outcome.ok());
        EXPECT_EQ(outcome.status().message(), "failed to exec");
      });
}

// As the kubelet's kind of server does it: nothing is ended, everything is reset.
TEST(CriStreaming, StreamsThatAreResetLoseNothing) {
  WithServer(
      4,
      [](std::map<std::string, StreamPtr>& streams) {
        (void)streams["stdout"]->Write(std::string(100'000, 'y'));
        (void)streams["error"]->Write(kExit3);
        for (auto& [type, stream] : streams) stream->Close();
      },
      [](rt::Runtime& runtime, const std::string& url) {
        auto session = MUST(OpenStreams(runtime, url + "/exec/token", {.stdin_open = true}));
        MUST(runtime.Sleep(50ms));
        EXPECT_TRUE(session->WriteStdin("nobody reads it").ok());
        size_t got = 0;
        while (true) {
          const auto chunk = MUST(session->Read());
          if (chunk.data.empty()) break;
          got += chunk.data.size();
        }
        EXPECT_EQ(got, 100'000U);
        EXPECT_EQ(MUST(session->Wait()), 3);
      });
}

TEST(CriStreaming, WhoGoesWaitsForNobody) {
  WithServer(
      3, [](std::map<std::string, StreamPtr>& streams) { (void)ReadAll(*streams["error"]); },
      [](rt::Runtime& runtime, const std::string& url) {
        const MonoTime begin = runtime.Mono();
        auto session = MUST(OpenStreams(runtime, url + "/exec/token", {}));
        session->Close();
        EXPECT_FALSE(session->Wait().ok());
        session.reset();
        EXPECT_LT(runtime.Mono() - begin, 5s);
      });
}

}  // namespace
}  // namespace knarr::cri

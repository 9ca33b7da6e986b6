// Server and client against each other, over loopback on the real runtime.

#include <gtest/gtest.h>

#include <array>

#include "net/http_client.h"
#include "net/test_support.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

enum class Mode : uint8_t { kHttp1, kHttp1Tls, kHttp2 };

std::string ReadToEnd(Stream& stream) {
  std::string out;
  std::array<char, 1000> part;
  while (true) {
    auto count = stream.Read(part.data(), part.size());
    if (!count.ok() || *count == 0) return out;
    out.append(part.data(), *count);
  }
}

constexpr size_t kSharedRounds = 400;

/// What a round of /shared writes: its parts, of all sizes.
std::array<std::string, 4> SharedParts(size_t round) {
  const auto letter = static_cast<char>('a' + round % 26);
  return {"<", std::string(round * 37 % 5000, letter), round % 50 == 0 ? std::string(70'000, letter) : "", ">"};
}

/// Some of it shared, some written by itself, in an order that must stay.
Ok WriteShared(Response& response, size_t round) {
  const auto parts = SharedParts(round);
  auto owner = std::make_shared<const std::string>(parts[1]);
  const std::string_view text = *owner;
  if (round % 7 == 3) TRY(response.Write("-"));
  TRY(response.WriteShared({{nullptr, "<"}, {std::move(owner), text}}));
  if (!parts[2].empty()) TRY(response.Write(parts[2]));
  if (round % 2 == 0) return response.Write(">");
  return response.WriteShared({{nullptr, ">"}});
}

/// Says what it got, and does what the path says.
struct TestHandler {
  rt::Runtime& runtime;
  rt::Event released{runtime};
  int closed_seen = 0;
  size_t watch_written = 0;

  explicit TestHandler(rt::Runtime& r) : runtime(r) {}

  void Handle(Request& request, Response& response) {
    const std::string& path = request.url.path;
    Headers headers;
    headers.Add("X-Method", request.method);
    headers.Add("X-Protocol", request.http2 ? "2" : "1");
    if (path == "/echo") {
      auto body = request.read_body(1 << 20);
      if (!body.ok()) {
        EXPECT_TRUE(response.Send(body.status().code(), headers, body.status().message()).ok());
        return;
      }
      EXPECT_TRUE(response.Send(200, headers, *body).ok());
    } else if (path == "/who") {
      std::string name = request.certificate != nullptr ? request.certificate->common_name : "nobody";
      EXPECT_TRUE(response.Send(200, headers, name).ok());
    } else if (path == "/pieces") {
      std::string a(100'000, 'a'), b(10, 'b'), c(3 << 20, 'c');
      EXPECT_TRUE(response.SendPieces(200, headers, {a, b, "", c}).ok());
    } else if (path == "/stream") {
      EXPECT_TRUE(response.Start(200, headers).ok());
      for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(response.Write("line " + std::to_string(i) + "\n").ok());
        if (!runtime.Sleep(2ms).ok()) return;  // an answer to HEAD may be over for the client
      }
      EXPECT_TRUE(response.Write(std::string(200'000, 'z')).ok());
      EXPECT_TRUE(response.Finish().ok());
    } else if (path == "/shared") {
      EXPECT_TRUE(response.Start(200, headers).ok());
      for (size_t i = 0; i < kSharedRounds; ++i) EXPECT_TRUE(WriteShared(response, i).ok());
      EXPECT_TRUE(response.Finish().ok());
    } else if (path == "/endless") {
      EXPECT_TRUE(response.Start(200, headers).ok());
      std::string part(30'000, 'w');
      while (response.Write(part).ok()) watch_written += part.size();
      ++closed_seen;
    } else if (path == "/wait") {
      response.WaitClosed();
      ++closed_seen;
    } else if (path == "/slow") {
      if (!released.Wait().ok()) return;
      EXPECT_TRUE(response.Send(200, headers, "slow").ok());
    } else if (path == "/abort") {
      EXPECT_TRUE(response.Start(200, headers).ok());
      EXPECT_TRUE(response.Write("part").ok());
    } else if (path == "/nocontent") {
      EXPECT_TRUE(response.Send(204, headers, "").ok());
    } else if (path != "/nothing") {
      EXPECT_TRUE(response.Send(404, headers, "no").ok());
    }
  }
};

struct World {
  rt::RealRuntime& runtime;
  TestCertificates certificates;
  TestHandler handler;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
  Mode mode;

  World(rt::RealRuntime& r, Mode m, HttpServerOptions options = {})
      : runtime(r), certificates(TestCertificates::Make(r.Wall())), handler(r), mode(m) {
    HttpClientOptions client_options;
    client_options.http2 = mode == Mode::kHttp2;
    if (mode != Mode::kHttp1) {
      options.tls =
          *TlsServerContext::Create({certificates.server, certificates.authority.certificate_pem, {"h2", "http/1.1"}});
      client_options.tls =
          *TlsClientContext::Create({certificates.authority.certificate_pem, certificates.client, false, "", {}});
    }
    auto started = HttpServer::Start({&runtime}, *Endpoint::Parse("127.0.0.1:0"), options,
                                     [this](Request& q, Response& p) { handler.Handle(q, p); });
    server = std::move(*started);
    client = HttpClient::Create(runtime, client_options);
  }
  ~World() { server->Stop(0s); }

  ClientRequest Make(std::string path, std::string method = "GET", std::string body = {}) {
    ClientRequest request;
    request.method = std::move(method);
    request.url = *Url::Parse((mode == Mode::kHttp1 ? "http://" : "https://") + server->local().ToString() + path);
    request.body = std::move(body);
    return request;
  }
  Result<std::string> Fetch(const ClientRequest& request, int* code = nullptr) {
    auto response = TRY(client->Send(request));
    if (code != nullptr) *code = response->code();
    return response->ReadAll(64 << 20);
  }
  /// The body, or the error after a "!".
  std::string Text(const ClientRequest& request, int* code = nullptr) {
    auto body = Fetch(request, code);
    return body.ok() ? *body : "!" + body.status().message();
  }
};

class HttpModes : public testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(All, HttpModes, testing::Values(Mode::kHttp1, Mode::kHttp1Tls, Mode::kHttp2),
                         [](const auto& i) {
                           return i.param == Mode::kHttp1 ? "Http1" : i.param == Mode::kHttp1Tls ? "Http1Tls" : "Http2";
                         });

TEST_P(HttpModes, RequestsAndResponses) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    int code = 0;
    EXPECT_EQ(world.Text(world.Make("/echo", "POST", "hello"), &code), "hello");
    EXPECT_EQ(code, 200);
    EXPECT_EQ(world.Text(world.Make("/other"), &code), "no");
    EXPECT_EQ(code, 404);
    EXPECT_EQ(world.Text(world.Make("/nocontent"), &code), "");
    EXPECT_EQ(code, 204);
    EXPECT_EQ(world.Text(world.Make("/who")), GetParam() == Mode::kHttp1 ? "nobody" : "admin");
    EXPECT_EQ(world.Text(world.Make("/nothing"), &code).substr(0, 8), "Internal");
    EXPECT_EQ(code, 500);
    std::string big(900'000, 'b');
    EXPECT_EQ(world.Text(world.Make("/echo", "PUT", big)), big);
    auto response = world.client->Send(world.Make("/who"));
    ASSERT_TRUE(response.ok());
    EXPECT_EQ((*response)->headers().Get("x-protocol"), GetParam() == Mode::kHttp2 ? "2" : "1");
    EXPECT_TRUE((*response)->headers().Has("Date"));
  });
}

TEST_P(HttpModes, HeadHasNoBody) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    for (int i = 0; i < 2; ++i) {
      auto response = world.client->Send(world.Make("/pieces", "HEAD"));
      ASSERT_TRUE(response.ok()) << response.status().message();
      EXPECT_EQ((*response)->headers().Get("Content-Length"), std::to_string(100'010 + (3 << 20)));
      EXPECT_EQ(*(*response)->ReadAll(100), "");
      EXPECT_EQ(world.Text(world.Make("/stream", "HEAD")), "");
    }
  });
}

TEST_P(HttpModes, PiecesAndStreams) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    std::string pieces = world.Text(world.Make("/pieces"));
    EXPECT_EQ(pieces, std::string(100'000, 'a') + std::string(10, 'b') + std::string(3 << 20, 'c'));
    std::string stream = world.Text(world.Make("/stream"));
    EXPECT_EQ(stream, "line 0\nline 1\nline 2\nline 3\nline 4\n" + std::string(200'000, 'z'));
    EXPECT_TRUE(world.client->Send(world.Make("/pieces")).ok());  // dropped unread
    EXPECT_EQ(world.Text(world.Make("/who")), GetParam() == Mode::kHttp1 ? "nobody" : "admin");
  });
}

TEST_P(HttpModes, SharedPiecesKeepTheirOrder) {
  std::string expected;
  for (size_t i = 0; i < kSharedRounds; ++i) {
    if (i % 7 == 3) expected += '-';
    for (const std::string& part : SharedParts(i)) expected += part;
  }
  RunReal([&](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    EXPECT_EQ(world.Text(world.Make("/shared")), expected);
  });
}

TEST_P(HttpModes, TooLargeBodies) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    int code = 0;
    auto answer = world.Fetch(world.Make("/echo", "POST", std::string((1 << 20) + 1, 'x')), &code);
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    EXPECT_EQ(code, 413);
    EXPECT_EQ(*answer, "Request entity too large: limit is 1048576");
    EXPECT_TRUE(
        world.client->Send(world.Make("/pieces")).value()->ReadAll(1000).Failed(Reason::kRequestEntityTooLarge));
  });
}

TEST_P(HttpModes, AnUnfinishedAnswerIsAnError) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    auto answer = world.Fetch(world.Make("/abort"));
    EXPECT_TRUE(answer.Failed(Reason::kServiceUnavailable)) << (answer.ok() ? *answer : "");
  });
}

TEST_P(HttpModes, AClientThatGoesIsNoticed) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    {
      rt::CancelScope scope(runtime, 30ms);
      EXPECT_TRUE(world.Fetch(world.Make("/wait")).Failed(Reason::kTimeout));
    }
    while (world.handler.closed_seen < 1) ASSERT_TRUE(runtime.Sleep(1ms).ok());
    world.client->Send(world.Make("/endless")).value().reset();
    while (world.handler.closed_seen < 2) ASSERT_TRUE(runtime.Sleep(1ms).ok());
  });
}

TEST_P(HttpModes, ASlowReaderHoldsTheWriterBack) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    auto response = world.client->Send(world.Make("/endless"));
    ASSERT_TRUE(response.ok());
    size_t before = 1;
    while (before != world.handler.watch_written) {
      before = world.handler.watch_written;
      ASSERT_TRUE(runtime.Sleep(100ms).ok());
    }
    EXPECT_LT(before, 64U << 20);
    std::string part(8 << 20, '\0');
    size_t got = 0;
    while (got < part.size()) got += *(*response)->Read(part.data(), part.size());
    ASSERT_TRUE(runtime.Sleep(50ms).ok());
    EXPECT_GT(world.handler.watch_written, before);
  });
}

TEST_P(HttpModes, ManyAtOnce) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    rt::TaskGroup group(runtime, "test");
    int good = 0;
    for (int i = 0; i < 300; ++i) {
      group.Spawn("request", [&, i] {
        std::string body = std::to_string(i) + std::string(static_cast<size_t>(i) * 20, 'x');
        auto answer = world.Fetch(world.Make("/echo", "POST", body));
        EXPECT_TRUE(answer.ok() && *answer == body) << (answer.ok() ? "wrong" : answer.status().message());
        good += answer.ok() ? 1 : 0;
      });
    }
    group.Join();
    EXPECT_EQ(good, 300);
  });
}

TEST_P(HttpModes, StopLetsRequestsEnd) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    rt::TaskGroup group(runtime, "test");
    group.Spawn("request", [&] {
      auto answer = world.Fetch(world.Make("/slow"));
      EXPECT_TRUE(answer.ok()) << answer.status().message();
    });
    ASSERT_TRUE(runtime.Sleep(30ms).ok());
    group.Spawn("release", [&] {
      ASSERT_TRUE(runtime.Sleep(30ms).ok());
      world.handler.released.Set();
    });
    MonoTime start = runtime.Mono();
    world.server->Stop(10s);
    EXPECT_LT(runtime.Mono() - start, 5s);
    group.Join();
    EXPECT_FALSE(world.Fetch(world.Make("/who")).ok());
  });
}

TEST_P(HttpModes, StopCutsOffAfterItsGrace) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    rt::TaskGroup group(runtime, "test");
    group.Spawn("request", [&] {
      int code = 0;
      EXPECT_TRUE(!world.Fetch(world.Make("/slow"), &code).ok() || code == 500);
    });
    ASSERT_TRUE(runtime.Sleep(30ms).ok());
    world.server->Stop(50ms);
    group.Join();
  });
}

TEST_P(HttpModes, ConnectionsAreKept) {
  RunReal([](rt::RealRuntime& runtime) {
    World world(runtime, GetParam());
    std::vector<std::string> peers;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(world.Fetch(world.Make("/echo", "POST", "x")).ok());
    EXPECT_TRUE(world.Fetch(world.Make("/echo", "POST", "")).ok());
    // A server that restarts is found again.
    Endpoint local = world.server->local();
    world.server->Stop(1s);
    HttpServerOptions options;
    if (GetParam() != Mode::kHttp1) {
      options.tls = *TlsServerContext::Create({world.certificates.server, "", {"h2", "http/1.1"}});
    }
    auto again = HttpServer::Start({&runtime}, local, options,
                                   [](Request&, Response& r) { EXPECT_TRUE(r.Send(200, {}, "new").ok()); });
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(world.Text(world.Make("/x")), "new");
    (*again)->Stop(0s);
  });
}

TEST(HttpClient, WaitersShareAFailedDial) {
  RunReal([](rt::RealRuntime& runtime) {
    // A server that takes connections and says nothing: each handshake runs into the first caller's time limit.
    auto silent = Listen(runtime, {"127.0.0.1", 0, ""});
    auto client = HttpClient::Create(runtime, {});
    ClientRequest request;
    request.url = *Url::Parse("https://" + (*silent)->local().ToString() + "/");
    rt::TaskGroup group(runtime, "test");
    group.Spawn("close", [&] {
      auto first = (*silent)->Accept();
      ASSERT_TRUE(runtime.Sleep(50ms).ok());
      first->reset();
    });
    int failed = 0;
    for (int i = 0; i < 20; ++i) {
      group.Spawn("request", [&] { failed += client->Send(request).Failed(Reason::kServiceUnavailable) ? 1 : 0; });
    }
    rt::CancelScope scope(runtime, 5s);
    group.Join();
    EXPECT_EQ(failed, 20);
  });
}

TEST(HttpServer, ManyRuntimes) {
  auto pool = rt::BlockingPool::Create(2);
  auto first = rt::RealRuntime::Create({.name = "io1"}, pool);
  auto second = rt::RealRuntime::Create({.name = "io2"}, pool);
  auto home = rt::RealRuntime::Create({.name = "home"}, pool);
  first->StartThread();
  second->StartThread();
  home->Run([&] {
    HttpServerOptions options;
    options.home = home.get();
    auto server = HttpServer::Start(
        {first.get(), second.get()}, *Endpoint::Parse("127.0.0.1:0"), options, [&](Request&, Response& response) {
          std::string name = first->OnThisThread() ? "1" : second->OnThisThread() ? "2" : "?";
          EXPECT_TRUE(response.Send(200, {}, name).ok());
        });
    ASSERT_TRUE(server.ok()) << server.status().message();
    std::string seen;
    for (int i = 0; i < 4; ++i) {
      auto client = HttpClient::Create(*home, {});
      ClientRequest request;
      request.url = *Url::Parse("http://" + (*server)->local().ToString() + "/");
      auto response = client->Send(request);
      ASSERT_TRUE(response.ok()) << response.status().message();
      seen += *(*response)->ReadAll(10);
    }
    EXPECT_EQ(seen, "1212");
    (*server)->Stop(1s);
  });
  first->StopThread();
  second->StopThread();
}

/// Sends raw bytes to a server over a pipe and returns all it answers.
std::string Raw(std::string_view bytes, HttpServerOptions options = {}) {
  std::string out;
  RunSim([&](rt::Runtime& runtime) {
    TestHandler handler(runtime);
    auto ends = MemoryPipe(runtime);
    rt::TaskGroup group(runtime, "test");
    group.Spawn("server", [&] {
      ServeConnection(runtime, std::move(ends.first), options, [&](Request& q, Response& p) { handler.Handle(q, p); });
    });
    EXPECT_TRUE(ends.second->Write(bytes).ok());
    EXPECT_TRUE(ends.second->CloseWrite().ok());
    out = ReadToEnd(*ends.second);
    group.Join();
  });
  return out;
}

size_t Count(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Http1Server, PipelinedRequestsAreAnsweredInOrder) {
  std::string out =
      Raw("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\noneGET /other HTTP/1.1\r\nHost: h\r\n\r\n"
          "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
          "GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /who HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(Count(out, "HTTP/1.1 "), 4U) << out;
  EXPECT_LT(out.find("one"), out.find("\r\n\r\nno"));
  EXPECT_LT(out.find("\r\n\r\nno"), out.find("two"));
  EXPECT_EQ(Count(out, "Connection: close"), 1U);
}

TEST(Http1Server, AnUnreadBodyIsSkipped) {
  std::string out =
      Raw("POST /who HTTP/1.1\r\nHost: h\r\nContent-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
          "GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(Count(out, "HTTP/1.1 200"), 2U) << out;
  EXPECT_EQ(Count(out, "404"), 0U) << out;
}

TEST(Http1Server, ExpectContinue) {
  std::string out = Raw("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi");
  EXPECT_TRUE(out.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")) << out;
  out = Raw("POST /who HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(Count(out, "100 Continue"), 0U);
  EXPECT_EQ(Count(out, "Connection: close"), 1U) << out;
}

TEST(Http1Server, OldClients) {
  std::string out = Raw("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(Count(out, "chunked"), 0U);
  EXPECT_TRUE(out.ends_with("zzz")) << out.substr(0, 300);
  out = Raw("GET /who HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /who HTTP/1.0\r\n\r\n");
  EXPECT_EQ(Count(out, "200 OK"), 2U);
  EXPECT_EQ(Count(out, "Connection: keep-alive"), 1U);
}

TEST(Http1Server, RefusalsSayWhyAndClose) {
  struct Case {
    std::string request;
    std::string begin;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(70000, 'x') + "\r\n\r\n",
       "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
      {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
       "HTTP/1.1 400 Bad Request\r\n"},
      {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 Bad Request\r\n"},
  };
  for (const Case& c : cases) {
    std::string out = Raw(c.request);
    EXPECT_TRUE(out.starts_with(c.begin)) << c.request.substr(0, 100) << " → " << out;
    EXPECT_EQ(Count(out, "HTTP/1.1 "), 1U);
  }
}

TEST(Http1Server, SilentClientsAreCutOff) {
  RunSim([&](rt::Runtime& runtime) {
    for (std::string_view bytes : {"", "GET / HT", "GET / HTTP/1.1\r\nHost"}) {
      auto ends = MemoryPipe(runtime);
      rt::TaskGroup group(runtime, "test");
      group.Spawn("server", [&] { ServeConnection(runtime, std::move(ends.first), {}, [](Request&, Response&) {}); });
      MonoTime start = runtime.Mono();
      EXPECT_TRUE(ends.second->Write(bytes).ok());
      (void)ReadToEnd(*ends.second);
      EXPECT_LT(runtime.Mono() - start, 100s);
      group.Join();
    }
  });
}

TEST(Http1Server, HeadersCantBreakOut) {
  std::string out;
  RunSim([&](rt::Runtime& runtime) {
    auto ends = MemoryPipe(runtime);
    rt::TaskGroup group(runtime, "test");
    group.Spawn("server", [&] {
      ServeConnection(runtime, std::move(ends.first), {}, [](Request&, Response& response) {
        Headers headers;
        headers.Add("X", "a\r\nSet-Cookie: b");
        EXPECT_TRUE(response.Send(200, headers, "").ok());
      });
    });
    EXPECT_TRUE(ends.second->Write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").ok());
    out = ReadToEnd(*ends.second);
    group.Join();
  });
  EXPECT_EQ(Count(out, "\r\nSet-Cookie"), 0U) << out;
}

TEST(StatusOfResponse, ReadsStatusObjects) {
  Status status = StatusOfResponse(
      409, R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":"m","reason":"AlreadyExists",)"
           R"("details":{"name":"a","kind":"pods","causes":[{"reason":"R","message":"x","field":"f"}],)"
           R"("retryAfterSeconds":3},"code":409})");
  EXPECT_EQ(status.reason(), Reason::kAlreadyExists);
  EXPECT_EQ(status.message(), "m");
  EXPECT_EQ(status.details().name, "a");
  EXPECT_EQ(status.details().causes.at(0).field, "f");
  EXPECT_EQ(status.details().retry_after_seconds, 3);
  EXPECT_EQ(status.code(), 409);
  Status plain = StatusOfResponse(404, "404 page not found\n");
  EXPECT_EQ(plain.reason(), Reason::kNotFound);
  EXPECT_EQ(plain.message(), "404 page not found");
  EXPECT_EQ(StatusOfResponse(502, "").message(), "Bad Gateway");
  EXPECT_EQ(StatusOfResponse(418, "").code(), 418);
}

}  // namespace
}  // namespace knarr::net

#include "net/http_relay.h"

#include <gtest/gtest.h>

#include "net/gzip.h"
#include "net/test_support.h"

namespace knarr::net {
namespace {

std::string ReadAll(HttpRelay& relay) {
  std::string out;
  char part[1000];
  for (;;) {
    const size_t count = MUST(relay.Read(part, sizeof part));
    if (count == 0) return out;
    out.append(part, count);
  }
}

/// Answers with the body as it comes, in parts.
void Echo(Request& request, Response& response) {
  Headers headers;
  headers.Set("Seen-Length", std::string(request.headers.Get("Content-Length")));
  headers.Set("Seen-Coding", std::string(request.headers.Get("Transfer-Encoding")));
  MUST(response.Start(200, std::move(headers)));
  char part[700];
  for (;;) {
    const size_t count = MUST(request.read_some(part, sizeof part));
    if (count == 0) break;
    MUST(response.Write({part, count}));
  }
  EXPECT_EQ(MUST(request.read_some(part, sizeof part)), 0U);
  EXPECT_FALSE(request.read_body(10).ok()) << "it was read already";
  MUST(response.Finish());
}

void WithRelay(const Handler& handler, const RelayRequest& request,
               const std::function<void(rt::Runtime&, HttpRelay&)>& body) {
  RunSim([&](rt::Runtime& runtime) {
    auto ends = MemoryPipe(runtime);
    rt::TaskGroup group(runtime, "server");
    group.Spawn("serve", [&] { ServeConnection(runtime, std::move(ends.first), {}, handler); });
    {
      const auto relay = MUST(HttpRelay::Begin(std::move(ends.second), request));
      body(runtime, *relay);
    }
    group.Join();
  });
}

Headers Host() {
  Headers headers;
  headers.Set("Host", "h");
  headers.Set("Connection", "close");
  return headers;
}

TEST(HttpRelay, BodiesStreamBothWays) {
  const std::string sent(300'000, 'b');
  for (const RelayBody kind : {RelayBody::kChunked, RelayBody::kLength}) {
    WithRelay(Echo, {"POST", "/x?a=b", Host(), kind, sent.size()}, [&](rt::Runtime& runtime, HttpRelay& relay) {
      rt::TaskGroup writer(runtime, "writer");
      writer.Spawn("write", [&] {
        for (size_t at = 0; at < sent.size(); at += 10'000) MUST(relay.WriteBody(sent.substr(at, 10'000)));
        MUST(relay.EndBody());
      });
      MUST(relay.ReadHead());
      EXPECT_EQ(relay.code(), 200);
      EXPECT_EQ(relay.headers().Get("Seen-Length"), kind == RelayBody::kLength ? "300000" : "");
      EXPECT_EQ(relay.headers().Get("Seen-Coding"), kind == RelayBody::kLength ? "" : "chunked");
      EXPECT_EQ(ReadAll(relay), sent);
      writer.Join();
    });
  }
}

TEST(HttpRelay, AnUpgradeHandsTheConnectionOver) {
  const auto handler = [](Request&, Response& response) {
    Headers headers;
    headers.Set("Upgrade", "echo");
    auto stream = MUST(response.Hijack(std::move(headers)));
    MUST(stream->Write("early"));
    char byte;
    MUST(stream->Read(&byte, 1));
    MUST(stream->Write({&byte, 1}));
  };
  WithRelay(handler, {"GET", "/", Host()}, [](rt::Runtime&, HttpRelay& relay) {
    MUST(relay.ReadHead());
    EXPECT_EQ(relay.code(), 101);
    EXPECT_EQ(relay.headers().Get("Upgrade"), "echo");
    const auto stream = relay.TakeStream();
    MUST(stream->Write("!"));
    std::string got;
    char part[10];
    while (got.size() < 6) got.append(part, MUST(stream->Read(part, sizeof part)));
    EXPECT_EQ(got, "early!");
  });
}

/// What comes of these bytes as an answer: its code, or the error.
std::string AnswerOf(std::string_view bytes) {
  std::string out;
  RunSim([&](rt::Runtime& runtime) {
    auto ends = MemoryPipe(runtime, 1 << 20);
    const auto relay = MUST(HttpRelay::Begin(std::move(ends.second), {"GET", "/", Host()}));
    MUST(ends.first->Write(bytes));
    MUST(ends.first->CloseWrite());
    const Ok read = relay->ReadHead();
    out = read.ok() ? std::to_string(relay->code()) + " " + ReadAll(*relay) : read.status().message();
  });
  return out;
}

TEST(HttpRelay, Answers) {
  EXPECT_EQ(AnswerOf("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "200 hi");
  EXPECT_EQ(AnswerOf("HTTP/1.1 200 OK\r\n\r\nuntil the end"), "200 until the end");
  EXPECT_EQ(AnswerOf("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), "404 ");
  EXPECT_EQ(AnswerOf(""), "EOF");
  EXPECT_EQ(AnswerOf("HTTP/1.1 200 OK\r\n"), "unexpected EOF");
  EXPECT_NE(AnswerOf("nonsense\r\n\r\n").find("transport connection broken"), std::string::npos);
}

TEST(HttpRelay, RequestsThatCannotBeSent) {
  RunSim([](rt::Runtime& runtime) {
    for (const auto& [method, name, value] :
         {std::tuple("G T", "A", "b"), {"GET", "A b", "c"}, {"GET", "A", "b\r\nC: d"}}) {
      RelayRequest request{method, "/", Host()};
      request.headers.Add(name, value);
      EXPECT_FALSE(HttpRelay::Begin(std::move(MemoryPipe(runtime).first), request).ok()) << method << name << value;
    }
  });
}

TEST(Unpack, EveryForm) {
  Gzip gzip;
  std::string packed;
  gzip.Add("some text", packed);
  gzip.Finish(packed);
  EXPECT_EQ(Unpack(packed, 100), "some text");
  EXPECT_EQ(Unpack(packed, 3), std::nullopt) << "too large";
  EXPECT_EQ(Unpack("plain", 100), std::nullopt);
  EXPECT_EQ(Unpack(std::string("\x4b\x4c\x04\x00", 4), 100), "aa") << "bare deflate";
}

}  // namespace
}  // namespace knarr::net

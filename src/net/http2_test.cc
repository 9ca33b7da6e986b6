// HTTP/2 on the wire: what a hostile or an unusual peer does.

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <array>

#include "net/http.h"
#include "net/test_support.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out;
  out += static_cast<char>(payload.size() >> 16);
  out += static_cast<char>(payload.size() >> 8);
  out += static_cast<char>(payload.size());
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(stream >> shift);
  out += payload;
  return out;
}

/// A literal header without indexing.
std::string Literal(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  for (std::string_view text : {name, value}) {
    if (text.size() < 127) {
      out += static_cast<char>(text.size());
    } else {
      out += '\x7f';
      size_t rest = text.size() - 127;
      for (; rest >= 128; rest >>= 7) out += static_cast<char>(0x80 | (rest & 0x7f));
      out += static_cast<char>(rest);
    }
    out += text;
  }
  return out;
}

std::string RequestHead(std::string_view path, std::string_view method = "GET") {
  return Literal(":method", method) + Literal(":scheme", "http") + Literal(":authority", "h") + Literal(":path", path);
}

struct Seen {
  std::string bytes;
  int requests = 0;
  int most_at_once = 0;
};

/// Sends the frames, then reads until the server closes or nothing more comes for `patience` of virtual time.
Seen Send(const std::vector<std::string>& frames, const std::function<void(rt::Runtime&, Request&, Response&)>& handle,
          Duration patience = 2s, HttpServerOptions options = {}) {
  Seen seen;
  RunSim([&](rt::Runtime& runtime) {
    auto ends = MemoryPipe(runtime);
    int at_once = 0;
    rt::TaskGroup group(runtime, "test");
    group.Spawn("server", [&] {
      ServeConnection(runtime, std::move(ends.first), options, [&](Request& request, Response& response) {
        ++seen.requests;
        seen.most_at_once = std::max(seen.most_at_once, ++at_once);
        handle(runtime, request, response);
        --at_once;
      });
    });
    rt::TaskGroup reader(runtime, "reader");
    reader.Spawn("read", [&] {
      std::array<char, 4000> part;
      while (true) {
        auto count = ends.second->Read(part.data(), part.size());
        if (!count.ok() || *count == 0) return;
        seen.bytes.append(part.data(), *count);
      }
    });
    (void)ends.second->Write(kPreface);
    (void)ends.second->Write(Frame(4, 0, 0, ""));
    for (const std::string& frame : frames) {
      if (!ends.second->Write(frame).ok()) break;
    }
    EXPECT_TRUE(runtime.Sleep(patience).ok());
    ends.second->Close();
    reader.Join();
    group.Join();
  });
  return seen;
}

/// The error code of the GOAWAY frame in the bytes, or -1.
int64_t GoAwayCode(std::string_view bytes) {
  while (bytes.size() >= 9) {
    auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
    size_t length = static_cast<size_t>(byte(0)) << 16 | static_cast<size_t>(byte(1)) << 8 | byte(2);
    if (bytes.size() < 9 + length) break;
    if (byte(3) == 7) return static_cast<int64_t>(byte(13)) << 24 | byte(14) << 16 | byte(15) << 8 | byte(16);
    bytes.remove_prefix(9 + length);
  }
  return -1;
}

size_t CountFrames(std::string_view bytes, uint8_t type) {
  size_t count = 0;
  while (bytes.size() >= 9) {
    auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
    size_t length = static_cast<size_t>(byte(0)) << 16 | static_cast<size_t>(byte(1)) << 8 | byte(2);
    if (bytes.size() < 9 + length) break;
    if (byte(3) == type) ++count;
    bytes.remove_prefix(9 + length);
  }
  return count;
}

void AnswerOk(rt::Runtime&, Request&, Response& response) { EXPECT_TRUE(response.Send(200, {}, "ok").ok()); }

TEST(Http2Server, AnswersByPrefaceInTheClear) {
  Seen seen = Send({Frame(1, 0x5, 1, RequestHead("/a")), Frame(1, 0x5, 3, RequestHead("/b"))}, AnswerOk);
  EXPECT_EQ(seen.requests, 2);
  EXPECT_EQ(CountFrames(seen.bytes, 1), 2U);
  EXPECT_EQ(CountFrames(seen.bytes, 0), 2U);
}

TEST(Http2Server, RapidResetIsCutOff) {
  std::vector<std::string> frames;
  for (uint32_t i = 0; i < 5000; ++i) {
    frames.push_back(Frame(1, 0x5, 2 * i + 1, RequestHead("/x")) +
                     Frame(3, 0, 2 * i + 1, std::string("\0\0\0\x08", 4)));
  }
  Seen seen = Send(frames, [](rt::Runtime& runtime, Request&, Response& response) {
    (void)runtime.Sleep(1s);
    (void)response.Send(200, {}, "late");
  });
  EXPECT_EQ(GoAwayCode(seen.bytes), NGHTTP2_ENHANCE_YOUR_CALM);
  // Handlers of streams that were reset still run; they count.
  EXPECT_LE(seen.most_at_once, 250);
}

TEST(Http2Server, FloodsOfControlFramesAreCutOff) {
  struct Case {
    std::string name;
    std::string frame;
  };
  const Case cases[] = {{"ping", Frame(6, 0, 0, "12345678")},
                        {"settings", Frame(4, 0, 0, "")},
                        {"priority", Frame(2, 0, 1, std::string("\0\0\0\0\x01", 5))}};
  for (const Case& c : cases) {
    Seen seen = Send(std::vector<std::string>(20'000, c.frame), AnswerOk);
    EXPECT_EQ(GoAwayCode(seen.bytes), NGHTTP2_ENHANCE_YOUR_CALM) << c.name;
  }
  std::vector<std::string> empty_data = {Frame(1, 0x4, 1, RequestHead("/", "POST"))};
  empty_data.resize(20'000, Frame(0, 0, 1, ""));
  Seen seen = Send(empty_data, [](rt::Runtime&, Request& request, Response& response) {
    auto body = request.read_body(100);
    (void)response.Send(200, {}, body.ok() ? *body : "failed");
  });
  EXPECT_EQ(GoAwayCode(seen.bytes), NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST(Http2Server, HeaderBombsAndContinuationFloods) {
  // Each block is small on the wire and refers to one big entry of the dynamic table many times over.
  std::string bomb = RequestHead("/") + "\x40" + Literal("x-big", std::string(3000, 'b')).substr(1);
  for (int i = 0; i < 15'000; ++i) bomb += '\xbe';
  Seen seen = Send({Frame(1, 0x5, 1, bomb)}, AnswerOk);
  EXPECT_EQ(seen.requests, 0);
  // More than is allowed, but not absurdly more: refused in words.
  seen = Send(
      {Frame(1, 0x1, 1, RequestHead("/")), Frame(9, 0, 1, Literal("x", std::string(16'000, 'a'))),
       Frame(9, 0, 1, Literal("y", std::string(16'000, 'a'))), Frame(9, 0, 1, Literal("z", std::string(16'000, 'a'))),
       Frame(9, 0, 1, Literal("u", std::string(16'000, 'a'))),
       Frame(9, 0x4, 1, Literal("v", std::string(16'000, 'a')))},
      AnswerOk);
  EXPECT_EQ(seen.requests, 0);
  EXPECT_NE(seen.bytes.find("431"), std::string::npos);
  std::vector<std::string> flood = {Frame(1, 0x1, 1, RequestHead("/"))};
  flood.resize(5000, Frame(9, 0, 1, Literal("x", "y")));
  seen = Send(flood, AnswerOk);
  EXPECT_EQ(seen.requests, 0);
  EXPECT_LT(seen.bytes.size(), 10'000U);
}

TEST(Http2Server, AnUnreadBodyHoldsTheSenderBack) {
  // Half a megabyte without an opening of the window is more than the stream's 256 KiB.
  std::vector<std::string> frames = {Frame(1, 0x4, 1, RequestHead("/", "POST"))};
  for (int i = 0; i < 40; ++i) frames.push_back(Frame(0, 0, 1, std::string(16'000, 'x')));
  Seen seen = Send(frames, [](rt::Runtime& runtime, Request&, Response& response) {
    (void)runtime.Sleep(1s);
    (void)response.Send(200, {}, "");
  });
  EXPECT_EQ(CountFrames(seen.bytes, 3) + CountFrames(seen.bytes, 7), 1U);
}

TEST(Http2Server, MalformedRequestsAreReset) {
  for (const std::string& head :
       {Literal(":method", "GET") + Literal(":path", "/"), RequestHead("/") + Literal("Upper", "x"),
        RequestHead("/") + Literal("connection", "close"), RequestHead("/") + Literal("x", "a\nb"),
        Literal("x", "y") + RequestHead("/"), RequestHead("")}) {
    Seen seen = Send({Frame(1, 0x5, 1, head)}, AnswerOk);
    EXPECT_EQ(seen.requests, 0) << head;
    EXPECT_EQ(CountFrames(seen.bytes, 3), 1U) << head;
  }
  Seen seen = Send({Frame(1, 0x5, 1, RequestHead("/%zz"))}, AnswerOk);
  EXPECT_EQ(seen.requests, 0);
  EXPECT_NE(seen.bytes.find("400 Bad Request"), std::string::npos);
}

TEST(Http2Server, SilentConnectionsEnd) {
  for (const std::string& frame :
       {std::string(), Frame(1, 0x5, 1, RequestHead("/")), Frame(1, 0x1, 1, RequestHead("/"))}) {
    RunSim([&](rt::Runtime& runtime) {
      auto ends = MemoryPipe(runtime);
      rt::TaskGroup group(runtime, "test");
      group.Spawn("server", [&] {
        ServeConnection(runtime, std::move(ends.first), {}, [&](Request& q, Response& p) { AnswerOk(runtime, q, p); });
      });
      EXPECT_TRUE(ends.second->Write(kPreface).ok());
      EXPECT_TRUE(ends.second->Write(Frame(4, 0, 0, "") + frame).ok());
      MonoTime start = runtime.Mono();
      std::array<char, 4000> part;
      std::string all;
      while (true) {
        auto count = ends.second->Read(part.data(), part.size());
        if (!count.ok() || *count == 0) break;
        all.append(part.data(), *count);
      }
      EXPECT_LT(runtime.Mono() - start, 5min);
      EXPECT_EQ(GoAwayCode(all), 0);
      group.Join();
    });
  }
}

TEST(Http2Server, WritesThatAreReadyTogetherGoTogether) {
  Seen seen = Send({Frame(1, 0x5, 1, RequestHead("/"))}, [](rt::Runtime&, Request&, Response& response) {
    EXPECT_TRUE(response.Start(200, {}).ok());
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(response.Write("0123456789").ok());
    EXPECT_TRUE(response.Finish().ok());
  });
  EXPECT_LE(CountFrames(seen.bytes, 0), 3U);
}

}  // namespace
}  // namespace knarr::net

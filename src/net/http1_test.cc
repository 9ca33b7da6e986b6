#include "net/http1.h"

#include <gtest/gtest.h>

namespace knarr::net {
namespace {

TEST(Http1Head, Requests) {
  auto head = ParseRequestHead(
      "POST /a?b=c HTTP/1.1\r\nHost: h:80\r\ncontent-length:  12\t\r\nX-Empty:\r\nExpect: 100-Continue\r\n\r\n");
  ASSERT_TRUE(head.ok()) << head.status().message();
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->target, "/a?b=c");
  EXPECT_EQ(head->minor, 1);
  EXPECT_EQ(head->body.kind, BodyKind::kLength);
  EXPECT_EQ(head->body.length, 12U);
  EXPECT_TRUE(head->keep_alive);
  EXPECT_TRUE(head->expect_continue);
  EXPECT_TRUE(head->headers.Has("x-empty"));
}

TEST(Http1Head, KeepAlive) {
  auto keep = [](std::string_view text) { return ParseRequestHead(text)->keep_alive; };
  EXPECT_TRUE(keep("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_FALSE(keep("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n"));
  EXPECT_FALSE(keep("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keep("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(Http1Head, RefusesWhatTwoReadersCouldSeeDifferently) {
  struct Case {
    std::string_view text;
    int code;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
      {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\n X: folded\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: h\r\nX(: x\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nExpect: something\r\n\r\n", 417},
  };
  for (const Case& c : cases) {
    auto head = ParseRequestHead(c.text);
    ASSERT_FALSE(head.ok()) << c.text;
    EXPECT_EQ(head.status().code(), c.code) << c.text << head.status().message();
  }
  std::string null_byte = "GET / HTTP/1.1\r\nHost: h\r\nX: a?b\r\n\r\n";
  EXPECT_TRUE(ParseRequestHead(null_byte).ok());
  null_byte[null_byte.find("a?b") + 1] = '\0';
  EXPECT_FALSE(ParseRequestHead(null_byte).ok());
}

TEST(Http1Head, EndsAndBounds) {
  EXPECT_EQ(*FindHeadEnd("GET / HTTP/1.1\r\n\r\nrest", 100), 18U);
  EXPECT_EQ(*FindHeadEnd("GET / HTTP/1.1\r\n", 100), 0U);
  EXPECT_EQ(FindHeadEnd(std::string(100, 'a'), 100).status().code(), 431);
}

TEST(Http1Head, Responses) {
  auto head = ParseResponseHead("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true);
  ASSERT_TRUE(head.ok());
  EXPECT_EQ(head->code, 200);
  EXPECT_EQ(head->body.kind, BodyKind::kLength);
  EXPECT_TRUE(head->keep_alive);
  EXPECT_EQ(ParseResponseHead("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false)->body.kind, BodyKind::kNone);
  EXPECT_EQ(ParseResponseHead("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", true)->body.kind,
            BodyKind::kNone);
  auto until_close = ParseResponseHead("HTTP/1.0 200\r\n\r\n", true);
  ASSERT_TRUE(until_close.ok());
  EXPECT_EQ(until_close->body.kind, BodyKind::kUntilClose);
  EXPECT_FALSE(until_close->keep_alive);
  EXPECT_FALSE(ParseResponseHead("HTTP/1.1 2x0 OK\r\n\r\n", true).ok());
  EXPECT_FALSE(ParseResponseHead("HTTP/1.1 099 OK\r\n\r\n", true).ok());
  EXPECT_FALSE(ParseResponseHead("HTTP/1.1\r\n\r\n", true).ok());
}

/// Decodes, fed and drained in steps of `step`.
Result<std::string> Unchunk(std::string_view in, size_t step, std::string* rest = nullptr) {
  ChunkDecoder decoder;
  std::string out;
  std::string buffer(step, '\0');
  while (!decoder.done() && !in.empty()) {
    auto done = decoder.Decode(in.substr(0, step), buffer.data(), buffer.size());
    if (!done.ok()) return done.status();
    out.append(buffer, 0, done->produced);
    in.remove_prefix(done->consumed);
  }
  if (!decoder.done()) return Unavailable("incomplete");
  if (rest != nullptr) *rest = in;
  return out;
}

TEST(Http1Chunks, DecodeInAnySteps) {
  for (size_t step : {1, 2, 3, 7, 1000}) {
    std::string rest;
    auto out = Unchunk("5\r\nhello\r\n6;ext=\"1\"\r\n world\r\n0\r\nTrailer: x\r\n\r\nNEXT", step, &rest);
    ASSERT_TRUE(out.ok()) << step << out.status().message();
    EXPECT_EQ(*out, "hello world");
    EXPECT_EQ(rest, "NEXT");
  }
}

TEST(Http1Chunks, RefuseWhatIsMalformed) {
  for (std::string_view text :
       {"5\nhello\r\n0\r\n\r\n", "\r\n", "x\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "-1\r\n", "0x5\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\n", "5 5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n: bad\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n", "5;a\nb\r\nhello\r\n0\r\n\r\n"}) {
    auto out = Unchunk(text, 100);
    ASSERT_FALSE(out.ok()) << text;
    EXPECT_TRUE(out.Failed(Reason::kBadRequest)) << text;
  }
}

}  // namespace
}  // namespace knarr::net

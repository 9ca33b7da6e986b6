#include "net/spdy.h"

#include <gtest/gtest.h>

#include <array>

#include "net/splice.h"
#include "net/spdy_frame.h"
#include "net/test_support.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

std::string ReadAll(Stream& stream) {
  std::string out;
  std::array<char, 4096> part;
  for (;;) {
    const auto count = stream.Read(part.data(), part.size());
    if (!count.ok()) return out + "!" + std::string(ReasonText(count.status().reason()));
    if (*count == 0) return out;
    out.append(part.data(), *count);
  }
}

Headers Named(std::string name, std::string value) {
  Headers out;
  out.Add(std::move(name), std::move(value));
  return out;
}

std::string Frame(SpdyType type, std::string_view payload, uint8_t flags = 0) {
  std::string out;
  AppendSpdyHead(out, {.type = type, .flags = flags, .length = static_cast<uint32_t>(payload.size())});
  return out.append(payload);
}

std::string Data(uint32_t stream, std::string_view payload, uint8_t flags = 0) {
  std::string out;
  AppendSpdyHead(out, {.stream = stream, .flags = flags, .length = static_cast<uint32_t>(payload.size())});
  return out.append(payload);
}

std::string Numbers(std::initializer_list<uint32_t> numbers) {
  std::string out;
  for (const uint32_t number : numbers) AppendU32(out, number);
  return out;
}

std::string SynStream(SpdyDeflater& deflater, uint32_t id, const Headers& headers, uint8_t flags = 0) {
  return Frame(SpdyType::kSynStream, Numbers({id, 0}) + std::string(2, '\0') + deflater.Deflate(headers), flags);
}

TEST(SpdyFrame, HeadersRoundTrip) {
  SpdyDeflater deflater;
  SpdyInflater inflater;
  Headers headers = Named("StreamType", "stdin");
  headers.Add("a", "1");
  headers.Add("A", "2");
  for (int i = 0; i < 3; ++i) {
    const std::string block = deflater.Deflate(headers);
    // The first block names the dictionary of SPDY/3 by its checksum.
    if (i == 0) {
      EXPECT_EQ(ReadU32(block, 2), 0xe3c6a7c2U);
    }
    const Headers back = MUST(inflater.Inflate(block));
    EXPECT_EQ(back.Get("streamtype"), "stdin");
    EXPECT_EQ(back.GetAll("a"), (std::vector<std::string_view>{"1", "2"}));
  }
  SpdyInflater fresh;
  EXPECT_FALSE(fresh.Inflate(deflater.Deflate(headers)).ok());
  EXPECT_FALSE(fresh.Inflate("nothing").ok());
}

TEST(SpdyFrame, BlocksAreBounded) {
  SpdyDeflater deflater;
  SpdyInflater inflater;
  EXPECT_FALSE(inflater.Inflate(deflater.Deflate(Named("a", std::string(kSpdyHeadersMax, 'x')))).ok());
}

TEST(SpdyFrame, Heads) {
  const auto parse = [](std::string_view bytes) { return ParseSpdyHead(bytes); };
  const SpdyHead data = MUST(parse(Data(5, "abc", kSpdyFlagFin)));
  EXPECT_EQ(data.type, SpdyType::kData);
  EXPECT_EQ(data.stream, 5U);
  EXPECT_EQ(data.length, 3U);
  EXPECT_EQ(data.flags, kSpdyFlagFin);
  EXPECT_EQ(MUST(parse(Frame(SpdyType::kPing, "1234"))).type, SpdyType::kPing);
  EXPECT_FALSE(parse(Numbers({0x80020006, 4})).ok()) << "version 2";
  EXPECT_FALSE(parse(Numbers({0x80030000, 4})).ok()) << "no type";
  EXPECT_FALSE(parse(Numbers({0x80030001, 0xffffff})).ok()) << "too long";
  EXPECT_FALSE(parse(Numbers({0, 4})).ok()) << "no stream";
}

struct Pair {
  explicit Pair(rt::Runtime& runtime, SpdyOptions options = {}) {
    auto ends = MemoryPipe(runtime);
    server = SpdySession::Create(runtime, std::move(ends.first), SpdySide::kServer, options);
    client = SpdySession::Create(runtime, std::move(ends.second), SpdySide::kClient, options);
  }
  std::unique_ptr<SpdySession> server;
  std::unique_ptr<SpdySession> client;
};

TEST(Spdy, StreamsCarryBytesAndEndOneWayAtATime) {
  RunSim([](rt::Runtime& runtime) {
    Pair pair(runtime);
    const auto ours = MUST(pair.client->Open(Named("streamType", "data")));
    const auto other = MUST(pair.client->Open(Named("streamType", "error")));
    const auto theirs = MUST(pair.server->Accept());
    EXPECT_EQ(theirs->headers().Get("StreamType"), "data");
    EXPECT_EQ(MUST(pair.server->Accept())->headers().Get("streamtype"), "error");
    MUST(ours->Write("question"));
    MUST(ours->CloseWrite());
    EXPECT_EQ(ReadAll(*theirs), "question");
    MUST(theirs->Write("answer"));
    MUST(theirs->CloseWrite());
    EXPECT_EQ(ReadAll(*ours), "answer");
    EXPECT_FALSE(ours->Write("more").ok());
    pair.client.reset();
    EXPECT_TRUE(pair.server->Accept().Failed(Reason::kGone));
    EXPECT_EQ(ReadAll(*other), "");
  });
}

TEST(Spdy, WindowsHoldASenderBack) {
  RunSim([](rt::Runtime& runtime) {
    Pair pair(runtime);
    const auto ours = MUST(pair.client->Open({}));
    const auto theirs = MUST(pair.server->Accept());
    (void)runtime.Sleep(1ms);  // the settings have come
    size_t written = 0;
    rt::TaskGroup group(runtime, "writer");
    group.Spawn("write", [&] {
      while (written < 1000000 && ours->Write(std::string(1000, 'x')).ok()) written += 1000;
      (void)ours->CloseWrite();
    });
    (void)runtime.Sleep(1s);
    EXPECT_LE(written, 64U << 10);
    EXPECT_EQ(ReadAll(*theirs).size(), 1000000U);
    group.Join();
  });
}

// Kubernetes' own clients send without windows and never move ours.
TEST(Spdy, APeerWithoutWindowsIsBoundedAsAWhole) {
  RunSim([](rt::Runtime& runtime) {
    auto ends = MemoryPipe(runtime, 32 << 10);
    auto server = SpdySession::Create(runtime, std::move(ends.first), SpdySide::kServer, {.buffer_max = 200'000});
    SpdyDeflater deflater;
    MUST(ends.second->Write(SynStream(deflater, 1, Named("streamtype", "data"))));
    const auto stream = MUST(server->Accept());
    size_t sent = 0;
    rt::TaskGroup group(runtime, "peer");
    group.Spawn("write", [&] {
      while (sent < 2'000'000 && ends.second->Write(Data(1, std::string(50'000, 'x'))).ok()) sent += 50'000;
      (void)ends.second->Write(Data(1, "", kSpdyFlagFin));
    });
    group.Spawn("read", [&] { (void)ReadAll(*ends.second); });
    (void)runtime.Sleep(1s);
    EXPECT_LE(sent, 400'000U);
    EXPECT_EQ(ReadAll(*stream).size(), 2'000'000U);
    // And what we send it needs no window.
    MUST(stream->Write(std::string(300'000, 'y')));
    server.reset();
    group.StopAndJoin();
  });
}

TEST(Spdy, ResetsAndRefusals) {
  RunSim([](rt::Runtime& runtime) {
    Pair pair(runtime, {.streams_max = 2});
    const auto first = MUST(pair.client->Open({}));
    const auto second = MUST(pair.client->Open({}));
    const auto third = MUST(pair.client->Open({}));
    EXPECT_EQ(ReadAll(*third), "!ServiceUnavailable") << "one more than there may be";
    auto theirs = MUST(pair.server->Accept());
    MUST(first->Write("lost"));
    theirs->Close();
    EXPECT_EQ(ReadAll(*first), "!ServiceUnavailable");
    theirs.reset();
    const auto fourth = MUST(pair.client->Open({}));
    EXPECT_EQ(MUST(pair.server->Accept())->id(), second->id());
    EXPECT_EQ(MUST(pair.server->Accept())->id(), fourth->id()) << "there is room again";
  });
}

TEST(Spdy, WhatCameBeforeAResetIsRead) {
  RunSim([](rt::Runtime& runtime) {
    Pair pair(runtime);
    const auto cut = MUST(pair.client->Open({}));
    const auto whole = MUST(pair.client->Open({}));
    for (const bool ends : {false, true}) {
      auto theirs = MUST(pair.server->Accept());
      MUST(theirs->Write("last words"));
      if (ends) MUST(theirs->CloseWrite());
      theirs->Close();
    }
    (void)runtime.Sleep(1s);
    EXPECT_EQ(ReadAll(*cut), "last words!ServiceUnavailable");
    EXPECT_EQ(ReadAll(*whole), "last words");
    EXPECT_TRUE(whole->Write("x").Failed(Reason::kServiceUnavailable));
  });
}

TEST(Spdy, CloseLetsThePeerReadOn) {
  RunSim([](rt::Runtime& runtime) {
    Pair pair(runtime);
    const auto ours = MUST(pair.client->Open({}));
    const auto theirs = MUST(pair.server->Accept());
    rt::TaskGroup group(runtime, "server");
    group.Spawn("answer", [&] {
      MUST(theirs->Write("last words"));
      MUST(theirs->CloseWrite());
      pair.server->Close();
    });
    (void)runtime.Sleep(1s);
    EXPECT_EQ(ReadAll(*ours), "last words");
    EXPECT_FALSE(pair.client->Open({}).ok());
    pair.client.reset();
    group.Join();
    EXPECT_TRUE(pair.server->closed());
  });
}

/// What the server answers to these bytes before it ends the connection, without its settings.
std::string Answer(std::string_view bytes) {
  std::string out;
  RunSim([&](rt::Runtime& runtime) {
    auto ends = MemoryPipe(runtime, 1 << 20);
    auto server = SpdySession::Create(runtime, std::move(ends.first), SpdySide::kServer);
    MUST(ends.second->Write(bytes));
    MUST(ends.second->CloseWrite());
    out = ReadAll(*ends.second);
  });
  return out.size() > 20 ? out.substr(20) : std::string();
}

TEST(Spdy, AnswersToRawFrames) {
  SpdyDeflater packed;
  const std::string open = SynStream(packed, 3, {});
  const auto reset = [](uint32_t id, uint32_t code) { return Frame(SpdyType::kRstStream, Numbers({id, code})); };
  const std::string refused = Frame(SpdyType::kGoAway, Numbers({0, 1}));
  EXPECT_EQ(Answer(Frame(SpdyType::kPing, Numbers({7}))), Frame(SpdyType::kPing, Numbers({7})));
  EXPECT_EQ(Answer(Frame(SpdyType::kPing, Numbers({8}))), "") << "one of ours";
  EXPECT_EQ(Answer(Data(9, "x")), reset(9, 2)) << "no such stream";
  EXPECT_EQ(Answer(Frame(static_cast<SpdyType>(77), "?")), "") << "unknown frames are skipped";
  EXPECT_EQ(Answer(Frame(SpdyType::kPing, "1")), refused) << "too short";
  EXPECT_EQ(Answer(Numbers({0x80040001, 0})), refused) << "version 4";
  EXPECT_EQ(Answer(Frame(SpdyType::kSynStream, std::string(30, 'x'))), refused) << "no headers";
  EXPECT_EQ(Answer(Frame(SpdyType::kSettings, Numbers({2, 7, 1}))), refused);
  EXPECT_EQ(Answer(Frame(SpdyType::kWindowUpdate, Numbers({0, 0x7fffffff}))), refused) << "too large a window";
  const std::string opened = Answer(open);
  EXPECT_EQ(MUST(ParseSpdyHead(opened)).type, SpdyType::kSynReply);
  EXPECT_EQ(ReadU32(opened, kSpdyHeadSize), 3U);
  EXPECT_EQ(Answer(open + SynStream(packed, 3, {})), opened + reset(3, 1)) << "an id that was used";
}

TEST(Splice, PassesEndsOn) {
  RunSim([](rt::Runtime& runtime) {
    auto left = MemoryPipe(runtime);
    auto right = MemoryPipe(runtime);
    rt::TaskGroup group(runtime, "splice");
    group.Spawn("splice", [&] { MUST(Splice(runtime, *left.second, *right.first)); });
    MUST(left.first->Write("there"));
    MUST(left.first->CloseWrite());
    EXPECT_EQ(ReadAll(*right.second), "there");
    MUST(right.second->Write("and back"));
    MUST(right.second->CloseWrite());
    EXPECT_EQ(ReadAll(*left.first), "and back");
    group.Join();
  });
}

}  // namespace
}  // namespace knarr::net

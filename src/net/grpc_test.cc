#include "net/grpc.h"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <deque>
#include <map>

#include "net/test_support.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

/// What the scripted server does with one call.
struct Answer {
  Fields headers = {{":status", "200"}, {"content-type", "application/grpc"}};
  std::string body;
  Fields trailers = {{"grpc-status", "0"}};
  bool trailers_only = false;  ///< `trailers` in the one block of headers there is
  uint32_t reset = 0;          ///< instead of trailers
  bool silent = false;
};

/// A server at the other end of a pipe that answers each call, once the caller ended it, as it is told.
class ScriptedServer {
 public:
  using Script = std::function<Answer(const Fields& headers, const std::string& body)>;
  ScriptedServer(std::unique_ptr<Stream> stream, Script script)
      : stream_(std::move(stream)), script_(std::move(script)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, 0, nullptr, 0);
  }
  ~ScriptedServer() { nghttp2_session_del(session_); }

  void Serve() {
    while (Flush()) {
      char buffer[16 << 10];
      const auto count = stream_->Read(buffer, sizeof(buffer));
      if (!count.ok() || *count == 0) return;
      if (mute) continue;
      if (nghttp2_session_mem_recv(session_, reinterpret_cast<uint8_t*>(buffer), *count) < 0) return;
    }
  }
  /// Reads on, but answers nothing any more.
  bool mute = false;

 private:
  struct Call {
    Fields headers;
    std::string body;
    Answer answer;
    size_t sent = 0;
  };
  static ScriptedServer& Self(void* user) { return *static_cast<ScriptedServer*>(user); }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Self(user).calls_[frame->hd.stream_id].headers.emplace_back(
        std::string(reinterpret_cast<const char*>(name), name_size),
        std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
    Self(user).calls_[id].body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool message = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (message && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) Self(user).Reply(frame->hd.stream_id);
    return 0;
  }
  static std::vector<nghttp2_nv> Nvs(const Fields& fields) {
    std::vector<nghttp2_nv> out;
    for (const auto& [name, value] : fields) {
      out.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                     reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), 0});
    }
    return out;
  }
  static ssize_t ReadBody(nghttp2_session* session, int32_t id, uint8_t* out, size_t size, uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    Call& call = *static_cast<Call*>(source->ptr);
    const size_t count = std::min(size, call.answer.body.size() - call.sent);
    std::copy_n(call.answer.body.data() + call.sent, count, out);
    call.sent += count;
    if (call.sent < call.answer.body.size()) return static_cast<ssize_t>(count);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (call.answer.reset == 0 && !call.answer.trailers.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const auto nvs = Nvs(call.answer.trailers);
      nghttp2_submit_trailer(session, id, nvs.data(), nvs.size());
    }
    return static_cast<ssize_t>(count);
  }
  void Reply(int32_t id) {
    Call& call = calls_[id];
    call.answer = script_(call.headers, call.body);
    if (call.answer.silent) return;
    if (call.answer.reset != 0) {
      nghttp2_submit_rst_stream(session_, 0, id, call.answer.reset);
      return;
    }
    Fields head = call.answer.headers;
    if (call.answer.trailers_only) head.insert(head.end(), call.answer.trailers.begin(), call.answer.trailers.end());
    const auto nvs = Nvs(head);
    nghttp2_data_provider body{{.ptr = &call}, ReadBody};
    nghttp2_submit_response(session_, id, nvs.data(), nvs.size(), call.answer.trailers_only ? nullptr : &body);
  }
  bool Flush() {
    while (true) {
      const uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &data);
      if (size <= 0) return size == 0;
      if (!stream_->Write({reinterpret_cast<const char*>(data), static_cast<size_t>(size)}).ok()) return false;
    }
  }

  std::unique_ptr<Stream> stream_;
  const Script script_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, Call> calls_;
};

struct World {
  rt::Runtime& runtime;
  GrpcConnection& connection;
  ScriptedServer& server;
};

void WithServer(ScriptedServer::Script script, const std::function<void(World)>& body, GrpcOptions options = {}) {
  RunSim([&](rt::Runtime& runtime) {
    auto ends = MemoryPipe(runtime, 1 << 20);
    rt::TaskGroup group(runtime, "grpc test");
    options.endpoint = {"etcd.example", 2379, {}};
    ScriptedServer server(std::move(ends.second), std::move(script));
    group.Spawn("server", [&] { server.Serve(); });
    auto connection = GrpcConnection::Over(runtime, group, options, std::move(ends.first));
    body({runtime, *connection, server});
    connection.reset();
    group.StopAndJoin();
  });
}

Answer Plain(std::string_view message) {
  Answer answer;
  answer.body = GrpcFrame(message);
  return answer;
}

TEST(Grpc, AUnaryCallGoesThereAndBack) {
  Fields seen;
  std::string body;
  WithServer(
      [&](const Fields& headers, const std::string& given) {
        seen = headers;
        body = given;
        return Plain("answer");
      },
      [](World world) {
        bool sent = false;
        const auto answer = world.connection.Unary({"/a.B/C", {{"token", "t"}}, 5s}, "question", sent);
        ASSERT_TRUE(answer.ok()) << answer.status().ToString();
        EXPECT_EQ(*answer, "answer");
        EXPECT_TRUE(sent);
      });
  EXPECT_EQ(body, GrpcFrame("question"));
  const std::map<std::string, std::string> by_name(seen.begin(), seen.end());
  EXPECT_EQ(by_name.at(":path"), "/a.B/C");
  EXPECT_EQ(by_name.at(":scheme"), "http");
  EXPECT_EQ(by_name.at(":authority"), "etcd.example:2379");
  EXPECT_EQ(by_name.at("te"), "trailers");
  EXPECT_EQ(by_name.at("content-type"), "application/grpc");
  EXPECT_EQ(by_name.at("grpc-timeout"), "5000m");
  EXPECT_EQ(by_name.at("token"), "t");
}

TEST(Grpc, AUnixSocketIsAServerLikeAnother) {
  RunReal([](rt::RealRuntime& runtime) {
    Endpoint endpoint;
    endpoint.unix_path = ::testing::TempDir() + "knarr-grpc-test.sock";
    auto listener = MUST(Listen(runtime, endpoint));
    std::string authority;
    rt::TaskGroup group(runtime, "grpc test");
    group.Spawn("server", [&] {
      ScriptedServer server(MUST(listener->Accept()), [&](const Fields& headers, const std::string& body) {
        authority = std::map<std::string, std::string>(headers.begin(), headers.end()).at(":authority");
        Answer answer;
        answer.body = body;
        return answer;
      });
      server.Serve();
    });
    GrpcOptions options;
    options.endpoint = endpoint;
    auto connection = MUST(GrpcConnection::Connect(runtime, group, options));
    bool sent = false;
    EXPECT_EQ(MUST(connection->Unary({"/a.B/C", {}, 5s}, "question", sent)), "question");
    EXPECT_EQ(authority, "localhost");
    connection.reset();
    group.StopAndJoin();
    options.endpoint.unix_path += ".none";
    EXPECT_TRUE(GrpcConnection::Connect(runtime, group, options).Failed(Reason::kServiceUnavailable));
  });
}

TEST(Grpc, LargeMessagesGoBothWays) {
  const std::string large(3 << 20, 'x');
  WithServer([&](const Fields&, const std::string& given) { return Plain(std::to_string(given.size()) + large); },
             [&](World world) {
               bool sent = false;
               const auto answer = world.connection.Unary({"/a.B/C", {}, 5s}, large, sent);
               ASSERT_TRUE(answer.ok()) << answer.status().ToString();
               EXPECT_EQ(*answer, std::to_string(large.size() + 5) + large);
             });
}

struct Bad {
  const char* name;
  Answer answer;
  Reason reason;
  std::string message;
};

TEST(Grpc, WhatServersAnswerInsteadOfAMessage) {
  const std::vector<Bad> cases = {
      {"a status",
       {.body = "", .trailers = {{"grpc-status", "14"}, {"grpc-message", "etcdserver%3A no leader"}}},
       Reason::kServiceUnavailable,
       "/m: etcdserver: no leader"},
      {"a status alone",
       {.trailers = {{"grpc-status", "11"}, {"grpc-message", "compacted"}}, .trailers_only = true},
       Reason::kExpired,
       "/m: compacted"},
      {"a message and a bad end",
       {.body = GrpcFrame("x"), .trailers = {{"grpc-status", "16"}}},
       Reason::kUnauthorized,
       "/m: gRPC status 16"},
      {"no message", {.body = ""}, Reason::kInternalError, "/m: the server answered without a message"},
      {"two messages",
       {.body = GrpcFrame("x") + GrpcFrame("y")},
       Reason::kInternalError,
       "/m: the server answered with more than one message"},
      {"no status",
       {.body = GrpcFrame("x"), .trailers = {}},
       Reason::kServiceUnavailable,
       "/m: the server ended the call without a status"},
      {"a malformed status",
       {.body = "", .trailers = {{"grpc-status", "many"}}},
       Reason::kInternalError,
       "/m: the server ended the call with a malformed status"},
      {"half a message",
       {.body = GrpcFrame("whole").substr(0, 7)},
       Reason::kServiceUnavailable,
       "/m: the server ended the call inside a message"},
      {"a compressed one",
       {.body = std::string("\1\0\0\0\1x", 6)},
       Reason::kInternalError,
       "/m: gRPC: a compressed message, which nobody asked for"},
      {"too large a one",
       {.body = std::string("\0\xff\xff\xff\xff", 5)},
       Reason::kRequestEntityTooLarge,
       "/m: gRPC: a message of 4294967295 bytes: at most 67108864"},
      {"plain HTTP",
       {.headers = {{":status", "503"}, {"content-type", "text/html"}}, .body = "<html>", .trailers = {}},
       Reason::kServiceUnavailable,
       "/m: the server answered HTTP 503 instead of gRPC"},
      {"a web page",
       {.headers = {{":status", "200"}, {"content-type", "text/html"}}, .body = "<html>", .trailers = {}},
       Reason::kUnknown,
       "/m: the server answered HTTP 200 instead of gRPC"},
      {"a reset",
       {.reset = NGHTTP2_INTERNAL_ERROR},
       Reason::kServiceUnavailable,
       "/m: the HTTP/2 stream was reset: INTERNAL_ERROR"},
  };
  for (const Bad& bad : cases) {
    WithServer([&](const Fields&, const std::string&) { return bad.answer; },
               [&](World world) {
                 bool sent = false;
                 const auto answer = world.connection.Unary({"/m", {}, 5s}, "q", sent);
                 ASSERT_FALSE(answer.ok()) << bad.name;
                 EXPECT_EQ(answer.status().reason(), bad.reason) << bad.name << ": " << answer.status().ToString();
                 EXPECT_EQ(answer.status().message(), bad.message) << bad.name;
                 EXPECT_TRUE(sent) << bad.name;
               });
  }
}

TEST(Grpc, WhatWasRefusedWasNotActedOn) {
  WithServer([](const Fields&, const std::string&) { return Answer{.reset = NGHTTP2_REFUSED_STREAM}; },
             [](World world) {
               bool sent = true;
               EXPECT_TRUE(world.connection.Unary({"/m", {}, 5s}, "q", sent).Failed(Reason::kServiceUnavailable));
               EXPECT_FALSE(sent);
               world.connection.Close("test");
               sent = true;
               EXPECT_TRUE(world.connection.Unary({"/m", {}, 5s}, "q", sent).Failed(Reason::kServiceUnavailable));
               EXPECT_FALSE(sent);
               EXPECT_TRUE(world.connection.closed());
             });
}

TEST(Grpc, ACallEndsAtItsDeadline) {
  WithServer([](const Fields&, const std::string&) { return Answer{.silent = true}; },
             [](World world) {
               const MonoTime begin = world.runtime.Mono();
               bool sent = false;
               const auto answer = world.connection.Unary({"/m", {}, 3s}, "q", sent);
               EXPECT_TRUE(answer.Failed(Reason::kTimeout)) << answer.status().ToString();
               EXPECT_TRUE(sent);
               EXPECT_EQ(world.runtime.Mono() - begin, 3s);
               EXPECT_FALSE(world.connection.closed());
             });
}

TEST(Grpc, AServerThatIsAliveMayBeSilentButOneThatIsGoneIsFound) {
  WithServer([](const Fields&, const std::string&) { return Answer{.silent = true}; },
             [](World world) {
               bool sent = false;
               EXPECT_TRUE(world.connection.Unary({"/m", {}, 60s}, "q", sent).Failed(Reason::kTimeout));
               world.server.mute = true;
               const MonoTime begin = world.runtime.Mono();
               const auto answer = world.connection.Unary({"/m", {}, 60s}, "q", sent);
               EXPECT_TRUE(answer.Failed(Reason::kServiceUnavailable)) << answer.status().ToString();
               EXPECT_LE(world.runtime.Mono() - begin, 12s);
               EXPECT_TRUE(world.connection.closed());
             });
}

TEST(Grpc, AStreamTakesMessagesAsTheyCome) {
  WithServer(
      [](const Fields&, const std::string& given) {
        Answer answer;
        answer.body = given;
        return answer;
      },
      [](World world) {
        auto call = MUST(world.connection.Open({"/m", {}, {}}));
        ASSERT_TRUE(call->Send("one").ok());
        ASSERT_TRUE(call->Send("").ok());
        ASSERT_TRUE(call->Send(std::string(100000, 'z')).ok());
        call->EndSend();
        EXPECT_EQ(MUST(call->Receive()), "one");
        EXPECT_EQ(MUST(call->Receive()), "");
        EXPECT_EQ(MUST(call->Receive()), std::string(100000, 'z'));
        EXPECT_EQ(MUST(call->Receive()), std::nullopt);
        EXPECT_EQ(MUST(call->Receive()), std::nullopt);
      });
}

TEST(Grpc, MessagesAreUnescaped) {
  EXPECT_EQ(DecodeGrpcMessage("a%20b%3a%C3%BC%"), "a b:ü%");
  EXPECT_EQ(DecodeGrpcMessage("%zz%4"), "%zz%4");
  EXPECT_EQ(DecodeGrpcMessage("%ff"), "(not a text)");
}

}  // namespace
}  // namespace knarr::net

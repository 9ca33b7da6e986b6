#include "net/grpc.h"

#include <algorithm>

#include "base/strings.h"
#include "base/unicode.h"
#include "net/http2.h"
#include "rt/sync.h"

namespace knarr::net {

/// One call's stream, with what comes behind its body.
struct GrpcStream : Http2Stream {
  using Http2Stream::Http2Stream;
  int code = 0;
  Headers trailers;
};

namespace {

constexpr uint8_t kPing = 6;
constexpr size_t kPrefix = 5;
constexpr size_t kReadSize = 16 << 10;
/// A buffer that held a large message is not kept.
constexpr size_t kKeptBuffer = 256 << 10;

Http2Session::Options SessionOptions() {
  return {.server = false,
          .streams_max = 0,
          .stream_window = 4 << 20,
          .connection_window = 1 << 30,
          .header_list_max = 64 << 10,
          .write_timeout = std::chrono::seconds(20)};
}

/// The code that an answer which is no gRPC stands for, as the protocol's text has it.
Status StatusOfHttp(int code) {
  constexpr int kUnknown = 2, kDenied = 7, kUnimplemented = 12, kInternal = 13, kUnavailable = 14;
  constexpr int kUnauthenticated = 16;
  const std::string text = "the server answered HTTP " + std::to_string(code) + " instead of gRPC";
  switch (code) {
    case 400:
      return StatusOfGrpc(kInternal, text);
    case 401:
      return StatusOfGrpc(kUnauthenticated, text);
    case 403:
      return StatusOfGrpc(kDenied, text);
    case 404:
      return StatusOfGrpc(kUnimplemented, text);
    case 429:
    case 502:
    case 503:
    case 504:
      return StatusOfGrpc(kUnavailable, text);
    default:
      return StatusOfGrpc(kUnknown, text);
  }
}

/// How a call ended whose last byte is read.
Ok Outcome(const GrpcStream& stream) {
  if (stream.code != 200) return StatusOfHttp(stream.code);
  // A call without a message has everything in one block of headers.
  const Headers& last = stream.trailers.Has("grpc-status") ? stream.trailers : stream.headers;
  if (!last.Has("grpc-status")) return Unavailable("the server ended the call without a status");
  const auto code = ParseInt<int>(last.Get("grpc-status"));
  if (!code.ok() || *code < 0) return Internal("the server ended the call with a malformed status");
  if (*code == 0) return {};
  return StatusOfGrpc(*code, DecodeGrpcMessage(last.Get("grpc-message")));
}

/// A time as the protocol writes it: at most eight digits and a unit.
std::string TimeoutText(Duration timeout) {
  constexpr int64_t kMost = 99999999;
  const int64_t milliseconds =
      std::max<int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count());
  if (milliseconds <= kMost) return std::to_string(milliseconds) + "m";
  return std::to_string(std::min(kMost, milliseconds / 1000)) + "S";
}

}  // namespace

/// The HTTP/2 connection under the calls.
class GrpcSession : public Http2Session {
 public:
  GrpcSession(rt::Runtime& runtime, std::unique_ptr<Stream> stream, const GrpcOptions& options)
      : Http2Session(runtime, std::move(stream), SessionOptions()),
        secure_(options.tls != nullptr),
        // A path is no name that a server could check.
        authority_(options.endpoint.unix_path.empty() ? options.endpoint.ToString() : "localhost"),
        silence_max_(options.silence_max),
        pong_max_(options.pong_max),
        ended_(runtime) {}

  bool open() const { return accepts_requests(); }
  void Ended() { ended_.Set(); }
  Ok WaitEnd() { return ended_.Wait(); }

  Ok Begin(const std::shared_ptr<GrpcStream>& call, const GrpcRequest& request) {
    HeaderList headers = {{":method", "POST"},
                          {":scheme", secure_ ? "https" : "http"},
                          {":path", request.method},
                          {":authority", authority_},
                          {"te", "trailers"},
                          {"content-type", "application/grpc"},
                          {"user-agent", "knarr/" KNARR_VERSION}};
    if (request.timeout > Duration{}) headers.emplace_back("grpc-timeout", TimeoutText(request.timeout));
    headers.insert(headers.end(), request.metadata.begin(), request.metadata.end());
    return SubmitRequest(call, headers, true);
  }

 protected:
  StreamPtr NewStream() override { return nullptr; }  // the server opens none: push is off
  void OnHeader(Http2Stream& base, std::string_view name, std::string_view value) override {
    auto& call = static_cast<GrpcStream&>(base);
    if (name == ":status") {
      call.code = ParseInt<int>(value).value_or(0);
    } else if (!name.starts_with(':')) {
      call.headers.Add(std::string(name), std::string(value));
    }
  }
  void OnTrailer(Http2Stream& base, std::string_view name, std::string_view value) override {
    static_cast<GrpcStream&>(base).trailers.Add(std::string(name), std::string(value));
  }
  void OnHeaders(const StreamPtr& base) override {
    auto& call = static_cast<GrpcStream&>(*base);
    if (call.code >= 200) {
      call.headers_done = true;
    } else {
      call.headers = {};  // an informational answer; the real one follows
    }
  }
  void OnClosed(const StreamPtr&) override {}
  void OnFrame(uint8_t type, int32_t, size_t, bool) override {
    if (type == kPing) awaits_pong_ = false;
  }
  Result<bool> WaitInput() override {
    rt::CancelScope scope(runtime(), awaits_pong_ ? pong_max_ : silence_max_);
    const Ok waited = stream().WaitReadable();
    if (waited.ok()) {
      awaits_pong_ = false;
      return true;
    }
    if (!waited.Failed(Reason::kTimeout)) return waited.status();
    if (awaits_pong_) return Unavailable("the server does not answer");
    // A server may take pings without a call for an attack.
    if (stream_count() > 0) {
      awaits_pong_ = true;
      SubmitPing();
    }
    return false;
  }

 private:
  const bool secure_;
  const std::string authority_;
  const Duration silence_max_;
  const Duration pong_max_;
  bool awaits_pong_ = false;
  rt::Event ended_;
};

GrpcCall::GrpcCall(std::shared_ptr<GrpcSession> session, std::shared_ptr<GrpcStream> stream, size_t message_max)
    : session_(std::move(session)), stream_(std::move(stream)), message_max_(message_max) {}

GrpcCall::~GrpcCall() { session_->Reset(*stream_, kHttp2Cancel); }

Ok GrpcCall::Send(std::string_view message) { return session_->Write(stream_, GrpcFrame(message)); }

void GrpcCall::EndSend() { session_->EndWrite(*stream_); }

Result<std::optional<std::string>> GrpcCall::Receive() {
  while (true) {
    if (auto found = TRY(NextGrpcMessage(buffer_, at_, message_max_))) {
      std::string message(*found);
      if (at_ == buffer_.size()) {
        at_ = 0;
        buffer_.clear();
        if (buffer_.capacity() > kKeptBuffer) buffer_ = {};
      }
      return std::optional<std::string>(std::move(message));
    }
    buffer_.erase(0, std::exchange(at_, 0));
    const size_t had = buffer_.size();
    buffer_.resize(had + kReadSize);
    const Result<size_t> count = session_->Read(stream_, buffer_.data() + had, kReadSize);
    buffer_.resize(had + (count.ok() ? *count : 0));
    if (!count.ok()) return count.status();
    if (*count > 0) {
      if (stream_->code != 200 || !stream_->headers.Get("content-type").starts_with("application/grpc")) {
        return StatusOfHttp(stream_->code);
      }
      continue;
    }
    TRY(Outcome(*stream_));
    if (!buffer_.empty()) return Unavailable("the server ended the call inside a message");
    return std::optional<std::string>();
  }
}

GrpcConnection::GrpcConnection(std::shared_ptr<GrpcSession> session, const GrpcOptions& options)
    : session_(std::move(session)), options_(options) {}

GrpcConnection::~GrpcConnection() { session_->Fail("closed"); }

Result<std::unique_ptr<GrpcConnection>> GrpcConnection::Connect(rt::Runtime& runtime, rt::TaskGroup& fibers,
                                                                const GrpcOptions& options) {
  rt::CancelScope scope(runtime, options.dial_timeout);
  std::unique_ptr<Stream> stream = TRY(net::Connect(runtime, options.endpoint));
  if (options.tls != nullptr) {
    auto secured = TRY(TlsConnect(std::move(stream), *options.tls, {options.endpoint.host, {"h2"}}));
    if (secured->alpn() != "h2") return Unavailable("the server does not speak HTTP/2");
    stream = std::move(secured);
  }
  return Over(runtime, fibers, options, std::move(stream));
}

std::unique_ptr<GrpcConnection> GrpcConnection::Over(rt::Runtime& runtime, rt::TaskGroup& fibers,
                                                     const GrpcOptions& options, std::unique_ptr<Stream> stream) {
  auto session = std::make_shared<GrpcSession>(runtime, std::move(stream), options);
  fibers.Spawn("grpc read", [session] {
    session->ReadLoop({});
    session->Ended();
  });
  fibers.Spawn("grpc write", [session] { session->WriteLoop(); });
  return std::unique_ptr<GrpcConnection>(new GrpcConnection(std::move(session), options));
}

bool GrpcConnection::closed() const { return !session_->open(); }

Ok GrpcConnection::WaitEnd() { return session_->WaitEnd(); }

const std::string& GrpcConnection::why() const { return session_->why(); }

void GrpcConnection::Close(std::string_view why) { session_->Fail(why); }

std::string GrpcConnection::peer() const { return options_.endpoint.ToString(); }

Result<std::string> GrpcConnection::Unary(const GrpcRequest& request, std::string_view message, bool& sent) {
  sent = false;
  rt::CancelScope scope(session_->runtime(), request.timeout > Duration{} ? request.timeout : Duration::max());
  TRY(session_->runtime().CheckCancelled());
  auto stream = std::make_shared<GrpcStream>(session_->runtime());
  stream->out = GrpcFrame(message);
  stream->out_ended = true;
  TRY(session_->Begin(stream, request));
  sent = true;
  GrpcCall call(session_, stream, options_.message_max);
  Result<std::optional<std::string>> answer = call.Receive();
  if (!answer.ok()) {
    // What the server refused, or never heard of before it went away, it did not act on.
    if (stream->closed && stream->error_code == kHttp2Refused) sent = false;
    return answer.status().WithContext(request.method);
  }
  if (!answer->has_value()) return Internal(request.method + ": the server answered without a message");
  // The message counts only with a status that says so.
  const Result<std::optional<std::string>> end = call.Receive();
  if (!end.ok()) return end.status().WithContext(request.method);
  if (end->has_value()) return Internal(request.method + ": the server answered with more than one message");
  return std::move(**answer);
}

Result<std::unique_ptr<GrpcCall>> GrpcConnection::Open(const GrpcRequest& request) {
  auto stream = std::make_shared<GrpcStream>(session_->runtime());
  TRY(session_->Begin(stream, request));
  return std::make_unique<GrpcCall>(session_, std::move(stream), options_.message_max);
}

Result<std::optional<std::string_view>> NextGrpcMessage(std::string_view bytes, size_t& at, size_t message_max) {
  const std::string_view rest = bytes.substr(at);
  if (rest.size() < kPrefix) return std::optional<std::string_view>();
  if (rest[0] != 0) return Internal("gRPC: a compressed message, which nobody asked for");
  size_t size = 0;
  for (size_t i = 1; i < kPrefix; ++i) size = size << 8 | static_cast<unsigned char>(rest[i]);
  if (size > message_max) {
    return Status(Reason::kRequestEntityTooLarge,
                  "gRPC: a message of " + std::to_string(size) + " bytes: at most " + std::to_string(message_max));
  }
  if (rest.size() - kPrefix < size) return std::optional<std::string_view>();
  at += kPrefix + size;
  return std::optional<std::string_view>(rest.substr(kPrefix, size));
}

std::string GrpcFrame(std::string_view message) {
  std::string out;
  out.reserve(kPrefix + message.size());
  out.push_back(0);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(message.size() >> shift));
  out.append(message);
  return out;
}

Status StatusOfGrpc(int code, std::string message) {
  // By gRPC's numbers, from CANCELLED on. A call that the server cancelled may be tried again: it is not ours that was.
  constexpr Reason kReasons[] = {Reason::kServiceUnavailable,
                                 Reason::kUnknown,
                                 Reason::kBadRequest,
                                 Reason::kTimeout,
                                 Reason::kNotFound,
                                 Reason::kAlreadyExists,
                                 Reason::kForbidden,
                                 Reason::kTooManyRequests,
                                 Reason::kConflict,
                                 Reason::kConflict,
                                 Reason::kExpired,
                                 Reason::kMethodNotAllowed,
                                 Reason::kInternalError,
                                 Reason::kServiceUnavailable,
                                 Reason::kInternalError,
                                 Reason::kUnauthorized};
  const bool known = code >= 1 && static_cast<size_t>(code) <= std::size(kReasons);
  if (message.empty()) message = "gRPC status " + std::to_string(code);
  return {known ? kReasons[code - 1] : Reason::kUnknown, std::move(message)};
}

std::string DecodeGrpcMessage(std::string_view text) {
  constexpr size_t kMost = 4096;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  text = text.substr(0, kMost);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    if (!escaped) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])));
    i += 2;
  }
  return IsValidUtf8(out) ? out : "(not a text)";
}

}  // namespace knarr::net

// The server's side of HTTP/2: a fiber for each request, limits against floods, and the end of idle connections.

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"
#include "net/connection.h"
#include "net/http1.h"
#include "net/http2.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

// Frame types of RFC 9113.
constexpr uint8_t kData = 0;
constexpr uint8_t kPriority = 2;
constexpr uint8_t kResetStream = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;

/// A budget that refills with time: what a peer may spend on frames that cost us something and bring nobody anything.
class Budget {
 public:
  Budget(double most, double per_second) : most_(most), per_second_(per_second), left_(most) {}
  /// False when it is used up.
  bool Spend(MonoTime now) {
    if (last_ != MonoTime{}) {
      left_ = std::min(most_, left_ + per_second_ * std::chrono::duration<double>(now - last_).count());
    }
    last_ = now;
    left_ -= 1;
    return left_ >= 0;
  }

 private:
  double most_;
  double per_second_;
  double left_;
  MonoTime last_{};
};

struct ServerStream : Http2Stream {
  using Http2Stream::Http2Stream;
  std::string method;
  std::string path;
  std::string authority;
  std::string scheme;
};

class Http2Server;

class Http2Response : public Response {
 public:
  Http2Response(Http2Server& session, StreamPtr stream, bool head)
      : session_(session), stream_(std::move(stream)), head_(head) {}
  Ok Send(int code, Headers headers, std::string_view body) override {
    return SendPieces(code, std::move(headers), {body});
  }
  Ok SendPieces(int code, Headers headers, std::vector<std::string_view> pieces) override;
  Ok Start(int code, Headers headers) override;
  Ok Write(std::string_view bytes) override;
  Ok WriteShared(std::vector<SharedPiece> pieces) override;
  Ok Finish() override;
  bool started() const override { return started_; }
  Result<std::unique_ptr<Stream>> Hijack(Headers) override { return BadRequest("an HTTP/2 request can't be upgraded"); }
  void WaitClosed() override {
    // Ends with the stream or with the scope of the fiber that waits; both are what the caller waits for.
    (void)stream_->changed.WaitUntil([this] { return stream_->closed; });
  }
  bool finished() const { return finished_; }

 private:
  HeaderList Prepare(int code, const Headers& headers) const;
  Http2Server& session_;
  StreamPtr stream_;
  bool head_;
  bool started_ = false;
  bool finished_ = false;
};

class Http2Server : public Http2Session {
 public:
  explicit Http2Server(Connection& connection)
      : Http2Session(connection.runtime, std::move(connection.stream), MakeOptions(connection.options)),
        connection_(connection),
        idle_since_(connection.runtime.Mono()),
        handlers_(connection.runtime, "http2") {
    connection_.control.on_stop = [this] { GoAway(kHttp2NoError); };
  }

  void Serve() {
    rt::TaskGroup writer(runtime(), "http2 writer");
    writer.Spawn("write", [this] { WriteLoop(); });
    ReadLoop(std::move(connection_.prefix));
    connection_.control.on_stop = nullptr;
    // Handlers see the end at their next write, or by WaitClosed. They are not cancelled: one may be in the middle of a
    // change that is not undone by nobody waiting for the answer.
    handlers_.Join();
    writer.StopAndJoin();
  }

  Ok Answer(Http2Stream& stream, const HeaderList& headers, bool has_body) {
    return SubmitResponse(stream, headers, has_body);
  }

 protected:
  StreamPtr NewStream() override { return std::make_shared<ServerStream>(runtime()); }

  void OnHeader(Http2Stream& base, std::string_view name, std::string_view value) override {
    auto& stream = static_cast<ServerStream&>(base);
    if (!name.starts_with(':')) {
      stream.headers.Add(std::string(name), std::string(value));
    } else if (name == ":method") {
      stream.method = value;
    } else if (name == ":path") {
      stream.path = value;
    } else if (name == ":authority") {
      stream.authority = value;
    } else if (name == ":scheme") {
      stream.scheme = value;
    }
  }

  void OnHeaders(const StreamPtr& base) override {
    base->headers_done = true;
    if (running_ >= connection_.options.streams_max) {
      // nghttp2 counts open streams; this counts handlers, which outlive a stream that was reset.
      Reset(*base, kHttp2Refused);
      return;
    }
    ++running_;
    handlers_.Spawn("request", [this, stream = std::static_pointer_cast<ServerStream>(base)] {
      Handle(stream);
      --running_;
      idle_since_ = runtime().Mono();
    });
  }

  void OnClosed(const StreamPtr&) override {}

  void OnFrame(uint8_t type, int32_t, size_t length, bool end_stream) override {
    bool costs =
        type == kSettings || type == kPing || type == kPriority || (type == kData && length == 0 && !end_stream);
    if ((costs && !control_.Spend(runtime().Mono())) || (type == kResetStream && !resets_.Spend(runtime().Mono()))) {
      LOG_WARN("closing an HTTP/2 connection that floods us", {"peer", stream().peer()}, {"frame", int{type}});
      GoAway(kHttp2EnhanceYourCalm);
    }
  }

  Result<bool> WaitInput() override {
    MonoTime now = runtime().Mono();
    MonoTime end =
        running_ > 0 ? now + connection_.options.idle_timeout : idle_since_ + connection_.options.idle_timeout;
    if (goodbye_.has_value()) end = std::max(end, *goodbye_);
    if (now >= end) {
      if (goodbye_.has_value()) return Unavailable("idle for too long");
      GoAway(kHttp2NoError);
      goodbye_ = end = now + connection_.options.header_timeout;
    }
    rt::CancelScope scope(runtime(), end - now);
    Ok waited = stream().WaitReadable();
    if (waited.ok()) return true;
    if (!waited.Failed(Reason::kTimeout)) return waited.status();
    return false;  // looks again: a request may have come and gone meanwhile
  }

 private:
  static Options MakeOptions(const HttpServerOptions& options) {
    return {.server = true,
            .streams_max = options.streams_max,
            .header_list_max = static_cast<uint32_t>(std::min<size_t>(options.header_bytes_max, 1 << 20))};
  }

  void Handle(const std::shared_ptr<ServerStream>& stream) {
    Http2Response response(*this, stream, stream->method == "HEAD");
    if (stream->header_bytes > connection_.options.header_bytes_max) return Refuse(response, 431);
    auto url = Url::Parse(stream->path);
    if (!url.ok() || stream->method == "CONNECT") return Refuse(response, 400);
    Request request;
    request.method = stream->method;
    request.target = stream->path;
    request.url = std::move(*url);
    request.headers = MakeHeaders(*stream);
    request.peer = this->stream().peer();
    request.http2 = true;
    request.certificate = connection_.certificate;
    bool taken = false;
    request.read_body = [&](size_t limit) -> Result<std::string> {
      if (std::exchange(taken, true)) return BodyReadTwice();
      return ReadBody(stream, request, response, limit);
    };
    request.read_some = [&](char* out, size_t size) -> Result<size_t> {
      if (!std::exchange(taken, true)) TRY(AskForBody(*stream, request, response));
      rt::CancelScope scope(runtime(), connection_.options.idle_timeout);
      return Read(stream, out, size);
    };
    RunHandler(connection_.handler, request, response);
    if (!response.finished()) Reset(*stream, kHttp2Internal);
  }

  static void Refuse(Http2Response& response, int code) {
    Headers headers;
    headers.Add("Content-Type", "text/plain; charset=utf-8");
    // Whether the peer still takes the refusal does not matter.
    (void)response.Send(code, std::move(headers), fmt::format("{} {}", code, HttpStatusText(code)));
  }

  static Headers MakeHeaders(ServerStream& stream) {
    Headers headers = std::move(stream.headers);
    if (!stream.authority.empty()) headers.Set("Host", stream.authority);
    auto cookies = headers.GetAll("cookie");
    if (cookies.size() > 1) headers.Set("Cookie", Join(cookies, "; "));  // split by HTTP/2 for its compression
    return headers;
  }

  Ok AskForBody(Http2Stream& stream, const Request& request, const Http2Response& response) {
    const bool asks = EqualIgnoreCase(request.headers.Get("Expect"), "100-continue");
    if (!asks || response.started() || stream.in_ended) return {};
    return SubmitInformational(stream, 100);
  }

  Result<std::string> ReadBody(const StreamPtr& stream, const Request& request, const Http2Response& response,
                               size_t limit) {
    if (std::string_view text = request.headers.Get("Content-Length"); !text.empty()) {
      auto length = ParseUint64(text);
      if (length.ok() && *length > limit) return BodyTooLarge(limit);
    }
    TRY(AskForBody(*stream, request, response));
    std::string out;
    std::array<char, 8192> part;
    while (true) {
      rt::CancelScope scope(runtime(), connection_.options.idle_timeout);
      size_t count = TRY(Read(stream, part.data(), part.size()));
      if (count == 0) return out;
      if (out.size() + count > limit) return BodyTooLarge(limit);
      out.append(part.data(), count);
    }
  }

  Connection& connection_;
  size_t running_ = 0;
  MonoTime idle_since_;
  std::optional<MonoTime> goodbye_;
  // Legitimate clients cancel many watches at once, ping to measure, and send settings once.
  Budget resets_{1000, 100};
  Budget control_{2000, 200};
  rt::TaskGroup handlers_;
};

HeaderList Http2Response::Prepare(int code, const Headers& headers) const {
  HeaderList out;
  out.reserve(headers.all().size() + 3);
  out.emplace_back(":status", std::to_string(code));
  bool date = false;
  for (const auto& [name, value] : headers.all()) {
    std::string lower = ToLower(name);
    if (lower == "connection" || lower == "transfer-encoding" || lower == "keep-alive" || lower == "upgrade") continue;
    if (!IsHeaderName(lower)) continue;
    date = date || lower == "date";
    std::string clean = value;
    std::replace_if(clean.begin(), clean.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
    out.emplace_back(std::move(lower), std::move(clean));
  }
  if (!date) out.emplace_back("date", FormatHttpDate(session_.runtime().Wall()));
  return out;
}

Ok Http2Response::SendPieces(int code, Headers headers, std::vector<std::string_view> pieces) {
  if (BUG_IF(started_)) return Internal("a second answer to one request");
  started_ = true;
  size_t size = 0;
  for (std::string_view piece : pieces) size += piece.size();
  bool no_body = head_ || !HasResponseBody(code);
  if (HasResponseBody(code) && !(no_body && headers.Has("Content-Length"))) {
    headers.Set("Content-Length", std::to_string(size));
  }
  if (no_body || size == 0) {
    TRY(session_.Answer(*stream_, Prepare(code, headers), false));
  } else {
    TRY(session_.Answer(*stream_, Prepare(code, headers), true));
    TRY(session_.WriteLast(stream_, std::move(pieces)));
  }
  finished_ = true;
  return {};
}

Ok Http2Response::Start(int code, Headers headers) {
  if (BUG_IF(started_)) return Internal("a second answer to one request");
  started_ = true;
  bool no_body = head_ || !HasResponseBody(code);
  TRY(session_.Answer(*stream_, Prepare(code, headers), !no_body));
  if (no_body) head_ = true;
  return {};
}

Ok Http2Response::Write(std::string_view bytes) {
  if (BUG_IF(!started_ || finished_)) return Internal("a body outside of an answer");
  if (head_) return {};
  return session_.Write(stream_, bytes);
}

Ok Http2Response::WriteShared(std::vector<SharedPiece> pieces) {
  if (BUG_IF(!started_ || finished_)) return Internal("a body outside of an answer");
  if (head_) return {};
  return session_.WriteShared(stream_, std::move(pieces));
}

Ok Http2Response::Finish() {
  if (BUG_IF(!started_)) return Internal("the end of an answer that did not begin");
  if (finished_) return {};
  finished_ = true;
  if (stream_->closed) return head_ ? Ok() : Unavailable("the HTTP/2 stream was closed");
  session_.EndWrite(*stream_);
  return {};
}

}  // namespace

void ServeHttp2(Connection connection) {
  Http2Server server(connection);
  server.Serve();
}

}  // namespace knarr::net

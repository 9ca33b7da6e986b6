// The server's side of HTTP/1.1: one fiber a connection, which reads a head, runs the handler and goes on.

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"
#include "net/connection.h"
#include "net/http1.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

/// A body up to this is sent in one write with its head, and pieces are joined up to it.
constexpr size_t kJoinMax = 64 << 10;
/// What is read and dropped of a body the handler did not want, to keep the connection.
constexpr size_t kDrainMax = 256 << 10;
/// How much a client may send ahead while a handler waits for it to go away.
constexpr size_t kAheadMax = 64 << 10;
/// How long a connection that ends stays to let the client read the last answer (a reset would discard it).
constexpr Duration kLinger = 500ms;

std::string StartHead(int code) { return fmt::format("HTTP/1.1 {} {}\r\n", code, HttpStatusText(code)); }

class Http1Connection;

class Http1Response : public Response {
 public:
  Http1Response(Http1Connection& connection, const RequestHead& head) : connection_(connection), head_(head) {}

  Ok Send(int code, Headers headers, std::string_view body) override {
    return SendPieces(code, std::move(headers), {body});
  }
  Ok SendPieces(int code, Headers headers, std::vector<std::string_view> pieces) override;
  Ok Start(int code, Headers headers) override;
  Ok Write(std::string_view bytes) override;
  Ok Finish() override;
  bool started() const override { return started_; }
  Result<std::unique_ptr<Stream>> Hijack(Headers headers) override;
  void WaitClosed() override;

  bool finished() const { return finished_; }
  bool hijacked() const { return hijacked_; }
  bool keep_alive() const { return keep_alive_; }

 private:
  /// The head with what is ours to add. Decides whether the connection lives on.
  std::string Head(int code, const Headers& headers, std::string_view framing);

  Http1Connection& connection_;
  const RequestHead& head_;
  bool started_ = false;
  bool finished_ = false;
  bool hijacked_ = false;
  bool keep_alive_ = true;
  bool no_body_ = false;
  bool chunked_ = false;
  std::optional<uint64_t> promised_;  // what is left of a Content-Length that the handler gave
};

class Http1Connection {
 public:
  explicit Http1Connection(Connection connection)
      : connection_(std::move(connection)), runtime_(connection_.runtime), input_(connection_.stream.get()) {
    if (!connection_.prefix.empty()) input_.Prime(connection_.prefix);
    connection_.control.on_stop = [this] {
      if (idle_) connection_.stream->Close();
    };
  }
  ~Http1Connection() { connection_.control.on_stop = nullptr; }

  void Serve() {
    while (!connection_.control.stopping) {
      auto head = ReadHead();
      if (!head.ok()) {
        Refuse(head.status());
        return;
      }
      if (!head->has_value() || !ServeRequest(**head)) return;
    }
  }

  rt::Runtime& runtime() { return runtime_; }
  Stream& stream() { return *connection_.stream; }
  std::unique_ptr<Stream> TakeStream() { return WithPrefix(std::move(connection_.stream), input_.bytes()); }
  InputBuffer& input() { return input_; }
  BodyReader* body() { return body_; }
  bool stopping() const { return connection_.control.stopping; }

 private:
  /// nullopt when the client is gone, or has been silent for too long, between requests.
  Result<std::optional<RequestHead>> ReadHead() {
    while (input_.bytes().starts_with("\r\n")) input_.Consume(2);  // some old clients end a body so
    if (input_.bytes().empty()) {
      idle_ = true;
      rt::CancelScope scope(runtime_, first_ ? connection_.options.header_timeout : connection_.options.idle_timeout);
      auto more = input_.Fill();
      idle_ = false;
      if (!more.ok() || !*more) return std::optional<RequestHead>();
    }
    first_ = false;
    size_t end = TRY(FindHeadEnd(input_.bytes(), connection_.options.header_bytes_max));
    if (end == 0) {
      rt::CancelScope scope(runtime_, connection_.options.header_timeout);
      while (end == 0) {
        auto more = input_.Fill();
        if (more.Failed(Reason::kTimeout)) return Timeout("the request head did not arrive in time").WithCode(408);
        if (!more.ok() || !*more) return std::optional<RequestHead>();
        end = TRY(FindHeadEnd(input_.bytes(), connection_.options.header_bytes_max));
      }
    }
    RequestHead head = TRY(ParseRequestHead(input_.bytes().substr(0, end)));
    input_.Consume(end);
    return std::optional<RequestHead>(std::move(head));
  }

  /// False when the connection ends with this request.
  bool ServeRequest(RequestHead& head) {
    auto url = Url::Parse(head.target);
    if (!url.ok()) {
      Refuse(url.status());
      return false;
    }
    BodyReader body(&input_, head.body);
    body_ = &body;
    Http1Response response(*this, head);
    Request request;
    request.method = head.method;
    request.target = head.target;
    request.url = std::move(*url);
    request.headers = std::move(head.headers);
    request.peer = connection_.stream->peer();
    request.certificate = connection_.certificate;
    bool taken = false;
    request.read_body = [&](size_t limit) -> Result<std::string> {
      if (std::exchange(taken, true)) return BodyReadTwice();
      return ReadBody(head, body, response, limit);
    };
    request.read_some = [&](char* out, size_t size) -> Result<size_t> {
      if (!std::exchange(taken, true)) TRY(AskForBody(head, body, response));
      if (body.done()) return size_t{0};
      rt::CancelScope scope(runtime_, connection_.options.idle_timeout);
      return body.Read(out, size);
    };
    RunHandler(connection_.handler, request, response);
    body_ = nullptr;
    if (response.hijacked()) return false;
    if (!response.finished()) {
      // The handler gave up in the middle: the missing end tells the client.
      connection_.stream->Close();
      return false;
    }
    if (response.keep_alive() && !connection_.control.stopping && Drain(body)) return true;
    Linger();
    return false;
  }

  Ok AskForBody(const RequestHead& head, const BodyReader& body, const Http1Response& response) {
    if (!head.expect_continue || response.started() || body.done()) return {};
    return connection_.stream->Write("HTTP/1.1 100 Continue\r\n\r\n");
  }

  Result<std::string> ReadBody(const RequestHead& head, BodyReader& body, Http1Response& response, size_t limit) {
    if (head.body.kind == BodyKind::kLength && head.body.length > limit) return BodyTooLarge(limit);
    TRY(AskForBody(head, body, response));
    std::string out;
    size_t step = head.body.kind == BodyKind::kLength ? static_cast<size_t>(head.body.length) : size_t{16} << 10;
    size_t size = 0;
    while (!body.done()) {
      if (size == out.size()) {
        if (size > limit) return BodyTooLarge(limit);
        // A length that is only announced gets no memory before its bytes come.
        out.resize(std::min(size + std::clamp(step, size_t{1}, size_t{1} << 20), limit + 1));
      }
      rt::CancelScope scope(runtime_, connection_.options.idle_timeout);
      size += TRY(body.Read(out.data() + size, out.size() - size));
    }
    if (size > limit) return BodyTooLarge(limit);
    out.resize(size);
    return out;
  }

  /// Reads the rest of a body that nobody wanted. False when it is not worth it.
  bool Drain(BodyReader& body) {
    if (body.done()) return true;
    rt::CancelScope scope(runtime_, connection_.options.header_timeout);
    char scratch[1024];
    size_t total = 0;
    while (!body.done()) {
      auto count = body.Read(scratch, sizeof scratch);
      if (!count.ok()) return false;
      total += *count;
      if (total > kDrainMax) return false;
    }
    return true;
  }

  /// Answers what is no valid request, as net/http does, and ends the connection.
  void Refuse(const Status& status) {
    int code = status.code();
    std::string text = fmt::format("{} {}", code, HttpStatusText(code));
    LOG_DEBUG("refused a request", {"peer", connection_.stream->peer()}, {"error", status});
    std::string answer = StartHead(code);
    AppendHeader(answer, "Content-Type", "text/plain; charset=utf-8");
    AppendHeader(answer, "Connection", "close");
    answer += "\r\n" + text + ": " + status.message();
    rt::CancelScope scope(runtime_, connection_.options.header_timeout);
    if (connection_.stream->Write(answer).ok()) Linger();
  }

  void Linger() {
    if (!connection_.stream->CloseWrite().ok()) return;
    rt::CancelScope scope(runtime_, kLinger);
    char scratch[1024];
    size_t total = 0;
    while (total < kDrainMax) {
      auto count = connection_.stream->Read(scratch, sizeof scratch);
      if (!count.ok() || *count == 0) return;
      total += *count;
    }
  }

  Connection connection_;
  rt::Runtime& runtime_;
  InputBuffer input_;
  BodyReader* body_ = nullptr;
  bool first_ = true;
  bool idle_ = false;
};

std::string Http1Response::Head(int code, const Headers& headers, std::string_view framing) {
  std::string out = StartHead(code);
  keep_alive_ = head_.keep_alive && !connection_.stopping() && !HasToken(headers, "Connection", "close");
  // A client that waits for "100 Continue" and got its answer instead may or may not send its body now.
  if (head_.expect_continue && connection_.body() != nullptr && !connection_.body()->done()) keep_alive_ = false;
  if (head_.minor == 0 && !no_body_ && framing.empty()) keep_alive_ = false;
  for (const auto& [name, value] : headers.all()) {
    if (EqualIgnoreCase(name, "Connection") || EqualIgnoreCase(name, "Transfer-Encoding")) continue;
    AppendHeader(out, name, value);
  }
  if (!headers.Has("Date")) AppendHeader(out, "Date", FormatHttpDate(connection_.runtime().Wall()));
  out += framing;
  if (!keep_alive_) {
    out += "Connection: close\r\n";
  } else if (head_.minor == 0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  return out;
}

Ok Http1Response::SendPieces(int code, Headers headers, std::vector<std::string_view> pieces) {
  if (BUG_IF(started_)) return Internal("a second answer to one request");
  started_ = true;
  size_t size = 0;
  for (std::string_view piece : pieces) size += piece.size();
  no_body_ = head_.method == "HEAD" || !HasResponseBody(code);
  std::string framing;
  if (HasResponseBody(code)) {
    // An answer to HEAD may say the length of what it leaves out; a body that is there has its own.
    bool told = no_body_ && headers.Has("Content-Length");
    if (!told) headers.Remove("Content-Length");
    if (!told) framing = fmt::format("Content-Length: {}\r\n", size);
  }
  std::string batch = Head(code, headers, framing);
  if (!no_body_) {
    for (std::string_view piece : pieces) {
      if (!batch.empty() && batch.size() + piece.size() > kJoinMax) {
        TRY(connection_.stream().Write(batch));
        batch.clear();
      }
      if (piece.size() >= kJoinMax) {
        TRY(connection_.stream().Write(piece));
      } else {
        batch += piece;
      }
    }
  }
  if (!batch.empty()) TRY(connection_.stream().Write(batch));
  finished_ = true;
  return {};
}

Ok Http1Response::Start(int code, Headers headers) {
  if (BUG_IF(started_)) return Internal("a second answer to one request");
  started_ = true;
  no_body_ = head_.method == "HEAD" || !HasResponseBody(code);
  chunked_ = !no_body_ && head_.minor >= 1 && !headers.Has("Content-Length");
  if (!no_body_ && headers.Has("Content-Length")) promised_ = TRY(ParseUint64(headers.Get("Content-Length")));
  std::string framing = chunked_ ? "Transfer-Encoding: chunked\r\n" : "";
  return connection_.stream().Write(Head(code, headers, framing));
}

Ok Http1Response::Write(std::string_view bytes) {
  if (BUG_IF(!started_ || finished_)) return Internal("a body outside of an answer");
  if (no_body_ || bytes.empty()) return {};
  if (promised_.has_value()) {
    if (BUG_IF(bytes.size() > *promised_)) return Internal("a body longer than its Content-Length");
    *promised_ -= bytes.size();
  }
  if (!chunked_) return connection_.stream().Write(bytes);
  std::string chunk = fmt::format("{:x}\r\n", bytes.size());
  if (bytes.size() < kJoinMax) {
    chunk.reserve(chunk.size() + bytes.size() + 2);
    chunk += bytes;
    chunk += "\r\n";
    return connection_.stream().Write(chunk);
  }
  TRY(connection_.stream().Write(chunk));
  TRY(connection_.stream().Write(bytes));
  return connection_.stream().Write("\r\n");
}

Ok Http1Response::Finish() {
  if (BUG_IF(!started_)) return Internal("the end of an answer that did not begin");
  if (finished_) return {};
  if (promised_.value_or(0) != 0) return Internal("a body shorter than its Content-Length");
  if (chunked_) TRY(connection_.stream().Write("0\r\n\r\n"));
  finished_ = true;
  return {};
}

Result<std::unique_ptr<Stream>> Http1Response::Hijack(Headers headers) {
  if (BUG_IF(started_)) return Internal("an upgrade after an answer");
  BodyReader* body = connection_.body();
  if (body == nullptr || !body->done()) return BadRequest("an upgrade request must not have a body");
  started_ = true;
  std::string out = StartHead(101);
  for (const auto& [name, value] : headers.all()) AppendHeader(out, name, value);
  out += "\r\n";
  TRY(connection_.stream().Write(out));
  finished_ = true;
  hijacked_ = true;
  return connection_.TakeStream();
}

void Http1Response::WaitClosed() {
  if (hijacked_) return;
  InputBuffer& input = connection_.input();
  while (input.bytes().size() < kAheadMax) {
    auto more = input.Fill();
    if (!more.ok() || !*more) return;
  }
  // So much was sent ahead that we stop looking: now only the end of the request ends the wait.
  rt::WaitQueue never(connection_.runtime());
  (void)never.Wait();
}

}  // namespace

void ServeHttp1(Connection connection) { Http1Connection(std::move(connection)).Serve(); }

}  // namespace knarr::net

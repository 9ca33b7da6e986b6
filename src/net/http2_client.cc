#include "net/http2_client.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"
#include "net/connection.h"
#include "net/http1.h"

namespace knarr::net {
namespace {

constexpr uint8_t kPing = 6;
/// A server that says nothing for this long while we wait for it is asked whether it is still there.
constexpr Duration kSilenceMax = 30s;
constexpr Duration kPongMax = 15s;

struct ClientStream : Http2Stream {
  using Http2Stream::Http2Stream;
  int code = 0;
  std::string body;  ///< the request's, while it is sent
};
using ClientStreamPtr = std::shared_ptr<ClientStream>;

class Http2ClientResponse : public ClientResponse {
 public:
  Http2ClientResponse(std::shared_ptr<Http2Client> session, ClientStreamPtr stream)
      : session_(std::move(session)), stream_(std::move(stream)) {}
  ~Http2ClientResponse() override { session_->Reset(*stream_, kHttp2Cancel); }
  int code() const override { return stream_->code; }
  const Headers& headers() const override { return stream_->headers; }
  Result<size_t> Read(char* out, size_t size) override { return session_->Read(stream_, out, size); }

 private:
  std::shared_ptr<Http2Client> session_;
  ClientStreamPtr stream_;
};

Http2Session::Options ClientOptions() {
  return {.server = false,
          .streams_max = 0,
          .stream_window = 4 << 20,
          .connection_window = 1 << 30,
          .header_list_max = 256 << 10};
}

}  // namespace

Http2Client::Http2Client(rt::Runtime& runtime, std::unique_ptr<Stream> stream, Duration idle_timeout)
    : Http2Session(runtime, std::move(stream), ClientOptions()),
      idle_timeout_(idle_timeout),
      idle_since_(runtime.Mono()) {}

bool Http2Client::HasRoom() const { return accepts_requests() && stream_count() < peer_streams_max(); }

void Http2Client::OnHeader(Http2Stream& base, std::string_view name, std::string_view value) {
  auto& stream = static_cast<ClientStream&>(base);
  if (name == ":status") {
    stream.code = ParseInt<int>(value).value_or(0);
  } else if (!name.starts_with(':')) {
    stream.headers.Add(std::string(name), std::string(value));
  }
}

void Http2Client::OnHeaders(const StreamPtr& base) {
  auto& stream = static_cast<ClientStream&>(*base);
  proven_ = true;
  if (stream.code >= 200) {
    stream.headers_done = true;
  } else {
    stream.headers = {};  // an informational answer; the real one follows
  }
}

void Http2Client::OnClosed(const StreamPtr&) { idle_since_ = runtime().Mono(); }

void Http2Client::OnFrame(uint8_t type, int32_t, size_t, bool) {
  if (type == kPing) awaits_pong_ = false;
}

Result<bool> Http2Client::WaitInput() {
  bool idle = stream_count() == 0;
  MonoTime now = runtime().Mono();
  Duration most = awaits_pong_ ? kPongMax : kSilenceMax;
  if (idle) most = idle_since_ + idle_timeout_ - now;
  if (idle && most <= Duration{}) {
    GoAway(kHttp2NoError);
    return Unavailable("idle for too long");
  }
  rt::CancelScope scope(runtime(), most);
  Ok waited = stream().WaitReadable();
  if (waited.ok()) {
    awaits_pong_ = false;
    return true;
  }
  if (!waited.Failed(Reason::kTimeout)) return waited.status();
  if (!idle && stream_count() > 0) {
    if (awaits_pong_) return Unavailable("the server does not answer");
    awaits_pong_ = true;
    SubmitPing();
  }
  return false;
}

Result<std::unique_ptr<ClientResponse>> Http2Client::Send(const ClientRequest& request, bool& refused) {
  HeaderList headers = {{":method", request.method},
                        {":scheme", request.url.scheme},
                        {":authority", HostHeader(request.url)},
                        {":path", request.url.Target()}};
  for (auto& [name, value] : TRY(CheckedHeaders(request))) {
    std::string lower = ToLower(name);
    if (lower == "host" || lower == "connection" || lower == "transfer-encoding" || lower == "upgrade") continue;
    headers.emplace_back(std::move(lower), std::move(value));
  }
  if (!request.body.empty()) headers.emplace_back("content-length", std::to_string(request.body.size()));
  auto stream = std::make_shared<ClientStream>(runtime());
  stream->body = request.body;
  stream->pieces = {stream->body};
  stream->pieces_size = stream->body.size();
  stream->out_ended = true;
  refused = true;
  TRY(SubmitRequest(stream, headers, !request.body.empty()));
  refused = false;
  Ok waited = stream->changed.WaitUntil([&] { return stream->closed || stream->headers_done; });
  if (!waited.ok()) {
    Reset(*stream, kHttp2Cancel);
    return waited.status();
  }
  if (!stream->headers_done) {
    refused = stream->error_code == kHttp2Refused;
    char none;
    auto error = Read(stream, &none, 1);
    if (error.ok()) return Unavailable("the server ended the stream without an answer");
    return error.status().WithContext(request.method + " " + request.url.path);
  }
  return std::unique_ptr<ClientResponse>(std::make_unique<Http2ClientResponse>(shared_from_this(), std::move(stream)));
}

Result<HeaderList> CheckedHeaders(const ClientRequest& request) {
  if (!IsHeaderName(request.method)) return BadRequest("HTTP method \"" + request.method + "\" is malformed");
  HeaderList out;
  for (const auto& [name, value] : request.headers.all()) {
    if (!IsHeaderName(name)) return BadRequest("HTTP header name \"" + name + "\" is malformed");
    bool clean = std::none_of(value.begin(), value.end(),
                              [](char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f; });
    if (!clean) return BadRequest("HTTP header \"" + name + "\" has a control character");
    if (EqualIgnoreCase(name, "Content-Length")) continue;  // ours to say
    out.emplace_back(name, value);
  }
  return out;
}

std::string HostHeader(const Url& url) {
  std::string host = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
  uint16_t usual = url.scheme == "https" ? 443 : 80;
  if (url.port != 0 && url.port != usual) host += ":" + std::to_string(url.port);
  return host;
}

}  // namespace knarr::net

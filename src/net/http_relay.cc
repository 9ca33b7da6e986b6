#include "net/http_relay.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/strings.h"
#include "net/http1.h"

namespace knarr::net {
namespace {

constexpr size_t kHeadMax = 1 << 20;
constexpr int kInformationalMax = 20;

bool IsClean(std::string_view value) {
  return std::ranges::none_of(value,
                              [](char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f; });
}

class HttpRelayImpl : public HttpRelay {
 public:
  HttpRelayImpl(std::unique_ptr<Stream> stream, const RelayRequest& request)
      : stream_(std::move(stream)), input_(stream_.get()), method_(request.method), body_(request.body) {}

  Ok SendHead(const RelayRequest& request) {
    if (!IsHeaderName(request.method)) return BadRequest("net/http: invalid method " + GoQuote(request.method));
    std::string out = request.method + " " + request.target + " HTTP/1.1\r\n";
    for (const auto& [name, value] : request.headers.all()) {
      if (!IsHeaderName(name) || !IsClean(value)) {
        return BadRequest("net/http: invalid header field value for " + GoQuote(name));
      }
      AppendHeader(out, name, value);
    }
    if (body_ == RelayBody::kChunked) AppendHeader(out, "Transfer-Encoding", "chunked");
    if (body_ == RelayBody::kLength) AppendHeader(out, "Content-Length", std::to_string(request.length));
    return stream_->Write(out + "\r\n");
  }

  Ok WriteBody(std::string_view bytes) override {
    if (bytes.empty()) return {};
    if (body_ != RelayBody::kChunked) return stream_->Write(bytes);
    std::string chunk = fmt::format("{:x}\r\n", bytes.size());
    chunk.reserve(chunk.size() + bytes.size() + 2);
    return stream_->Write(chunk.append(bytes).append("\r\n"));
  }
  Ok EndBody() override { return body_ == RelayBody::kChunked ? stream_->Write("0\r\n\r\n") : Ok(); }

  Ok ReadHead() override {
    for (int i = 0; i < kInformationalMax; ++i) {
      size_t end = TRY(HeadEnd());
      while (end == 0) {
        const bool begun = !input_.bytes().empty();
        if (!TRY(input_.Fill())) return Unavailable(begun ? "unexpected EOF" : "EOF");
        end = TRY(HeadEnd());
      }
      auto parsed = ParseResponseHead(input_.bytes().substr(0, end), method_ != "HEAD");
      if (!parsed.ok()) {
        return Unavailable("net/http: HTTP/1.x transport connection broken: " + parsed.status().message());
      }
      input_.Consume(end);
      if (parsed->code < 200 && parsed->code != 101) continue;
      head_ = std::move(*parsed);
      answer_.emplace(&input_, head_.body);
      return {};
    }
    return Unavailable("net/http: too many 1xx informational responses");
  }
  int code() const override { return head_.code; }
  const Headers& headers() const override { return head_.headers; }
  Result<size_t> Read(char* out, size_t size) override {
    if (BUG_IF(!answer_.has_value())) return Internal("the body of an answer without a head");
    return answer_->done() ? size_t{0} : answer_->Read(out, size);
  }
  std::unique_ptr<Stream> TakeStream() override { return WithPrefix(std::move(stream_), input_.bytes()); }

 private:
  Result<size_t> HeadEnd() {
    Result<size_t> end = FindHeadEnd(input_.bytes(), kHeadMax);
    if (!end.ok()) return Unavailable("net/http: server response headers exceeded 1048576 bytes; aborted");
    return end;
  }

  std::unique_ptr<Stream> stream_;
  InputBuffer input_;
  const std::string method_;
  const RelayBody body_;
  ResponseHead head_;
  std::optional<BodyReader> answer_;
};

}  // namespace

Result<std::unique_ptr<HttpRelay>> HttpRelay::Begin(std::unique_ptr<Stream> stream, const RelayRequest& request) {
  auto relay = std::make_unique<HttpRelayImpl>(std::move(stream), request);
  TRY(relay->SendHead(request));
  return std::unique_ptr<HttpRelay>(std::move(relay));
}

}  // namespace knarr::net

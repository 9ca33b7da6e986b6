#include "net/http1_client.h"

#include "base/strings.h"
#include "net/http2_client.h"

namespace knarr::net {
namespace {

constexpr size_t kHeadMax = 256 << 10;
constexpr size_t kJoinMax = 64 << 10;
constexpr int kInformationalMax = 20;

Result<std::string> RequestHeadText(const ClientRequest& request) {
  std::string out = request.method + " " + request.url.Target() + " HTTP/1.1\r\n";
  HeaderList headers = TRY(CheckedHeaders(request));
  bool host = request.headers.Has("Host");
  if (!host) AppendHeader(out, "Host", HostHeader(request.url));
  for (const auto& [name, value] : headers) {
    if (!EqualIgnoreCase(name, "Transfer-Encoding")) AppendHeader(out, name, value);
  }
  bool body_expected = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (!request.body.empty() || body_expected) {
    AppendHeader(out, "Content-Length", std::to_string(request.body.size()));
  }
  return out + "\r\n";
}

class Http1ClientResponse : public ClientResponse {
 public:
  Http1ClientResponse(std::unique_ptr<Http1Client> connection, ResponseHead head, GiveBack give_back)
      : connection_(std::move(connection)),
        head_(std::move(head)),
        body_(&connection_->input, head_.body),
        give_back_(std::move(give_back)) {
    Finish(body_.done());
  }
  ~Http1ClientResponse() override { Finish(true); }

  int code() const override { return head_.code; }
  const Headers& headers() const override { return head_.headers; }
  Result<size_t> Read(char* out, size_t size) override {
    if (!connection_) return size_t{0};
    auto count = body_.Read(out, size);
    if (!count.ok()) head_.keep_alive = false;
    Finish(body_.done() && count.ok());
    return count;
  }

 private:
  void Finish(bool ended) {
    if (!ended || !connection_) return;
    bool clean = body_.done() && head_.keep_alive && connection_->input.bytes().empty();
    give_back_(clean ? std::move(connection_) : nullptr);
    connection_.reset();
  }

  std::unique_ptr<Http1Client> connection_;
  ResponseHead head_;
  BodyReader body_;
  GiveBack give_back_;
};

}  // namespace

Result<ResponseHead> Exchange(Http1Client& connection, const ClientRequest& request) {
  std::string head = TRY(RequestHeadText(request));
  connection.answered = false;
  bool join = head.size() + request.body.size() <= kJoinMax;
  if (join) head += request.body;
  Ok written = connection.stream->Write(head);
  if (written.ok() && !join) written = connection.stream->Write(request.body);
  // A server that wants no more of a body may have answered before it closed: the answer says more than our error.
  if (!written.ok() && !written.Failed(Reason::kServiceUnavailable)) return written.status();
  for (int i = 0; i < kInformationalMax; ++i) {
    size_t end = TRY(FindHeadEnd(connection.input.bytes(), kHeadMax));
    while (end == 0) {
      auto more = connection.input.Fill();
      if (!written.ok() && (!more.ok() || !*more)) return written.status();
      if (!TRY(std::move(more))) {
        return Unavailable(connection.answered ? "unexpected EOF" : "EOF: the server closed the connection");
      }
      connection.answered = true;
      end = TRY(FindHeadEnd(connection.input.bytes(), kHeadMax));
    }
    auto parsed = ParseResponseHead(connection.input.bytes().substr(0, end), request.method != "HEAD");
    if (!parsed.ok()) return Unavailable(parsed.status().message());
    connection.input.Consume(end);
    if (!written.ok()) parsed->keep_alive = false;
    if (parsed->code >= 200 || parsed->code == 101) return parsed;
  }
  return Unavailable("too many informational answers");
}

std::unique_ptr<ClientResponse> MakeHttp1Response(std::unique_ptr<Http1Client> connection, ResponseHead head,
                                                  GiveBack give_back) {
  return std::make_unique<Http1ClientResponse>(std::move(connection), std::move(head), std::move(give_back));
}

}  // namespace knarr::net

#include "client/http_ports.h"

#include <algorithm>
#include <array>

#include "net/websocket_stream.h"

namespace knarr::client {
namespace {

constexpr std::string_view kTunnel = "SPDY/3.1+portforward.k8s.io";
constexpr size_t kErrorMax = 4 << 10;

class ForwardedPort : public net::Stream {
 public:
  ForwardedPort(std::shared_ptr<net::SpdySession> session, std::shared_ptr<net::SpdyStream> data,
                std::shared_ptr<net::SpdyStream> error)
      : session_(std::move(session)), data_(std::move(data)), error_(std::move(error)) {}
  ~ForwardedPort() override { Close(); }

  Result<size_t> Read(char* out, size_t size) override {
    Result<size_t> count = data_->Read(out, size);
    if ((count.ok() && *count > 0) || count.Failed(Reason::kCancelled)) return count;
    const std::string message = Message();
    if (!message.empty()) return Unavailable(message);
    return count;
  }
  Ok WaitReadable() override { return data_->WaitReadable(); }
  Ok Write(std::string_view bytes) override { return data_->Write(bytes); }
  Ok CloseWrite() override { return data_->CloseWrite(); }
  void Close() override {
    data_->Close();
    error_->Close();
  }
  std::string peer() const override { return data_->peer(); }

 private:
  std::string Message() {
    std::string out;
    std::array<char, 512> part;
    while (out.size() < kErrorMax) {
      const Result<size_t> count = error_->Read(part.data(), part.size());
      if (!count.ok() || *count == 0) break;
      out.append(part.data(), *count);
    }
    return out;
  }

  std::shared_ptr<net::SpdySession> session_;
  std::shared_ptr<net::SpdyStream> data_;
  std::shared_ptr<net::SpdyStream> error_;
};

}  // namespace

Result<std::shared_ptr<net::SpdySession>> HttpPorts::SessionOf(const std::string& path) {
  if (const auto at = sessions_.find(path); at != sessions_.end() && !at->second->closed()) return at->second;
  net::ClientRequest request = client_.MakeRequest("GET", path);
  request.headers.Remove("Accept");
  auto socket = TRY(client_.OpenWebSocket(request, {std::string(kTunnel)}));
  if (socket->protocol() != kTunnel) return BadRequest("port forwarding: the server did not agree on a protocol");
  std::shared_ptr<net::SpdySession> session =
      net::SpdySession::Create(runtime_, net::MakeWebSocketStream(std::move(socket)), net::SpdySide::kClient);
  sessions_[path] = session;
  return session;
}

Result<std::unique_ptr<net::Stream>> HttpPorts::Dial(const std::string& path, uint16_t port) {
  std::shared_ptr<net::SpdySession> session = TRY(SessionOf(path));
  net::Headers headers;
  headers.Set("streamType", "error");
  headers.Set("port", std::to_string(port));
  headers.Set("requestID", std::to_string(next_request_++));
  auto error = TRY(session->Open(headers));
  TRY(error->CloseWrite());  // nothing is said there by us
  headers.Set("streamType", "data");
  auto data = TRY(session->Open(headers));
  return std::unique_ptr<net::Stream>(
      std::make_unique<ForwardedPort>(std::move(session), std::move(data), std::move(error)));
}

}  // namespace knarr::client

#include "net/websocket_stream.h"

#include <algorithm>

namespace knarr::net {
namespace {

/// The longest message that is sent: receivers bound theirs.
constexpr size_t kPartMax = 32 << 10;

class WebSocketStream : public Stream {
 public:
  explicit WebSocketStream(std::unique_ptr<WebSocket> socket) : socket_(std::move(socket)) {}

  Result<size_t> Read(char* out, size_t size) override {
    while (start_ == message_.size()) {
      Result<WebSocketMessage> message = socket_->Read();
      if (message.Failed(Reason::kGone)) return size_t{0};
      message_ = std::move(TRY(std::move(message)).data);
      start_ = 0;
    }
    const size_t count = message_.copy(out, size, start_);
    start_ += count;
    return count;
  }

  Ok Write(std::string_view bytes) override {
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, kPartMax);
      TRY(socket_->Write(part));
      bytes.remove_prefix(part.size());
    }
    return {};
  }

  Ok CloseWrite() override { return {}; }
  void Close() override { socket_->Close(); }
  std::string peer() const override { return "websocket"; }

 private:
  std::unique_ptr<WebSocket> socket_;
  std::string message_;
  size_t start_ = 0;
};

}  // namespace

std::unique_ptr<Stream> MakeWebSocketStream(std::unique_ptr<WebSocket> socket) {
  return std::make_unique<WebSocketStream>(std::move(socket));
}

}  // namespace knarr::net

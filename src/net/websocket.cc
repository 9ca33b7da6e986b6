#include "net/websocket.h"

#include <openssl/sha.h>

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "net/http1.h"
#include "net/websocket_client.h"
#include "net/websocket_frame.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

constexpr std::string_view kMagic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A payload up to this is copied behind its frame head, into one write.
constexpr size_t kJoinMax = 64 << 10;
constexpr Duration kCloseWait = 1s;
constexpr size_t kClientMessageMax = 32 << 20;
constexpr size_t kRefusalMax = 64 << 10;
constexpr size_t kFragmentsMax = 100'000;
// Close codes of RFC 6455.
constexpr uint16_t kProtocolError = 1002;
constexpr uint16_t kInvalidData = 1007;
constexpr uint16_t kTooBig = 1009;

std::string AcceptKey(std::string_view key) {
  std::string text(key);
  text += kMagic;
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return Base64Encode({reinterpret_cast<const char*>(digest), sizeof digest});
}

/// A token, or one with slashes in it: Kubernetes has such a name.
bool IsProtocolName(std::string_view name) {
  return std::ranges::all_of(Split(name, '/'), [](std::string_view part) { return IsHeaderName(part); });
}

std::vector<std::string> OfferedProtocols(const Headers& headers) {
  std::vector<std::string> out;
  for (std::string_view value : headers.GetAll("Sec-WebSocket-Protocol")) {
    for (std::string_view item : Split(value, ',')) {
      if (auto name = TrimSpace(item); IsProtocolName(name)) out.emplace_back(name);
    }
  }
  return out;
}

class WebSocketImpl : public WebSocket {
 public:
  WebSocketImpl(rt::Runtime& runtime, std::unique_ptr<Stream> stream, bool client, std::string protocol,
                size_t message_max)
      : runtime_(runtime),
        stream_(std::move(stream)),
        input_(stream_.get()),
        writing_(runtime),
        client_(client),
        protocol_(std::move(protocol)),
        message_max_(message_max) {}

  const std::string& protocol() const override { return protocol_; }

  Result<WebSocketMessage> Read() override {
    WebSocketMessage message;
    bool begun = false;
    size_t fragments = 0;
    while (true) {
      WebSocketFrameHead head = TRY(ReadHead());
      if (head.opcode >= WebSocketOpcode::kClose) {
        TRY(Control(head));
        continue;
      }
      bool continues = head.opcode == WebSocketOpcode::kContinuation;
      if (continues != begun) return Refuse(kProtocolError, "WebSocket: fragments out of order");
      if (++fragments > kFragmentsMax) return Refuse(kTooBig, "WebSocket: too many fragments");
      if (!continues) message.binary = head.opcode == WebSocketOpcode::kBinary;
      begun = true;
      if (head.length > message_max_ || message.data.size() + head.length > message_max_) {
        return Refuse(kTooBig, "WebSocket: a message larger than " + std::to_string(message_max_) + " bytes");
      }
      TRY(ReadPayload(head, message.data));
      if (!head.last) continue;
      if (!message.binary && !IsValidUtf8(message.data))
        return Refuse(kInvalidData, "WebSocket: text that is not UTF-8");
      return message;
    }
  }

  Ok Write(std::string_view data, bool binary) override {
    return WriteFrame(binary ? WebSocketOpcode::kBinary : WebSocketOpcode::kText, data);
  }

  Ok Ping() override { return WriteFrame(WebSocketOpcode::kPing, {}); }

  void Close(uint16_t code, std::string_view reason) override {
    if (!close_sent_ && SendClose(code, reason).ok() && !close_received_) AwaitClose();
    stream_->Close();
  }

 private:
  Status Gone() const {
    return knarr::Gone("WebSocket closed by the peer" + (close_text_.empty() ? std::string() : ": " + close_text_));
  }

  Result<WebSocketFrameHead> ReadHead() {
    if (close_received_) return Gone();
    while (true) {
      auto head = ParseFrameHead(input_.bytes());
      if (!head.ok()) return Refuse(kProtocolError, head.status().message());
      if (head->has_value()) {
        if ((*head)->masked == client_) return Refuse(kProtocolError, "WebSocket: wrong masking");
        input_.Consume((*head)->head_size);
        return **head;
      }
      if (!TRY(input_.Fill())) return Unavailable("WebSocket: the connection ended without a close frame");
    }
  }

  Ok ReadPayload(const WebSocketFrameHead& head, std::string& out) {
    uint64_t done = 0;
    while (done < head.length) {
      if (input_.bytes().empty() && !TRY(input_.Fill()))
        return Unavailable("WebSocket: the connection ended in a frame");
      size_t count = std::min<uint64_t>(head.length - done, input_.bytes().size());
      size_t begin = out.size();
      out.append(input_.bytes().substr(0, count));
      if (head.masked) ApplyMask(out.data() + begin, count, head.mask, done);
      input_.Consume(count);
      done += count;
    }
    return {};
  }

  Ok Control(const WebSocketFrameHead& head) {
    std::string payload;
    TRY(ReadPayload(head, payload));
    if (head.opcode == WebSocketOpcode::kPing) return WriteFrame(WebSocketOpcode::kPong, payload);
    if (head.opcode == WebSocketOpcode::kPong) return {};
    if (payload.size() == 1 || (payload.size() > 2 && !IsValidUtf8(std::string_view(payload).substr(2)))) {
      return Refuse(kProtocolError, "WebSocket: malformed close frame");
    }
    uint16_t code = 1000;
    if (payload.size() >= 2) {
      code = static_cast<uint16_t>(static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]));
      close_text_ = std::to_string(code) + (payload.size() > 2 ? " " + payload.substr(2) : "");
    }
    close_received_ = true;
    if (!close_sent_) (void)SendClose(code, {});  // the peer is going in any case
    return Gone();
  }

  Status Refuse(uint16_t code, std::string message) {
    if (!close_sent_) (void)SendClose(code, {});  // the connection is given up in any case
    stream_->Close();
    return BadRequest(std::move(message));
  }

  Ok SendClose(uint16_t code, std::string_view reason) {
    std::string payload = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    payload += reason.substr(0, 123);
    Ok sent = WriteFrame(WebSocketOpcode::kClose, payload);
    close_sent_ = true;
    return sent;
  }

  /// Reads on until the peer's close frame, for a while.
  void AwaitClose() {
    rt::Shield shield(runtime_);
    rt::CancelScope scope(runtime_, kCloseWait);
    while (!close_received_ && Read().ok()) {
    }
  }

  Ok WriteFrame(WebSocketOpcode opcode, std::string_view data) {
    // The reader answers pings and closes while a writer may be in the middle of a frame.
    auto guard = TRY(writing_.Lock());
    if (close_sent_) return Gone();
    std::string frame;
    if (!client_) {
      frame.reserve(data.size() <= kJoinMax ? data.size() + 10 : 10);
      AppendFrameHead(frame, opcode, data.size(), std::nullopt);
      if (data.size() <= kJoinMax) return stream_->Write(frame.append(data));
      TRY(stream_->Write(frame));
      return stream_->Write(data);
    }
    uint32_t mask = NextMask();
    frame.reserve(data.size() + 14);
    AppendFrameHead(frame, opcode, data.size(), mask);
    size_t begin = frame.size();
    frame.append(data);
    ApplyMask(frame.data() + begin, data.size(), mask, 0);
    return stream_->Write(frame);
  }

  /// Unpredictable, as the RFC wants it, without a system call for each.
  uint32_t NextMask() {
    if (masks_left_ == 0) {
      runtime_.RandomBytes(masks_.data(), sizeof masks_);
      masks_left_ = masks_.size();
    }
    return masks_[--masks_left_];
  }

  rt::Runtime& runtime_;
  std::unique_ptr<Stream> stream_;
  InputBuffer input_;
  rt::Mutex writing_;
  bool client_;
  std::string protocol_;
  size_t message_max_;
  bool close_sent_ = false;
  bool close_received_ = false;
  std::string close_text_;
  std::array<uint32_t, 64> masks_{};
  size_t masks_left_ = 0;
};

}  // namespace

std::unique_ptr<WebSocket> MakeWebSocket(rt::Runtime& runtime, std::unique_ptr<Stream> stream, bool client,
                                         std::string protocol, size_t message_max) {
  return std::make_unique<WebSocketImpl>(runtime, std::move(stream), client, std::move(protocol), message_max);
}

bool IsWebSocketUpgrade(const Request& request) {
  return HasToken(request.headers, "Connection", "upgrade") && HasToken(request.headers, "Upgrade", "websocket");
}

Result<std::unique_ptr<WebSocket>> AcceptWebSocket(rt::Runtime& runtime, const Request& request, Response& response,
                                                   const WebSocketOptions& options) {
  if (!IsWebSocketUpgrade(request)) return BadRequest("the request is no WebSocket upgrade");
  if (request.method != "GET") return BadRequest("a WebSocket upgrade must be a GET request");
  if (request.headers.Get("Sec-WebSocket-Version") != "13")
    return BadRequest("WebSocket: only version 13 is supported");
  std::string_view key = request.headers.Get("Sec-WebSocket-Key");
  auto nonce = Base64Decode(key);
  if (!nonce.ok() || nonce->size() != 16) return BadRequest("WebSocket: malformed Sec-WebSocket-Key");
  std::vector<std::string> offered = OfferedProtocols(request.headers);
  auto chosen = std::find_if(offered.begin(), offered.end(), [&](const std::string& name) {
    return std::find(options.protocols.begin(), options.protocols.end(), name) != options.protocols.end();
  });
  std::string protocol = chosen == offered.end() ? std::string() : *chosen;
  if (protocol.empty() && !options.protocols.empty() && !offered.empty()) {
    return BadRequest("WebSocket: none of the offered subprotocols is supported: " + Join(offered, ", "));
  }
  Headers headers;
  headers.Add("Upgrade", "websocket");
  headers.Add("Connection", "Upgrade");
  headers.Add("Sec-WebSocket-Accept", AcceptKey(key));
  if (!protocol.empty()) headers.Add("Sec-WebSocket-Protocol", protocol);
  auto stream = TRY(response.Hijack(std::move(headers)));
  return MakeWebSocket(runtime, std::move(stream), false, std::move(protocol), options.message_max);
}

Result<std::unique_ptr<WebSocket>> OpenWebSocketOn(rt::Runtime& runtime, std::unique_ptr<Http1Client> connection,
                                                   const ClientRequest& request,
                                                   const std::vector<std::string>& protocols) {
  std::string nonce(16, '\0');
  runtime.RandomBytes(nonce.data(), nonce.size());
  std::string key = Base64Encode(nonce);
  ClientRequest upgrade = request;
  upgrade.method = "GET";
  upgrade.body.clear();
  upgrade.headers.Set("Connection", "Upgrade");
  upgrade.headers.Set("Upgrade", "websocket");
  upgrade.headers.Set("Sec-WebSocket-Version", "13");
  upgrade.headers.Set("Sec-WebSocket-Key", key);
  if (!protocols.empty()) upgrade.headers.Set("Sec-WebSocket-Protocol", Join(protocols, ", "));
  ResponseHead head = TRY(Exchange(*connection, upgrade));
  if (head.code != 101) {
    int code = head.code;
    auto response = MakeHttp1Response(std::move(connection), std::move(head), [](auto) {});
    std::string body = TRY(response->ReadAll(kRefusalMax));
    if (code >= 400) return StatusOfResponse(code, body);
    return BadRequest("WebSocket: the server answered " + std::to_string(code) + " instead of upgrading")
        .WithCode(code);
  }
  if (!HasToken(head.headers, "Upgrade", "websocket") || !HasToken(head.headers, "Connection", "upgrade") ||
      head.headers.Get("Sec-WebSocket-Accept") != AcceptKey(key)) {
    return BadRequest("WebSocket: the server's upgrade answer is malformed");
  }
  std::string protocol(head.headers.Get("Sec-WebSocket-Protocol"));
  if (!protocol.empty() && std::find(protocols.begin(), protocols.end(), protocol) == protocols.end()) {
    return BadRequest("WebSocket: the server chose a subprotocol that was not offered: " + protocol);
  }
  std::string early(connection->input.bytes());
  auto stream = WithPrefix(std::move(connection->stream), early);
  return MakeWebSocket(runtime, std::move(stream), true, std::move(protocol), kClientMessageMax);
}

}  // namespace knarr::net

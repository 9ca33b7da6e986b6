#pragma once

// WebSocket (RFC 6455), both sides: messages with a bound, fragments joined, pings answered, close handshake.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/http.h"

namespace knarr::net {

struct WebSocketMessage {
  bool binary = true;
  std::string data;
};

/// One reader and one writer fiber at a time.
class WebSocket {
 public:
  virtual ~WebSocket() = default;
  /// The subprotocol agreed on, "" for none.
  virtual const std::string& protocol() const = 0;
  /// The next data message; Gone after the peer's close frame, Unavailable when the connection broke.
  virtual Result<WebSocketMessage> Read() = 0;
  virtual Ok Write(std::string_view data, bool binary = true) = 0;
  virtual Ok Ping() = 0;
  /// Sends a close frame (code 1000 = normal) and waits a little for the peer's.
  virtual void Close(uint16_t code = 1000, std::string_view reason = {}) = 0;
};

struct WebSocketOptions {
  std::vector<std::string> protocols;  ///< the first of the client's that is in here is taken
  size_t message_max = 1 << 20;
};
/// A WebSocket over a stream on which the upgrade is done. `client` frames are masked.
std::unique_ptr<WebSocket> MakeWebSocket(rt::Runtime& runtime, std::unique_ptr<Stream> stream, bool client,
                                         std::string protocol, size_t message_max);
bool IsWebSocketUpgrade(const Request& request);
/// Server side: answers the upgrade. BadRequest when the request is no valid upgrade or no protocol fits.
Result<std::unique_ptr<WebSocket>> AcceptWebSocket(rt::Runtime& runtime, const Request& request, Response& response,
                                                   const WebSocketOptions& options);

}  // namespace knarr::net

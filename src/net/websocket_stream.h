#pragma once

// A WebSocket whose binary messages are taken as one stream of bytes: what protocols that were made for a connection of
// their own are carried in.

#include <memory>

#include "net/stream.h"
#include "net/websocket.h"

namespace knarr::net {

/// Messages' borders mean nothing. There is no half-close: CloseWrite does nothing, Close closes the WebSocket.
std::unique_ptr<Stream> MakeWebSocketStream(std::unique_ptr<WebSocket> socket);

}  // namespace knarr::net

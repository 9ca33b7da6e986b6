#pragma once

// What the ways of forwarding a port have in common.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/http_face.h"
#include "net/stream.h"
#include "net/websocket.h"

namespace knarr::apiserver {

/// A connection to a port of the pod, on the request's runtime.
using PortDialer = std::function<Result<std::unique_ptr<net::Stream>>(uint16_t port)>;

/// `error forwarding port 80 to pod a, uid : connection refused`
std::string ForwardError(uint16_t port, std::string_view pod, const Status& status);

/// Serves ports over the channels of a WebSocket until all connections have ended or the client has gone: two channels
/// a port, for data and for what went wrong, and each begins with the port's number.
void ForwardOverChannels(rt::Runtime& runtime, net::WebSocket& socket, const std::vector<uint16_t>& ports,
                         std::string_view pod, const PortDialer& dialer);

}  // namespace knarr::apiserver

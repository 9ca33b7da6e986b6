#pragma once

// The client's side of a WebSocket's opening. Internal to net/.

#include <memory>
#include <string>
#include <vector>

#include "net/http1_client.h"
#include "net/websocket.h"

namespace knarr::net {

Result<std::unique_ptr<WebSocket>> OpenWebSocketOn(rt::Runtime& runtime, std::unique_ptr<Http1Client> connection,
                                                   const ClientRequest& request,
                                                   const std::vector<std::string>& protocols);

}  // namespace knarr::net

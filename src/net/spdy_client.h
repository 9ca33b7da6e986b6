#pragma once

// The client's side of an upgrade to SPDY/3.1: how a container runtime's streaming server is spoken to.

#include <memory>
#include <string>

#include "net/http_client.h"
#include "net/spdy.h"
#include "rt/runtime.h"

namespace knarr::net {

/// Connects to the request's URL (plain http) and upgrades, with `protocol` spoken in the streams
/// ("v4.channel.k8s.io"). The error that the server answers instead; BadRequest when it agrees to something else.
/// Timeout when that takes longer.
Result<std::unique_ptr<SpdySession>> OpenSpdy(rt::Runtime& runtime, const ClientRequest& request,
                                              const std::string& protocol, Duration timeout);

}  // namespace knarr::net

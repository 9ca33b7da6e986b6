#pragma once

// Watch events out of a stream of JSON lines. Internal to client/.

#include <memory>

#include "client/client.h"
#include "net/http_client.h"

namespace knarr::client {

std::unique_ptr<WatchStream> MakeHttpWatch(std::unique_ptr<net::ClientResponse> response);

/// An Object from one that came over the wire: `api_version` and `kind` are filled in where a list left them out.
ObjectPtr ObjectFromWire(const doc::Value& value, std::string_view api_version, std::string_view kind);

}  // namespace knarr::client

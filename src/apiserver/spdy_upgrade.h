#pragma once

// How a request becomes a SPDY connection, and which protocol is spoken on it.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "apiserver/http_face.h"
#include "net/spdy.h"

namespace knarr::apiserver {

struct SpdyUpgrade {
  std::unique_ptr<net::SpdySession> session;  ///< null: the request was refused, and is answered
  std::string protocol;
};

/// Agrees on the first protocol of the client's (X-Stream-Protocol-Version) that is one of `protocols`.
Result<SpdyUpgrade> AcceptSpdy(Call& call, std::span<const std::string_view> protocols);

}  // namespace knarr::apiserver

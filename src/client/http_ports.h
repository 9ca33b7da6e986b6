#pragma once

// Connections to pods' ports through the API server: its pods/portforward, SPDY inside a WebSocket. Internal to
// client/.

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "client/http_client.h"
#include "net/spdy.h"

namespace knarr::client {

/// All connections to one pod share one to the server, as long as that lasts.
class HttpPorts {
 public:
  HttpPorts(rt::Runtime& runtime, HttpClient& client) : runtime_(runtime), client_(client) {}
  /// `path` is the pod's portforward. That nobody listens on the port is learnt from the first Read: Unavailable with
  /// the server's words.
  Result<std::unique_ptr<net::Stream>> Dial(const std::string& path, uint16_t port);

 private:
  Result<std::shared_ptr<net::SpdySession>> SessionOf(const std::string& path);

  rt::Runtime& runtime_;
  HttpClient& client_;
  std::map<std::string, std::shared_ptr<net::SpdySession>> sessions_;
  uint64_t next_request_ = 0;
};

}  // namespace knarr::client

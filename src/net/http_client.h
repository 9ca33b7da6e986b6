#pragma once

// The client side of HTTP: a pool of connections to any number of servers, HTTP/2 where the server speaks it (many
// requests on one connection), HTTP/1.1 with keep-alive otherwise.

#include <memory>
#include <string>
#include <string_view>

#include "net/http.h"
#include "net/websocket.h"

namespace knarr::net {

struct ClientRequest {
  std::string method = "GET";
  Url url;  ///< with scheme and host
  Headers headers;
  std::string body;
};

/// A response whose head is in; the body is read as it comes. Destroying it early cancels the rest.
class ClientResponse {
 public:
  virtual ~ClientResponse() = default;
  virtual int code() const = 0;
  virtual const Headers& headers() const = 0;
  /// Up to `size` bytes, 0 at the end.
  virtual Result<size_t> Read(char* out, size_t size) = 0;
  /// The rest; RequestEntityTooLarge beyond `limit`.
  Result<std::string> ReadAll(size_t limit);
};

struct HttpClientOptions {
  std::shared_ptr<TlsClientContext> tls;  ///< for https; null: system roots
  size_t connections_max = 64;            ///< a host (HTTP/1.1)
  bool http2 = true;
  Duration idle_timeout = std::chrono::seconds(90);
};

/// The error that an answer with a code of 400 or more stands for: the Status object in its body, or what the code
/// says.
Status StatusOfResponse(int code, std::string_view body);

/// Destroyed in a fiber of its runtime; responses and WebSockets may outlive it, but what still runs is cut off.
class HttpClient {
 public:
  static std::unique_ptr<HttpClient> Create(rt::Runtime& runtime, HttpClientOptions options);
  virtual ~HttpClient() = default;
  virtual Result<std::unique_ptr<ClientResponse>> Send(const ClientRequest& request) = 0;
  /// A WebSocket to url (https or http scheme), offering these subprotocols in order. A refusal with a Status body is
  /// that Status.
  virtual Result<std::unique_ptr<WebSocket>> OpenWebSocket(const ClientRequest& request,
                                                           std::vector<std::string> protocols) = 0;
};

}  // namespace knarr::net

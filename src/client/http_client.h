#pragma once

// The Client of another machine: the API over HTTP/2 (or HTTP/1.1) and TLS.
//
// Errors are the Status objects the server sends. A server that asks to be left alone for a while (429 or 5xx with
// Retry-After) is asked again, as client-go does it. An object that is gone at once when it is deleted comes back as
// the Status object that some servers answer with.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/client.h"
#include "client/kubeconfig.h"
#include "net/http_client.h"

namespace knarr::client {

using QueryList = std::vector<std::pair<std::string, std::string>>;

class HttpClient : public Client {
 public:
  /// BadRequest for a config that can't work (an unreadable certificate, a malformed URL). Connects on first use.
  /// Destroyed in a fiber of the runtime.
  static Result<std::unique_ptr<HttpClient>> Create(rt::Runtime& runtime, const RestConfig& config);

  /// The server's URL, without a slash at its end: for messages.
  virtual const std::string& server() const = 0;
  /// A request for an absolute path of the server (below the path its URL may have), with the credentials.
  virtual net::ClientRequest MakeRequest(std::string_view method, std::string_view path,
                                         const QueryList& query = {}) const = 0;
  /// Sends; the answer's head is in and its code is below 400, or it is the error.
  virtual Result<std::unique_ptr<net::ClientResponse>> Send(const net::ClientRequest& request) = 0;
  virtual Result<std::unique_ptr<net::WebSocket>> OpenWebSocket(const net::ClientRequest& request,
                                                                std::vector<std::string> protocols) = 0;
  /// The whole body of a GET ("/version", "/openapi/v2?timeout=32s").
  virtual Result<std::string> GetRaw(std::string_view path_and_query) = 0;
};

/// "/api/v1/namespaces/a/pods/b/log", "/apis/apps/v1/deployments".
std::string ResourcePath(const KindInfo& kind, std::string_view ns, std::string_view name = {},
                         std::string_view subresource = {});

Result<std::unique_ptr<Client>> MakeHttpClient(rt::Runtime& runtime, const RestConfig& config);

}  // namespace knarr::client

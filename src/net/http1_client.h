#pragma once

// The client's side of HTTP/1.1 on one connection. Internal to net/.

#include <functional>
#include <memory>
#include <string>

#include "net/http1.h"
#include "net/http_client.h"

namespace knarr::net {

/// One connection, for one request at a time.
struct Http1Client {
  explicit Http1Client(std::unique_ptr<Stream> s) : stream(std::move(s)), input(stream.get()) {}
  std::unique_ptr<Stream> stream;
  InputBuffer input;
  MonoTime idle_since{};
  bool reused = false;
  bool answered = false;  ///< any byte of the present answer is in
};

/// Writes the request and reads the head of its answer (past informational ones, but for 101).
Result<ResponseHead> Exchange(Http1Client& connection, const ClientRequest& request);

/// Gets the connection when its answer is read and it can serve another request; nullptr when it can't.
using GiveBack = std::function<void(std::unique_ptr<Http1Client>)>;
std::unique_ptr<ClientResponse> MakeHttp1Response(std::unique_ptr<Http1Client> connection, ResponseHead head,
                                                  GiveBack give_back);

}  // namespace knarr::net

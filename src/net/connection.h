#pragma once

// What the server's protocols have in common: one accepted connection, and the handle by which the server asks it to
// end. Internal to net/.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/http.h"
#include "net/stream.h"

namespace knarr::net {

/// How the server asks a connection to end when it can. Lives as long as the connection's fiber.
struct ConnectionControl {
  bool stopping = false;
  std::function<void()> on_stop;
  void Stop() {
    stopping = true;
    if (on_stop) on_stop();
  }
};

struct Connection {
  rt::Runtime& runtime;
  const HttpServerOptions& options;
  const Handler& handler;
  std::unique_ptr<Stream> stream;
  std::shared_ptr<const CertificateInfo> certificate;
  std::string prefix;  ///< bytes that were read to find out the protocol
  ConnectionControl& control;
};

/// Each serves the connection in the current fiber until it ends.
void ServeHttp1(Connection connection);
void ServeHttp2(Connection connection);

/// Runs the handler; a request it left unanswered is answered 500.
void RunHandler(const Handler& handler, Request& request, Response& response);

/// The bodies of answers that have none.
inline bool HasResponseBody(int code) { return code >= 200 && code != 204 && code != 304; }

/// "Request entity too large: limit is 3145728", as the API server says it.
Status BodyTooLarge(size_t limit);
Status BodyReadTwice();

}  // namespace knarr::net

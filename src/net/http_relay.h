#pragma once

// One HTTP/1.1 exchange on a connection of its own, with both bodies streaming and the answer taken as it is, an
// upgrade included: what a proxy needs of its upstream.

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/http.h"
#include "net/stream.h"

namespace knarr::net {

enum class RelayBody : uint8_t { kNone, kChunked, kLength };

struct RelayRequest {
  std::string method;
  std::string target;  ///< as it stands in the request line
  Headers headers;     ///< Host among them; without Content-Length and Transfer-Encoding
  RelayBody body = RelayBody::kNone;
  uint64_t length = 0;  ///< with kLength
};

/// One fiber may write the body while another reads the answer.
class HttpRelay {
 public:
  /// Sends the head. BadRequest for one that can't be sent.
  static Result<std::unique_ptr<HttpRelay>> Begin(std::unique_ptr<Stream> stream, const RelayRequest& request);
  virtual ~HttpRelay() = default;

  virtual Ok WriteBody(std::string_view bytes) = 0;
  virtual Ok EndBody() = 0;

  /// Waits for the answer's head; informational ones are passed over, but for 101.
  virtual Ok ReadHead() = 0;
  virtual int code() const = 0;
  virtual const Headers& headers() const = 0;
  /// Of the answer's body up to `size` bytes, 0 at its end.
  virtual Result<size_t> Read(char* out, size_t size) = 0;
  /// After 101: the connection, with what has come already.
  virtual std::unique_ptr<Stream> TakeStream() = 0;
};

}  // namespace knarr::net

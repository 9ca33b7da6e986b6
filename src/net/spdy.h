#pragma once

// SPDY/3.1, as far as Kubernetes' remote commands and port forwarding speak it: streams of bytes within one connection,
// each opened with some headers.
//
// Windows: every peer of this kind but ourselves leaves flow control out. So what a peer may send is bounded as a whole
// (beyond it, nothing is read of the connection until somebody reads a stream), and what we send keeps to windows only
// for a peer that has spoken of them.

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/http.h"
#include "net/stream.h"
#include "rt/runtime.h"

namespace knarr::net {

/// CloseWrite ends our direction; Close resets the stream. Read fails with Unavailable after a reset, but for what the
/// peer had sent before its own, and gives 0 at the peer's end of it, also when the whole connection has ended. It may
/// outlive its session.
class SpdyStream : public Stream {
 public:
  virtual uint32_t id() const = 0;
  /// What it was opened with.
  virtual const Headers& headers() const = 0;
};

enum class SpdySide : uint8_t { kServer, kClient };

struct SpdyOptions {
  size_t streams_max = 512;        ///< that the peer may have at once; more are refused
  size_t buffer_max = 1 << 20;     ///< bytes of all streams that nobody has read yet
  uint32_t window = 64 << 10;      ///< what we let a peer that keeps to windows send on each stream
  Duration linger = std::chrono::seconds(10);  ///< how long Close waits for the peer to end the connection
};

/// Made, used and destroyed on fibers of one runtime.
class SpdySession {
 public:
  static std::unique_ptr<SpdySession> Create(rt::Runtime& runtime, std::unique_ptr<Stream> stream, SpdySide side,
                                             SpdyOptions options = {});
  virtual ~SpdySession() = default;
  /// The next stream that the peer opens. Gone once it opens none any more. One caller at a time.
  virtual Result<std::shared_ptr<SpdyStream>> Accept() = 0;
  virtual Result<std::shared_ptr<SpdyStream>> Open(const Headers& headers) = 0;
  /// Suspends until the connection has ended.
  virtual Ok WaitClosed() = 0;
  virtual bool closed() const = 0;
  /// Says goodbye, waits until the peer has taken what it was sent and ended the connection, and closes it.
  virtual void Close() = 0;
};

/// Whether the request asks for this protocol.
bool IsSpdyUpgrade(const Request& request);

}  // namespace knarr::net

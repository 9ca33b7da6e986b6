#pragma once

// Byte streams between two ends: TCP, Unix sockets, TLS over them, and (in simulation and tests) pipes in memory.
// Every call suspends the fiber that makes it; one reader and one writer at a time.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "rt/runtime.h"

namespace knarr::net {

class Stream {
 public:
  virtual ~Stream() = default;
  /// At least one byte; 0 at the peer's end of stream. Unavailable when the connection broke.
  virtual Result<size_t> Read(char* out, size_t size) = 0;
  /// Suspends until there is something to read (or the end, or an error), so that a reader that waits long needs no
  /// buffer meanwhile. It may return early: Read then waits.
  virtual Ok WaitReadable() { return {}; }
  /// All of it. After a Write that failed half-way (cancelled, too), every later one fails.
  virtual Ok Write(std::string_view bytes) = 0;
  /// Half-close: the peer reads end of stream.
  virtual Ok CloseWrite() = 0;
  /// Ends both directions at once: a fiber waiting in Read or Write returns Unavailable.
  virtual void Close() = 0;
  /// "127.0.0.1:40000", "unix", "memory".
  virtual std::string peer() const = 0;
};

/// An address to listen on or connect to: "127.0.0.1:6443", "[::1]:6443", ":8080", or "unix:/path".
struct Endpoint {
  std::string host;
  uint16_t port = 0;
  std::string unix_path;
  static Result<Endpoint> Parse(std::string_view text);
  std::string ToString() const;
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual Result<std::unique_ptr<Stream>> Accept() = 0;
  virtual Endpoint local() const = 0;
};

Result<std::unique_ptr<Listener>> Listen(rt::Runtime& runtime, const Endpoint& endpoint);
/// Resolves names (on the blocking pool) and tries each address. Use a CancelScope for a time limit.
Result<std::unique_ptr<Stream>> Connect(rt::Runtime& runtime, const Endpoint& endpoint);
/// Two ends of a pipe in memory, with a bound on what is in flight.
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> MemoryPipe(rt::Runtime& runtime, size_t bound = 64 << 10);

}  // namespace knarr::net

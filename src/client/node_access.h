#pragma once

// What the API server asks of the node that runs a pod: logs, commands, attaching, connections. In one process the node
// agent implements it directly; for another machine it is an HTTP client of that node's server. All calls are made on
// fibers of the runtime the implementation belongs to (`runtime()`): callers elsewhere use rt::CallOn.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "net/stream.h"
#include "rt/runtime.h"

namespace knarr::client {

/// PodLogOptions (core/v1).
struct LogOptions {
  std::string container;
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<int64_t> since_seconds;
  std::optional<WallTime> since_time;
  std::optional<int64_t> tail_lines;
  std::optional<int64_t> limit_bytes;
};

/// Log text as it comes.
class LogStream {
 public:
  virtual ~LogStream() = default;
  /// Some text; "" at the end (when following: once the container has ended).
  virtual Result<std::string> Read() = 0;
};

/// A command that runs in a container.
class ExecStream {
 public:
  virtual ~ExecStream() = default;
  struct Chunk {
    int fd = 1;  ///< 1 stdout, 2 stderr
    std::string data;
  };
  /// Output as it comes; empty data once both streams have ended.
  virtual Result<Chunk> Read() = 0;
  virtual Ok WriteStdin(std::string_view data) = 0;
  virtual void CloseStdin() = 0;
  virtual Ok Resize(uint16_t columns, uint16_t rows) = 0;
  /// The exit code, once the command has ended.
  virtual Result<int> Wait() = 0;
  /// Ends the command if it runs still.
  virtual void Close() = 0;
};

struct ExecOptions {
  std::string container;
  std::vector<std::string> command;
  bool stdin_open = false;
  bool stdout_open = true;
  bool stderr_open = true;
  bool tty = false;
};

/// PodAttachOptions (core/v1).
struct AttachOptions {
  std::string container;
  bool stdin_open = false;
  bool stdout_open = true;
  bool stderr_open = true;
  bool tty = false;
};

/// What is asked of one pod.
class PodAccess {
 public:
  virtual ~PodAccess() = default;
  virtual rt::Runtime& runtime() = 0;
  /// BadRequest with the kubelet's texts: `container "a" in pod "b" is waiting to start: ContainerCreating`, …
  virtual Result<std::unique_ptr<LogStream>> Logs(std::string_view ns, std::string_view pod,
                                                  const LogOptions& options) = 0;
  virtual Result<std::unique_ptr<ExecStream>> Exec(std::string_view ns, std::string_view pod,
                                                   const ExecOptions& options) = 0;
  /// The streams of what runs in a container already. Read ends with it; Close leaves it running; Wait is 0 then.
  virtual Result<std::unique_ptr<ExecStream>> Attach(std::string_view ns, std::string_view pod,
                                                     const AttachOptions& options) = 0;
  /// A connection to a TCP port on the pod's loopback address.
  virtual Result<std::unique_ptr<net::Stream>> Dial(std::string_view ns, std::string_view pod, uint16_t port) = 0;
};

class NodeAccess : public PodAccess {
 public:
  /// A connection to the node's own server, which speaks HTTP/1.1 as the kubelet does.
  virtual Result<std::unique_ptr<net::Stream>> DialServer() = 0;
};

}  // namespace knarr::client

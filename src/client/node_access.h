#pragma once

// What the API server asks of the node that runs a pod: logs and exec. In one process the node agent implements it
// directly; for another machine it is an HTTP client of that node's server. All calls are made on fibers of the
// runtime the implementation belongs to (`runtime()`): callers elsewhere use rt::CallOn.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
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

class NodeAccess {
 public:
  virtual ~NodeAccess() = default;
  virtual rt::Runtime& runtime() = 0;
  /// BadRequest with the kubelet's texts: `container "a" in pod "b" is waiting to start: ContainerCreating`, …
  virtual Result<std::unique_ptr<LogStream>> Logs(std::string_view ns, std::string_view pod,
                                                  const LogOptions& options) = 0;
  virtual Result<std::unique_ptr<ExecStream>> Exec(std::string_view ns, std::string_view pod,
                                                   const ExecOptions& options) = 0;
};

}  // namespace knarr::client

#pragma once

// Child processes. Starting one costs a fork on the blocking pool; its end arrives as an event (pidfd), never by a
// poll.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace knarr::rt {

struct ExitStatus {
  int code = 0;    ///< exit code, when signal is 0
  int signal = 0;  ///< the signal that ended it, or 0
  bool ok() const { return code == 0 && signal == 0; }
  std::string ToString() const;
};

struct ProcessSpec {
  std::vector<std::string> argv;         ///< argv[0] is a path or looked up in PATH
  std::vector<std::string> environment;  ///< "NAME=value"; the parent's when inherit_environment
  bool inherit_environment = true;
  std::string directory;  ///< "" keeps the parent's
  int stdin_fd = -1;      ///< -1 is /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
  std::vector<std::pair<int, int>> pass_fds;  ///< (parent's descriptor, number in the child)
  bool new_session = false;                   ///< setsid: survives the parent's terminal
};

/// A running child. Destroying it neither kills nor reaps out of turn: the runtime reaps it whenever it ends.
class Process {
 public:
  virtual ~Process() = default;
  virtual int pid() const = 0;
  virtual Ok Kill(int signal) = 0;
  /// Suspends until the process has ended.
  virtual Result<ExitStatus> Wait() = 0;
};

struct Output {
  ExitStatus status;
  std::string out;
  std::string err;
};

class Processes {
 public:
  virtual ~Processes() = default;
  virtual Result<std::unique_ptr<Process>> Start(const ProcessSpec& spec) = 0;
  /// Runs to the end with output captured, each stream up to `limit` bytes (more is read and dropped). The process is
  /// killed when the fiber is cancelled.
  virtual Result<Output> Run(const ProcessSpec& spec, std::string_view input = {}, size_t limit = 1 << 20) = 0;
  /// Suspends until a process that is not our child has ended (pidfd). NotFound if it is gone already.
  virtual Ok WaitForeign(int pid) = 0;
};

}  // namespace knarr::rt

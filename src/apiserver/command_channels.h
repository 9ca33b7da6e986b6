#pragma once

// The client's end of a command that runs in a container: standard streams, how it ended, the size of the terminal,
// over the channels of a WebSocket or the streams of SPDY.

#include <functional>
#include <memory>
#include <string_view>

#include "apiserver/http_face.h"
#include "base/status.h"

namespace knarr::apiserver {

/// Which streams the client asks for.
struct CommandStreams {
  bool stdin_open = false;
  bool stdout_open = false;
  bool stderr_open = false;
  bool tty = false;
};

/// Where what the client sends goes. An error ends the reading.
struct CommandInput {
  std::function<Ok(std::string_view data)> standard_input;
  std::function<Ok()> end_of_input;
  std::function<Ok(uint16_t columns, uint16_t rows)> resize;
};

class CommandChannels {
 public:
  virtual ~CommandChannels() = default;
  /// `fd` is 1 or 2. One fiber writes.
  virtual Ok WriteOutput(int fd, std::string_view data) = 0;
  /// Ends the output and tells how it went: an exit code, or why there is none.
  virtual Ok WriteOutcome(const Result<int>& exit) = 0;
  /// Reads until the client has gone (Ok), the sink refuses, or the fiber is cancelled.
  virtual Ok ReadInput(const CommandInput& sink) = 0;
  /// Ends the connection after what was written is taken. REQUIRES: nobody reads.
  virtual void Close() = 0;
};

/// What a Status object says of how a command ended.
std::string OutcomeJson(const Result<int>& exit);
/// The same for old protocols, in words; "" for success.
std::string OutcomeText(const Result<int>& exit);
/// The terminal's size in a message {"Width":80,"Height":24}; zeros for what can't be read.
struct TerminalSize {
  uint16_t columns = 0;
  uint16_t rows = 0;
};
TerminalSize ReadTerminalSize(const doc::Value& size);

/// Answers the upgrade. Null: the request was refused, and is answered. An error is to be answered.
Result<std::unique_ptr<CommandChannels>> OpenWebSocketChannels(Call& call, const CommandStreams& streams);
Result<std::unique_ptr<CommandChannels>> OpenSpdyChannels(Call& call, const CommandStreams& streams);

}  // namespace knarr::apiserver

#pragma once

// Reading container logs. The shim writes them in CRI's form, one entry a line:
//   2026-11-21T10:00:00.123456789Z stdout F the text
// where the tag P says that the entry's line goes on in the next entry.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "client/node_access.h"
#include "rt/runtime.h"

namespace knarr::node {

struct LogEntry {
  std::string_view timestamp;  ///< as written
  std::string_view stream;     ///< "stdout" or "stderr"
  bool partial = false;
  std::string_view text;  ///< without the newline
};
/// nullopt for a line that is no entry (torn by a crash).
std::optional<LogEntry> ParseLogLine(std::string_view line);

struct LogReaderOptions {
  std::string path;
  bool follow = false;
  bool timestamps = false;
  std::optional<WallTime> since;
  std::optional<int64_t> tail_lines;
  std::optional<int64_t> limit_bytes;
  /// Whether nothing more will be written; asked when following reached the end.
  std::function<bool()> ended;
};

/// Opens the log; a file that is missing reads as empty. When following, `Wake` makes it look again (the container's
/// exit); new bytes are noticed by themselves (inotify).
class LogReader : public client::LogStream {
 public:
  static Result<std::unique_ptr<LogReader>> Open(rt::Runtime& runtime, LogReaderOptions options);
  virtual void Wake() = 0;
};

}  // namespace knarr::node

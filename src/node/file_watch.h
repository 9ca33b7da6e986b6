#pragma once

// Notices that a file is written, made, replaced or removed, by inotify: an event, not a poll.

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "rt/runtime.h"

namespace knarr::node {

class FileWatch {
 public:
  /// Calls `changed` on the runtime's thread after changes of the file at `path`, which may not exist yet (its
  /// directory must).
  static Result<std::unique_ptr<FileWatch>> Start(rt::Runtime& runtime, const std::string& path,
                                                  std::function<void()> changed);
  /// REQUIRES: Stop was called.
  ~FileWatch();
  void Stop();

 private:
  FileWatch(rt::Runtime& runtime, int fd, std::function<void()> changed);
  void Run();
  rt::Runtime& runtime_;
  int fd_;
  std::function<void()> changed_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::node

#pragma once

// A lock between processes (flock) on a folder that they share.

#include <string>

#include "base/status.h"
#include "rt/runtime.h"

namespace knarr::rt {

/// Released when the process ends, however it ends.
class FileLock {
 public:
  explicit FileLock(Runtime& runtime) : runtime_(runtime) {}
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// Makes the file if it is not there. REQUIRES: called before the others, once.
  Ok Open(const std::string& path);
  /// Waits (on the blocking pool) until no other process holds it alone.
  Ok LockShared();
  /// Waits until no other process holds it at all.
  Ok LockExclusive();
  /// False when another process holds it.
  bool TryLockExclusive();
  void Unlock();

 private:
  Ok Lock(int operation);
  Runtime& runtime_;
  int fd_ = -1;
};

}  // namespace knarr::rt

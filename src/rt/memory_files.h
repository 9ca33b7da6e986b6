#pragma once

// A FileSystem in memory, for simulations and tests. It knows what a crash would keep: each file has the bytes that
// were synced besides those that were written, and each directory its synced entries, so that Crash() can show a
// program the disk that a power failure leaves.

#include <memory>
#include <string>

#include "rt/file_system.h"
#include "rt/runtime.h"

namespace knarr::rt {

/// What goes wrong with the disk under such files, and what a crash keeps of what was not synced. A file is named by
/// its inode.
class FileFaults {
 public:
  virtual ~FileFaults() = default;
  /// In front of whatever changes or reads something: an error, and nothing happens.
  virtual Ok Touch() = 0;
  /// In front of a write to a file that is so large. An error: only what is left of `bytes` is written.
  virtual Ok Write(uint64_t inode, size_t size, size_t offset, std::string_view& bytes) = 0;
  virtual void Truncate(uint64_t inode, size_t size) = 0;
  /// Brings what was written since the last time to `synced`, or not.
  virtual Ok Sync(uint64_t inode, std::string& synced) = 0;
  /// What the crash leaves in `synced` of what was written since.
  virtual void Crash(uint64_t inode, std::string& synced) = 0;
};

class MemoryFileSystem : public FileSystem {
 public:
  /// From here on; they outlive the file system, or are taken away by nullptr.
  virtual void SetFaults(FileFaults* faults) = 0;
  /// Forgets all that was not synced: files go back to their synced bytes, directories to their synced entries. Open
  /// files fail from then on.
  virtual void Crash() = 0;
  /// How many bytes all files hold together.
  virtual size_t bytes() const = 0;
};

/// Each call yields the current fiber first, as the real one would. `runtime` outlives it.
std::unique_ptr<MemoryFileSystem> MakeMemoryFileSystem(Runtime& runtime);

}  // namespace knarr::rt

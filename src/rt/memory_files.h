#pragma once

// A FileSystem in memory, for simulations and tests. It knows what a crash would keep: each file has the bytes that
// were synced besides those that were written, and each directory its synced entries, so that Crash() can show a
// program the disk that a power failure leaves.

#include <memory>
#include <string>

#include "rt/file_system.h"
#include "rt/runtime.h"

namespace knarr::rt {

class MemoryFileSystem : public FileSystem {
 public:
  /// Forgets all that was not synced: files go back to their synced bytes, directories to their synced entries. Open
  /// files fail from then on.
  virtual void Crash() = 0;
  /// How many bytes all files hold together.
  virtual size_t bytes() const = 0;
};

/// Each call yields the current fiber first, as the real one would. `runtime` outlives it.
std::unique_ptr<MemoryFileSystem> MakeMemoryFileSystem(Runtime& runtime);

}  // namespace knarr::rt

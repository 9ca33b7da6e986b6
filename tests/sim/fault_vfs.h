#pragma once

// A disk for SQLite in a simulated world, as bad as disks are: files lie in the world's file system in memory, and a
// power failure keeps any part, sector by sector, of what was written since the last sync. Syncs may lie or fail (then
// what they should have kept is never kept), the disk may be full, bits may flip.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rt/memory_files.h"
#include "rt/runtime.h"

struct sqlite3_vfs;

namespace knarr::sim {

class FaultVfs {
 public:
  /// Becomes SQLite's default file system, until it goes.
  explicit FaultVfs(rt::Runtime& runtime);
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  /// Nothing reaches the disk any more: every access fails.
  void Die() { dead_ = true; }
  /// The power comes back: files are what the failure left of them. REQUIRES: SQLite has closed them all.
  void Crash();
  /// Flips a bit of the file, behind the first bytes of a page.
  void FlipBit(const std::string& path);

  bool full = false;        ///< files can't grow
  bool syncs_lie = false;   ///< a bug to be found: syncs do nothing
  uint64_t sync_fails = 0;  ///< one in so many; 0: none
  uint64_t syncs_failed = 0;

 private:
  friend struct FaultFile;
  struct Write {
    int64_t offset = 0;
    std::string bytes;
    bool truncates = false;
  };
  /// What the disk has of a file, and what it only may have.
  struct Image {
    std::string synced;
    std::vector<Write> pending;
  };
  static void Apply(std::string& bytes, const Write& write);
  void Tear(Image& image);
  uint64_t UpTo(uint64_t bound) { return runtime_.Random() % bound; }

  rt::Runtime& runtime_;
  rt::MemoryFileSystem& files_;
  sqlite3_vfs* const before_;
  std::unique_ptr<sqlite3_vfs> vfs_;
  std::map<uint64_t, Image> images_;  ///< by inode
  bool dead_ = false;
};

}  // namespace knarr::sim

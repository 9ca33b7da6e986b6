#pragma once

// A disk for a store in a simulated world, as bad as disks are: its files lie in the world's file system in memory,
// also those of SQLite, and a power failure keeps any part, sector by sector, of what was written since the last sync.
// Syncs may lie or fail (then what they should have kept is never kept), the disk may be slow or full, bits may flip.

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

class FaultVfs : public rt::FileFaults {
 public:
  /// Becomes SQLite's default file system, and what goes wrong with the world's, until it goes.
  explicit FaultVfs(rt::Runtime& runtime);
  ~FaultVfs() override;
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  /// Nothing reaches the disk any more: every access fails.
  void Die() { dead_ = true; }
  /// The process was killed, and another begins: what it wrote is there, on the disk or not. REQUIRES: SQLite has
  /// closed all files.
  void Revive();
  /// The power comes back: files are what the failure left of them. REQUIRES: SQLite has closed them all.
  void PowerFails();
  /// Flips a bit of the file, behind the first bytes of a page.
  void FlipBit(const std::string& path);

  bool full = false;        ///< files can't grow
  bool slow = false;        ///< syncs take up to 30 ms
  bool syncs_lie = false;   ///< a bug to be found: syncs do nothing
  uint64_t sync_fails = 0;  ///< one in so many; 0: none
  uint64_t syncs_failed = 0;

  Ok Touch() override;
  Ok Write(uint64_t inode, size_t size, size_t offset, std::string_view& bytes) override;
  void Truncate(uint64_t inode, size_t size) override;
  Ok Sync(uint64_t inode, std::string& synced) override;
  void Crash(uint64_t inode, std::string& synced) override;

 private:
  friend struct FaultFile;
  struct Change {
    size_t offset = 0;
    std::string bytes;
    bool truncates = false;
  };
  static void Apply(std::string& bytes, const Change& change);
  void Tear(std::vector<Change>& pending, std::string& synced);
  uint64_t UpTo(uint64_t bound) { return runtime_.Random() % bound; }

  rt::Runtime& runtime_;
  rt::MemoryFileSystem& files_;
  sqlite3_vfs* const before_;
  std::unique_ptr<sqlite3_vfs> vfs_;
  std::map<uint64_t, std::vector<Change>> pending_;  ///< by inode: what the disk only may have
  bool dead_ = false;
};

}  // namespace knarr::sim

#pragma once

// Files. Every call may suspend the fiber (the real one works on the blocking pool, or in place for small reads of
// pseudo file systems), so none is made while state must not change. Paths are absolute. Errors: FromErrno's reasons.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace knarr::rt {

enum class FileType : uint8_t { kFile, kDirectory, kSymlink, kSocket, kFifo, kCharDevice, kBlockDevice };

struct FileInfo {
  FileType type = FileType::kFile;
  uint32_t mode = 0;  ///< Permission bits.
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t size = 0;
  uint64_t inode = 0;
  uint64_t device = 0;
  WallTime modified;
};

struct DirectoryEntry {
  std::string name;
  FileType type = FileType::kFile;
};

/// An open file. Closed when destroyed.
class File {
 public:
  virtual ~File() = default;
  /// Up to `size` bytes from `offset`; fewer only at the end.
  virtual Result<std::string> ReadAt(int64_t offset, size_t size) = 0;
  virtual Ok WriteAt(int64_t offset, std::string_view bytes) = 0;
  virtual Ok Append(std::string_view bytes) = 0;
  /// Data and the size are on the disk when it returns.
  virtual Ok Sync() = 0;
  virtual Ok Truncate(int64_t size) = 0;
  virtual Result<int64_t> Size() = 0;
};

enum class OpenMode : uint8_t { kRead, kReadWrite, kCreate, kCreateNew, kTruncate };

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode, uint32_t permissions = 0600) = 0;
  /// The whole file; RequestEntityTooLarge beyond `limit` bytes.
  virtual Result<std::string> ReadFile(const std::string& path, size_t limit = 64 << 20) = 0;
  /// Writes in place (pseudo files: cgroups, /proc), without syncing.
  virtual Ok WriteFile(const std::string& path, std::string_view bytes, uint32_t permissions = 0600) = 0;
  /// Replaces the file as a whole: readers see the old or the new bytes, also after a crash.
  virtual Ok WriteFileAtomic(const std::string& path, std::string_view bytes, uint32_t permissions = 0600) = 0;
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  virtual Result<FileInfo> LinkStat(const std::string& path) = 0;
  virtual Result<std::vector<DirectoryEntry>> List(const std::string& path) = 0;
  /// With all missing parents; fine if it is there already.
  virtual Ok MakeDirectories(const std::string& path, uint32_t permissions = 0755) = 0;
  virtual Ok Rename(const std::string& from, const std::string& to) = 0;
  virtual Ok Symlink(const std::string& target, const std::string& path) = 0;
  virtual Result<std::string> ReadLink(const std::string& path) = 0;
  /// A file, a link or an empty directory; fine if it is gone already.
  virtual Ok Remove(const std::string& path) = 0;
  /// A tree, without following links and without crossing into another mount; fine if it is gone already.
  virtual Ok RemoveAll(const std::string& path) = 0;
  virtual Ok Chown(const std::string& path, uint32_t uid, uint32_t gid) = 0;
  virtual Ok Chmod(const std::string& path, uint32_t permissions) = 0;
  /// The directory entry itself is on the disk when it returns.
  virtual Ok SyncDirectory(const std::string& path) = 0;
  bool Exists(const std::string& path) { return LinkStat(path).ok(); }
};

}  // namespace knarr::rt

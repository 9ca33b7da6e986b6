#pragma once

// Reading tar archives: ustar, pax (path, linkpath, size, uid, gid, uname, gname, mtime, SCHILY.xattr.*), GNU long
// names, old V7. Sparse files and multi-volume archives are refused (no image builder writes them). Names stay bytes:
// they are never converted by a locale. Blocking, as its source is.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "image/byte_source.h"

namespace knarr::image {

enum class TarType : uint8_t { kFile, kHardLink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };

struct TarEntry {
  TarType type = TarType::kFile;
  std::string path;  ///< as it stands in the archive: may be absolute, hold "..", or anything but a zero byte
  std::string link;  ///< target of links
  int64_t size = 0;  ///< of a file's data
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_seconds = 0;
  int32_t mtime_nanoseconds = 0;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

class TarReader {
 public:
  /// The source must outlive the reader.
  explicit TarReader(ByteSource& source) : source_(source) {}
  /// The next entry, what was not read of the last one's data being passed over; nullopt at the end. BadRequest says
  /// at which byte of the archive it is damaged.
  Result<std::optional<TarEntry>> Next();
  /// Data of the current entry: up to `size` bytes, 0 at its end.
  Result<size_t> Read(char* out, size_t size);

 private:
  struct Pending;  // what pax and GNU headers said about the next entry
  Ok ReadExactly(char* out, size_t size, std::string_view what);
  Result<bool> ReadHeader(char* block);
  Ok SkipData();
  Result<std::string> ReadExtension(int64_t size);
  Result<TarEntry> Decode(const char* block, Pending& pending);
  Status Damaged(std::string_view what) const;

  ByteSource& source_;
  int64_t offset_ = 0;
  int64_t data_left_ = 0;
  int64_t padding_ = 0;
};

}  // namespace knarr::image

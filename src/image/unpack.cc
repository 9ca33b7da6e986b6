#include "image/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/strings.h"
#include "image/beneath.h"
#include "image/tar.h"

namespace knarr::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr const char* kOpaqueAttribute = "trusted.overlay.opaque";
constexpr size_t kBufferSize = 256 << 10;

// Attributes an image may set. Others belong to the host (labels) or steer overlayfs (trusted.overlay.*).
bool AttributeAllowed(std::string_view name) {
  return name == "security.capability" || name == "system.posix_acl_access" || name == "system.posix_acl_default" ||
         (name.starts_with("user.") && !name.starts_with("user.overlay."));
}

class Unpacker {
 public:
  Unpacker(ByteSource& tar, rt::OwnedFd root, const UnpackLimits& limits)
      : tar_(tar), root_(std::move(root)), limits_(limits), buffer_(kBufferSize) {}

  Result<UnpackResult> Run() {
    while (auto entry = TRY(tar_.Next())) {
      if (++result_.entries > limits_.entries) return BadRequest("layer has too many entries");
      TRY(Unpack(*entry).Context("unpack " + GoQuote(entry->path)));
    }
    TRY(SetDirectoryTimes());
    return result_;
  }

 private:
  Ok Unpack(const TarEntry& entry) {
    std::vector<std::string> path = TRY(CleanPath(entry.path));
    if (path.empty()) {
      if (entry.type != TarType::kDirectory) return BadRequest("the root must be a directory");
      return FinishDirectory(entry, rt::OwnedFd(openat(root_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), path);
    }
    const std::string name = path.back();
    path.pop_back();
    TRY(EnterParent(path));
    if (name == kOpaque) return SetOpaque(parent_.get(), ".");
    if (name.starts_with(kWhiteoutMeta)) return {};
    if (name.starts_with(kWhiteout)) return MakeWhiteout(name.substr(kWhiteout.size()));
    path.push_back(name);
    return Place(entry, name, path);
  }

  // Consecutive entries mostly share a directory.
  Ok EnterParent(const std::vector<std::string>& path) {
    const std::string joined = Join(path, "/");
    if (parent_ && joined == parent_path_) return {};
    auto found = OpenDirectoryBeneath(root_.get(), joined);
    parent_ = found.ok() ? std::move(found).value() : TRY(MakeDirectoriesBeneath(root_.get(), path));
    parent_path_ = joined;
    return {};
  }

  Ok SetOpaque(int parent, const std::string& name) {
    const rt::OwnedFd directory(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return FromErrno(errno, "open directory");
    if (fsetxattr(directory.get(), kOpaqueAttribute, "y", 1, 0) != 0) return FromErrno(errno, "set opaque");
    return {};
  }

  // A whiteout speaks of the layers below: what this layer itself brought under that name stays, without what is below.
  Ok MakeWhiteout(const std::string& name) {
    if (name.empty() || name == "." || name == "..") return BadRequest("whiteout without a name");
    struct stat info{};
    if (fstatat(parent_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      return S_ISDIR(info.st_mode) ? SetOpaque(parent_.get(), name) : Ok();
    }
    if (mknodat(parent_.get(), name.c_str(), S_IFCHR, makedev(0, 0)) != 0) return FromErrno(errno, "make whiteout");
    return {};
  }

  static bool IsWhiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0); }

  // A later entry of the same name replaces an earlier one; a directory over a directory keeps what is in it.
  Ok Place(const TarEntry& entry, const std::string& name, const std::vector<std::string>& path) {
    struct stat info{};
    bool there = fstatat(parent_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    const bool whiteout = there && IsWhiteout(info);
    if (there && !(entry.type == TarType::kDirectory && S_ISDIR(info.st_mode))) {
      if (entry.type == TarType::kHardLink && TRY(IsSelf(entry, path))) return {};
      TRY(RemoveTreeAt(parent_.get(), name));
      there = false;
    }
    switch (entry.type) {
      case TarType::kFile:
        return MakeFile(entry, name);
      case TarType::kHardLink:
        return MakeHardLink(entry, name);
      case TarType::kSymlink:
        return MakeSymlink(entry, name);
      case TarType::kDirectory:
        if (!there && mkdirat(parent_.get(), name.c_str(), 0755) != 0) return FromErrno(errno, "mkdir");
        if (whiteout) TRY(SetOpaque(parent_.get(), name));
        return FinishDirectory(
            entry, rt::OwnedFd(openat(parent_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)),
            path);
      default:
        return MakeNode(entry, name);
    }
  }

  Result<bool> IsSelf(const TarEntry& entry, const std::vector<std::string>& path) {
    return TRY(CleanPath(entry.link)) == path;
  }

  Ok MakeFile(const TarEntry& entry, const std::string& name) {
    if (entry.size > limits_.bytes - result_.bytes) return BadRequest("layer is too large when unpacked");
    const rt::OwnedFd file(
        openat(parent_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return FromErrno(errno, "create file");
    while (true) {
      const size_t got = TRY(tar_.Read(buffer_.data(), buffer_.size()));
      if (got == 0) break;
      TRY(WriteAll(file.get(), got));
    }
    result_.bytes += entry.size;
    TRY(SetOwnerAndMode(file.get(), entry));
    const std::array<timespec, 2> times = Times(entry);
    if (futimens(file.get(), times.data()) != 0) return FromErrno(errno, "set times");
    return {};
  }

  Ok WriteAll(int fd, size_t size) {
    for (size_t at = 0; at < size;) {
      const ssize_t put = write(fd, buffer_.data() + at, size - at);
      if (put < 0 && errno != EINTR) return FromErrno(errno, "write");
      if (put > 0) at += static_cast<size_t>(put);
    }
    return {};
  }

  Ok MakeHardLink(const TarEntry& entry, const std::string& name) {
    std::vector<std::string> target = TRY(CleanPath(entry.link));
    if (target.empty()) return BadRequest("hard link to the root directory");
    const std::string last = target.back();
    target.pop_back();
    const rt::OwnedFd directory = TRY(OpenDirectoryBeneath(root_.get(), Join(target, "/")));
    if (linkat(directory.get(), last.c_str(), parent_.get(), name.c_str(), 0) != 0) {
      return FromErrno(errno, "hard link to " + GoQuote(entry.link));
    }
    return {};
  }

  Ok MakeSymlink(const TarEntry& entry, const std::string& name) {
    if (entry.link.empty()) return BadRequest("symbolic link without a target");
    if (symlinkat(entry.link.c_str(), parent_.get(), name.c_str()) != 0) return FromErrno(errno, "symlink");
    return FinishByName(entry, name);
  }

  Ok MakeNode(const TarEntry& entry, const std::string& name) {
    const mode_t kind = entry.type == TarType::kFifo ? S_IFIFO : entry.type == TarType::kCharDevice ? S_IFCHR : S_IFBLK;
    const dev_t device = makedev(entry.device_major, entry.device_minor);
    if (mknodat(parent_.get(), name.c_str(), kind | 0600, kind == S_IFIFO ? 0 : device) != 0) {
      return FromErrno(errno, "make device");
    }
    // Nobody else writes in this directory and the node was made just now: the name can't be a link.
    TRY(FinishByName(entry, name));
    if (fchmodat(parent_.get(), name.c_str(), entry.mode, 0) != 0) return FromErrno(errno, "set mode");
    return {};
  }

  Ok FinishByName(const TarEntry& entry, const std::string& name) {
    if (fchownat(parent_.get(), name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
      return FromErrno(errno, "set owner");
    }
    const std::array<timespec, 2> times = Times(entry);
    if (utimensat(parent_.get(), name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
      return FromErrno(errno, "set times");
    }
    return {};
  }

  Ok FinishDirectory(const TarEntry& entry, const rt::OwnedFd& directory, const std::vector<std::string>& path) {
    if (!directory) return FromErrno(errno, "open directory");
    TRY(SetOwnerAndMode(directory.get(), entry));
    directory_times_.emplace_back(Join(path, "/"), Times(entry));
    return {};
  }

  // The owner first: changing it clears set-user-ID bits and capabilities.
  Ok SetOwnerAndMode(int fd, const TarEntry& entry) {
    if (fchown(fd, entry.uid, entry.gid) != 0) return FromErrno(errno, "set owner");
    if (fchmod(fd, entry.mode) != 0) return FromErrno(errno, "set mode");
    for (const auto& [key, value] : entry.xattrs) {
      if (!AttributeAllowed(key)) continue;
      if (fsetxattr(fd, key.c_str(), value.data(), value.size(), 0) != 0 && errno != ENOTSUP) {
        return FromErrno(errno, "set attribute " + GoQuote(key));
      }
    }
    return {};
  }

  static std::array<timespec, 2> Times(const TarEntry& entry) {
    const timespec time{entry.mtime_seconds, entry.mtime_nanoseconds};
    return {time, time};
  }

  // Last, because filling a directory changes its time. A directory that was replaced meanwhile is passed over.
  Ok SetDirectoryTimes() {
    for (auto it = directory_times_.rbegin(); it != directory_times_.rend(); ++it) {
      const auto directory = OpenDirectoryBeneath(root_.get(), it->first);
      if (!directory.ok()) continue;
      const std::string path = "/proc/self/fd/" + std::to_string(directory->get());
      if (utimensat(AT_FDCWD, path.c_str(), it->second.data(), 0) != 0) return FromErrno(errno, "set directory time");
    }
    return {};
  }

  TarReader tar_;
  rt::OwnedFd root_;
  UnpackLimits limits_;
  std::vector<char> buffer_;
  rt::OwnedFd parent_;
  std::string parent_path_;
  std::vector<std::pair<std::string, std::array<timespec, 2>>> directory_times_;
  UnpackResult result_;
};

}  // namespace

Result<UnpackResult> UnpackLayer(ByteSource& tar, const std::string& directory, const UnpackLimits& limits) {
  rt::OwnedFd root(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!root) return FromErrno(errno, "open " + directory);
  const int fd = root.get();
  const rt::OwnedFd keep(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  Unpacker unpacker(tar, std::move(root), limits);
  UnpackResult result = TRY(unpacker.Run());
  if (syncfs(keep.get()) != 0) return FromErrno(errno, "sync " + directory);
  return result;
}

}  // namespace knarr::image

// FileSystem on the kernel's files.

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/check.h"
#include "base/strings.h"
#include "rt/owned_fd.h"
#include "rt/real_loop.h"

namespace knarr::rt {
namespace {

Status Failed(std::string_view what, const std::string& path) {
  const int error = errno;
  return FromErrno(error, std::string(what) + " " + path);
}

FileType TypeOf(mode_t mode) {
  if (S_ISDIR(mode)) return FileType::kDirectory;
  if (S_ISLNK(mode)) return FileType::kSymlink;
  if (S_ISSOCK(mode)) return FileType::kSocket;
  if (S_ISFIFO(mode)) return FileType::kFifo;
  if (S_ISCHR(mode)) return FileType::kCharDevice;
  if (S_ISBLK(mode)) return FileType::kBlockDevice;
  return FileType::kFile;
}

FileInfo InfoOf(const struct stat& stat) {
  return {.type = TypeOf(stat.st_mode),
          .mode = stat.st_mode & 07777,
          .uid = stat.st_uid,
          .gid = stat.st_gid,
          .size = stat.st_size,
          .inode = stat.st_ino,
          .device = stat.st_dev,
          .modified = WallTime(std::chrono::seconds(stat.st_mtim.tv_sec) + Duration(stat.st_mtim.tv_nsec))};
}

Ok WriteAll(int fd, std::string_view bytes, int64_t offset, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        offset < 0 ? write(fd, bytes.data(), bytes.size()) : pwrite(fd, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
    if (offset >= 0) offset += written;
  }
  return {};
}

Result<std::string> ReadRange(int fd, int64_t offset, size_t size, const std::string& path) {
  std::string bytes;
  while (bytes.size() < size) {
    const size_t have = bytes.size();
    bytes.resize(std::min(size, have + std::min<size_t>(size - have, 1 << 20)));
    const ssize_t got = pread(fd, bytes.data() + have, bytes.size() - have, offset + static_cast<int64_t>(have));
    bytes.resize(have + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed("read", path);
    if (got == 0) break;
  }
  return bytes;
}

Result<std::string> ReadToEnd(const std::string& path, size_t limit) {
  const OwnedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return Failed("open", path);
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) return Failed("stat", path);
  std::string bytes;
  // Pseudo files say 0; one byte more than the size finds the end without growing.
  size_t chunk = info.st_size > 0 ? static_cast<size_t>(info.st_size) + 1 : 4096;
  while (true) {
    const size_t have = bytes.size();
    bytes.resize(have + std::min(chunk, limit + 1 - have));
    const ssize_t got = read(fd.get(), bytes.data() + have, bytes.size() - have);
    bytes.resize(have + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed("read", path);
    if (got == 0) return bytes;
    if (bytes.size() > limit) {
      return Status(Reason::kRequestEntityTooLarge,
                    "read " + path + ": file is larger than " + std::to_string(limit) + " bytes");
    }
    chunk = std::max<size_t>(4096, bytes.size());
  }
}

std::string Parent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Ok SyncDirectoryNow(const std::string& path) {
  const OwnedFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return Failed("open", path);
  if (fsync(fd.get()) != 0) return Failed("sync", path);
  return {};
}

Ok WriteAtomicNow(const std::string& path, std::string_view bytes, uint32_t permissions, uint64_t unique) {
  const std::string temporary = path + ".tmp-" + std::to_string(unique);
  const auto write_new = [&]() -> Ok {
    OwnedFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, permissions));
    if (!fd.ok()) return Failed("create", temporary);
    if (fchmod(fd.get(), permissions) != 0) return Failed("chmod", temporary);
    TRY(WriteAll(fd.get(), bytes, -1, temporary));
    if (fdatasync(fd.get()) != 0) return Failed("sync", temporary);
    if (close(fd.Release()) != 0) return Failed("close", temporary);
    if (rename(temporary.c_str(), path.c_str()) != 0) return Failed("rename", path);
    return SyncDirectoryNow(Parent(path));
  };
  Ok written = write_new();
  if (!written.ok()) unlink(temporary.c_str());
  return written;
}

Ok MakeDirectoriesNow(const std::string& path, uint32_t permissions) {
  if (mkdir(path.c_str(), permissions) == 0) return {};
  if (errno == ENOENT && path.size() > 1) {
    TRY(MakeDirectoriesNow(Parent(path), permissions));
    if (mkdir(path.c_str(), permissions) == 0) return {};
  }
  if (errno != EEXIST) return Failed("mkdir", path);
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return Failed("stat", path);
  if (!S_ISDIR(info.st_mode)) return FromErrno(ENOTDIR, "mkdir " + path);
  return {};
}

Result<std::vector<DirectoryEntry>> ListNow(int fd, const std::string& path) {
  DIR* directory = fdopendir(fd);
  if (directory == nullptr) {
    Status status = Failed("list", path);
    close(fd);
    return status;
  }
  std::vector<DirectoryEntry> entries;
  errno = 0;
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    FileType type = TypeOf(static_cast<mode_t>(DTTOIF(entry->d_type)));
    struct stat info{};
    if (entry->d_type == DT_UNKNOWN && fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
      type = TypeOf(info.st_mode);
    }
    entries.push_back({.name = std::string(name), .type = type});
    errno = 0;
  }
  const int error = errno;
  closedir(directory);
  if (error != 0) return FromErrno(error, "list " + path);
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

// Removes a tree. Who filled it may have nested directories as deep as the disk allows, so neither the stack nor the
// descriptors grow with that: what lies deeper than kDepthMax is moved up to the top and removed from there.
class TreeRemoval {
 public:
  TreeRemoval(OwnedFd top, uint64_t unique) : top_(std::move(top)), unique_(unique) {}

  Ok Run(const std::string& path) {
    do {
      moved_up_ = false;
      TRY(Empty(top_.get(), path, 0));
    } while (moved_up_);
    return {};
  }

 private:
  static constexpr int kDepthMax = 64;

  // Removes what is in the directory.
  Ok Empty(int directory, const std::string& path, int depth) {
    const int list_fd = fcntl(directory, F_DUPFD_CLOEXEC, 0);
    if (list_fd < 0) return Failed("list", path);
    if (lseek(list_fd, 0, SEEK_SET) < 0) {
      Status status = Failed("list", path);
      close(list_fd);
      return status;
    }
    for (const DirectoryEntry& entry : TRY(ListNow(list_fd, path))) {
      const std::string child = path + "/" + entry.name;
      if (entry.type == FileType::kDirectory) {
        TRY(RemoveDirectory(directory, entry.name, child, depth));
      } else if (unlinkat(directory, entry.name.c_str(), 0) != 0 && errno != ENOENT) {
        return Failed("remove", child);
      }
    }
    return {};
  }

  Ok RemoveDirectory(int parent, const std::string& name, const std::string& path, int depth) {
    if (depth == kDepthMax) {
      const std::string aside = ".removed-" + std::to_string(unique_) + "-" + std::to_string(next_++);
      if (renameat(parent, name.c_str(), top_.get(), aside.c_str()) != 0) return Failed("remove", path);
      moved_up_ = true;
      return {};
    }
    // A device number does not tell all mounts: a bind mount of the same file system has the same.
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_NO_XDEV;
    const OwnedFd fd(static_cast<int>(syscall(SYS_openat2, parent, name.c_str(), &how, sizeof how)));
    if (!fd.ok() && errno == ENOENT) return {};
    if (!fd.ok() && errno == EXDEV) return FromErrno(EBUSY, "remove " + path + ": is on another mount");
    if (!fd.ok()) return Failed("open", path);
    TRY(Empty(fd.get(), path, depth + 1));
    if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return Failed("remove", path);
    return {};
  }

  OwnedFd top_;
  uint64_t unique_;
  uint64_t next_ = 0;
  bool moved_up_ = false;
};

Ok RemoveAllNow(const std::string& path, uint64_t unique) {
  OwnedFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) {
    if (errno == ENOENT) return {};
    if (errno != ENOTDIR && errno != ELOOP) return Failed("open", path);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return Failed("remove", path);
    return {};
  }
  TRY(TreeRemoval(std::move(fd), unique).Run(path));
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) return Failed("remove", path);
  return {};
}

/// Reading and writing these never waits for a disk, so no other thread is needed.
bool IsPseudo(std::string_view path) { return path.starts_with("/proc/") || path.starts_with("/sys/"); }

class RealFile : public File {
 public:
  RealFile(Runtime& runtime, OwnedFd fd, std::string path, bool pseudo)
      : runtime_(runtime), fd_(std::move(fd)), path_(std::move(path)), pseudo_(pseudo) {}

  Result<std::string> ReadAt(int64_t offset, size_t size) override {
    return On([&] { return ReadRange(fd_.get(), offset, size, path_); });
  }
  Ok WriteAt(int64_t offset, std::string_view bytes) override {
    CHECK(offset >= 0);
    return On([&] { return WriteAll(fd_.get(), bytes, offset, path_); });
  }
  Ok Append(std::string_view bytes) override {
    return On([&]() -> Ok {
      // Not O_APPEND, which would make WriteAt append too; a File is written by one fiber at a time.
      // A pipe or a socket has but one place to write to.
      if (lseek(fd_.get(), 0, SEEK_END) < 0 && errno != ESPIPE) return Failed("seek", path_);
      return WriteAll(fd_.get(), bytes, -1, path_);
    });
  }
  Ok Sync() override {
    return On([&]() -> Ok {
      if (fdatasync(fd_.get()) != 0) return Failed("sync", path_);
      return {};
    });
  }
  Ok Truncate(int64_t size) override {
    return On([&]() -> Ok {
      if (ftruncate(fd_.get(), size) != 0) return Failed("truncate", path_);
      return {};
    });
  }
  Result<int64_t> Size() override {
    struct stat info{};
    if (fstat(fd_.get(), &info) != 0) return Failed("stat", path_);
    return static_cast<int64_t>(info.st_size);
  }

 private:
  template <typename Work>
  auto On(Work work) -> decltype(work()) {
    if (pseudo_) return work();
    std::optional<decltype(work())> result;
    runtime_.Blocking([&] { result.emplace(work()); });
    return std::move(*result);
  }

  Runtime& runtime_;
  OwnedFd fd_;
  std::string path_;
  bool pseudo_;
};

int OpenFlags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY;
    case OpenMode::kReadWrite:
      return O_RDWR;
    case OpenMode::kCreate:
      return O_RDWR | O_CREAT;
    case OpenMode::kCreateNew:
      return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::kTruncate:
      return O_RDWR | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

class RealFileSystem : public FileSystem {
 public:
  explicit RealFileSystem(Runtime& runtime) : runtime_(runtime) {}

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode, uint32_t permissions) override {
    OwnedFd fd = On(path, [&] {
      // Not opened anew: it may be a socket, which can't be.
      if (path == "/dev/stdout") return OwnedFd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
      return OwnedFd(open(path.c_str(), OpenFlags(mode) | O_CLOEXEC, permissions));
    });
    if (!fd.ok()) return Failed("open", path);
    return std::unique_ptr<File>(std::make_unique<RealFile>(runtime_, std::move(fd), path, IsPseudo(path)));
  }
  Result<std::string> ReadFile(const std::string& path, size_t limit) override {
    return On(path, [&] { return ReadToEnd(path, limit); });
  }
  Ok WriteFile(const std::string& path, std::string_view bytes, uint32_t permissions) override {
    return On(path, [&]() -> Ok {
      const OwnedFd fd(
          open(path.c_str(), O_WRONLY | O_CLOEXEC | (IsPseudo(path) ? 0 : O_CREAT | O_TRUNC), permissions));
      if (!fd.ok()) return Failed("open", path);
      // One write: the kernel's pseudo files take a value whole. An empty one still is a write.
      if (bytes.empty() && IsPseudo(path) && write(fd.get(), "", 0) < 0) return Failed("write", path);
      return WriteAll(fd.get(), bytes, -1, path);
    });
  }
  Ok WriteFileAtomic(const std::string& path, std::string_view bytes, uint32_t permissions) override {
    const uint64_t unique = runtime_.Random();
    return On(path, [&] { return WriteAtomicNow(path, bytes, permissions, unique); });
  }
  Result<FileInfo> Stat(const std::string& path) override {
    return On(path, [&]() -> Result<FileInfo> {
      struct stat info{};
      if (stat(path.c_str(), &info) != 0) return Failed("stat", path);
      return InfoOf(info);
    });
  }
  Result<FileInfo> LinkStat(const std::string& path) override {
    return On(path, [&]() -> Result<FileInfo> {
      struct stat info{};
      if (lstat(path.c_str(), &info) != 0) return Failed("stat", path);
      return InfoOf(info);
    });
  }
  Result<std::vector<DirectoryEntry>> List(const std::string& path) override {
    return On(path, [&]() -> Result<std::vector<DirectoryEntry>> {
      const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (fd < 0) return Failed("open", path);
      return ListNow(fd, path);
    });
  }
  Ok MakeDirectories(const std::string& path, uint32_t permissions) override {
    return On(path, [&] { return MakeDirectoriesNow(path, permissions); });
  }
  Ok Rename(const std::string& from, const std::string& to) override {
    return Call(from, "rename", [&] { return rename(from.c_str(), to.c_str()); });
  }
  Ok Symlink(const std::string& target, const std::string& path) override {
    return Call(path, "symlink", [&] { return symlink(target.c_str(), path.c_str()); });
  }
  Result<std::string> ReadLink(const std::string& path) override {
    return On(path, [&]() -> Result<std::string> {
      std::string target(PATH_MAX, '\0');
      const ssize_t length = readlink(path.c_str(), target.data(), target.size());
      if (length < 0) return Failed("readlink", path);
      target.resize(static_cast<size_t>(length));
      return target;
    });
  }
  Ok Remove(const std::string& path) override {
    Ok removed = Call(path, "remove", [&] { return remove(path.c_str()); });
    if (removed.Failed(Reason::kNotFound)) return {};
    return removed;
  }
  Ok RemoveAll(const std::string& path) override {
    const uint64_t unique = runtime_.Random();
    return On(path, [&] { return RemoveAllNow(path, unique); });
  }
  Ok Chown(const std::string& path, uint32_t uid, uint32_t gid) override {
    return Call(path, "chown", [&] { return chown(path.c_str(), uid, gid); });
  }
  Ok Chmod(const std::string& path, uint32_t permissions) override {
    return Call(path, "chmod", [&] { return chmod(path.c_str(), permissions); });
  }
  Ok SyncDirectory(const std::string& path) override {
    return On(path, [&] { return SyncDirectoryNow(path); });
  }

 private:
  template <typename Work>
  auto On(const std::string& path, Work work) -> decltype(work()) {
    if (IsPseudo(path)) return work();
    std::optional<decltype(work())> result;
    int error = 0;
    runtime_.Blocking([&] {
      result.emplace(work());
      error = errno;  // the pool thread's
    });
    errno = error;
    return std::move(*result);
  }
  template <typename Work>
  Ok Call(const std::string& path, std::string_view what, Work work) {
    return On(path, [&]() -> Ok {
      if (work() != 0) return Failed(what, path);
      return {};
    });
  }

  Runtime& runtime_;
};

}  // namespace

std::unique_ptr<FileSystem> MakeRealFileSystem(Runtime& runtime) { return std::make_unique<RealFileSystem>(runtime); }

}  // namespace knarr::rt

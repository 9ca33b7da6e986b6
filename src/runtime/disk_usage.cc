#include "runtime/disk_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "rt/owned_fd.h"

namespace knarr::runtime {

namespace {

constexpr int64_t kBlock = 512;  // st_blocks', whatever the file system's are

struct Walk {
  dev_t device = 0;
  std::set<ino_t> linked;  // files with several names count once
  DiskUse use;
};

void Add(const struct stat& info, Walk& walk) {
  if (!S_ISDIR(info.st_mode) && info.st_nlink > 1 && !walk.linked.insert(info.st_ino).second) return;
  walk.use += {.bytes = static_cast<int64_t>(info.st_blocks) * kBlock, .inodes = 1};
}

// One folder below the base, by the way that leads there now; those in it are put down in `pending`. Never more than
// one is open, however deep they lie.
void LookAt(int base, const std::string& way, std::vector<std::string>& pending, Walk& walk) {
  struct open_how how = {};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  rt::OwnedFd folder(static_cast<int>(syscall(SYS_openat2, base, way.c_str(), &how, sizeof(how))));
  DIR* entries = folder.ok() ? fdopendir(folder.get()) : nullptr;
  if (entries == nullptr) return;
  (void)folder.Release();  // closed with `entries`
  while (const dirent* entry = readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info;
    if (fstatat(dirfd(entries), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || info.st_dev != walk.device) continue;
    Add(info, walk);
    if (S_ISDIR(info.st_mode)) pending.push_back(way + "/" + entry->d_name);
  }
  closedir(entries);
}

}  // namespace

DiskUse DiskUsage(const std::string& path) {
  const rt::OwnedFd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info;
  if (!folder.ok() || fstat(folder.get(), &info) != 0) return {};
  Walk walk{.device = info.st_dev, .linked = {}, .use = {}};
  Add(info, walk);
  std::vector<std::string> pending = {"."};
  while (!pending.empty()) {
    const std::string way = std::move(pending.back());
    pending.pop_back();
    LookAt(folder.get(), way, pending, walk);
  }
  return walk.use;
}

}  // namespace knarr::runtime

#include "node/mount.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "rt/file_system.h"
#include "rt/owned_fd.h"
#include "runtime/id_maps.h"
#include "runtime/kernel.h"

namespace knarr::node {

Ok MountTmpfs(rt::Runtime& runtime, const std::string& path, int64_t size) {
  Ok result;
  runtime.Blocking([&] {
    // One of ours from before the agent was restarted: another device than the folder it lies in.
    struct statfs info;
    struct stat own;
    struct stat parent;
    const std::string above = path.substr(0, path.rfind('/'));
    if (statfs(path.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC && stat(path.c_str(), &own) == 0 &&
        stat(above.c_str(), &parent) == 0 && own.st_dev != parent.st_dev) {
      return;
    }
    const std::string options = size > 0 ? "mode=0777,size=" + std::to_string(size) : "mode=0777";
    if (mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
      result = FromErrno(errno, "mount tmpfs at " + path);
    }
  });
  return result;
}

bool IsMounted(rt::Runtime& runtime, const std::string& path) {
  bool mounted = false;
  runtime.Blocking([&] {
    // What is mounted there is not looked at itself: the server of a network's file system may not answer.
    const size_t slash = path.rfind('/');
    const std::string real = runtime::kernel::RealPath(path.substr(0, slash)) + path.substr(slash);
    mounted = std::ranges::any_of(runtime::kernel::Mounts(),
                                  [&](const runtime::kernel::MountPoint& mount) { return mount.path == real; });
  });
  return mounted;
}

Ok MountImage(rt::Runtime& runtime, const std::vector<std::string>& layers, const std::string& path,
              int user_namespace_of) {
  Ok result;
  runtime.Blocking([&] {
    result = [&]() -> Ok {
      if (user_namespace_of == 0) return runtime::kernel::MountLayers(layers, path);
      const rt::OwnedFd users = TRY(runtime::kernel::UserNamespaceOf(user_namespace_of));
      return runtime::kernel::MountMappedLayers(layers, path, users, path + ".layers");
    }();
  });
  return result;
}

namespace {

constexpr mode_t kGroupReadsAndWrites = 0660;
constexpr mode_t kGroupEnters = 0110;
constexpr int kDepthMax = 64;  // each level holds two descriptors, and what is given is new, as a rule

mode_t GroupMode(const struct stat& info) {
  return (info.st_mode & 07777) | kGroupReadsAndWrites | (S_ISDIR(info.st_mode) ? S_ISGID | kGroupEnters : 0);
}

/// By descriptors, so that nobody who writes there leads us elsewhere. Links are given, but not followed.
Ok GiveEntry(int folder, const char* name, uint32_t group, int depth) {
  const rt::OwnedFd at(openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!at.ok() && errno == ENOENT) return {};
  if (!at.ok() || fstat(at.get(), &info) != 0) return FromErrno(errno, std::string("look at ") + name);
  if (fchownat(at.get(), "", static_cast<uid_t>(-1), group, AT_EMPTY_PATH) != 0) {
    return FromErrno(errno, std::string("change the group of ") + name);
  }
  if (S_ISLNK(info.st_mode)) return {};
  const std::string path = "/proc/self/fd/" + std::to_string(at.get());
  if (chmod(path.c_str(), GroupMode(info)) != 0) return FromErrno(errno, std::string("change the mode of ") + name);
  if (!S_ISDIR(info.st_mode) || depth == kDepthMax) return {};
  DIR* entries = opendir(path.c_str());
  if (entries == nullptr) return FromErrno(errno, std::string("list ") + name);
  Ok result;
  while (const dirent* entry = readdir(entries)) {
    const std::string_view below = entry->d_name;
    if (below == "." || below == "..") continue;
    result = GiveEntry(dirfd(entries), entry->d_name, group, depth + 1);
    if (!result.ok()) break;
  }
  closedir(entries);
  return result;
}

}  // namespace

Ok GiveToGroup(rt::Runtime& runtime, const std::string& directory, uint32_t group, bool only_if_root_differs) {
  Ok result;
  runtime.Blocking([&] {
    struct stat info;
    if (stat(directory.c_str(), &info) != 0) {
      result = FromErrno(errno, "look at " + directory);
      return;
    }
    if (only_if_root_differs && info.st_gid == group && (info.st_mode & 07777) == GroupMode(info)) return;
    result = GiveEntry(AT_FDCWD, directory.c_str(), group, 0);
  });
  return result;
}

std::vector<std::string> MountsBelow(std::string_view mountinfo, std::string_view directory) {
  std::vector<std::string> out;
  for (runtime::kernel::MountPoint& mount : runtime::kernel::ParseMountInfo(mountinfo)) {
    const std::string& point = mount.path;
    if (point == directory || (point.starts_with(directory) && point[directory.size()] == '/')) {
      out.push_back(std::move(mount.path));
    }
  }
  // Later mounts cover earlier ones, and deeper ones must go first.
  std::ranges::reverse(out);
  std::ranges::stable_sort(out, [](const std::string& a, const std::string& b) {
    return std::ranges::count(a, '/') > std::ranges::count(b, '/');
  });
  return out;
}

Ok UnmountBelow(rt::Runtime& runtime, const std::string& directory) {
  std::string mountinfo = TRY(runtime.files().ReadFile("/proc/self/mountinfo"));
  Ok result;
  std::string real;
  runtime.Blocking([&] { real = runtime::kernel::RealPath(directory); });
  const std::vector<std::string> points = MountsBelow(mountinfo, real);
  if (points.empty()) return {};
  runtime.Blocking([&] {
    for (const std::string& point : points) {
      // Lazily: a process that still has a file open must not keep the pod's folder for ever.
      if (umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT) {
        result = FromErrno(errno, "unmount " + point);
      }
    }
  });
  return result;
}

}  // namespace knarr::node

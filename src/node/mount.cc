#include "node/mount.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <algorithm>
#include <cerrno>

#include "rt/file_system.h"
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

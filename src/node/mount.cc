#include "node/mount.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#include <algorithm>
#include <cerrno>

#include "base/strings.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

/// mountinfo writes space, tab, newline and backslash as \ooo.
std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

Ok MountTmpfs(rt::Runtime& runtime, const std::string& path, int64_t size) {
  Ok result;
  runtime.Blocking([&] {
    struct statfs info;
    if (statfs(path.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC) {
      // A tmpfs of ours from before the agent was restarted; one further up would show this device, too.
      struct statfs parent;
      const std::string above = path.substr(0, path.rfind('/'));
      if (statfs(above.c_str(), &parent) == 0 && parent.f_type != TMPFS_MAGIC) return;
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
  for (std::string_view line : Split(mountinfo, '\n')) {
    std::vector<std::string_view> fields = Split(line, ' ');
    if (fields.size() < 5) continue;
    std::string point = Unescape(fields[4]);
    if (point == directory || (point.starts_with(directory) && point[directory.size()] == '/')) {
      out.push_back(std::move(point));
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
  std::vector<std::string> points = MountsBelow(mountinfo, directory);
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

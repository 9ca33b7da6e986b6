#include "node/sub_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "rt/owned_fd.h"
#include "runtime/kernel.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::VolumeMount;
using rt::OwnedFd;

/// A path below the folder; the kernel itself refuses to leave it. -1 with errno.
OwnedFd OpenBelow(int folder, const std::string& path, uint64_t flags, uint64_t more_resolve = 0) {
  struct open_how how = {};
  how.flags = flags | O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more_resolve;
  // A rename elsewhere in the tree while it looks makes it give up.
  long fd = -1;
  for (int tries = 0; tries < 100 && fd < 0; ++tries) {
    fd = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof(how));
    if (fd < 0 && errno != EAGAIN) break;
  }
  return OwnedFd(static_cast<int>(fd));
}

/// Makes the folders of the path that are missing. What somebody puts there meanwhile is taken if it is a folder.
Ok MakeBelow(int volume, const std::string& path) {
  struct stat info;
  if (fstat(volume, &info) != 0) return FromErrno(errno, "look at the volume");
  const mode_t mode = info.st_mode & 07777;
  OwnedFd at = OpenBelow(volume, ".", O_DIRECTORY);
  std::string there;  // as far as it is there
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    const std::string name(part);
    there += (there.empty() ? "" : "/") + name;
    // From the top, so that a link inside the volume may lead elsewhere in it.
    OwnedFd next = OpenBelow(volume, there, O_DIRECTORY);
    if (!next.ok() && errno == ENOENT) {
      if (mkdirat(at.get(), name.c_str(), mode) == 0) {
        // Whatever our umask is.
        OwnedFd made = OpenBelow(at.get(), name, O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
        if (!made.ok()) return FromErrno(errno, "open " + name);
        if (chmod(fmt::format("/proc/self/fd/{}", made.get()).c_str(), mode) != 0) {
          return FromErrno(errno, "chmod " + name);
        }
        next = std::move(made);
      } else if (errno == EEXIST) {
        next = OpenBelow(at.get(), name, O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
      } else {
        return FromErrno(errno, "make " + name);
      }
    }
    if (!next.ok()) return FromErrno(errno, "open " + name);
    at = std::move(next);
  }
  return {};
}

bool SameFile(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

/// A file or folder to mount upon.
Ok MakeTarget(const std::string& target, bool folder) {
  TRY(runtime::kernel::MakeDirectories(target.substr(0, target.rfind('/')), 0750));
  struct stat info;
  if (lstat(target.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode) == folder) return {};
    if ((S_ISDIR(info.st_mode) ? rmdir(target.c_str()) : unlink(target.c_str())) != 0) {
      return FromErrno(errno, "remove " + target);
    }
  }
  if (folder) return mkdir(target.c_str(), 0750) == 0 ? Ok() : FromErrno(errno, "make " + target);
  const OwnedFd made(open(target.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0640));
  return made.ok() ? Ok() : FromErrno(errno, "make " + target);
}

}  // namespace

Result<std::string> SubPathOf(VolumeMount mount, const Environment& environment) {
  std::string path(mount.sub_path());
  if (!mount.sub_path_expr().empty()) {
    std::set<std::string> missing;
    static const std::string kNothing;
    path = ExpandVariables(mount.sub_path_expr(), [&](std::string_view name) {
      const std::string* value = environment.Find(name);
      if (value == nullptr || value->empty()) missing.emplace(name);
      return value == nullptr ? &kNothing : value;
    });
    if (!missing.empty()) return BadRequest(fmt::format("missing value for {}", fmt::join(missing, ", ")));
  }
  if (path.starts_with('/')) return BadRequest(fmt::format("error SubPath `{}` must not be an absolute path", path));
  for (const std::string_view part : Split(path, '/')) {
    if (part == "..") return BadRequest(fmt::format("unable to provision SubPath `{}`: must not contain '..'", path));
  }
  return path;
}

Ok BindSubPath(const std::string& volume, const std::string& sub_path, const std::string& target) {
  const OwnedFd base(open(volume.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!base.ok()) return FromErrno(errno, "open " + volume);
  OwnedFd picked = OpenBelow(base.get(), sub_path, 0);
  if (!picked.ok() && errno == ENOENT) {
    TRY(MakeBelow(base.get(), sub_path));
    picked = OpenBelow(base.get(), sub_path, 0);
  }
  if (!picked.ok()) return FromErrno(errno, "open " + sub_path + " in " + volume);
  struct stat wanted;
  struct stat there;
  if (fstat(picked.get(), &wanted) != 0) return FromErrno(errno, "look at " + sub_path);
  // Bound by a container before, or by an agent before us.
  if (lstat(target.c_str(), &there) == 0) {
    if (SameFile(wanted, there)) return {};
    TRY(runtime::kernel::Unmount(target));
  }
  TRY(MakeTarget(target, S_ISDIR(wanted.st_mode)));
  const std::string source = fmt::format("/proc/self/fd/{}", picked.get());
  if (mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return FromErrno(errno, "bind " + sub_path + " to " + target);
  }
  return {};
}

Result<std::map<size_t, std::string>> BindSubPaths(rt::Runtime& runtime, Container container,
                                                   const PodVolumes& volumes, const Environment& environment,
                                                   const std::string& directory) {
  std::map<size_t, std::string> out;
  size_t number = 0;
  for (const VolumeMount mount : container.volume_mounts()) {
    const size_t index = number++;
    const std::string sub_path = TRY(SubPathOf(mount, environment));
    if (sub_path.empty()) continue;
    const std::string volume = TRY(volumes.PathOf(mount.name()));
    std::string target = fmt::format("{}/volume-subpaths/{}/{}/{}", directory, mount.name(), container.name(), index);
    Ok bound;
    runtime.Blocking([&] { bound = BindSubPath(volume, sub_path, target); });
    if (!bound.ok()) {
      LOG_WARN("a subPath could not be mounted", {"container", container.name()}, {"error", bound.status()});
      return BadRequest(fmt::format("failed to prepare subPath for volumeMount {} of container {}",
                                    GoQuote(mount.name()), GoQuote(container.name())));
    }
    out[index] = std::move(target);
  }
  return out;
}

}  // namespace knarr::node

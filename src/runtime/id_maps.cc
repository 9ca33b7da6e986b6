#include "runtime/id_maps.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/kernel.h"

namespace knarr::runtime::kernel {

namespace {

constexpr IdRange kTried = {65536, 65536};

// A mount that is nowhere yet, of what lies at `source`; what is mounted below it is not in it.
Result<rt::OwnedFd> CloneMapped(const std::string& source, const rt::OwnedFd& user_namespace, uint64_t attributes) {
  rt::OwnedFd clone(
      static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!clone.ok()) return FromErrno(errno, "open_tree " + source);
  struct mount_attr wanted = {};
  wanted.attr_set = MOUNT_ATTR_IDMAP | attributes;
  wanted.userns_fd = static_cast<uint64_t>(user_namespace.get());
  if (syscall(SYS_mount_setattr, clone.get(), "", AT_EMPTY_PATH, &wanted, sizeof(wanted)) != 0) {
    return FromErrno(errno, "failed to set MOUNT_ATTR_IDMAP on " + source);
  }
  return clone;
}

Ok Place(const rt::OwnedFd& mount, const std::string& target) {
  if (syscall(SYS_move_mount, mount.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0) return {};
  return FromErrno(errno, "mount at " + target);
}

// The layers, mapped, where they can be named. Nobody can write there: whoever finds them after a crash and removes
// the folder does not remove images.
class Aside {
 public:
  explicit Aside(std::string directory) : directory_(std::move(directory)) {}
  ~Aside() {
    if (!mounted_) return;
    // All at once. What is not removed now is found when the container is.
    if (Unmount(directory_).ok()) (void)RemoveDirectory(directory_);
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

  Result<std::vector<std::string>> Show(const std::vector<std::string>& layers, const rt::OwnedFd& user_namespace) {
    TRY(MakeDirectories(directory_, 0700));
    TRY(Mount("layers", directory_, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700,size=1m"));
    mounted_ = true;
    // What is mounted in it is nobody else's business.
    TRY(Mount("", directory_, nullptr, MS_PRIVATE, ""));
    std::vector<std::string> out;
    for (const std::string& layer : layers) {
      out.push_back(directory_ + "/" + std::to_string(out.size()));
      TRY(MakeDirectories(out.back(), 0700));
      const rt::OwnedFd mapped = TRY(CloneMapped(layer, user_namespace, MOUNT_ATTR_RDONLY));
      TRY(Place(mapped, out.back()));
    }
    return out;
  }

 private:
  const std::string directory_;
  bool mounted_ = false;
};

// Waits to be killed: a process that a namespace is read from.
[[noreturn]] void Linger() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
}

Ok WriteIds(int pid, const IdRange& ids) {
  const std::string line = "0 " + std::to_string(ids.first) + " " + std::to_string(ids.length);
  for (const char* file : {"/gid_map", "/uid_map"}) TRY(WriteFile("/proc/" + std::to_string(pid) + file, line));
  return {};
}

Ok TryIn(const std::string& directory) {
  const rt::OwnedFd ids = TRY(MakeUserNamespace(kTried));
  for (const char* name : {"", "/lower", "/upper", "/work", "/root"}) TRY(MakeDirectories(directory + name, 0700));
  TRY(MountMappedOverlay({directory + "/lower"}, directory + "/upper", directory + "/work", directory + "/root", ids,
                         directory + "/aside"));
  TRY(Unmount(directory + "/root"));
  // Volumes in memory (Linux 6.3).
  TRY(Mount("try", directory + "/root", "tmpfs", 0, "size=4k"));
  const auto mapped = CloneMapped(directory + "/root", ids, 0);
  TRY(Unmount(directory + "/root"));
  return mapped.ok() ? Ok() : Ok(mapped.status());
}

}  // namespace

Result<rt::OwnedFd> UserNamespaceOf(int pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/user";
  rt::OwnedFd out(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!out.ok()) return FromErrno(errno, "open " + path);
  return out;
}

Result<rt::OwnedFd> MakeUserNamespace(const IdRange& ids) {
  // Without a signal at its end it is nobody else's to reap.
  const long pid = syscall(SYS_clone, CLONE_NEWUSER, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) return FromErrno(errno, "make a user namespace");
  if (pid == 0) Linger();
  const Ok written = WriteIds(static_cast<int>(pid), ids);
  auto out = written.ok() ? UserNamespaceOf(static_cast<int>(pid)) : Result<rt::OwnedFd>(written.status());
  kill(static_cast<pid_t>(pid), SIGKILL);
  while (waitpid(static_cast<pid_t>(pid), nullptr, __WALL) < 0 && errno == EINTR) {
  }
  return out;
}

Ok MountMappedOverlay(const std::vector<std::string>& layers, const std::string& upper, const std::string& work,
                      const std::string& target, const rt::OwnedFd& user_namespace, const std::string& aside) {
  Aside shown(aside);
  return MountOverlay(TRY(shown.Show(layers, user_namespace)), upper, work, target);
}

Ok MountMappedLayers(const std::vector<std::string>& layers, const std::string& target,
                     const rt::OwnedFd& user_namespace, const std::string& aside) {
  // The kernel makes no overlay of one.
  if (layers.size() != 1) return MountMappedOverlay(layers, "", "", target, user_namespace, aside);
  return Place(TRY(CloneMapped(layers[0], user_namespace, MOUNT_ATTR_RDONLY)), target);
}

Ok TryUserNamespaces(const std::string& directory) {
  const auto clear = [&]() -> Ok {
    for (const char* name : {"/root", "/aside"}) TRY(Unmount(directory + name));
    return {};
  };
  TRY(clear());  // of one that was killed
  const Ok tried = TryIn(directory);
  TRY(clear());
  return tried;
}

std::vector<std::string> MountsInside(const std::vector<MountPoint>& mounts, const std::string& directory) {
  std::vector<std::string> out;
  const std::string below = directory == "/" ? directory : directory + "/";
  for (const MountPoint& mount : mounts) {
    if (mount.path.size() > below.size() && mount.path.starts_with(below)) out.push_back(mount.path);
  }
  return out;
}

}  // namespace knarr::runtime::kernel

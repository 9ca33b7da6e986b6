#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "rt/owned_fd.h"
#include "runtime/kernel.h"

namespace knarr::runtime::kernel {

namespace {

constexpr size_t kOptionsMax = 4000;  // mount(2) takes one page

// In the options of mount(2), ',' ends an option, ':' a layer, and '\' escapes them.
std::string Escape(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (c == '\\' || c == ':' || c == ',') out += '\\';
    out += c;
  }
  return out;
}

long Configure(const rt::OwnedFd& context, const char* key, const char* value) {
  return syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, key, value, 0);
}

// The mount API with one call a layer (Linux 6.8): no bound on their number or on the length of their paths.
Ok MountByLayers(const std::vector<std::string>& layers, const std::string& upper, const std::string& work,
                 const std::string& target) {
  const rt::OwnedFd context(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
  if (context.get() < 0) return FromErrno(errno, "fsopen overlay");
  Configure(context, "source", "overlay");
  for (size_t i = layers.size(); i-- > 0;) {
    if (Configure(context, "lowerdir+", layers[i].c_str()) != 0) return FromErrno(errno, "add the layer " + layers[i]);
  }
  if (!upper.empty() && Configure(context, "upperdir", upper.c_str()) != 0) {
    return FromErrno(errno, "set upperdir " + upper);
  }
  if (!work.empty() && Configure(context, "workdir", work.c_str()) != 0) {
    return FromErrno(errno, "set workdir " + work);
  }
  if (syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return FromErrno(errno, "create the overlay for " + target);
  }
  const rt::OwnedFd made(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
  if (made.get() < 0) return FromErrno(errno, "fsmount the overlay for " + target);
  if (syscall(SYS_move_mount, made.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return FromErrno(errno, "mount the overlay at " + target);
  }
  return {};
}

}  // namespace

Ok MountOverlay(const std::vector<std::string>& layers, const std::string& upper, const std::string& work,
                const std::string& target) {
  if (layers.empty()) return Internal("mount the overlay at " + target + ": the image has no layers");
  std::string options;
  for (size_t i = layers.size(); i-- > 0;) options += (options.empty() ? "lowerdir=" : ":") + Escape(layers[i]);
  if (!upper.empty()) options += ",upperdir=" + Escape(upper) + ",workdir=" + Escape(work);
  if (options.size() < kOptionsMax) return Mount("overlay", target, "overlay", 0, options);
  return MountByLayers(layers, upper, work, target);
}

Ok MountLayers(const std::vector<std::string>& layers, const std::string& target) {
  // The kernel makes no overlay of one.
  if (layers.size() != 1) return MountOverlay(layers, "", "", target);
  TRY(Mount(layers[0], target, nullptr, MS_BIND, ""));
  Ok read_only = Mount("", target, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, "");
  if (!read_only.ok()) TRY(Unmount(target));
  return read_only;
}

}  // namespace knarr::runtime::kernel

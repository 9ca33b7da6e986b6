#include "runtime/kernel.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/strings.h"
#include "rt/owned_fd.h"
#include "runtime/shim/process.h"

namespace knarr::runtime::kernel {

namespace {

Ok WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return FromErrno(errno, "write " + path);
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

// mountinfo writes blanks, tabs, newlines and backslashes as octal escapes.
std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      if (const auto code = ParseOctal(text.substr(i + 1, 3), 0377); code.ok()) {
        out += static_cast<char>(*code);
        i += 3;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace

Result<std::string> ReadFile(const std::string& path, size_t limit) {
  const rt::OwnedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return FromErrno(errno, "open " + path);
  std::string out;
  char buffer[4096];
  for (;;) {
    const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FromErrno(errno, "read " + path);
    if (got == 0) return out;
    out.append(buffer, static_cast<size_t>(got));
    if (out.size() > limit) return Internal("read " + path + ": longer than " + std::to_string(limit) + " bytes");
  }
}

Ok WriteFile(const std::string& path, std::string_view bytes) {
  const rt::OwnedFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) return FromErrno(errno, "open " + path);
  return WriteAll(fd.get(), bytes, path);
}

Ok ReplaceFile(const std::string& path, std::string_view bytes, uint32_t mode) {
  const std::string temporary = path + ".tmp";
  {
    const rt::OwnedFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!fd.ok()) return FromErrno(errno, "create " + temporary);
    TRY(WriteAll(fd.get(), bytes, temporary));
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return FromErrno(errno, "rename to " + path);
  return {};
}

bool Exists(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string RealPath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

Ok MakeDirectories(const std::string& path, uint32_t mode) {
  if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return FromErrno(errno, "mkdir " + path);
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return FromErrno(ENOENT, "mkdir " + path);
  TRY(MakeDirectories(path.substr(0, slash), mode));
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return FromErrno(errno, "mkdir " + path);
  return {};
}

Ok Chmod(const std::string& path, uint32_t mode) {
  return chmod(path.c_str(), mode) == 0 ? Ok() : FromErrno(errno, "chmod " + path);
}

Ok Chown(const std::string& path, uint32_t user, uint32_t group) {
  return chown(path.c_str(), user, group) == 0 ? Ok() : FromErrno(errno, "chown " + path);
}

Ok RemoveDirectory(const std::string& path) {
  if (rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
  return FromErrno(errno, "rmdir " + path);
}

std::vector<std::string> List(const std::string& path) {
  std::vector<std::string> out;
  std::error_code error;
  for (std::filesystem::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    out.push_back(at->path().filename().string());
  }
  return out;
}

Ok Mount(const std::string& source, const std::string& target, const char* type, unsigned long flags,
         const std::string& data) {
  if (mount(source.c_str(), target.c_str(), type, flags, data.c_str()) == 0) return {};
  return FromErrno(errno, std::string("mount ") + (type != nullptr ? type : source.c_str()) + " at " + target);
}

Ok Unmount(const std::string& target) {
  if (umount2(target.c_str(), MNT_DETACH) == 0 || errno == ENOENT || errno == EINVAL) return {};
  return FromErrno(errno, "unmount " + target);
}

std::vector<MountPoint> ParseMountInfo(std::string_view text) {
  std::vector<MountPoint> out;
  for (const std::string_view line : Lines(text)) {
    // "36 35 98:0 /root /mount/point options optional… - type source super-options"
    const auto halves = Cut(line, " - ");
    if (!halves) continue;
    const auto left = Fields(halves->first);
    const auto right = Fields(halves->second);
    if (left.size() < 6 || right.size() < 3) continue;
    MountPoint& mount = out.emplace_back();
    mount.path = Unescape(left[4]);
    mount.type = right[0];
    mount.super_options = right[2];
    for (size_t i = 6; i < left.size(); ++i) {
      mount.shared |= left[i].starts_with("shared:");
      mount.slave |= left[i].starts_with("master:");
    }
  }
  return out;
}

std::vector<MountPoint> Mounts() {
  const auto text = ReadFile("/proc/self/mountinfo", 64 << 20);
  return text.ok() ? ParseMountInfo(*text) : std::vector<MountPoint>();
}

MountPoint MountOf(const std::string& path) {
  const std::string real = RealPath(path);
  MountPoint out;
  for (MountPoint& mount : Mounts()) {
    const bool below = mount.path == "/" || real == mount.path || real.starts_with(mount.path + "/");
    // Later mounts cover earlier ones.
    if (below && mount.path.size() >= out.path.size()) out = std::move(mount);
  }
  return out;
}

bool Alive(int pid, uint64_t start) {
  if (pid <= 0 || start == 0 || shim::ProcessStart(pid) != start) return false;
  const auto stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  if (!stat.ok()) return false;
  const size_t bracket = stat->rfind(')');
  return bracket != std::string::npos && stat->substr(bracket + 1, 3) != " Z ";
}

void Kill(int pid, uint64_t start) {
  if (!Alive(pid, start)) return;
  // The pidfd pins the process; only then is its start looked at again.
  const rt::OwnedFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (fd.ok() && shim::ProcessStart(pid) == start) syscall(SYS_pidfd_send_signal, fd.get(), SIGKILL, nullptr, 0);
}

std::string BootId() {
  const auto text = ReadFile("/proc/sys/kernel/random/boot_id");
  return text.ok() ? std::string(TrimSpace(*text)) : std::string();
}

uint64_t CapabilityMask() {
  const auto text = ReadFile("/proc/self/status");
  if (!text.ok()) return 0;
  for (std::string_view line : Lines(*text)) {
    if (!ConsumePrefix(line, "CapBnd:")) continue;
    const auto bytes = HexDecode(TrimSpace(line));
    uint64_t mask = 0;
    for (const char byte : bytes.ok() ? *bytes : std::string()) mask = mask << 8 | static_cast<uint8_t>(byte);
    return mask;
  }
  return 0;
}

int OomScoreAdjust() {
  const auto text = ReadFile("/proc/self/oom_score_adj");
  return text.ok() ? ParseInt<int>(TrimSpace(*text)).value_or(0) : 0;
}

namespace {

Device DeviceOf(const std::string& path, const struct stat& info) {
  return {.path = path,
          .type = S_ISCHR(info.st_mode) ? 'c' : 'b',
          .major = major(info.st_rdev),
          .minor = minor(info.st_rdev),
          .mode = info.st_mode & 07777,
          .uid = info.st_uid,
          .gid = info.st_gid,
          .access = ""};
}

}  // namespace

Result<Device> FindDevice(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return FromErrno(errno, "look at device " + path);
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) return BadRequest(path + " is no device");
  return DeviceOf(path, info);
}

std::vector<Device> HostDevices() {
  std::vector<Device> out;
  std::error_code error;
  using std::filesystem::directory_options;
  std::filesystem::recursive_directory_iterator at("/dev", directory_options::skip_permission_denied, error);
  for (const std::filesystem::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    const std::string path = at->path().string();
    const std::string name = at->path().filename().string();
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode) && (name == "pts" || name == "shm" || name == "fd" || name == "mqueue")) {
      at.disable_recursion_pending();
      continue;
    }
    if ((!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) || path == "/dev/console" || path == "/dev/ptmx") continue;
    out.push_back(DeviceOf(path, info));
  }
  return out;
}

}  // namespace knarr::runtime::kernel

#pragma once

// The few kernel calls the engine makes itself. All of them block: they are made inside rt::Runtime::Blocking, several
// at a time, so that a pod's start costs few switches.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace knarr::runtime::kernel {

Result<std::string> ReadFile(const std::string& path, size_t limit = 1 << 20);
/// In place, in one write: cgroup and /proc files.
Ok WriteFile(const std::string& path, std::string_view bytes);
/// Aside and renamed; without syncing: what it describes does not outlive the machine's boot either.
Ok ReplaceFile(const std::string& path, std::string_view bytes, uint32_t mode = 0600);
bool Exists(const std::string& path);
bool IsDirectory(const std::string& path);
/// With no symbolic link in it, as mountinfo shows it; the path itself when there is no such file.
std::string RealPath(const std::string& path);
/// With missing parents; fine if it is there.
Ok MakeDirectories(const std::string& path, uint32_t mode = 0755);
/// Whatever our umask is.
Ok Chmod(const std::string& path, uint32_t mode);
Ok Chown(const std::string& path, uint32_t user, uint32_t group);
/// rmdir; fine if it is gone.
Ok RemoveDirectory(const std::string& path);
/// Names in a directory; empty when there is none.
std::vector<std::string> List(const std::string& path);

/// mount(2). `what` is said in the error.
Ok Mount(const std::string& source, const std::string& target, const char* type, unsigned long flags,
         const std::string& data);
/// Lazily, so that a busy mount goes as soon as it can; fine if it is none.
Ok Unmount(const std::string& target);

struct MountPoint {
  std::string path;
  std::string type;
  std::string super_options;
  bool shared = false;  ///< mounts below it are seen by its peers
  bool slave = false;   ///< it sees those of its master
};
/// The lines of a mountinfo file; malformed ones are left out.
std::vector<MountPoint> ParseMountInfo(std::string_view text);
std::vector<MountPoint> Mounts();

/// The mount that a path lies in.
MountPoint MountOf(const std::string& path);

/// An overlay of the layers (lowest first) with `upper` and `work`, mounted at `target`; any number of layers.
Ok MountOverlay(const std::vector<std::string>& layers, const std::string& upper, const std::string& work,
                const std::string& target);

/// The layers alone, to read from.
Ok MountLayers(const std::vector<std::string>& layers, const std::string& target);

/// Whether the process of that pid and start time is there (and no zombie).
bool Alive(int pid, uint64_t start);
/// SIGKILL, if it is that process.
void Kill(int pid, uint64_t start);
/// This boot's random id: what was written under another one describes nothing any more.
std::string BootId();
/// The capabilities this process may hand on (CapBnd).
uint64_t CapabilityMask();
int OomScoreAdjust();

struct Device {
  std::string path;
  char type = 'c';  ///< 'c' or 'b'
  uint32_t major = 0, minor = 0, mode = 0, uid = 0, gid = 0;
  std::string access;  ///< "rwm": what a container may that may not use every device
};
/// The device node at the path, also behind links. BadRequest for what is none.
Result<Device> FindDevice(const std::string& path);
/// The device nodes below /dev, but for terminals: what a privileged container gets.
std::vector<Device> HostDevices();

}  // namespace knarr::runtime::kernel

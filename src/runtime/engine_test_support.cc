#include "runtime/engine_test_support.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "base/strings.h"
#include "runtime/cgroup.h"
#include "runtime/kernel.h"

namespace knarr::runtime {

namespace fs = std::filesystem;

namespace {

constexpr const char* kBusybox = "/usr/bin/busybox";
constexpr const char* kApplets[] = {"sh",  "sleep",    "ls",    "cat",  "echo",  "true",  "false", "id",
                                    "env", "hostname", "tty",   "stty", "ps",    "mount", "kill",  "head",
                                    "dd",  "yes",      "touch", "rm",   "mkdir", "df",    "date",  "printf",
                                    "wc",  "grep",     "seq",   "test", "httpd", "wget",
                                    "tr",  "stat",     "umount"};

}  // namespace

std::string EngineTestsMissing() {
  if (geteuid() != 0) return "not root";
  if (!fs::exists(kBusybox)) return "no busybox";
  if (!fs::exists("/usr/bin/crun")) return "no crun";
  if (!fs::exists(BuiltShim())) return "no knarr-shim beside the test";
  return "";
}

Result<image::Store::User> DirectoryStore::ResolveUser(const image::Image&, std::string_view user) {
  User out;
  out.home = "/";
  if (!user.empty()) out.uid = TRY(ParseInt<uint32_t>(user));
  return out;
}

image::Image MakeBusyboxImage(const std::string& directory, int layers) {
  const std::string base = directory + "/layer-0";
  for (const char* name : {"bin", "etc", "proc", "dev", "sys", "tmp", "root"})
    fs::create_directories(base + "/" + name);
  fs::permissions(base + "/tmp", fs::perms::all | fs::perms::sticky_bit);
  fs::copy_file(kBusybox, base + "/bin/busybox", fs::copy_options::overwrite_existing);
  for (const char* applet : kApplets) {
    if (!fs::exists(fs::symlink_status(base + "/bin/" + applet)))
      fs::create_symlink("busybox", base + "/bin/" + applet);
  }
  std::ofstream(base + "/etc/passwd") << "root:x:0:0:root:/root:/bin/sh\n";
  std::ofstream(base + "/etc/plain") << "no program\n";
  image::Image out;
  out.id = "sha256:" + std::string(64, 'b');
  out.names = {"docker.io/library/busybox:test"};
  out.config.command = {"sh"};
  out.config.environment = {"PATH=/bin", "FROM_IMAGE=yes"};
  out.layer_directories = {base};
  for (int i = 1; i < layers; i++) {
    const std::string layer = directory + "/layer-" + std::to_string(i);
    fs::create_directories(layer);
    std::ofstream(layer + "/file-" + std::to_string(i)) << i;
    out.layer_directories.push_back(layer);
  }
  return out;
}

std::string BuiltShim() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path().string() + "/knarr-shim";
}

std::string FindLeaks(const std::string& directory, const std::string& cgroup_root) {
  std::string out;
  for (const kernel::MountPoint& mount : kernel::Mounts()) {
    if (mount.path.starts_with(directory)) out += "mount " + mount.path + "\n";
  }
  const auto cgroups = Cgroups::Detect();
  if (cgroups.ok()) {
    for (const CgroupHierarchy& hierarchy : cgroups->hierarchies()) {
      if (kernel::Exists(hierarchy.mount + cgroup_root)) out += "group " + hierarchy.mount + cgroup_root + "\n";
    }
  }
  for (const std::string& pid : kernel::List("/proc")) {
    if (!ParseInt<int>(pid).ok()) continue;
    const std::string command = kernel::ReadFile("/proc/" + pid + "/cmdline").value_or("");
    const auto groups = kernel::ReadFile("/proc/" + pid + "/cgroup");
    const bool ours = (command.find(directory) != std::string::npos && pid != std::to_string(getpid())) ||
                      (groups.ok() && groups->find(cgroup_root + "/") != std::string::npos);
    if (ours) out += "process " + pid + " " + ReplaceAll(command, std::string(1, '\0'), " ") + "\n";
  }
  return out;
}

void RunOnFiber(const std::function<void(rt::Runtime&)>& body) {
  const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(4));
  runtime->Run([&] { body(*runtime); });
}

}  // namespace knarr::runtime

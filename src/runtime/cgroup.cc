#include "runtime/cgroup.h"

#include <signal.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/strings.h"
#include "runtime/kernel.h"

namespace knarr::runtime {

namespace {

// What limits are set with and usage is read from. All are needed but pids and hugetlb, which not every kernel has.
constexpr const char* kControllers[] = {"cpu", "cpuacct", "memory", "pids", "hugetlb"};
constexpr const char* kV2Controllers[] = {"cpu", "memory", "pids", "cpuset", "io", "hugetlb"};

bool Contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

std::vector<std::string> Words(const Result<std::string>& text) {
  std::vector<std::string> out;
  if (!text.ok()) return out;
  for (const std::string_view word : Fields(*text)) out.emplace_back(word);
  return out;
}

Result<int64_t> ReadNumber(const std::string& path) {
  const std::string text = TRY(kernel::ReadFile(path));
  return ParseInt64(TrimSpace(text)).Context(path);
}

// The number after `key` in lines of "key number"; 0 when there is none.
int64_t ReadKey(const std::string& path, std::string_view key) {
  const auto text = kernel::ReadFile(path);
  for (const std::string_view line : Lines(text.ok() ? std::string_view(*text) : std::string_view())) {
    const auto pair = Cut(line, " ");
    if (pair && pair->first == key) return ParseInt64(pair->second).value_or(0);
  }
  return 0;
}

Ok WriteNumber(const std::string& path, int64_t number) { return kernel::WriteFile(path, std::to_string(number)); }

// Calls back for the group and every group below, the deepest first.
template <typename Function>
void WalkUp(const std::string& directory, const Function& function) {
  for (const std::string& name : kernel::List(directory)) {
    const std::string child = directory + "/" + name;
    if (kernel::IsDirectory(child)) WalkUp(child, function);
  }
  function(directory);
}

std::vector<int> Pids(const std::string& directory) {
  std::vector<int> out;
  WalkUp(directory, [&](const std::string& group) {
    const auto text = kernel::ReadFile(group + "/cgroup.procs", 16 << 20);
    for (const std::string& word : Words(text)) {
      if (const auto pid = ParseInt<int>(word); pid.ok() && *pid > 0) out.push_back(*pid);
    }
  });
  return out;
}

}  // namespace

uint64_t CpuWeight(int64_t shares) {
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  // A quadratic in the logarithm, through (2, 1), (1024, 100) and (262144, 10000).
  const double bits = std::log2(static_cast<double>(shares));
  return static_cast<uint64_t>(std::ceil(std::pow(10, bits * (bits + 125) / 612 - 7.0 / 34)));
}

Result<Cgroups> Cgroups::Detect() { return Detect(TRY(kernel::ReadFile("/proc/self/mountinfo", 64 << 20))); }

Result<Cgroups> Cgroups::Detect(std::string_view mount_info) {
  static constexpr std::string_view kNotControllers[] = {"rw",       "ro",  "xattr", "clone_children", "cpuset_v2_mode",
                                                         "noprefix", "none"};
  Cgroups out;
  for (const kernel::MountPoint& mount : kernel::ParseMountInfo(mount_info)) {
    if (mount.type == "cgroup2" && out.unified_.empty()) out.unified_ = mount.path;
    if (mount.type != "cgroup") continue;
    CgroupHierarchy hierarchy{mount.path, {}};
    for (const std::string_view option : Split(mount.super_options, ',')) {
      if (option.starts_with("release_agent=") || std::ranges::count(kNotControllers, option) > 0) continue;
      hierarchy.controllers.emplace_back(option);
    }
    const bool seen = std::ranges::any_of(
        out.hierarchies_, [&](const CgroupHierarchy& other) { return other.controllers == hierarchy.controllers; });
    if (!hierarchy.controllers.empty() && !seen) out.hierarchies_.push_back(std::move(hierarchy));
  }
  const bool v1 = out.Find("memory") != nullptr || out.Find("cpu") != nullptr;
  if (!v1 && out.unified_.empty()) return Unavailable("no control groups are mounted at /sys/fs/cgroup");
  out.mode_ = !v1 ? CgroupMode::kV2 : out.unified_.empty() ? CgroupMode::kV1 : CgroupMode::kHybrid;
  std::string missing;
  if (out.v2()) {
    const auto there = Words(kernel::ReadFile(out.unified_ + "/cgroup.controllers"));
    for (const char* name : {"cpu", "memory", "pids"}) {
      if (!Contains(there, name)) missing += std::string(" ") + name;
    }
    out.has_swap_limit_ = kernel::Exists("/proc/swaps");
  } else {
    for (const char* name : {"cpu", "cpuacct", "memory"}) {
      if (out.Find(name) == nullptr) missing += std::string(" ") + name;
    }
    out.has_swap_limit_ = kernel::Exists(out.FileOf("memory", "", "memory.memsw.limit_in_bytes"));
  }
  if (!missing.empty()) return Unavailable("the kernel offers no control group controller for:" + missing);
  if (!out.unified_.empty()) out.hierarchies_.push_back({out.unified_, {}});
  return out;
}

const CgroupHierarchy* Cgroups::Find(std::string_view controller) const {
  for (const CgroupHierarchy& hierarchy : hierarchies_) {
    if (Contains(hierarchy.controllers, controller)) return &hierarchy;
  }
  return nullptr;
}

std::string Cgroups::FileOf(std::string_view controller, const std::string& path, const char* file) const {
  const CgroupHierarchy* hierarchy = Find(controller);
  return (hierarchy != nullptr ? hierarchy->mount : unified_) + path + "/" + file;
}

std::string Cgroups::Description() const {
  std::string out = v2() ? "v2:" : mode_ == CgroupMode::kV1 ? "v1:" : "hybrid:";
  if (v2()) return out + " " + Join(Words(kernel::ReadFile(unified_ + "/cgroup.controllers")), " ");
  for (const CgroupHierarchy& hierarchy : hierarchies_) {
    if (!hierarchy.controllers.empty()) out += " " + Join(hierarchy.controllers, ",");
  }
  return out;
}

Ok Cgroups::Create(const std::string& path) const {
  if (v2()) return CreateV2(path);
  for (const char* controller : kControllers) {
    if (const CgroupHierarchy* h = Find(controller); h != nullptr) TRY(kernel::MakeDirectories(h->mount + path));
  }
  return {};
}

Ok Cgroups::CreateV2(const std::string& path) const {
  TRY(kernel::MakeDirectories(unified_ + path));
  // Each group hands its controllers on to those below it, from the root down.
  size_t end = 0;
  for (;;) {
    const std::string group = unified_ + path.substr(0, end);
    const auto there = Words(kernel::ReadFile(group + "/cgroup.controllers"));
    const auto given = Words(kernel::ReadFile(group + "/cgroup.subtree_control"));
    std::string wanted;
    for (const char* name : kV2Controllers) {
      if (Contains(there, name) && !Contains(given, name)) wanted += (wanted.empty() ? "+" : " +") + std::string(name);
    }
    if (!wanted.empty()) TRY(kernel::WriteFile(group + "/cgroup.subtree_control", wanted));
    if (end == path.size()) return {};
    end = std::min(path.find('/', end + 1), path.size());
  }
}

Ok Cgroups::SetLimits(const std::string& path, const CgroupResources& resources, CgroupWrite write) const {
  return v2() ? SetLimitsV2(path, resources, write) : SetLimitsV1(path, resources, write);
}

Ok Cgroups::SetLimitsV1(const std::string& path, const CgroupResources& r, CgroupWrite write) const {
  const bool update = write == CgroupWrite::kUpdate;
  if (r.cpu_shares > 0 || update) {
    TRY(WriteNumber(FileOf("cpu", path, "cpu.shares"), r.cpu_shares > 0 ? r.cpu_shares : 1024));
  }
  if (r.cpu_quota_us > 0) {
    TRY(WriteNumber(FileOf("cpu", path, "cpu.cfs_period_us"), r.cpu_period_us));
    TRY(WriteNumber(FileOf("cpu", path, "cpu.cfs_quota_us"), r.cpu_quota_us));
  } else if (update) {
    TRY(WriteNumber(FileOf("cpu", path, "cpu.cfs_quota_us"), -1));
  }
  if (r.memory_limit > 0 || update) TRY(SetMemoryV1(path, r.memory_limit > 0 ? r.memory_limit : -1));
  for (const auto& [size, bytes] : r.huge_pages) {
    const std::string file = "hugetlb." + size + ".limit_in_bytes";
    TRY(SetHugePages(FileOf("hugetlb", path, file.c_str()), bytes));
  }
  if (Find("pids") != nullptr && (r.pids_limit > 0 || update)) {
    TRY(kernel::WriteFile(FileOf("pids", path, "pids.max"), r.pids_limit > 0 ? std::to_string(r.pids_limit) : "max"));
  }
  return {};
}

// A kernel without them, or without the controller, has none to give.
Ok Cgroups::SetHugePages(const std::string& file, int64_t bytes) {
  if (kernel::Exists(file)) return WriteNumber(file, bytes);
  if (bytes == 0) return {};
  return Unavailable("the kernel does not limit huge pages: there is no " + file);
}

// The limit of memory and swap together may never be below that of memory alone, so the order depends on which way it
// goes.
Ok Cgroups::SetMemoryV1(const std::string& path, int64_t limit) const {
  const std::string memory = FileOf("memory", path, "memory.limit_in_bytes");
  if (!has_swap_limit_) return WriteNumber(memory, limit);
  const std::string both = FileOf("memory", path, "memory.memsw.limit_in_bytes");
  if (const Ok first = WriteNumber(memory, limit); !first.ok()) {
    TRY(WriteNumber(both, limit));
    return WriteNumber(memory, limit);
  }
  return WriteNumber(both, limit);
}

Ok Cgroups::SetLimitsV2(const std::string& path, const CgroupResources& r, CgroupWrite write) const {
  const bool update = write == CgroupWrite::kUpdate;
  const std::string group = unified_ + path;
  if (r.cpu_shares > 0 || update) {
    TRY(kernel::WriteFile(group + "/cpu.weight", std::to_string(r.cpu_shares > 0 ? CpuWeight(r.cpu_shares) : 100)));
  }
  if (r.cpu_quota_us > 0 || update) {
    const std::string quota = r.cpu_quota_us > 0 ? std::to_string(r.cpu_quota_us) : "max";
    TRY(kernel::WriteFile(group + "/cpu.max", quota + " " + std::to_string(r.cpu_period_us)));
  }
  if (r.memory_limit > 0 || update) {
    TRY(kernel::WriteFile(group + "/memory.max", r.memory_limit > 0 ? std::to_string(r.memory_limit) : "max"));
  }
  for (const auto& [size, bytes] : r.huge_pages) TRY(SetHugePages(group + "/hugetlb." + size + ".max", bytes));
  if (r.pids_limit > 0 || update) {
    TRY(kernel::WriteFile(group + "/pids.max", r.pids_limit > 0 ? std::to_string(r.pids_limit) : "max"));
  }
  return {};
}

Result<CgroupUsage> Cgroups::Usage(const std::string& path) const {
  CgroupUsage out;
  int64_t inactive = 0;
  if (v2()) {
    out.cpu_ns = ReadKey(unified_ + path + "/cpu.stat", "usage_usec") * 1000;
    out.memory_bytes = TRY(ReadNumber(unified_ + path + "/memory.current"));
    inactive = ReadKey(unified_ + path + "/memory.stat", "inactive_file");
  } else {
    out.cpu_ns = TRY(ReadNumber(FileOf("cpuacct", path, "cpuacct.usage")));
    out.memory_bytes = TRY(ReadNumber(FileOf("memory", path, "memory.usage_in_bytes")));
    inactive = ReadKey(FileOf("memory", path, "memory.stat"), "total_inactive_file");
  }
  out.memory_working_set_bytes = std::max<int64_t>(0, out.memory_bytes - inactive);
  return out;
}

// Who is killed has to run to end, which many that share a small quota would take minutes for.
void Cgroups::LiftQuotas(const std::string& path) const {
  const std::string file = v2() ? "cpu.max" : "cpu.cfs_quota_us";
  const std::string top = FileOf("cpu", path, file.c_str());
  WalkUp(top.substr(0, top.rfind('/')), [&](const std::string& group) {
    const std::string quota = group + "/" + file;
    const Ok lifted = kernel::WriteFile(quota, v2() ? "max" : "-1");
    // Killed it will be, if later; one that is gone has nobody to kill.
    if (!lifted.ok() && kernel::Exists(quota)) {
      LOG_WARN("a group that is killed keeps its CPU quota", {"group", group}, {"error", lifted.status()});
    }
  });
}

void Cgroups::KillAll(const std::string& path) const {
  LiftQuotas(path);
  if (v2() && kernel::WriteFile(unified_ + path + "/cgroup.kill", "1").ok()) return;
  // Frozen, it can't fork while the list is read.
  const bool freezer = Find("freezer") != nullptr;
  const std::string state = freezer ? FileOf("freezer", path, "freezer.state") : std::string();
  const bool frozen = freezer && kernel::WriteFile(state, "FROZEN").ok();
  const std::string file = ProcessesFile(path);
  for (const int pid : Pids(file.substr(0, file.rfind('/')))) kill(pid, SIGKILL);
  if (frozen) (void)kernel::WriteFile(state, "THAWED");  // gone already: nothing to thaw
}

bool Cgroups::Empty(const std::string& path) const {
  return std::ranges::all_of(hierarchies_, [&](const CgroupHierarchy& h) { return Pids(h.mount + path).empty(); });
}

Ok Cgroups::Remove(const std::string& path) const {
  std::optional<Status> failed;
  for (const CgroupHierarchy& hierarchy : hierarchies_) {
    if (!kernel::Exists(hierarchy.mount + path)) continue;
    WalkUp(hierarchy.mount + path, [&](const std::string& group) {
      if (const Ok removed = kernel::RemoveDirectory(group); !removed.ok()) failed = removed.status();
    });
  }
  if (failed) return Conflict("control group " + path + " is in use: " + failed->message());
  return {};
}

std::string Cgroups::OomFile(const std::string& path) const {
  return v2() ? unified_ + path + "/memory.events" : FileOf("memory", path, "memory.oom_control");
}

int64_t Cgroups::OomKills(const std::string& path) const { return ReadKey(OomFile(path), "oom_kill"); }

std::string Cgroups::ProcessesFile(const std::string& path) const {
  if (v2()) return unified_ + path + "/cgroup.procs";
  return FileOf(Find("pids") != nullptr ? "pids" : "memory", path, "cgroup.procs");
}

std::vector<std::string> Cgroups::LeftOver() const {
  if (mode_ != CgroupMode::kHybrid) return {};
  return Words(kernel::ReadFile(unified_ + "/cgroup.controllers"));
}

Result<std::vector<std::string>> Cgroups::MountLeftOver() const {
  std::vector<std::string> made;
  const CgroupHierarchy* memory = Find("memory");
  const std::string base = memory->mount.substr(0, memory->mount.rfind('/'));
  for (const std::string& controller : LeftOver()) {
    const std::string target = base + "/" + controller;
    const Ok directory = kernel::MakeDirectories(target);
    const Ok mounted = directory.ok() ? kernel::Mount("cgroup", target, "cgroup", 0, controller) : directory;
    if (mounted.ok()) {
      made.push_back(target);
    } else if (Contains(LeftOver(), controller)) {  // and nobody else has mounted it meanwhile
      return mounted.status().WithContext("move the controller " + controller + " to v1, as crun needs it");
    }
  }
  return made;
}

}  // namespace knarr::runtime

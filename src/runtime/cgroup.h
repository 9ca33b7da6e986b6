#pragma once

// Control groups, whichever way the machine has them mounted: v1 (a hierarchy a controller), v2 (one for all), or
// hybrid (v1 controllers, and v2 for the rest). A group is named by its path below each hierarchy's root
// ("/knarr/burstable/pod…"). Every call blocks: they are made inside rt::Runtime::Blocking.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "runtime/cgroup_stats.h"
#include "runtime/runtime.h"

namespace knarr::runtime {

enum class CgroupMode : uint8_t { kV1, kV2, kHybrid };

struct CgroupHierarchy {
  std::string mount;                     ///< "/sys/fs/cgroup/memory"
  std::vector<std::string> controllers;  ///< "cpu", "cpuacct"; "name=systemd"; empty for v2
};

/// The cpu.weight for v1's cpu.shares, as runc (1.3.2) and crun (1.23) have it: 1024 shares are a weight of 100.
uint64_t CpuWeight(int64_t shares);

enum class CgroupWrite : uint8_t { kFresh, kUpdate };

class Cgroups {
 public:
  /// From /proc/self/mountinfo's text. ServiceUnavailable when no hierarchy is mounted or a controller we need is
  /// missing, saying which.
  static Result<Cgroups> Detect(std::string_view mount_info);
  static Result<Cgroups> Detect();

  CgroupMode mode() const { return mode_; }
  bool v2() const { return mode_ == CgroupMode::kV2; }
  const std::vector<CgroupHierarchy>& hierarchies() const { return hierarchies_; }
  /// "hybrid: cpu cpuacct memory pids …", for the log.
  std::string Description() const;

  /// Makes the group (with its parents) wherever limits are set or usage is read, ready for groups below it.
  Ok Create(const std::string& path) const;
  /// Sets what is not 0; kUpdate also takes back to the default what is 0.
  Ok SetLimits(const std::string& path, const CgroupResources& resources, CgroupWrite write) const;
  Result<CgroupUsage> Usage(const std::string& path) const;
  /// Everything there is to know of the group, those below it included. NotFound.
  Result<CgroupStats> Stats(const std::string& path) const;
  /// Sends SIGKILL to every process in the group and below. Their CPU quotas are over.
  void KillAll(const std::string& path) const;
  /// Whether no process is in the group and below (or it is gone).
  bool Empty(const std::string& path) const;
  /// Removes the group and those below, in every hierarchy. Conflict while a process is in one.
  Ok Remove(const std::string& path) const;
  /// How many processes the kernel killed in it for want of memory.
  int64_t OomKills(const std::string& path) const;

  /// The file whose "oom_kill" line counts, and the list of processes: for the shim.
  std::string OomFile(const std::string& path) const;
  std::string ProcessesFile(const std::string& path) const;
  /// Whether memory and swap can be limited together.
  bool has_swap_limit() const { return has_swap_limit_; }

  /// Hybrid: the controllers left on the v2 side. crun refuses to work while there is one.
  std::vector<std::string> LeftOver() const;
  /// Mounts them as v1 hierarchies beside the others; the mount points made.
  Result<std::vector<std::string>> MountLeftOver() const;

 private:
  const CgroupHierarchy* Find(std::string_view controller) const;
  std::string FileOf(std::string_view controller, const std::string& path, const char* file) const;
  Ok CreateV2(const std::string& path) const;
  Ok SetLimitsV1(const std::string& path, const CgroupResources& resources, CgroupWrite write) const;
  Ok SetLimitsV2(const std::string& path, const CgroupResources& resources, CgroupWrite write) const;
  static Ok SetHugePages(const std::string& file, int64_t bytes);
  void LiftQuotas(const std::string& path) const;
  Ok SetMemoryV1(const std::string& path, int64_t limit) const;
  void ReadStatsV1(const std::string& path, CgroupStats& out) const;
  void ReadStatsV2(const std::string& path, CgroupStats& out) const;

  CgroupMode mode_ = CgroupMode::kV1;
  std::vector<CgroupHierarchy> hierarchies_;
  std::string unified_;  // the v2 hierarchy's mount
  bool has_swap_limit_ = false;
};

}  // namespace knarr::runtime

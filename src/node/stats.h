#pragma once

// What the node, its pods and their containers use, read from the control groups and /proc when somebody asks.
//
// Nothing is sampled while nobody asks. A rate (nanocores) needs two looks: the one before counts if it is at most two
// minutes old; otherwise a first look is taken and, a quarter of a second later, the one that is answered with. Who
// asks again within a second gets the same answer. What lies on disks is measured once a minute at most.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "api/object.h"
#include "base/time.h"
#include "node/image_collector.h"
#include "node/local_storage.h"
#include "node/machine_stats.h"
#include "rt/runtime.h"
#include "rt/sync.h"
#include "runtime/cgroup.h"
#include "runtime/runtime.h"

namespace knarr::node {

/// What lies on disks is known for so long: the kubelet's volumeStatsAggPeriod.
inline constexpr Duration kDiskFor = 1min;

/// One look at a control group.
struct GroupSample {
  std::string path;  ///< "/knarr/burstable/pod…"
  WallTime time;
  std::optional<int64_t> nano_cores;
  runtime::CgroupStats use;
};

struct ContainerStats {
  std::string name;
  std::string id;
  std::string image;
  WallTime started;
  GroupSample group;
  std::optional<runtime::DiskUse> rootfs;  ///< what it wrote
  std::optional<runtime::DiskUse> logs;
};

struct VolumeStats {
  std::string name;
  std::string claim;  ///< the PersistentVolumeClaim's name; "": none
  DiskSpace space;
  runtime::DiskUse used;
};

struct PodStats {
  std::string name;
  std::string ns;
  std::string uid;
  std::string sandbox_id;
  WallTime started;
  GroupSample group;
  std::vector<ContainerStats> containers;
  std::vector<InterfaceStats> interfaces;  ///< none when it is in the node's network
  std::vector<VolumeStats> volumes;
  std::optional<runtime::DiskUse> disk;  ///< written layers, logs and emptyDirs
};

struct NodeStats {
  std::string name;
  WallTime agent_started;
  MachineStats machine;
  OwnProcess process;
  std::optional<int64_t> process_nano_cores;
  GroupSample group;                 ///< of everything
  std::optional<GroupSample> pods;   ///< of all pods
  std::vector<GroupSample> classes;  ///< of the burstable and the best-effort ones
  std::optional<DiskSpace> disk;
  int64_t images_bytes = 0;
  WallTime time;
};

struct NodeSummary {
  NodeStats node;
  std::vector<PodStats> pods;
};

/// A pod as the agent knows it.
struct PodToMeasure {
  api::ObjectPtr object;
  std::string cgroup;
  std::string sandbox_id;
  int network_pid = 0;  ///< a process in its network; 0: none, or it is the node's
  WallTime started;
  LocalStoragePlaces places;
  std::string volumes_directory;  ///< holds <type>/<name>
  std::vector<ContainerStats> containers;
};

struct StatsOptions {
  std::string node_name;
  std::string data_directory;
  std::string cgroup_root;
  std::function<Result<DiskSpace>(const std::string& directory)> disk_space;
  std::function<int64_t()> images_bytes;
  std::function<std::vector<PodToMeasure>()> pods;
};

enum class StatsDetail : uint8_t {
  kCpuAndMemory,  ///< no disks, no rates
  kRates,
  kAll,
};

class StatsReader {
 public:
  StatsReader(rt::Runtime& runtime, runtime::Runtime& containers, StatsOptions options);
  /// ServiceUnavailable when the machine has no control groups.
  Result<std::shared_ptr<const NodeSummary>> Read(StatsDetail detail);

 private:
  struct Rate {
    MonoTime time;
    int64_t cpu_ns = 0;
    std::optional<int64_t> nano_cores;
    bool seen = false;
  };
  struct Disk {
    MonoTime time;
    LocalStorageUsage use;
    std::vector<VolumeStats> volumes;
  };
  struct Answer {
    MonoTime time;
    std::shared_ptr<const NodeSummary> summary;
  };
  Ok FindCgroups();
  NodeSummary Begin(const std::vector<PodToMeasure>& pods) const;
  Ok PrimeRates(NodeSummary& summary);
  void TakeRates(NodeSummary& summary);
  void TakeRate(GroupSample& group, MonoTime now);
  Ok MeasureDisks(const std::vector<PodToMeasure>& pods, NodeSummary& summary);
  const Disk& DiskOf(const PodToMeasure& pod);

  rt::Runtime& runtime_;
  runtime::Runtime& containers_;
  const StatsOptions options_;
  const WallTime started_;
  rt::Mutex busy_;
  std::optional<runtime::Cgroups> cgroups_;
  std::map<std::string, Rate> rates_;  // by control group
  std::map<std::string, Disk> disks_;  // by pod
  std::map<StatsDetail, Answer> answers_;
};

/// The kubelet's /stats/summary. `cpu_and_memory_only` as its parameter only_cpu_and_memory.
std::string SummaryJson(const NodeSummary& summary, bool cpu_and_memory_only);
/// /metrics/resource, /metrics/cadvisor: names and labels of the kubelet's and cAdvisor's.
std::string ResourceMetrics(const NodeSummary& summary);
std::string CadvisorMetrics(const NodeSummary& summary, int64_t cpus);

}  // namespace knarr::node

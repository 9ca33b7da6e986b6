#pragma once

// What the kernel says of the whole machine: memory, processes, links, disks, waiting.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "node/image_collector.h"
#include "runtime/cgroup_stats.h"

namespace knarr::node {

/// Of /proc/meminfo, in bytes.
struct MemoryInfo {
  int64_t total = 0;
  int64_t free = 0;
  int64_t anonymous = 0;
  int64_t cached = 0;
  int64_t mapped = 0;
  int64_t active_file = 0;
  int64_t inactive_file = 0;
  int64_t swap_total = 0;
  int64_t swap_free = 0;
  /// What is used and can't be had back at once; as the kubelet counts it.
  int64_t working_set() const { return total - free - inactive_file; }
  int64_t available() const { return total - working_set(); }
};
/// nullopt when the text does not say how much memory there is.
std::optional<MemoryInfo> ParseMemoryInfo(std::string_view meminfo);

struct InterfaceStats {
  struct Way {
    int64_t bytes = 0;
    int64_t packets = 0;
    int64_t errors = 0;
    int64_t dropped = 0;
  };
  std::string name;
  Way received;
  Way sent;
};
/// Of a /proc/…/net/dev, without the loopback and links that are ends of others' (as cAdvisor leaves them out).
std::vector<InterfaceStats> ParseNetworkDevices(std::string_view text);

/// How many processes (threads) may be, and are.
struct ProcessCount {
  int64_t most = 0;
  int64_t running = 0;
};

struct MachineStats {
  WallTime boot;
  std::optional<MemoryInfo> memory;
  std::optional<ProcessCount> processes;
  std::vector<InterfaceStats> interfaces;
  int64_t page_faults = 0;
  int64_t major_page_faults = 0;
  std::optional<runtime::Pressure> cpu_pressure;
  std::optional<runtime::Pressure> memory_pressure;
  std::optional<runtime::Pressure> io_pressure;
};
/// Blocking.
MachineStats ReadMachineStats();
/// The same two alone, for who looks often. Blocking.
std::optional<MemoryInfo> ReadMemoryInfo();
std::optional<ProcessCount> ReadProcessCount();

/// The disk that the folder lies on. Blocking.
Result<DiskSpace> AskDisk(const std::string& directory);

/// This process.
struct OwnProcess {
  int64_t cpu_ns = 0;
  int64_t resident_bytes = 0;
  int64_t virtual_bytes = 0;
  int64_t page_faults = 0;
  int64_t major_page_faults = 0;
  int64_t threads = 0;
  int64_t open_files = 0;
  WallTime started;
};
/// Blocking.
OwnProcess ReadOwnProcess();

}  // namespace knarr::node

#pragma once

// All that is read from a control group for whoever watches the machine: processor time, memory, processes, disk
// traffic and how long tasks had to wait (PSI).

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace knarr::runtime {

/// One line of a pressure file: shares in percent over so many seconds, and the sum.
struct PressureLine {
  double avg10 = 0;
  double avg60 = 0;
  double avg300 = 0;
  int64_t total_ns = 0;
};
struct Pressure {
  PressureLine some;
  PressureLine full;
};
/// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the same of "full"; nullopt when it is no such text.
std::optional<Pressure> ParsePressure(std::string_view text);

/// Traffic of one block device.
struct DeviceTraffic {
  uint32_t major = 0;
  uint32_t minor = 0;
  int64_t read_bytes = 0;
  int64_t written_bytes = 0;
  int64_t reads = 0;
  int64_t writes = 0;
};

struct CgroupStats {
  int64_t cpu_ns = 0;
  int64_t cpu_user_ns = 0;
  int64_t cpu_system_ns = 0;
  int64_t cpu_shares = 0;    ///< v1's; 0: not known
  int64_t cpu_quota_us = 0;  ///< 0: none
  int64_t cpu_period_us = 0;
  int64_t periods = 0;  ///< in which the quota was looked at, and was reached
  int64_t throttled_periods = 0;
  int64_t throttled_ns = 0;

  int64_t memory_bytes = 0;
  int64_t memory_working_set_bytes = 0;  ///< less inactive file pages
  int64_t memory_most_bytes = 0;         ///< 0: not known
  int64_t rss_bytes = 0;                 ///< anonymous
  int64_t cache_bytes = 0;
  int64_t mapped_bytes = 0;
  int64_t kernel_bytes = 0;
  int64_t active_file_bytes = 0;
  int64_t inactive_file_bytes = 0;
  int64_t page_faults = 0;
  int64_t major_page_faults = 0;
  int64_t limit_hits = 0;               ///< how often the limit was reached
  std::optional<int64_t> memory_limit;  ///< nullopt: none
  std::optional<int64_t> swap_bytes;    ///< nullopt: not counted
  std::optional<int64_t> swap_limit;
  int64_t oom_kills = 0;

  int64_t threads = 0;
  std::optional<int64_t> threads_limit;
  int64_t processes = 0;

  std::vector<DeviceTraffic> devices;
  // With v2 only.
  std::optional<Pressure> cpu_pressure;
  std::optional<Pressure> memory_pressure;
  std::optional<Pressure> io_pressure;
};

}  // namespace knarr::runtime

#include "runtime/cgroup_stats.h"

#include <algorithm>
#include <map>
#include <string>

#include "base/strings.h"
#include "runtime/cgroup.h"
#include "runtime/kernel.h"

namespace knarr::runtime {
namespace {

// v1 has no word for "none": its limit is then the largest multiple of a page.
constexpr int64_t kUnlimited = int64_t{1} << 62;

/// A file of "key number" lines, read once.
class Keys {
 public:
  explicit Keys(const std::string& path) : text_(kernel::ReadFile(path).value_or("")) {}
  int64_t operator()(std::string_view key) const {
    for (const std::string_view line : Lines(text_)) {
      const auto pair = Cut(line, " ");
      if (pair && pair->first == key) return ParseInt64(TrimSpace(pair->second)).value_or(0);
    }
    return 0;
  }

 private:
  const std::string text_;
};

/// What memory.stat says with either version.
struct MemoryFigure {
  int64_t CgroupStats::*member;
  std::string_view v1;
  std::string_view v2;
};
constexpr MemoryFigure kMemoryFigures[] = {
    {&CgroupStats::rss_bytes, "total_rss", "anon"},
    {&CgroupStats::cache_bytes, "total_cache", "file"},
    {&CgroupStats::mapped_bytes, "total_mapped_file", "file_mapped"},
    {&CgroupStats::active_file_bytes, "total_active_file", "active_file"},
    {&CgroupStats::inactive_file_bytes, "total_inactive_file", "inactive_file"},
    {&CgroupStats::page_faults, "total_pgfault", "pgfault"},
    {&CgroupStats::major_page_faults, "total_pgmajfault", "pgmajfault"},
};

/// The file's number; `other` when there is none ("max").
int64_t Number(const std::string& path, int64_t other = 0) {
  const auto text = kernel::ReadFile(path);
  return text.ok() ? ParseInt64(TrimSpace(*text)).value_or(other) : other;
}

std::optional<int64_t> Limit(const std::string& path) {
  const int64_t limit = Number(path, -1);
  return limit >= 0 && limit < kUnlimited ? std::optional(limit) : std::nullopt;
}

int64_t LinesIn(const std::string& path) {
  const auto text = kernel::ReadFile(path, 16 << 20);
  return text.ok() ? std::ranges::count(*text, '\n') : 0;
}

std::optional<Pressure> PressureIn(const std::string& path) {
  const auto text = kernel::ReadFile(path);
  return text.ok() ? ParsePressure(*text) : std::nullopt;
}

/// "8:16" of a device.
std::optional<std::pair<uint32_t, uint32_t>> DeviceNumbers(std::string_view word) {
  const auto pair = Cut(word, ":");
  if (!pair) return std::nullopt;
  const auto major = ParseInt<uint32_t>(pair->first);
  const auto minor = ParseInt<uint32_t>(pair->second);
  if (!major.ok() || !minor.ok()) return std::nullopt;
  return std::pair(*major, *minor);
}

using Devices = std::map<std::pair<uint32_t, uint32_t>, DeviceTraffic>;

/// v1: lines of "8:16 Read 4096".
void ReadTrafficV1(const std::string& path, int64_t DeviceTraffic::*read, int64_t DeviceTraffic::*written,
                   Devices& devices) {
  const auto text = kernel::ReadFile(path);
  if (!text.ok()) return;
  for (const std::string_view line : Lines(*text)) {
    const auto words = Fields(line);
    const auto numbers = words.size() == 3 ? DeviceNumbers(words[0]) : std::nullopt;
    if (!numbers) continue;
    const int64_t amount = ParseInt64(words[2]).value_or(0);
    if (words[1] == "Read") devices[*numbers].*read = amount;
    if (words[1] == "Write") devices[*numbers].*written = amount;
  }
}

/// v2: lines of "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0".
void ReadTrafficV2(const std::string& path, Devices& devices) {
  const auto text = kernel::ReadFile(path);
  if (!text.ok()) return;
  for (const std::string_view line : Lines(*text)) {
    const auto words = Fields(line);
    const auto numbers = !words.empty() ? DeviceNumbers(words[0]) : std::nullopt;
    if (!numbers) continue;
    DeviceTraffic& device = devices[*numbers];
    for (const std::string_view word : words) {
      const auto pair = Cut(word, "=");
      if (!pair) continue;
      const int64_t amount = ParseInt64(pair->second).value_or(0);
      if (pair->first == "rbytes") device.read_bytes = amount;
      if (pair->first == "wbytes") device.written_bytes = amount;
      if (pair->first == "rios") device.reads = amount;
      if (pair->first == "wios") device.writes = amount;
    }
  }
}

void PutDevices(const Devices& devices, CgroupStats& out) {
  for (const auto& [numbers, traffic] : devices) {
    out.devices.push_back(traffic);
    out.devices.back().major = numbers.first;
    out.devices.back().minor = numbers.second;
  }
}

/// "max 100000" or "50000 100000".
void ReadQuotaV2(const std::string& path, CgroupStats& out) {
  const std::string text = kernel::ReadFile(path).value_or("");
  const auto words = Fields(text);
  if (words.size() != 2) return;
  out.cpu_quota_us = ParseInt64(words[0]).value_or(0);
  out.cpu_period_us = ParseInt64(words[1]).value_or(0);
}

/// The shares whose weight this is; the formula has no inverse in whole numbers, so it is looked for.
int64_t SharesOf(int64_t weight) {
  int64_t low = 2;
  int64_t high = 262144;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (static_cast<int64_t>(CpuWeight(middle)) < weight) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

std::optional<Pressure> ParsePressure(std::string_view text) {
  Pressure out;
  bool seen = false;
  for (const std::string_view line : Lines(text)) {
    const auto words = Fields(line);
    if (words.size() < 5 || (words[0] != "some" && words[0] != "full")) continue;
    PressureLine& into = words[0] == "some" ? out.some : out.full;
    seen = true;
    for (const std::string_view word : words) {
      const auto pair = Cut(word, "=");
      if (!pair) continue;
      if (pair->first == "avg10") into.avg10 = ParseDouble(pair->second).value_or(0);
      if (pair->first == "avg60") into.avg60 = ParseDouble(pair->second).value_or(0);
      if (pair->first == "avg300") into.avg300 = ParseDouble(pair->second).value_or(0);
      if (pair->first == "total") into.total_ns = ParseInt64(pair->second).value_or(0) * 1000;
    }
  }
  return seen ? std::optional(out) : std::nullopt;
}

Result<CgroupStats> Cgroups::Stats(const std::string& path) const {
  const std::string memory = v2() ? unified_ + path : FileOf("memory", path, "");
  if (!kernel::IsDirectory(memory)) return NotFound("no control group " + path);
  CgroupStats out;
  if (v2()) {
    ReadStatsV2(path, out);
  } else {
    ReadStatsV1(path, out);
  }
  out.memory_working_set_bytes = std::max<int64_t>(0, out.memory_bytes - out.inactive_file_bytes);
  out.oom_kills = OomKills(path);
  out.processes = LinesIn(ProcessesFile(path));
  return out;
}

void Cgroups::ReadStatsV1(const std::string& path, CgroupStats& out) const {
  // A tick of the kernel's clock for user space is a hundredth of a second on every machine that we run on.
  constexpr int64_t kTickNs = 10'000'000;
  out.cpu_ns = Number(FileOf("cpuacct", path, "cpuacct.usage"));
  const Keys times(FileOf("cpuacct", path, "cpuacct.stat"));
  out.cpu_user_ns = times("user") * kTickNs;
  out.cpu_system_ns = times("system") * kTickNs;
  out.cpu_shares = Number(FileOf("cpu", path, "cpu.shares"));
  out.cpu_quota_us = std::max<int64_t>(0, Number(FileOf("cpu", path, "cpu.cfs_quota_us")));
  out.cpu_period_us = Number(FileOf("cpu", path, "cpu.cfs_period_us"));
  const Keys throttled(FileOf("cpu", path, "cpu.stat"));
  out.periods = throttled("nr_periods");
  out.throttled_periods = throttled("nr_throttled");
  out.throttled_ns = throttled("throttled_time");

  out.memory_bytes = Number(FileOf("memory", path, "memory.usage_in_bytes"));
  out.memory_most_bytes = Number(FileOf("memory", path, "memory.max_usage_in_bytes"));
  out.kernel_bytes = Number(FileOf("memory", path, "memory.kmem.usage_in_bytes"));
  out.limit_hits = Number(FileOf("memory", path, "memory.failcnt"));
  out.memory_limit = Limit(FileOf("memory", path, "memory.limit_in_bytes"));
  const Keys memory(FileOf("memory", path, "memory.stat"));
  for (const MemoryFigure& figure : kMemoryFigures) out.*figure.member = memory(figure.v1);
  if (has_swap_limit_) {
    // Counted together with memory.
    out.swap_bytes = memory("total_swap");
    const auto both = Limit(FileOf("memory", path, "memory.memsw.limit_in_bytes"));
    if (both && out.memory_limit) out.swap_limit = std::max<int64_t>(0, *both - *out.memory_limit);
  }
  if (Find("pids") != nullptr) {
    out.threads = Number(FileOf("pids", path, "pids.current"));
    out.threads_limit = Limit(FileOf("pids", path, "pids.max"));
  }
  Devices devices;
  if (Find("blkio") != nullptr) {
    ReadTrafficV1(FileOf("blkio", path, "blkio.throttle.io_service_bytes_recursive"), &DeviceTraffic::read_bytes,
                  &DeviceTraffic::written_bytes, devices);
    ReadTrafficV1(FileOf("blkio", path, "blkio.throttle.io_serviced_recursive"), &DeviceTraffic::reads,
                  &DeviceTraffic::writes, devices);
  }
  PutDevices(devices, out);
}

void Cgroups::ReadStatsV2(const std::string& path, CgroupStats& out) const {
  const std::string group = unified_ + path;
  const Keys cpu(group + "/cpu.stat");
  out.cpu_ns = cpu("usage_usec") * 1000;
  out.cpu_user_ns = cpu("user_usec") * 1000;
  out.cpu_system_ns = cpu("system_usec") * 1000;
  out.periods = cpu("nr_periods");
  out.throttled_periods = cpu("nr_throttled");
  out.throttled_ns = cpu("throttled_usec") * 1000;
  if (const int64_t weight = Number(group + "/cpu.weight"); weight > 0) out.cpu_shares = SharesOf(weight);
  ReadQuotaV2(group + "/cpu.max", out);

  out.memory_bytes = Number(group + "/memory.current");
  out.memory_most_bytes = Number(group + "/memory.peak");
  out.memory_limit = Limit(group + "/memory.max");
  out.limit_hits = Keys(group + "/memory.events")("max");
  const Keys memory(group + "/memory.stat");
  out.kernel_bytes = memory("kernel");
  for (const MemoryFigure& figure : kMemoryFigures) out.*figure.member = memory(figure.v2);
  if (const std::string swap = group + "/memory.swap.current"; kernel::Exists(swap)) {
    out.swap_bytes = Number(swap);
    out.swap_limit = Limit(group + "/memory.swap.max");
  }
  out.threads = Number(group + "/pids.current");
  out.threads_limit = Limit(group + "/pids.max");
  Devices devices;
  ReadTrafficV2(group + "/io.stat", devices);
  PutDevices(devices, out);
  out.cpu_pressure = PressureIn(group + "/cpu.pressure");
  out.memory_pressure = PressureIn(group + "/memory.pressure");
  out.io_pressure = PressureIn(group + "/io.pressure");
}

}  // namespace knarr::runtime

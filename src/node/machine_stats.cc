#include "node/machine_stats.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "runtime/kernel.h"

namespace knarr::node {
namespace {

namespace kernel = runtime::kernel;

std::string Read(const std::string& path) { return kernel::ReadFile(path).value_or(""); }

int64_t Number(std::string_view text) { return ParseInt64(TrimSpace(text)).value_or(0); }

/// The number behind a word that begins a line.
int64_t After(std::string_view text, std::string_view word) {
  for (const std::string_view line : Lines(text)) {
    const auto words = Fields(line);
    if (words.size() >= 2 && words[0] == word) return Number(words[1]);
  }
  return 0;
}

WallTime BootTime() { return WallTime(std::chrono::seconds(After(Read("/proc/stat"), "btime"))); }

/// Ends of pods' links and bridges, whose traffic is counted elsewhere already.
bool IsCountedElsewhere(std::string_view name) {
  constexpr std::string_view kPrefixes[] = {"lo", "veth", "docker", "nerdctl", "podman", "kn"};
  return std::ranges::any_of(kPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace

std::optional<MemoryInfo> ParseMemoryInfo(std::string_view meminfo) {
  MemoryInfo out;
  const auto bytes = [&](std::string_view word) { return After(meminfo, word) << 10; };
  out.total = bytes("MemTotal:");
  if (out.total <= 0) return std::nullopt;
  out.free = bytes("MemFree:");
  out.anonymous = bytes("AnonPages:");
  out.cached = bytes("Cached:") + bytes("Buffers:");
  out.mapped = bytes("Mapped:");
  out.active_file = bytes("Active(file):");
  out.inactive_file = bytes("Inactive(file):");
  out.swap_total = bytes("SwapTotal:");
  out.swap_free = bytes("SwapFree:");
  return out;
}

std::vector<InterfaceStats> ParseNetworkDevices(std::string_view text) {
  std::vector<InterfaceStats> out;
  for (const std::string_view line : Lines(text)) {
    const auto pair = Cut(line, ":");
    const auto words = pair ? Fields(pair->second) : std::vector<std::string_view>();
    if (words.size() < 12) continue;
    InterfaceStats link{.name = std::string(TrimSpace(pair->first)), .received = {}, .sent = {}};
    if (IsCountedElsewhere(link.name)) continue;
    const auto way = [&](size_t from) {
      return InterfaceStats::Way{Number(words[from]), Number(words[from + 1]), Number(words[from + 2]),
                                 Number(words[from + 3])};
    };
    link.received = way(0);
    link.sent = way(8);
    out.push_back(std::move(link));
  }
  return out;
}

std::optional<MemoryInfo> ReadMemoryInfo() { return ParseMemoryInfo(Read("/proc/meminfo")); }

std::optional<ProcessCount> ReadProcessCount() {
  ProcessCount out;
  const int64_t pids = Number(Read("/proc/sys/kernel/pid_max"));
  const int64_t threads = Number(Read("/proc/sys/kernel/threads-max"));
  out.most = pids > 0 && threads > 0 ? std::min(pids, threads) : std::max(pids, threads);
  // "0.00 0.01 0.05 1/234 5678": the fourth has those that run now, and all.
  const std::string load = Read("/proc/loadavg");
  const auto words = Fields(load);
  const auto counts = words.size() > 3 ? Cut(words[3], "/") : std::nullopt;
  if (out.most <= 0 || !counts) return std::nullopt;
  out.running = Number(counts->second);
  return out;
}

MachineStats ReadMachineStats() {
  MachineStats out;
  out.boot = BootTime();
  out.memory = ReadMemoryInfo();
  out.processes = ReadProcessCount();
  out.interfaces = ParseNetworkDevices(Read("/proc/net/dev"));
  const std::string counts = Read("/proc/vmstat");
  out.page_faults = After(counts, "pgfault");
  out.major_page_faults = After(counts, "pgmajfault");
  out.cpu_pressure = runtime::ParsePressure(Read("/proc/pressure/cpu"));
  out.memory_pressure = runtime::ParsePressure(Read("/proc/pressure/memory"));
  out.io_pressure = runtime::ParsePressure(Read("/proc/pressure/io"));
  return out;
}

Result<DiskSpace> AskDisk(const std::string& directory) {
  struct statvfs disk;
  if (statvfs(directory.c_str(), &disk) != 0) return FromErrno(errno, "statvfs " + directory);
  const auto unit = static_cast<int64_t>(disk.f_frsize);
  return DiskSpace{.capacity = static_cast<int64_t>(disk.f_blocks) * unit,
                   .available = static_cast<int64_t>(disk.f_bavail) * unit,
                   .inodes = static_cast<int64_t>(disk.f_files),
                   .inodes_free = static_cast<int64_t>(disk.f_favail)};
}

OwnProcess ReadOwnProcess() {
  OwnProcess out;
  const std::string stat = Read("/proc/self/stat");
  // The name, in parentheses, may hold anything.
  const size_t end = stat.rfind(')');
  const auto words = Fields(end == std::string::npos ? std::string_view() : std::string_view(stat).substr(end + 1));
  if (words.size() < 22) return out;
  const int64_t tick_ns = 1'000'000'000 / std::max<int64_t>(1, sysconf(_SC_CLK_TCK));
  out.page_faults = Number(words[7]);
  out.major_page_faults = Number(words[9]);
  out.cpu_ns = (Number(words[11]) + Number(words[12])) * tick_ns;
  out.threads = Number(words[17]);
  out.started = BootTime() + std::chrono::nanoseconds(Number(words[19]) * tick_ns);
  out.virtual_bytes = Number(words[20]);
  out.resident_bytes = Number(words[21]) * sysconf(_SC_PAGESIZE);
  out.open_files = static_cast<int64_t>(kernel::List("/proc/self/fd").size());
  return out;
}

}  // namespace knarr::node

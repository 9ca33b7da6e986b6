#include "node/stats.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "rt/file_system.h"
#include "runtime/kernel.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

// An answer is as good as new for so long.
constexpr Duration kAnswerFor = 1s;
// Two looks this far apart make a rate; cAdvisor keeps its own for two minutes.
constexpr Duration kRateFrom = 200ms;
constexpr Duration kRateTo = 2min;
constexpr Duration kRateWait = 250ms;
constexpr std::string_view kProcess = "this process";

/// The groups of a summary that rates are told of.
std::vector<GroupSample*> GroupsOf(NodeSummary& summary) {
  std::vector<GroupSample*> out = {&summary.node.group};
  if (summary.node.pods) out.push_back(&*summary.node.pods);
  for (GroupSample& group : summary.node.classes) out.push_back(&group);
  for (PodStats& pod : summary.pods) {
    out.push_back(&pod.group);
    for (ContainerStats& container : pod.containers) out.push_back(&container.group);
  }
  return out;
}

/// The machine's memory is not in any group, or only without what the kernel took for itself.
void PutMachineMemory(const MachineStats& machine, runtime::CgroupStats& use) {
  if (machine.memory) {
    const MemoryInfo& memory = *machine.memory;
    use.memory_bytes = memory.total - memory.free;
    use.memory_working_set_bytes = memory.working_set();
    use.rss_bytes = memory.anonymous;
    use.cache_bytes = memory.cached;
    use.mapped_bytes = memory.mapped;
    use.active_file_bytes = memory.active_file;
    use.inactive_file_bytes = memory.inactive_file;
    use.memory_limit = memory.total;
    use.swap_bytes = memory.swap_total - memory.swap_free;
    use.swap_limit = memory.swap_total;
  }
  if (machine.processes) {
    use.threads = machine.processes->running;
    use.threads_limit = machine.processes->most;
  }
  use.page_faults = machine.page_faults;
  use.major_page_faults = machine.major_page_faults;
  use.cpu_pressure = machine.cpu_pressure;
  use.memory_pressure = machine.memory_pressure;
  use.io_pressure = machine.io_pressure;
}

bool ReadGroup(const runtime::Cgroups& cgroups, WallTime now, GroupSample& group) {
  auto use = cgroups.Stats(group.path == "/" ? "" : group.path);
  if (!use.ok()) return false;
  group.time = now;
  group.use = *std::move(use);
  return true;
}

/// Blocking. What ended meanwhile is left out.
void ReadGroups(const runtime::Cgroups& cgroups, const rt::Runtime& runtime, NodeSummary& summary) {
  NodeStats& node = summary.node;
  node.time = runtime.Wall();
  node.machine = ReadMachineStats();
  node.process = ReadOwnProcess();
  (void)ReadGroup(cgroups, node.time, node.group);  // the root is always there
  PutMachineMemory(node.machine, node.group.use);
  node.group.time = node.time;
  if (node.pods && !ReadGroup(cgroups, node.time, *node.pods)) node.pods.reset();
  std::erase_if(node.classes, [&](GroupSample& group) { return !ReadGroup(cgroups, node.time, group); });
  std::erase_if(summary.pods, [&](PodStats& pod) {
    const WallTime now = runtime.Wall();
    std::erase_if(pod.containers,
                  [&](ContainerStats& container) { return !ReadGroup(cgroups, now, container.group); });
    if (!ReadGroup(cgroups, now, pod.group)) return true;
    // A list of processes is the one group's only.
    for (const ContainerStats& container : pod.containers) pod.group.use.processes += container.group.use.processes;
    return false;
  });
}

/// Blocking.
std::vector<InterfaceStats> ReadInterfaces(int pid) {
  const auto text = runtime::kernel::ReadFile("/proc/" + std::to_string(pid) + "/net/dev");
  return text.ok() ? ParseNetworkDevices(*text) : std::vector<InterfaceStats>();
}

std::string ClaimOf(Pod pod, std::string_view volume) {
  for (const auto one : pod.spec().volumes()) {
    if (one.name() != volume) continue;
    if (one.persistent_volume_claim()) return std::string(one.persistent_volume_claim().claim_name());
    if (one.ephemeral()) return std::string(pod.metadata().name()) + "-" + std::string(volume);
  }
  return {};
}

/// Blocking. The kubelet tells of volumes whose files it can count: neither hostPath nor images are such.
std::vector<VolumeStats> MeasureVolumes(const PodToMeasure& pod) {
  std::vector<VolumeStats> out;
  for (const std::string& type : runtime::kernel::List(pod.volumes_directory)) {
    const std::string folder = pod.volumes_directory + "/" + type;
    for (const std::string& name : runtime::kernel::List(folder)) {
      VolumeStats volume{.name = name, .claim = ClaimOf(Pod(pod.object->tree()), name), .space = {}, .used = {}};
      const std::string path = folder + "/" + name;
      const auto space = AskDisk(path);
      if (!space.ok() || !runtime::kernel::IsDirectory(path) || type.ends_with("image")) continue;
      volume.space = *space;
      // A claim's volume is a disk of its own, as far as its user sees.
      volume.used = volume.claim.empty() ? runtime::DiskUsage(path)
                                         : runtime::DiskUse{.bytes = space->capacity - space->available,
                                                            .inodes = space->inodes - space->inodes_free};
      out.push_back(std::move(volume));
    }
  }
  return out;
}

std::optional<runtime::DiskUse> UsedIn(const std::map<std::string, runtime::DiskUse, std::less<>>& map,
                                       const std::string& name) {
  const auto at = map.find(name);
  return at == map.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace

StatsReader::StatsReader(rt::Runtime& runtime, runtime::Runtime& containers, StatsOptions options)
    : runtime_(runtime),
      containers_(containers),
      options_(std::move(options)),
      started_(runtime.Wall()),
      busy_(runtime) {}

Ok StatsReader::FindCgroups() {
  if (cgroups_) return {};
  Result<runtime::Cgroups> found = Unavailable("");
  runtime_.Blocking([&] { found = runtime::Cgroups::Detect(); });
  cgroups_ = TRY(std::move(found));
  return {};
}

NodeSummary StatsReader::Begin(const std::vector<PodToMeasure>& pods) const {
  NodeSummary out;
  out.node.name = options_.node_name;
  out.node.agent_started = started_;
  out.node.group.path = "/";
  out.node.pods.emplace().path = options_.cgroup_root;
  for (const char* name : {"/burstable", "/besteffort"}) {
    out.node.classes.emplace_back().path = options_.cgroup_root + name;
  }
  for (const PodToMeasure& pod : pods) {
    PodStats& stats = out.pods.emplace_back();
    const Pod view(pod.object->tree());
    stats.name = view.metadata().name();
    stats.ns = view.metadata().ns();
    stats.uid = view.metadata().uid();
    stats.sandbox_id = pod.sandbox_id;
    stats.started = pod.started;
    stats.group.path = pod.cgroup;
    stats.containers = pod.containers;
  }
  return out;
}

Result<std::shared_ptr<const NodeSummary>> StatsReader::Read(StatsDetail detail) {
  const auto lock = TRY(busy_.Lock());
  Answer& answer = answers_[detail];
  if (answer.summary != nullptr && runtime_.Mono() - answer.time < kAnswerFor) return answer.summary;
  TRY(FindCgroups());
  const std::vector<PodToMeasure> pods = options_.pods();
  auto summary = std::make_shared<NodeSummary>(Begin(pods));
  if (detail != StatsDetail::kCpuAndMemory) TRY(PrimeRates(*summary));
  std::map<std::string, int> network_pids;
  for (const PodToMeasure& pod : pods) network_pids[std::string(pod.object->uid())] = pod.network_pid;
  runtime_.Blocking([&] {
    ReadGroups(*cgroups_, runtime_, *summary);
    for (PodStats& pod : summary->pods) {
      const int pid = network_pids[pod.uid];
      if (pid > 0) pod.interfaces = ReadInterfaces(pid);
    }
  });
  if (detail != StatsDetail::kCpuAndMemory) TakeRates(*summary);
  if (detail == StatsDetail::kAll) TRY(MeasureDisks(pods, *summary));
  answer = {runtime_.Mono(), std::move(summary)};
  return answer.summary;
}

/// Where no rate can be told of for want of an earlier look, takes one, and waits a moment.
Ok StatsReader::PrimeRates(NodeSummary& summary) {
  const MonoTime now = runtime_.Mono();
  const auto known = [&](const GroupSample& group) {
    const auto at = rates_.find(group.path);
    return at != rates_.end() && now - at->second.time <= kRateTo;
  };
  const auto pod_known = [&](const PodStats& pod) {
    return known(pod.group) && std::ranges::all_of(pod.containers, known, &ContainerStats::group);
  };
  if (known(summary.node.group) && std::ranges::all_of(summary.pods, pod_known)) return {};
  NodeSummary before = summary;
  runtime_.Blocking([&] { ReadGroups(*cgroups_, runtime_, before); });
  TakeRates(before);
  return runtime_.Sleep(kRateWait);
}

void StatsReader::TakeRates(NodeSummary& summary) {
  const MonoTime now = runtime_.Mono();
  for (auto& [path, rate] : rates_) rate.seen = false;
  for (GroupSample* group : GroupsOf(summary)) TakeRate(*group, now);
  GroupSample process;
  process.path = kProcess;
  process.use.cpu_ns = summary.node.process.cpu_ns;
  TakeRate(process, now);
  summary.node.process_nano_cores = process.nano_cores;
  std::erase_if(rates_, [](const auto& entry) { return !entry.second.seen; });
}

void StatsReader::TakeRate(GroupSample& group, MonoTime now) {
  const auto [at, fresh] = rates_.try_emplace(group.path);
  Rate& rate = at->second;
  rate.seen = true;
  const Duration passed = now - rate.time;
  const int64_t used = group.use.cpu_ns - rate.cpu_ns;
  if (!fresh && passed < kRateFrom) {
    group.nano_cores = rate.nano_cores;
    return;
  }
  rate.nano_cores.reset();
  // A group that was made anew counts from zero.
  if (!fresh && passed <= kRateTo && used >= 0) {
    rate.nano_cores = static_cast<int64_t>(static_cast<double>(used) / static_cast<double>(passed.count()) * 1e9);
  }
  rate.time = now;
  rate.cpu_ns = group.use.cpu_ns;
  group.nano_cores = rate.nano_cores;
}

const StatsReader::Disk& StatsReader::DiskOf(const PodToMeasure& pod) {
  const std::string uid(pod.object->uid());
  const auto known = disks_.find(uid);
  if (known != disks_.end() && runtime_.Mono() - known->second.time < kDiskFor) return known->second;
  Disk disk;
  disk.use = MeasureLocalStorage(runtime_, containers_, pod.places);
  runtime_.Blocking([&] { disk.volumes = MeasureVolumes(pod); });
  disk.time = runtime_.Mono();
  return disks_[uid] = std::move(disk);
}

Ok StatsReader::MeasureDisks(const std::vector<PodToMeasure>& pods, NodeSummary& summary) {
  const auto& ask = options_.disk_space;
  Result<DiskSpace> disk = NotFound("");
  runtime_.Blocking([&] { disk = ask ? ask(options_.data_directory) : AskDisk(options_.data_directory); });
  if (disk.ok()) summary.node.disk = *disk;
  if (options_.images_bytes) summary.node.images_bytes = options_.images_bytes();
  for (const PodToMeasure& pod : pods) {
    const auto stats = std::ranges::find(summary.pods, pod.object->uid(), &PodStats::uid);
    if (stats == summary.pods.end()) continue;
    const Disk& measured = DiskOf(pod);
    TRY(runtime_.CheckCancelled());
    for (ContainerStats& container : stats->containers) {
      container.rootfs = UsedIn(measured.use.written, container.name);
      container.logs = UsedIn(measured.use.logs, container.name);
    }
    stats->volumes = measured.volumes;
    stats->disk = UsedOfDisk(Pod(pod.object->tree()), measured.use);
  }
  std::erase_if(disks_, [&](const auto& entry) {
    return std::ranges::none_of(pods, [&](const PodToMeasure& pod) { return pod.object->uid() == entry.first; });
  });
  return {};
}

}  // namespace knarr::node

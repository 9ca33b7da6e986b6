// The kubelet's summary (k8s.io/kubelet's stats/v1alpha1) as JSON.

#include <algorithm>

#include "doc/json.h"
#include "node/stats.h"

namespace knarr::node {
namespace {

using doc::Value;

class SummaryWriter {
 public:
  SummaryWriter(const NodeSummary& summary, bool cpu_and_memory_only)
      : summary_(summary), all_(!cpu_and_memory_only) {}

  std::string Write() {
    Value root = Value::Object();
    Set(root, "node", Node());
    Value pods = Value::Array();
    for (const PodStats& pod : summary_.pods) pods.Append(arena_, OfPod(pod));
    Set(root, "pods", pods);
    return doc::ToJson(root);
  }

 private:
  Value& Set(Value& object, std::string_view key, Value value) { return object.AddMember(arena_, key, value); }
  void Set(Value& object, std::string_view key, int64_t value) { object.AddMember(arena_, key, Value::Int(value)); }
  void Set(Value& object, std::string_view key, const std::optional<int64_t>& value) {
    if (value) Set(object, key, *value);
  }
  void Set(Value& object, std::string_view key, std::string_view value) {
    object.AddMember(arena_, key, Value::String(arena_, value));
  }
  void Set(Value& object, std::string_view key, WallTime time) {
    Set(object, key, std::string_view(FormatTime(time)));
  }

  Value Line(const runtime::PressureLine& line) {
    Value out = Value::Object();
    Set(out, "total", line.total_ns);
    Set(out, "avg10", Value::Double(line.avg10));
    Set(out, "avg60", Value::Double(line.avg60));
    Set(out, "avg300", Value::Double(line.avg300));
    return out;
  }
  void SetPressure(Value& object, const std::optional<runtime::Pressure>& pressure) {
    if (!pressure) return;
    Value out = Value::Object();
    Set(out, "full", Line(pressure->full));
    Set(out, "some", Line(pressure->some));
    Set(object, "psi", out);
  }

  /// What a group used, as members of `object`.
  void SetGroup(Value& object, const GroupSample& group) {
    const runtime::CgroupStats& use = group.use;
    Value cpu = Value::Object();
    Set(cpu, "time", group.time);
    Set(cpu, "usageNanoCores", group.nano_cores);
    Set(cpu, "usageCoreNanoSeconds", use.cpu_ns);
    SetPressure(cpu, use.cpu_pressure);
    Set(object, "cpu", cpu);
    Value memory = Value::Object();
    Set(memory, "time", group.time);
    if (use.memory_limit) {
      Set(memory, "availableBytes", std::max<int64_t>(0, *use.memory_limit - use.memory_working_set_bytes));
    }
    Set(memory, "usageBytes", use.memory_bytes);
    Set(memory, "workingSetBytes", use.memory_working_set_bytes);
    Set(memory, "rssBytes", use.rss_bytes);
    Set(memory, "pageFaults", use.page_faults);
    Set(memory, "majorPageFaults", use.major_page_faults);
    SetPressure(memory, use.memory_pressure);
    Set(object, "memory", memory);
    if (use.io_pressure && all_) {
      Value io = Value::Object();
      Set(io, "time", group.time);
      SetPressure(io, use.io_pressure);
      Set(object, "io", io);
    }
    if (!use.swap_bytes) return;
    Value swap = Value::Object();
    Set(swap, "time", group.time);
    if (use.swap_limit) Set(swap, "swapAvailableBytes", std::max<int64_t>(0, *use.swap_limit - *use.swap_bytes));
    Set(swap, "swapUsageBytes", *use.swap_bytes);
    Set(object, "swap", swap);
  }

  Value Disk(const DiskSpace& space, std::optional<int64_t> bytes, std::optional<int64_t> inodes) {
    Value out = Value::Object();
    Set(out, "time", summary_.node.time);
    Set(out, "availableBytes", space.available);
    Set(out, "capacityBytes", space.capacity);
    Set(out, "usedBytes", bytes);
    Set(out, "inodesFree", space.inodes_free);
    Set(out, "inodes", space.inodes);
    Set(out, "inodesUsed", inodes);
    return out;
  }
  void SetDisk(Value& object, std::string_view key, const std::optional<runtime::DiskUse>& use) {
    if (use && summary_.node.disk) Set(object, key, Disk(*summary_.node.disk, use->bytes, use->inodes));
  }

  Value Link(const InterfaceStats& link) {
    Value out = Value::Object();
    SetLink(out, link);
    return out;
  }
  void SetLink(Value& object, const InterfaceStats& link) {
    Set(object, "name", std::string_view(link.name));
    Set(object, "rxBytes", link.received.bytes);
    Set(object, "rxErrors", link.received.errors);
    Set(object, "txBytes", link.sent.bytes);
    Set(object, "txErrors", link.sent.errors);
  }
  void SetNetwork(Value& object, const std::vector<InterfaceStats>& links, WallTime time) {
    if (links.empty()) return;
    Value out = Value::Object();
    Set(out, "time", time);
    const auto main = std::ranges::find(links, "eth0", &InterfaceStats::name);
    if (main != links.end()) {
      SetLink(out, *main);
    } else {
      Set(out, "name", std::string_view());
    }
    Value all = Value::Array();
    for (const InterfaceStats& link : links) all.Append(arena_, Link(link));
    Set(out, "interfaces", all);
    Set(object, "network", out);
  }

  Value System(std::string_view name, WallTime started, const GroupSample& group) {
    Value out = Value::Object();
    Set(out, "name", name);
    Set(out, "startTime", started);
    SetGroup(out, group);
    return out;
  }

  /// The server's process, which is API server and agent in one.
  GroupSample Kubelet() const {
    GroupSample out;
    out.time = summary_.node.time;
    out.nano_cores = summary_.node.process_nano_cores;
    const OwnProcess& process = summary_.node.process;
    out.use.cpu_ns = process.cpu_ns;
    out.use.memory_bytes = process.resident_bytes;
    out.use.memory_working_set_bytes = process.resident_bytes;
    out.use.rss_bytes = process.resident_bytes;
    out.use.page_faults = process.page_faults;
    out.use.major_page_faults = process.major_page_faults;
    return out;
  }

  Value Node() {
    const NodeStats& node = summary_.node;
    Value out = Value::Object();
    Set(out, "nodeName", std::string_view(node.name));
    Value systems = Value::Array();
    systems.Append(arena_, System("kubelet", node.agent_started, Kubelet()));
    if (node.pods) systems.Append(arena_, System("pods", node.machine.boot, *node.pods));
    Set(out, "systemContainers", systems);
    Set(out, "startTime", node.machine.boot);
    SetGroup(out, node.group);
    if (!all_) return out;
    SetNetwork(out, node.machine.interfaces, node.time);
    if (node.disk) {
      const int64_t used = node.disk->capacity - node.disk->available;
      const int64_t inodes = node.disk->inodes - node.disk->inodes_free;
      Set(out, "fs", Disk(*node.disk, used, inodes));
      int64_t written = 0;
      for (const PodStats& pod : summary_.pods) {
        for (const ContainerStats& one : pod.containers) written += one.rootfs ? one.rootfs->bytes : 0;
      }
      Value runtime = Value::Object();
      Set(runtime, "imageFs", Disk(*node.disk, node.images_bytes, inodes));
      Set(runtime, "containerFs", Disk(*node.disk, written, inodes));
      Set(out, "runtime", runtime);
    }
    if (node.machine.processes) {
      Value limit = Value::Object();
      Set(limit, "time", node.time);
      Set(limit, "maxpid", node.machine.processes->most);
      Set(limit, "curproc", node.machine.processes->running);
      Set(out, "rlimit", limit);
    }
    return out;
  }

  Value OfContainer(const ContainerStats& container) {
    Value out = Value::Object();
    Set(out, "name", std::string_view(container.name));
    Set(out, "startTime", container.started);
    SetGroup(out, container.group);
    if (!all_) return out;
    SetDisk(out, "rootfs", container.rootfs);
    SetDisk(out, "logs", container.logs);
    return out;
  }

  Value OfPod(const PodStats& pod) {
    Value out = Value::Object();
    Value ref = Value::Object();
    Set(ref, "name", std::string_view(pod.name));
    Set(ref, "namespace", std::string_view(pod.ns));
    Set(ref, "uid", std::string_view(pod.uid));
    Set(out, "podRef", ref);
    Set(out, "startTime", pod.started);
    Value containers = Value::Array();
    for (const ContainerStats& container : pod.containers) containers.Append(arena_, OfContainer(container));
    Set(out, "containers", containers);
    SetGroup(out, pod.group);
    if (!all_) return out;
    SetNetwork(out, pod.interfaces, pod.group.time);
    Value volumes = Value::Array();
    for (const VolumeStats& volume : pod.volumes) {
      Value one = Disk(volume.space, volume.used.bytes, volume.used.inodes);
      Set(one, "name", std::string_view(volume.name));
      if (!volume.claim.empty()) {
        Value claim = Value::Object();
        Set(claim, "name", std::string_view(volume.claim));
        Set(claim, "namespace", std::string_view(pod.ns));
        Set(one, "pvcRef", claim);
      }
      volumes.Append(arena_, one);
    }
    if (!volumes.empty()) Set(out, "volume", volumes);
    SetDisk(out, "ephemeral-storage", pod.disk);
    Value processes = Value::Object();
    Set(processes, "process_count", pod.group.use.processes);
    Set(out, "process_stats", processes);
    return out;
  }

  const NodeSummary& summary_;
  const bool all_;
  doc::Arena arena_;
};

}  // namespace

std::string SummaryJson(const NodeSummary& summary, bool cpu_and_memory_only) {
  return SummaryWriter(summary, cpu_and_memory_only).Write();
}

}  // namespace knarr::node

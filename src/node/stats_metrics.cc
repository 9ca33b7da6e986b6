// /metrics/resource and /metrics/cadvisor: the names and labels that dashboards and metrics-server ask for.

#include <fmt/format.h>

#include <cmath>

#include "node/metric_text.h"
#include "node/stats.h"

namespace knarr::node {
namespace {

using runtime::CgroupStats;

constexpr double kNano = 1e9;

double Seconds(int64_t nanoseconds) { return static_cast<double>(nanoseconds) / kNano; }
double Seconds(WallTime time) { return Seconds(time.time_since_epoch().count()); }

// ---- /metrics/resource ----

/// One thing told of the node, the pods and the containers, each under a name of its own.
struct ResourceFigure {
  const char* name;  ///< behind "node_", "pod_" and "container_"
  const char* type;
  const char* what;
  std::optional<double> (*value)(const CgroupStats& use);
};
constexpr ResourceFigure kResourceFigures[] = {
    {"cpu_usage_seconds_total", "counter", "Processor time used, in core-seconds",
     [](const CgroupStats& use) { return std::optional(Seconds(use.cpu_ns)); }},
    {"memory_working_set_bytes", "gauge", "Memory in use that can't be had back at once, in bytes",
     [](const CgroupStats& use) { return std::optional(static_cast<double>(use.memory_working_set_bytes)); }},
    {"swap_usage_bytes", "gauge", "Swap in use, in bytes",
     [](const CgroupStats& use) {
       return use.swap_bytes ? std::optional(static_cast<double>(*use.swap_bytes)) : std::nullopt;
     }},
};

std::string LabelsOf(const PodStats& pod) { return MetricLabels({{"pod", pod.name}, {"namespace", pod.ns}}); }
std::string LabelsOf(const PodStats& pod, const ContainerStats& container) {
  return MetricLabels({{"container", container.name}, {"pod", pod.name}, {"namespace", pod.ns}});
}

template <typename Visit>
void ForEachContainer(const NodeSummary& summary, const Visit& visit) {
  for (const PodStats& pod : summary.pods) {
    for (const ContainerStats& container : pod.containers) visit(pod, container);
  }
}

// ---- /metrics/cadvisor ----

/// A group with its labels.
struct Labelled {
  std::string labels;
  const GroupSample* group;
  std::optional<WallTime> started;
};

std::string CadvisorLabels(std::string_view id, std::string_view name, std::string_view image, std::string_view pod,
                           std::string_view ns, std::string_view container) {
  return MetricLabels({{"container", container},
                       {"id", id},
                       {"image", image},
                       {"name", name},
                       {"namespace", ns},
                       {"pod", pod}});
}

std::vector<Labelled> AllGroups(const NodeSummary& summary) {
  std::vector<Labelled> out;
  const auto add = [&](const GroupSample& group) {
    out.push_back({CadvisorLabels(group.path, "", "", "", "", ""), &group, summary.node.machine.boot});
  };
  add(summary.node.group);
  if (summary.node.pods) add(*summary.node.pods);
  for (const GroupSample& group : summary.node.classes) add(group);
  for (const PodStats& pod : summary.pods) {
    out.push_back({CadvisorLabels(pod.group.path, "", "", pod.name, pod.ns, ""), &pod.group, pod.started});
    for (const ContainerStats& container : pod.containers) {
      out.push_back({CadvisorLabels(container.group.path, container.id, container.image, pod.name, pod.ns,
                                    container.name),
                     &container.group, container.started});
    }
  }
  return out;
}

struct Figure {
  const char* name;
  const char* type;
  const char* what;
  std::optional<double> (*value)(const CgroupStats& use);
  const char* more_labels = "";
};

// A plain number of the group.
template <auto kMember>
std::optional<double> Plain(const CgroupStats& use) {
  return static_cast<double>(use.*kMember);
}
template <auto kMember>
std::optional<double> InSeconds(const CgroupStats& use) {
  return Seconds(use.*kMember);
}
/// 0 where there is no limit, as cAdvisor has it.
template <auto kMember>
std::optional<double> OrNone(const CgroupStats& use) {
  return static_cast<double>((use.*kMember).value_or(0));
}
/// Told of only where there is a quota.
template <auto kMember>
std::optional<double> OfQuota(const CgroupStats& use) {
  return use.cpu_quota_us > 0 ? std::optional(static_cast<double>(use.*kMember)) : std::nullopt;
}
template <auto kPressure, auto kLine>
std::optional<double> Stalled(const CgroupStats& use) {
  const auto& pressure = use.*kPressure;
  return pressure ? std::optional(Seconds(((*pressure).*kLine).total_ns)) : std::nullopt;
}
using runtime::Pressure;

constexpr Figure kFigures[] = {
    {"container_cpu_usage_seconds_total", "counter", "Processor time used, in core-seconds",
     InSeconds<&CgroupStats::cpu_ns>, R"(,cpu="total")"},
    {"container_cpu_user_seconds_total", "counter", "Processor time used outside the kernel",
     InSeconds<&CgroupStats::cpu_user_ns>},
    {"container_cpu_system_seconds_total", "counter", "Processor time used in the kernel",
     InSeconds<&CgroupStats::cpu_system_ns>},
    {"container_cpu_cfs_periods_total", "counter", "Periods of the processor quota", OfQuota<&CgroupStats::periods>},
    {"container_cpu_cfs_throttled_periods_total", "counter", "Periods in which the quota was used up",
     OfQuota<&CgroupStats::throttled_periods>},
    {"container_cpu_cfs_throttled_seconds_total", "counter", "Time held back by the quota",
     [](const CgroupStats& use) {
       return use.cpu_quota_us > 0 ? std::optional(Seconds(use.throttled_ns)) : std::nullopt;
     }},
    {"container_memory_usage_bytes", "gauge", "Memory in use, caches included", Plain<&CgroupStats::memory_bytes>},
    {"container_memory_working_set_bytes", "gauge", "Memory in use that can't be had back at once",
     Plain<&CgroupStats::memory_working_set_bytes>},
    {"container_memory_max_usage_bytes", "gauge", "The most memory that was in use",
     Plain<&CgroupStats::memory_most_bytes>},
    {"container_memory_rss", "gauge", "Anonymous memory", Plain<&CgroupStats::rss_bytes>},
    {"container_memory_cache", "gauge", "File pages", Plain<&CgroupStats::cache_bytes>},
    {"container_memory_mapped_file", "gauge", "Mapped file pages", Plain<&CgroupStats::mapped_bytes>},
    {"container_memory_kernel_usage", "gauge", "The kernel's memory", Plain<&CgroupStats::kernel_bytes>},
    {"container_memory_swap", "gauge", "Swap in use", OrNone<&CgroupStats::swap_bytes>},
    {"container_memory_failcnt", "counter", "How often the memory limit was reached", Plain<&CgroupStats::limit_hits>},
    {"container_memory_total_active_file_bytes", "gauge", "Active file pages", Plain<&CgroupStats::active_file_bytes>},
    {"container_memory_total_inactive_file_bytes", "gauge", "Inactive file pages",
     Plain<&CgroupStats::inactive_file_bytes>},
    {"container_oom_events_total", "counter", "Processes killed for want of memory", Plain<&CgroupStats::oom_kills>},
    {"container_processes", "gauge", "Processes", Plain<&CgroupStats::processes>},
    {"container_threads", "gauge", "Threads", Plain<&CgroupStats::threads>},
    {"container_threads_max", "gauge", "The most threads there may be; 0: no limit",
     OrNone<&CgroupStats::threads_limit>},
    {"container_spec_cpu_shares", "gauge", "Processor shares", Plain<&CgroupStats::cpu_shares>},
    {"container_spec_cpu_period", "gauge", "The processor quota's period, in microseconds",
     Plain<&CgroupStats::cpu_period_us>},
    {"container_spec_cpu_quota", "gauge", "The processor quota, in microseconds a period",
     OfQuota<&CgroupStats::cpu_quota_us>},
    {"container_spec_memory_limit_bytes", "gauge", "The memory limit; 0: none", OrNone<&CgroupStats::memory_limit>},
    {"container_spec_memory_swap_limit_bytes", "gauge", "The swap limit; 0: none", OrNone<&CgroupStats::swap_limit>},
    {"container_pressure_cpu_waiting_seconds_total", "counter", "Time in which some task waited for a processor",
     Stalled<&CgroupStats::cpu_pressure, &Pressure::some>},
    {"container_pressure_cpu_stalled_seconds_total", "counter", "Time in which all tasks waited for a processor",
     Stalled<&CgroupStats::cpu_pressure, &Pressure::full>},
    {"container_pressure_memory_waiting_seconds_total", "counter", "Time in which some task waited for memory",
     Stalled<&CgroupStats::memory_pressure, &Pressure::some>},
    {"container_pressure_memory_stalled_seconds_total", "counter", "Time in which all tasks waited for memory",
     Stalled<&CgroupStats::memory_pressure, &Pressure::full>},
    {"container_pressure_io_waiting_seconds_total", "counter", "Time in which some task waited for a disk",
     Stalled<&CgroupStats::io_pressure, &Pressure::some>},
    {"container_pressure_io_stalled_seconds_total", "counter", "Time in which all tasks waited for a disk",
     Stalled<&CgroupStats::io_pressure, &Pressure::full>},
};

void PutFigures(const std::vector<Labelled>& groups, MetricText& text) {
  for (const Figure& figure : kFigures) {
    text.Family(figure.name, figure.type, figure.what);
    for (const Labelled& one : groups) {
      const auto value = figure.value(one.group->use);
      if (value) text.Sample(one.labels + figure.more_labels, *value, one.group->time);
    }
  }
  text.Family("container_memory_failures_total", "counter", "Page faults");
  for (const Labelled& one : groups) {
    const CgroupStats& use = one.group->use;
    const std::pair<const char*, int64_t> counts[] = {{"pgfault", use.page_faults},
                                                      {"pgmajfault", use.major_page_faults}};
    for (const auto& [type, count] : counts) {
      const std::string labels = fmt::format(R"({},failure_type="{}",scope="hierarchy")", one.labels, type);
      text.Sample(labels, static_cast<double>(count), one.group->time);
    }
  }
  text.Family("container_start_time_seconds", "gauge", "When it began, in seconds since 1970");
  for (const Labelled& one : groups) {
    if (one.started) text.Sample(one.labels, Seconds(*one.started), one.group->time);
  }
  text.Family("container_last_seen", "gauge", "When this was read, in seconds since 1970");
  for (const Labelled& one : groups) text.Sample(one.labels, std::floor(Seconds(one.group->time)), one.group->time);
}

struct DeviceFigure {
  const char* name;
  const char* what;
  int64_t runtime::DeviceTraffic::*value;
};
constexpr DeviceFigure kDeviceFigures[] = {
    {"container_fs_reads_bytes_total", "Bytes read from the disk", &runtime::DeviceTraffic::read_bytes},
    {"container_fs_reads_total", "Reads from the disk", &runtime::DeviceTraffic::reads},
    {"container_fs_writes_bytes_total", "Bytes written to the disk", &runtime::DeviceTraffic::written_bytes},
    {"container_fs_writes_total", "Writes to the disk", &runtime::DeviceTraffic::writes},
};

void PutDevices(const std::vector<Labelled>& groups, MetricText& text) {
  for (const DeviceFigure& figure : kDeviceFigures) {
    text.Family(figure.name, "counter", figure.what);
    for (const Labelled& one : groups) {
      for (const runtime::DeviceTraffic& device : one.group->use.devices) {
        const std::string labels = fmt::format(R"({},device="{}:{}")", one.labels, device.major, device.minor);
        text.Sample(labels, static_cast<double>(device.*figure.value), one.group->time);
      }
    }
  }
}

struct LinkFigure {
  const char* name;
  const char* what;
  InterfaceStats::Way InterfaceStats::*way;
  int64_t InterfaceStats::Way::*value;
};
using Way = InterfaceStats::Way;
constexpr LinkFigure kLinkFigures[] = {
    {"container_network_receive_bytes_total", "Bytes received", &InterfaceStats::received, &Way::bytes},
    {"container_network_receive_packets_total", "Packets received", &InterfaceStats::received, &Way::packets},
    {"container_network_receive_packets_dropped_total", "Packets dropped on arrival", &InterfaceStats::received,
     &Way::dropped},
    {"container_network_receive_errors_total", "Errors on arrival", &InterfaceStats::received, &Way::errors},
    {"container_network_transmit_bytes_total", "Bytes sent", &InterfaceStats::sent, &Way::bytes},
    {"container_network_transmit_packets_total", "Packets sent", &InterfaceStats::sent, &Way::packets},
    {"container_network_transmit_packets_dropped_total", "Packets dropped before they were sent",
     &InterfaceStats::sent, &Way::dropped},
    {"container_network_transmit_errors_total", "Errors when sending", &InterfaceStats::sent, &Way::errors},
};

/// A pod's links are its sandbox's, as with the kubelet.
void PutLinks(const NodeSummary& summary, MetricText& text) {
  const auto put = [&](const LinkFigure& figure, const std::string& labels, const std::vector<InterfaceStats>& links,
                       WallTime time) {
    for (const InterfaceStats& link : links) {
      text.Sample(labels + fmt::format(R"(,interface="{}")", link.name),
                  static_cast<double>(link.*figure.way.*figure.value), time);
    }
  };
  for (const LinkFigure& figure : kLinkFigures) {
    text.Family(figure.name, "counter", figure.what);
    put(figure, CadvisorLabels("/", "", "", "", "", ""), summary.node.machine.interfaces, summary.node.time);
    for (const PodStats& pod : summary.pods) {
      const std::string labels = CadvisorLabels(pod.group.path, pod.sandbox_id, "", pod.name, pod.ns, "");
      put(figure, labels, pod.interfaces, pod.group.time);
    }
  }
}

}  // namespace

std::string ResourceMetrics(const NodeSummary& summary) {
  MetricText text;
  for (const ResourceFigure& figure : kResourceFigures) {
    const NodeStats& node = summary.node;
    text.Family(fmt::format("node_{}", figure.name), figure.type, figure.what);
    if (const auto value = figure.value(node.group.use)) text.Sample("", *value, node.time);
    text.Family(fmt::format("pod_{}", figure.name), figure.type, figure.what);
    for (const PodStats& pod : summary.pods) {
      if (const auto value = figure.value(pod.group.use)) text.Sample(LabelsOf(pod), *value, pod.group.time);
    }
    text.Family(fmt::format("container_{}", figure.name), figure.type, figure.what);
    ForEachContainer(summary, [&](const PodStats& pod, const ContainerStats& container) {
      const auto value = figure.value(container.group.use);
      if (value) text.Sample(LabelsOf(pod, container), *value, container.group.time);
    });
  }
  text.Family("container_swap_limit_bytes", "gauge", "The most swap it may use, in bytes");
  ForEachContainer(summary, [&](const PodStats& pod, const ContainerStats& container) {
    const auto limit = container.group.use.swap_limit;
    if (limit) text.Sample(LabelsOf(pod, container), static_cast<double>(*limit), container.group.time);
  });
  text.Family("container_start_time_seconds", "gauge", "When the container began, in seconds since 1970");
  ForEachContainer(summary, [&](const PodStats& pod, const ContainerStats& container) {
    text.Sample(LabelsOf(pod, container), Seconds(container.started));
  });
  for (const char* name : {"resource_scrape_error", "scrape_error"}) {
    text.Family(name, "gauge", "1 if the containers could not be looked at");
    text.Sample("", 0);
  }
  return text.Take();
}

std::string CadvisorMetrics(const NodeSummary& summary, int64_t cpus) {
  MetricText text;
  const std::vector<Labelled> groups = AllGroups(summary);
  PutFigures(groups, text);
  PutDevices(groups, text);
  PutLinks(summary, text);
  text.Family("container_scrape_error", "gauge", "1 if the containers could not be looked at");
  text.Sample("", 0);
  text.Family("machine_cpu_cores", "gauge", "Processors");
  text.Sample("", static_cast<double>(cpus));
  if (const auto& memory = summary.node.machine.memory) {
    text.Family("machine_memory_bytes", "gauge", "Memory");
    text.Sample("", static_cast<double>(memory->total));
    text.Family("machine_swap_bytes", "gauge", "Swap");
    text.Sample("", static_cast<double>(memory->swap_total));
  }
  text.Family("machine_scrape_error", "gauge", "1 if the machine could not be looked at");
  text.Sample("", 0);
  return text.Take();
}

}  // namespace knarr::node

// The part of the agent that tells what the node and its pods use, on the kubelet's paths.

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "doc/json.h"
#include "node/agent.h"
#include "node/environment.h"
#include "node/log_rotation.h"
#include "node/metric_text.h"
#include "node/node_status.h"
#include "node/resources.h"
#include "node/stats.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

net::Headers ContentType(std::string_view type) {
  net::Headers out;
  out.Set("Content-Type", std::string(type));
  return out;
}

Ok SendMetrics(net::Response& response, std::string_view text) {
  return response.Send(200, ContentType("text/plain; version=0.0.4; charset=utf-8"), text);
}

/// The claims' volumes, with the kubelet's names.
void PutVolumes(const NodeSummary& summary, MetricText& text) {
  struct Figure {
    const char* name;
    const char* what;
    int64_t (*value)(const VolumeStats& volume);
  };
  using Volume = const VolumeStats&;
  constexpr Figure kFigures[] = {
      {"kubelet_volume_stats_capacity_bytes", "Size of the volume", [](Volume v) { return v.space.capacity; }},
      {"kubelet_volume_stats_available_bytes", "Room in the volume", [](Volume v) { return v.space.available; }},
      {"kubelet_volume_stats_used_bytes", "Used in the volume", [](Volume v) { return v.used.bytes; }},
      {"kubelet_volume_stats_inodes", "Files the volume may have", [](Volume v) { return v.space.inodes; }},
      {"kubelet_volume_stats_inodes_free", "Files still to be had", [](Volume v) { return v.space.inodes_free; }},
      {"kubelet_volume_stats_inodes_used", "Files in the volume", [](Volume v) { return v.used.inodes; }},
  };
  for (const Figure& figure : kFigures) {
    text.Family(figure.name, "gauge", figure.what);
    for (const PodStats& pod : summary.pods) {
      for (const VolumeStats& volume : pod.volumes) {
        if (volume.claim.empty()) continue;
        text.Sample(MetricLabels({{"namespace", pod.ns}, {"persistentvolumeclaim", volume.claim}}),
                    static_cast<double>(figure.value(volume)));
      }
    }
  }
}

void PutProcess(const OwnProcess& process, MetricText& text) {
  const auto put = [&](const char* name, const char* type, const char* what, double value) {
    text.Family(name, type, what);
    text.Sample("", value);
  };
  put("process_cpu_seconds_total", "counter", "Processor time of this process",
      static_cast<double>(process.cpu_ns) / 1e9);
  put("process_resident_memory_bytes", "gauge", "Memory of this process", static_cast<double>(process.resident_bytes));
  put("process_virtual_memory_bytes", "gauge", "Address space of this process",
      static_cast<double>(process.virtual_bytes));
  put("process_open_fds", "gauge", "Open files of this process", static_cast<double>(process.open_files));
  put("process_start_time_seconds", "gauge", "When this process began, in seconds since 1970",
      static_cast<double>(process.started.time_since_epoch().count()) / 1e9);
}

}  // namespace

void Agent::MakeStats() {
  StatsOptions options{.node_name = options_.node_name,
                       .data_directory = options_.data_directory,
                       .cgroup_root = options_.cgroup_root,
                       .disk_space = options_.disk_space,
                       .images_bytes = [this]() -> int64_t {
                         const auto images = images_.List();
                         int64_t bytes = 0;
                         if (images.ok()) {
                           for (const image::Image& image : *images) bytes += image.size;
                         }
                         return bytes;
                       },
                       .pods = [this] { return PodsToMeasure(); }};
  stats_ = std::make_unique<StatsReader>(runtime_, containers_, std::move(options));
}

/// Those that have begun and run still.
std::vector<PodToMeasure> Agent::PodsToMeasure() const {
  std::vector<PodToMeasure> out;
  for (const auto& [uid, worker] : workers_) {
    const auto& sandbox = worker->sandbox();
    if (!sandbox || worker->gone()) continue;
    const api::ObjectPtr object = worker->object();
    const Pod pod(object->tree());
    PodToMeasure one{.object = object,
                     .cgroup = PodCgroup(options_.cgroup_root, pod),
                     .sandbox_id = sandbox->id,
                     .network_pid = pod.spec().host_network() ? 0 : sandbox->infra_pid,
                     .started = worker->state().started.value_or(sandbox->created),
                     .places = worker->StoragePlaces(),
                     .volumes_directory = options_.data_directory + "/pods/" + uid + "/volumes",
                     .containers = {}};
    for (const ContainerRecord& record : worker->state().containers) {
      if (!record.running()) continue;
      const auto spec = FindContainer(pod, record.name);
      ContainerStats container{.name = record.name,
                               .id = record.current->id,
                               .image = std::string(spec ? spec->image() : std::string_view()),
                               .started = record.current->started,
                               .group = {},
                               .rootfs = {},
                               .logs = {}};
      container.group.path = one.cgroup + "/" + record.current->id;
      if (one.network_pid == 0 && !pod.spec().host_network()) one.network_pid = record.current->pid;
      one.containers.push_back(std::move(container));
    }
    out.push_back(std::move(one));
  }
  return out;
}

std::optional<Ok> Agent::ServeStats(net::Request& request, net::Response& response) {
  const std::string& path = request.url.path;
  const auto summary = [&]() -> Ok {
    const bool little = ParseBool(request.url.Query("only_cpu_and_memory")).value_or(false);
    const auto read = TRY(stats_->Read(little ? StatsDetail::kRates : StatsDetail::kAll));
    return response.Send(200, ContentType("application/json"), SummaryJson(*read, little));
  };
  const auto resource = [&]() -> Ok {
    return SendMetrics(response, ResourceMetrics(*TRY(stats_->Read(StatsDetail::kCpuAndMemory))));
  };
  const auto cadvisor = [&]() -> Ok {
    const auto read = TRY(stats_->Read(StatsDetail::kCpuAndMemory));
    return SendMetrics(response, CadvisorMetrics(*read, status_->cpu_milli() / 1000));
  };
  if (path == "/stats/summary" || path == "/stats/summary/") return summary();
  if (path == "/metrics/resource") return resource();
  if (path == "/metrics/cadvisor") return cadvisor();
  if (path == "/metrics/probes") return SendMetrics(response, probe_counts_.Text());
  if (path == "/configz") return response.Send(200, ContentType("application/json"), ConfigJson());
  if (path == "/runningpods/" || path == "/runningpods") {
    return response.Send(200, ContentType("application/json"), RunningPodsJson());
  }
  if (path == "/metrics") {
    const auto own = [&]() -> Ok { return SendMetrics(response, TRY(OwnMetrics())); };
    return own();
  }
  return std::nullopt;
}

Result<std::string> Agent::OwnMetrics() {
  const auto summary = TRY(stats_->Read(StatsDetail::kAll));
  MetricText text;
  text.Family("kubelet_node_name", "gauge", "The node's name; the count is always 1");
  text.Sample(MetricLabels({{"node", options_.node_name}}), 1);
  int64_t running_pods = 0;
  std::map<std::string_view, int64_t> containers;
  for (const auto& [uid, worker] : workers_) {
    running_pods += worker->sandbox() ? 1 : 0;
    for (const ContainerRecord& record : worker->state().containers) {
      if (record.current) ++containers[record.running() ? "running" : record.exited() ? "exited" : "created"];
    }
  }
  text.Family("kubelet_running_pods", "gauge", "Pods that have a sandbox");
  text.Sample("", static_cast<double>(running_pods));
  text.Family("kubelet_running_containers", "gauge", "Containers by state");
  for (const auto& [state, count] : containers) {
    text.Sample(MetricLabels({{"container_state", state}}), static_cast<double>(count));
  }
  text.Family("kubelet_active_pods", "gauge", "Pods that this node works on");
  text.Sample(R"(static="")", static_cast<double>(workers_.size()));
  text.Family("kubelet_evictions", "counter", "Pods evicted, by signal");
  for (const auto& [signal, count] : evictions_) {
    text.Sample(MetricLabels({{"eviction_signal", SignalName(signal)}}), static_cast<double>(count));
  }
  const auto seconds = [](WallTime time) {
    return static_cast<double>(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
  };
  text.Family("kubelet_graceful_shutdown_start_time_seconds", "gauge", "When pods were last ended for a shutdown");
  text.Sample("", seconds(shutdown_began_));
  text.Family("kubelet_graceful_shutdown_end_time_seconds", "gauge", "When they had ended");
  text.Sample("", seconds(shutdown_ended_));
  PutVolumes(*summary, text);
  PutProcess(summary->node.process, text);
  return text.Take();
}

/// What of a KubeletConfiguration is so here, whether it can be changed or not.
std::string Agent::ConfigJson() const {
  doc::Document out;
  doc::Arena& arena = out.arena;
  doc::Value config = doc::Value::Object();
  const auto text = [&](std::string_view key, std::string_view value) {
    config.AddMember(arena, key, doc::Value::String(arena, value));
  };
  const auto number = [&](std::string_view key, int64_t value) {
    config.AddMember(arena, key, doc::Value::Int(value));
  };
  number("nodeLeaseDurationSeconds", kLeaseSeconds);
  text("nodeStatusReportFrequency", FormatDuration(kStatusEvery));
  text("imageMinimumGCAge", FormatDuration(kImageAgeMin));
  number("imageGCHighThresholdPercent", kImagesHighPercent);
  number("imageGCLowThresholdPercent", kImagesLowPercent);
  text("volumeStatsAggPeriod", FormatDuration(kDiskFor));
  text("cgroupRoot", options_.cgroup_root);
  number("maxPods", kPodsMax);
  text("podCIDR", options_.pod_cidr);
  text("podLogsDir", options_.log_directory);
  text("containerLogMaxSize", BytesText(kLogSizeMax));
  number("containerLogMaxFiles", kLogFilesMax);
  text("containerLogMonitorInterval", FormatDuration(kLogsEvery));
  const EvictionConfig& eviction = pressures_.config();
  doc::Value hard = doc::Value::Object();
  doc::Value soft = doc::Value::Object();
  doc::Value graces = doc::Value::Object();
  doc::Value reclaims = doc::Value::Object();
  for (const Threshold& one : eviction.thresholds) {
    const bool is_hard = one.grace == Duration::zero();
    const std::string_view name = SignalName(one.signal);
    (is_hard ? hard : soft).Set(arena, name, doc::Value::String(arena, one.value.ToString()));
    if (!is_hard) graces.Set(arena, name, doc::Value::String(arena, FormatDuration(one.grace)));
    if (one.reclaim) reclaims.Set(arena, name, doc::Value::String(arena, one.reclaim->ToString()));
  }
  config.AddMember(arena, "evictionHard", hard);
  if (!soft.empty()) config.AddMember(arena, "evictionSoft", soft);
  if (!graces.empty()) config.AddMember(arena, "evictionSoftGracePeriod", graces);
  if (!reclaims.empty()) config.AddMember(arena, "evictionMinimumReclaim", reclaims);
  text("evictionPressureTransitionPeriod", FormatDuration(eviction.transition));
  number("evictionMaxPodGracePeriod", eviction.pod_grace_most);
  doc::Value periods = doc::Value::Array();
  for (const ShutdownPeriod& period : options_.shutdown_periods) {
    doc::Value one = doc::Value::Object();
    one.AddMember(arena, "priority", doc::Value::Int(period.priority));
    one.AddMember(arena, "shutdownGracePeriodSeconds", doc::Value::Int(period.seconds));
    periods.Append(arena, one);
  }
  if (!periods.empty()) config.AddMember(arena, "shutdownGracePeriodByPodPriority", periods);
  out.root = doc::Value::Object();
  out.root.AddMember(arena, "kubeletconfig", config);
  return doc::ToJson(out.root);
}

/// The pods as the runtime has them, which is less than their objects say.
std::string Agent::RunningPodsJson() const {
  doc::Document out;
  doc::Arena& arena = out.arena;
  const auto text = [&](std::string_view value) { return doc::Value::String(arena, value); };
  doc::Value items = doc::Value::Array();
  for (const PodToMeasure& pod : PodsToMeasure()) {
    const Pod view(pod.object->tree());
    doc::Value metadata = doc::Value::Object();
    metadata.AddMember(arena, "name", text(view.metadata().name()));
    metadata.AddMember(arena, "namespace", text(view.metadata().ns()));
    metadata.AddMember(arena, "uid", text(view.metadata().uid()));
    doc::Value containers = doc::Value::Array();
    for (const ContainerStats& container : pod.containers) {
      doc::Value one = doc::Value::Object();
      one.AddMember(arena, "name", text(container.name));
      one.AddMember(arena, "image", text(container.image));
      one.AddMember(arena, "resources", doc::Value::Object());
      containers.Append(arena, one);
    }
    doc::Value spec = doc::Value::Object();
    spec.AddMember(arena, "containers", containers);
    doc::Value item = doc::Value::Object();
    item.AddMember(arena, "metadata", metadata);
    item.AddMember(arena, "spec", spec);
    item.AddMember(arena, "status", doc::Value::Object());
    items.Append(arena, item);
  }
  out.root = doc::Value::Object();
  out.root.AddMember(arena, "kind", text("PodList"));
  out.root.AddMember(arena, "apiVersion", text("v1"));
  out.root.AddMember(arena, "metadata", doc::Value::Object());
  out.root.AddMember(arena, "items", items);
  return doc::ToJson(out.root);
}

}  // namespace knarr::node

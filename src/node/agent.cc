#include "node/agent.h"

#include <fmt/format.h>

#include <functional>
#include <set>
#include <utility>

#include "base/log.h"
#include "node/log_rotation.h"
#include "node/logs.h"
#include "node/manifest.h"
#include "node/mirror_pods.h"
#include "node/node_status.h"
#include "node/resources.h"
#include "node/stats.h"
#include "node/static_pods.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using runtime::ContainerStatus;
using runtime::SandboxStatus;

AgentOptions WithDefaults(AgentOptions options) {
  if (options.image_directory.empty()) options.image_directory = options.data_directory + "/images";
  return options;
}

}  // namespace

/// A log being read; while it is followed, the agent wakes it when its container ends.
class Agent::FollowedLog : public client::LogStream {
 public:
  FollowedLog(Agent& agent, std::string id, std::unique_ptr<LogReader> reader)
      : agent_(agent), id_(std::move(id)), reader_(std::move(reader)) {
    place_ = agent_.followed_.emplace(id_, this);
  }
  ~FollowedLog() override { agent_.followed_.erase(place_); }
  Result<std::string> Read() override { return reader_->Read(); }
  void Wake() { reader_->Wake(); }

 private:
  Agent& agent_;
  const std::string id_;
  std::unique_ptr<LogReader> reader_;
  std::multimap<std::string, FollowedLog*>::iterator place_;
};

Agent::Agent(rt::Runtime& runtime, client::Client& client, runtime::Runtime& containers, image::Store& images,
             network::PodNetwork& network, AgentOptions options)
    : runtime_(runtime),
      client_(client),
      containers_(containers),
      images_(images),
      network_(network),
      options_(WithDefaults(std::move(options))),
      informers_(runtime, client),
      events_(runtime, client, "kubelet", options_.node_name),
      user_ranges_(runtime, options_.data_directory + "/pods"),
      pressures_(options_.eviction),
      pods_over_(runtime),
      asking_servers_(runtime),
      tasks_(runtime, "node agent") {}

Agent::~Agent() = default;

Ok Agent::Start() {
  TRY(runtime_.files().MakeDirectories(options_.data_directory + "/pods", 0700));
  TRY(runtime_.files().MakeDirectories(options_.log_directory));
  TRY(user_ranges_.Load());
  apparmor_ = runtime_.files().ReadFile("/sys/module/apparmor/parameters/enabled").value_or("").starts_with('Y');
  status_ = std::make_unique<NodeStatus>(runtime_, client_, images_, containers_.features(), options_);
  TRY(status_->Register());
  ReadShutdownNote();
  MakeStats();
  allocator_ = std::make_unique<Allocator>(status_->allocatable());
  qos_groups_ = std::make_unique<QosGroups>(runtime_, options_.cgroup_root, options_.set_group,
                                            [this] { return BurstableCpu(); });
  allocator_->on_change = [this] { qos_groups_->Changed(); };
  qos_groups_->Start(PodsGroup(status_->capacity(), options_.reserved));
  mirrors_ = std::make_unique<MirrorPods>(runtime_, client_, options_.node_name);
  TRY(AdoptPods());
  tasks_.Spawn("runtime events", [this] { RunEvents(); });
  tasks_.Spawn("status", [this] { status_->Run(); });
  if (options_.shutdown_source != nullptr && !options_.shutdown_periods.empty()) {
    tasks_.Spawn("shutdown", [this] { RunShutdown(); });
  }
  tasks_.Spawn("keeping", [this] { RunKeeping(); });
  tasks_.Spawn("log rotation", [this] {
    while (runtime_.Sleep(kLogsEvery).ok()) {
      const Ok rotated = RotateLogs(runtime_, containers_);
      if (!rotated.ok() && !rotated.Failed(Reason::kCancelled)) {
        LOG_WARN("logs not rotated", {"error", rotated.status()});
      }
    }
  });
  return {};
}

void Agent::Stop() {
  informers_.Stop();
  tasks_.StopAndJoin();
  if (mirrors_ != nullptr) StopStatic();
  if (qos_groups_ != nullptr) qos_groups_->Stop();
  // While one is waited for, another may be through and ask to be forgotten.
  const auto workers = std::exchange(workers_, {});
  for (const auto& [uid, worker] : workers) worker->Stop();
  tasks_.Join();
  events_.Stop();
}

Ok Agent::AdoptPods() {
  std::vector<SandboxStatus> sandboxes = TRY(containers_.ListSandboxes());
  std::map<std::string, std::string> pod_of;
  for (const SandboxStatus& sandbox : sandboxes) {
    found_sandboxes_[sandbox.pod_uid].push_back(sandbox);
    pod_of[sandbox.id] = sandbox.pod_uid;
  }
  for (ContainerStatus& container : TRY(containers_.ListContainers())) {
    found_containers_[pod_of[container.sandbox_id]].push_back(std::move(container));
  }
  client::Informer& pods =
      informers_.For(api::core_v1::PodInfo(), {.field_selector = "spec.nodeName=" + options_.node_name});
  pods.AddHandler([this](const api::ObjectPtr& before, const api::ObjectPtr& after) { PodChanged(before, after); });
  informers_.Start();
  TRY(pods.WaitSynced());
  TRY(StartStatic());
  // Whatever has no pod object by now was deleted while the agent was away.
  tasks_.Spawn("orphans", [this, &pods, sandboxes = std::move(sandboxes)] { RemoveOrphans(pods, sandboxes); });
  return {};
}

/// One that can't be removed must not keep the others.
void Agent::RemoveOrphans(const client::Informer& pods, const std::vector<SandboxStatus>& sandboxes) {
  auto tell = [](const Ok& removed, std::string_view what, std::string_view which) {
    if (removed.ok() || removed.Failed(Reason::kCancelled)) return;
    LOG_ERROR("leftovers of a deleted pod not removed", {what, which}, {"error", removed.status()});
  };
  for (const SandboxStatus& sandbox : sandboxes) {
    if (workers_.contains(sandbox.pod_uid)) continue;
    LOG_INFO("removing a sandbox whose pod is gone", {"sandbox", sandbox.id}, {"pod", sandbox.pod_name});
    tell(RemoveOrphan(sandbox), "sandbox", sandbox.id);
  }
  std::set<std::string, std::less<>> known;
  for (const api::ObjectPtr& pod : pods.List()) known.emplace(pod->uid());
  const std::string directory = options_.data_directory + "/pods";
  Result<std::vector<rt::DirectoryEntry>> entries = runtime_.files().List(directory);
  if (!entries.ok()) return tell(entries.status(), "folder", directory);
  for (const rt::DirectoryEntry& entry : *entries) {
    if (workers_.contains(entry.name) || known.contains(entry.name)) continue;
    tell(RemoveFiles(entry.name), "pod", entry.name);
  }
  tell(KeepLeases(), "addresses", options_.pod_cidr);
}

Ok Agent::RemoveOrphan(const SandboxStatus& sandbox) {
  TRY(network_.Detach(sandbox.id));
  TRY(containers_.StopSandbox(sandbox.id));
  return containers_.RemoveSandbox(sandbox.id);
}

/// Logs, volumes and last the folder that tells that there were any.
Ok Agent::RemoveFiles(const std::string& uid) {
  rt::FileSystem& files = runtime_.files();
  for (const rt::DirectoryEntry& entry : TRY(files.List(options_.log_directory))) {
    if (entry.name.ends_with("_" + uid)) TRY(files.RemoveAll(options_.log_directory + "/" + entry.name));
  }
  const std::string folder = options_.data_directory + "/pods/" + uid;
  PodVolumes volumes(runtime_, client_, folder);
  TRY(volumes.TearDown());
  TRY(user_ranges_.Release(uid));
  return files.RemoveAll(folder);
}

/// Addresses of sandboxes that the runtime knows nothing of are free again.
Ok Agent::KeepLeases() {
  std::vector<std::string> ids;
  for (SandboxStatus& sandbox : TRY(containers_.ListSandboxes())) ids.push_back(std::move(sandbox.id));
  return network_.Retain(ids);
}

void Agent::PodChanged(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  // What only shows a pod of ours is no pod to run.
  if (IsMirrorPod(after != nullptr ? *after : *before)) return mirrors_->Changed(before, after);
  if (after == nullptr) {
    auto at = workers_.find(before->uid());
    if (at != workers_.end()) at->second->Gone();
    return;
  }
  // Deleted and made again under the same name between two looks.
  if (before != nullptr && before->uid() != after->uid()) {
    auto at = workers_.find(before->uid());
    if (at != workers_.end()) at->second->Gone();
  }
  auto at = workers_.find(after->uid());
  if (at != workers_.end()) {
    at->second->Update(after);
  } else {
    StartWorker(after);
  }
}

void Agent::StartWorker(const api::ObjectPtr& pod) {
  const std::string uid(pod->uid());
  auto found = found_containers_.extract(uid);
  auto sandboxes = found_sandboxes_.extract(uid);
  const std::string_view phase = Pod(pod->tree()).status().phase();
  const bool over = phase == "Succeeded" || phase == "Failed";
  // A finished pod of which nothing is left here needs no worker until it is deleted.
  if (over && sandboxes.empty() && !pod->deleting()) return;
  PodEnvironment environment{.runtime = runtime_,
                             .client = IsStaticPod(Pod(pod->tree())) ? mirrors_->client() : client_,
                             .containers = containers_,
                             .images = images_,
                             .network = network_,
                             .events = events_,
                             .node_name = options_.node_name,
                             .node_ip = options_.node_ip,
                             .pods_directory = options_.data_directory + "/pods",
                             .log_directory = options_.log_directory,
                             .cgroup_root = options_.cgroup_root,
                             .apparmor = apparmor_,
                             .pressures = pressures_,
                             .shutting_down = shutting_down_,
                             .over = pods_over_,
                             .probe_counts = probe_counts_,
                             .asking_servers = asking_servers_,
                             .allocator = *allocator_,
                             .user_ranges = user_ranges_,
                             .pids_most = options_.pids_most,
                             .huge_pages = status_->huge_pages(),
                             .machine_cpu_milli = status_->cpu_milli(),
                             .machine_memory = status_->memory_bytes(),
                             .allocatable_cpu_milli = status_->allocatable().at("cpu").MilliValue(),
                             .allocatable_memory = status_->allocatable().at("memory").Value()};
  auto worker = std::make_unique<PodWorker>(environment, pod, [this, uid] { WorkerFinished(uid); });
  if (!sandboxes.empty()) {
    worker->Adopt(std::move(sandboxes.mapped()),
                  found.empty() ? std::vector<ContainerStatus>() : std::move(found.mapped()));
  }
  PodWorker* started = worker.get();
  workers_.emplace(uid, std::move(worker));
  started->Start();
}

/// Milli-CPUs that the burstable pods together ask for.
int64_t Agent::BurstableCpu() const {
  int64_t out = 0;
  for (const auto& [uid, amounts] : allocator_->held()) {
    const auto worker = workers_.find(uid);
    const auto cpu = amounts.find("cpu");
    if (worker == workers_.end() || cpu == amounts.end()) continue;
    if (QosOf(Pod(worker->second->pod().tree())) == QosClass::kBurstable) out += CpuMilli(cpu->second);
  }
  return out;
}

void Agent::WorkerFinished(const std::string& uid) {
  // The worker's own fiber calls this: it can't be destroyed before that fiber has ended.
  tasks_.Spawn("forget pod", [this, uid] {
    auto at = workers_.find(uid);
    if (at == workers_.end()) return;
    std::unique_ptr<PodWorker> worker = std::move(at->second);
    workers_.erase(at);
    worker->Stop();
    probe_counts_.Forget(uid);
    if (IsStaticPod(Pod(worker->pod().tree()))) StaticEnded(worker->pod());
  });
}

void Agent::RunEvents() {
  while (true) {
    Result<runtime::ContainerEvent> event = containers_.NextEvent();
    if (event.Failed(Reason::kCancelled)) return;
    if (!event.ok()) {
      LOG_ERROR("container events are lost; looking at every pod again", {"error", event.status()});
      for (auto& [uid, worker] : workers_) worker->RuntimeChanged();
      if (!runtime_.Sleep(1s).ok()) return;
      continue;
    }
    auto at = workers_.find(event->pod_uid);
    if (at != workers_.end()) at->second->RuntimeChanged();
    auto [from, to] = followed_.equal_range(event->container_id);
    for (auto reader = from; reader != to; ++reader) reader->second->Wake();
  }
}

/// The one of the present pod, when a former one of that name is still on its way out.
PodWorker* Agent::FindWorker(std::string_view ns, std::string_view pod) {
  PodWorker* found = nullptr;
  for (auto& [uid, worker] : workers_) {
    if (worker->pod().name() != pod || worker->pod().ns() != ns) continue;
    if (found == nullptr || !worker->gone()) found = worker.get();
  }
  return found;
}

Result<const ContainerRecord*> Agent::PickContainer(PodWorker& worker, std::string_view container) {
  const PodState& state = worker.state();
  const ContainerRecord* record = state.Find(container);
  if (container.empty()) {
    for (const ContainerRecord& candidate : state.containers) {
      if (candidate.main() && record == nullptr) record = &candidate;
    }
  }
  if (record == nullptr) {
    return BadRequest(fmt::format("container {} is not valid for pod {}", container, worker.pod().name()));
  }
  return record;
}

Result<std::unique_ptr<client::LogStream>> Agent::Logs(std::string_view ns, std::string_view pod,
                                                       const client::LogOptions& options) {
  PodWorker* worker = FindWorker(ns, pod);
  if (worker == nullptr) return NotFound(fmt::format("pod \"{}\" not found on node {}", pod, options_.node_name));
  const ContainerRecord* record = TRY(PickContainer(*worker, options.container));
  const std::optional<ContainerStatus>& wanted =
      !options.previous ? (record->current ? record->current : record->last) : record->last;
  if (!wanted && options.previous) {
    return BadRequest(fmt::format("previous terminated container \"{}\" in pod \"{}\" not found", record->name, pod));
  }
  if (!wanted) {
    std::string_view reason = record->waiting_reason;
    if (reason.empty()) reason = record->init ? "PodInitializing" : "ContainerCreating";
    return BadRequest(fmt::format("container \"{}\" in pod \"{}\" is waiting to start: {}", record->name, pod, reason));
  }
  LogReaderOptions reader{.path = wanted->log_path,
                          .follow = options.follow,
                          .timestamps = options.timestamps,
                          .since = options.since_time,
                          .tail_lines = options.tail_lines,
                          .limit_bytes = options.limit_bytes};
  if (options.since_seconds) reader.since = runtime_.Wall() - std::chrono::seconds(*options.since_seconds);
  // The runtime is asked, not the worker's record: the record may lag behind the exit that woke the reader.
  reader.ended = [this, id = wanted->id] {
    Result<ContainerStatus> now = containers_.GetContainer(id);
    return !now.ok() || now->state == runtime::ContainerState::kExited;
  };
  std::string id = wanted->id;
  auto opened = TRY(LogReader::Open(runtime_, std::move(reader)));
  return std::unique_ptr<client::LogStream>(new FollowedLog(*this, std::move(id), std::move(opened)));
}

}  // namespace knarr::node

#include "node/pod_worker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "doc/json.h"
#include "node/container_spec.h"
#include "node/log_rotation.h"
#include "node/resources.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using api::core_v1::PodEdit;
using client::EventKind;
using runtime::ContainerState;
using runtime::ContainerStatus;
using runtime::SandboxState;

constexpr Duration kRetryFirst = 500ms;
constexpr Duration kRetryMost = 120s;
constexpr Duration kConflictPause = 5ms;
constexpr Duration kVolumesRetry = 1min;
constexpr std::string_view kRootCa = "kube-root-ca.crt";
// The kubelet's minimumGracePeriodInSeconds.
constexpr Duration kGraceLeast = 2s;

}  // namespace

PodWorker::PodWorker(const PodEnvironment& environment, api::ObjectPtr pod, std::function<void()> finished)
    : environment_(environment),
      pod_(std::move(pod)),
      finished_(std::move(finished)),
      state_(InitialState(view())),
      volumes_(environment.runtime, environment.client,
               environment.pods_directory + "/" + std::string(view().metadata().uid()),
               {.host_ip = environment.node_ip,
                .node_name = environment.node_name,
                .allocatable_cpu_milli = environment.machine_cpu_milli,
                .allocatable_memory = environment.machine_memory}),
      wake_(environment.runtime),
      steps_(environment.runtime, "pod steps"),
      followers_(environment.runtime, "volume sources"),
      main_(environment.runtime, "pod") {
  state_.host_ip = environment.node_ip;
  state_.started = view().status().start_time();
  if (!state_.started) state_.started = environment.runtime.Wall();
  // Failed once is failed for good.
  if (view().status().phase() == "Failed") {
    state_.failed_reason = std::string(view().status().reason());
    state_.failed_message = std::string(view().status().message());
  }
}

PodWorker::~PodWorker() = default;

void PodWorker::Adopt(std::vector<runtime::SandboxStatus> sandboxes, std::vector<ContainerStatus> containers) {
  std::ranges::sort(sandboxes, std::greater<>(), &runtime::SandboxStatus::attempt);
  for (runtime::SandboxStatus& sandbox : sandboxes) {
    sandbox_attempt_ = std::max(sandbox_attempt_, sandbox.attempt + 1);
    if (!sandbox_ && sandbox.state == SandboxState::kReady) {
      sandbox_ = std::move(sandbox);
    } else {
      old_sandboxes_.push_back(sandbox.id);
    }
  }
  state_.pod_ip = std::string(view().status().pod_ip());
  leftovers_ = AdoptContainers(state_, std::move(containers));
  for (ContainerRecord& record : state_.containers) {
    // What was ready before the agent was away stays ready until a probe says otherwise.
    for (auto before : view().status().container_statuses()) {
      if (before.name() != record.name) continue;
      record.ready = before.ready() && record.running();
      record.startup_passed = before.started().value_or(false);
      record.image_id = std::string(before.image_id());
    }
    if (record.exited() && record.restarts() > 0) NoteExit(record);
  }
}

void PodWorker::Start() {
  main_.Spawn(KeyOf(*pod_), [this] { Run(); });
  if (leftovers_.empty()) return;
  steps_.Spawn("leftovers", [this] {
    for (const std::string& id : leftovers_) {
      const Ok removed = RemoveContainer(id);
      if (removed.Failed(Reason::kCancelled)) return;
      if (!removed.ok()) LOG_WARN("old container not removed", {"id", id}, {"error", removed.status()});
    }
    leftovers_.clear();
  });
}

/// One that nothing refers to any more, with its log.
Ok PodWorker::RemoveContainer(const std::string& id) {
  const auto status = environment_.containers.GetContainer(id);
  TRY(environment_.containers.RemoveContainer(id));
  return status.ok() ? RemoveLog(environment_.runtime.files(), status->log_path) : Ok();
}

void PodWorker::Stop() {
  main_.StopAndJoin();
  steps_.StopAndJoin();
  followers_.StopAndJoin();
  for (const ContainerRecord& record : state_.containers) StopProbes(record.name);
}

void PodWorker::Update(api::ObjectPtr pod) {
  for (const std::string_view map : {"labels", "annotations"}) {
    if (!pod->tree().Get("metadata", map).Equals(pod_->tree().Get("metadata", map))) fields_changed_ = true;
  }
  TakeNewer(std::move(pod));
  wake_.Set();
}

/// The answer to a write of ours may come after the watch has brought what followed it, a deletion perhaps.
void PodWorker::TakeNewer(api::ObjectPtr pod) {
  const auto version = [](const api::Object& object) { return ParseUint64(object.resource_version()).value_or(0); };
  if (version(*pod) >= version(*pod_)) pod_ = std::move(pod);
}

void PodWorker::Gone() {
  gone_ = true;
  wake_.Set();
}

void PodWorker::RuntimeChanged() {
  refresh_ = true;
  wake_.Set();
}

void PodWorker::Run() {
  rt::Runtime& runtime = environment_.runtime;
  while (!done_) {
    wake_.Reset();
    recheck_.reset();
    Ok synced = Sync();
    if (done_) break;
    MonoTime until = MonoTime::max();
    if (synced.Failed(Reason::kCancelled)) return;
    if (!synced.ok()) {
      retry_ = retry_ == Duration{} ? kRetryFirst : std::min(retry_ * 2, kRetryMost);
      LOG_WARN("pod step failed; trying again", {"pod", KeyOf(*pod_)}, {"error", synced.status()});
      until = runtime.Mono() + retry_;
    } else {
      retry_ = {};
      if (recheck_) until = runtime.Mono() + std::max<Duration>(1ms, *recheck_ - runtime.Wall());
    }
    Ok woken = wake_.Wait(until);
    if (woken.Failed(Reason::kCancelled)) return;
  }
  for (const ContainerRecord& record : state_.containers) StopProbes(record.name);
  steps_.StopAndJoin();
  followers_.StopAndJoin();
  finished_();
}

Ok PodWorker::Sync() {
  if (refresh_) {
    refresh_ = false;
    TRY(RefreshContainers());
  }
  // A stop that failed is begun anew, but not at once.
  if (stop_failed_) return *std::exchange(stop_failed_, std::nullopt);
  state_.terminating = gone_ || view().metadata().deletion_timestamp().has_value();
  if (state_.terminating) return SyncTerminating();
  NoteDeadline();
  return state_.failed_reason.empty() ? SyncRunning() : SyncFailed();
}

/// When the pod has been active for as long as it may.
std::optional<WallTime> PodWorker::Deadline() const {
  const auto seconds = view().spec().active_deadline_seconds();
  if (!seconds || !state_.started) return std::nullopt;
  return *state_.started + std::chrono::seconds(std::min<int64_t>(*seconds, INT32_MAX));
}

void PodWorker::NoteDeadline() {
  const WallTime now = environment_.runtime.Wall();
  const auto deadline = Deadline();
  if (!state_.failed_reason.empty() || !deadline || now < *deadline) return;
  if (PlanPod(view(), state_, now).finished) return;  // it was done before
  state_.failed_reason = "DeadlineExceeded";
  state_.failed_message = "Pod was active on the node longer than the specified deadline";
  RecordEvent(EventKind::kNormal, state_.failed_reason, state_.failed_message);
}

Ok PodWorker::RefreshContainers() {
  for (ContainerRecord& record : state_.containers) {
    if (!record.current || record.exited()) continue;
    Result<ContainerStatus> status = environment_.containers.GetContainer(record.current->id);
    if (status.Failed(Reason::kNotFound)) {
      // It went with its sandbox, and how it ended is not known.
      status = *record.current;
      status->state = ContainerState::kExited;
      status->exit_code = 137;
      status->reason = "ContainerStatusUnknown";
      status->message = "The container could not be located when the pod was terminated";
      status->finished = environment_.runtime.Wall();
    }
    if (!status.ok()) return status.status();
    if (record.current && status->id == record.current->id) NoteContainer(record, *status);
  }
  for (const auto& [name, prober] : probes_) prober->LookAtReadiness();
  if (!sandbox_ || over_) return {};
  bool sandbox_there = false;
  for (const runtime::SandboxStatus& sandbox : TRY(environment_.containers.ListSandboxes())) {
    sandbox_there |= sandbox.id == sandbox_->id && sandbox.state == SandboxState::kReady;
  }
  if (!sandbox_there) {
    // Everything in it has gone with it, or goes when the pod gets a new one.
    old_sandboxes_.push_back(sandbox_->id);
    sandbox_.reset();
    state_.sandbox_ready = false;
    state_.pod_ip.clear();
    if (!state_.terminating) {
      RecordEvent(EventKind::kNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
    }
  }
  return {};
}

void PodWorker::NoteContainer(ContainerRecord& record, const ContainerStatus& status) {
  const bool was_running = record.running() || record.current->state == ContainerState::kCreated;
  record.current = status;
  if (!was_running || !record.exited()) return;
  record.waiting_reason.clear();
  record.waiting_message.clear();
  NoteEnd(record);
}

/// It has ended: what was so while it ran is over, and the next start may have to wait.
void PodWorker::NoteEnd(ContainerRecord& record) {
  record.ready = false;
  record.startup_passed = false;
  record.kill_message.clear();
  StopProbes(record.name);
  NoteExit(record);
  if (record.not_before > environment_.runtime.Wall() && view().spec().restart_policy() != "Never") {
    RecordEvent(EventKind::kWarning, "BackOff",
                fmt::format("Back-off restarting failed container {} in pod {}_{}({})", record.name, pod_->name(),
                            pod_->ns(), pod_->uid()),
                record.name);
  }
}

Ok PodWorker::SyncRunning() {
  PodPlan plan = PlanPod(view(), state_, environment_.runtime.Wall());
  if (plan.finished) return SyncFinished();
  if (!sandbox_) {
    TRY(WriteStatus());
    TRY(EnsureSandbox());
    // Clearing the old one away may have ended containers.
    TRY(RefreshContainers());
    plan = PlanPod(view(), state_, environment_.runtime.Wall());
  }
  if (!state_.sandbox_ready) TRY(JoinSandbox());
  TRY(KeepVolumes());
  FollowSources();
  for (ContainerRecord& record : state_.containers) {
    if (!record.running()) continue;
    if (!record.kill_message.empty()) StopContainer(record, record.kill_grace, record.kill_message);
    // Adopted containers that run have no probes yet.
    if (!record.init && !probes_.contains(record.name)) StartProbes(record, ProbeOrigin::kAdopted);
  }
  recheck_ = plan.recheck;
  if (const auto deadline = Deadline()) recheck_ = recheck_ ? std::min(*recheck_, *deadline) : *deadline;
  std::optional<WallTime> volumes_due = volumes_.refresh_at();
  if (fields_changed_ || volumes_.idle()) volumes_due = volumes_again_;
  if (volumes_due) recheck_ = recheck_ ? std::min(*recheck_, *volumes_due) : *volumes_due;
  TellPullBackOff();
  if (!plan.start.empty() && !starting_) StartContainers(std::move(plan.start));
  return WriteStatus();
}

/// The pod's work is done: its processes, addresses and volumes go; its logs and its object stay.
Ok PodWorker::SyncFinished() {
  TRY(WriteStatus());
  if (!over_) {
    if (sandbox_) {
      TRY(environment_.network.Detach(sandbox_->id));
      TRY(environment_.containers.StopSandbox(sandbox_->id));
    }
    state_.sandbox_ready = false;
    followers_.StopAndJoin();
    TRY(volumes_.TearDown());
    over_ = true;
  }
  return WriteStatus();
}

Duration PodWorker::Grace() const {
  Pod pod = view();
  int64_t seconds = pod.spec().termination_grace_period_seconds().value_or(30);
  if (auto given = pod.metadata().deletion_grace_period_seconds()) seconds = *given;
  return std::max<Duration>(std::chrono::seconds(seconds), kGraceLeast);
}

/// Sees to it that nothing of the pod runs; whether that is so.
bool PodWorker::StopAll(Duration grace) {
  bool any_running = false;
  for (const ContainerRecord& record : state_.containers) {
    if (!record.running()) continue;
    any_running = true;
    StopContainer(record, grace, "Stopping container " + record.name);
    if (auto prober = probes_.find(record.name); prober != probes_.end()) prober->second->StopAllButReadiness();
  }
  if (any_running || !stops_.empty() || starting_) return false;
  for (const ContainerRecord& record : state_.containers) StopProbes(record.name);
  return true;
}

/// The agent has failed the pod: what runs is stopped, and then it is over.
Ok PodWorker::SyncFailed() { return StopAll(Grace()) ? SyncFinished() : WriteStatus(); }

Ok PodWorker::SyncTerminating() {
  if (!StopAll(Grace())) return gone_ ? Ok() : WriteStatus();
  TRY(TearDown());
  if (!gone_) {
    TRY(WriteStatus());
    TRY(DeleteObject());
  }
  done_ = true;
  return {};
}

/// Stops a running container in a fiber of its own; one that is being stopped already is only hurried.
void PodWorker::StopContainer(const ContainerRecord& record, Duration grace, const std::string& message) {
  const std::string id = record.current->id;
  auto [stop, fresh] = stops_.try_emplace(id, StopUnderWay{grace});
  if (!fresh && grace >= stop->second.grace) return;
  if (fresh) RecordEvent(EventKind::kNormal, "Killing", message, record.name);
  stop->second.grace = grace;
  stop->second.calls++;
  steps_.Spawn("stop " + record.name, [this, id, grace] {
    const Ok stopped = environment_.containers.StopContainer(id, grace);
    if (!stopped.ok() && !stopped.Failed(Reason::kCancelled)) {
      stop_failed_ = stopped.status().WithContext("stop container " + id);
    }
    auto at = stops_.find(id);
    if (--at->second.calls == 0) stops_.erase(at);
    RuntimeChanged();
  });
}

Ok PodWorker::TearDown() {
  rt::FileSystem& files = environment_.runtime.files();
  followers_.StopAndJoin();
  if (sandbox_) old_sandboxes_.push_back(sandbox_->id);
  sandbox_.reset();
  while (!old_sandboxes_.empty()) {
    const std::string id = old_sandboxes_.back();
    TRY(environment_.network.Detach(id));
    TRY(environment_.containers.StopSandbox(id));
    TRY(environment_.containers.RemoveSandbox(id));
    old_sandboxes_.pop_back();
  }
  state_.sandbox_ready = false;
  TRY(volumes_.TearDown());
  const api::ObjectPtr keep = pod_;
  const Pod pod(keep->tree());
  TRY(files.RemoveAll(environment_.pods_directory + "/" + std::string(pod.metadata().uid())));
  return files.RemoveAll(fmt::format("{}/{}_{}_{}", environment_.log_directory, pod.metadata().ns(),
                                     pod.metadata().name(), pod.metadata().uid()));
}

Ok PodWorker::DeleteObject() {
  client::DeleteOptions options{.grace_seconds = 0, .uid = std::string(pod_->uid())};
  Result<api::ObjectPtr> deleted = environment_.client.Delete(
      api::core_v1::PodInfo(), {std::string(pod_->ns()), std::string(pod_->name())}, options);
  if (deleted.ok() || deleted.Failed(Reason::kNotFound) || deleted.Failed(Reason::kConflict)) return {};
  return deleted.status();
}

Ok PodWorker::WriteStatus() {
  if (gone_) return {};
  doc::Document document = doc::Document::Copy(pod_->tree());
  document.root.Remove("status");
  PodEdit edit(document);
  ComputePodStatus(view(), state_, environment_.runtime.Wall(), edit.status());
  const std::string text = doc::ToJson(edit.status().value());
  if (text == written_status_) return {};
  Result<api::ObjectPtr> written = environment_.client.Update(
      api::core_v1::PodInfo(), {std::string(pod_->ns()), std::string(pod_->name())}, document.root, "status");
  if (written.ok()) {
    written_status_ = text;
    // The watch brings this object, too; until then the next status builds on it.
    if (!gone_) TakeNewer(std::move(written).value());
    return {};
  }
  if (written.Failed(Reason::kNotFound)) {
    gone_ = true;
    wake_.Set();
    return {};
  }
  if (written.Failed(Reason::kConflict)) {
    // Somebody else wrote: the watch may be behind, so take the object as it is now and go round again: a moment later,
    // because that other write shows only once it is durable.
    Result<api::ObjectPtr> fresh =
        environment_.client.Get(api::core_v1::PodInfo(), {std::string(pod_->ns()), std::string(pod_->name())});
    if (fresh.ok() && (*fresh)->uid() == pod_->uid()) {
      TakeNewer(std::move(fresh).value());
    } else if (fresh.ok() || fresh.Failed(Reason::kNotFound)) {
      gone_ = true;
    }
    const WallTime again = environment_.runtime.Wall() + kConflictPause;
    recheck_ = recheck_ ? std::min(*recheck_, again) : again;
    return {};
  }
  return written.status();
}

void PodWorker::RecordEvent(EventKind kind, std::string_view reason, std::string message, std::string_view container) {
  std::string path;
  if (!container.empty()) {
    const ContainerRecord* record = state_.Find(container);
    path = fmt::format("spec.{}{{{}}}", record != nullptr && record->init ? "initContainers" : "containers", container);
  }
  environment_.events.Record(client::EventTarget::Of(api::core_v1::PodInfo(), *pod_, std::move(path)), kind, reason,
                             std::move(message));
}

void PodWorker::StartProbes(ContainerRecord& record, ProbeOrigin origin) {
  // The loop and the start fiber both come here. Stopping waits, and the other may have started some meanwhile; from
  // here to the end nothing waits.
  while (probes_.contains(record.name)) StopProbes(record.name);
  // The prober keeps the object that its view of the container reads from.
  const api::ObjectPtr keep = pod_;
  api::core_v1::Container container;
  for (api::core_v1::Container candidate : Pod(keep->tree()).spec().containers()) {
    if (candidate.name() == record.name) container = candidate;
  }
  if (!container || !record.running()) return;
  const std::string name = record.name;
  Prober::Events events{
      .decided = [this, name](ProbeKind kind, bool passed, const std::string&) { ProbeDecided(name, kind, passed); },
      .told = [this, name](std::string_view reason,
                           const std::string& message) { RecordEvent(EventKind::kWarning, reason, message, name); }};
  auto prober = std::make_unique<Prober>(environment_.runtime, environment_.containers, keep, container,
                                         ProbeTarget{state_.pod_ip, record.current->id}, record.current->started,
                                         origin, std::move(events));
  prober->Start(record.startup_passed);
  probes_[name] = std::move(prober);
}

void PodWorker::StopProbes(const std::string& name) {
  auto at = probes_.find(name);
  if (at == probes_.end()) return;
  std::unique_ptr<Prober> prober = std::move(at->second);
  probes_.erase(at);
  prober->Stop();
}

/// Runs in the probe's fiber: only notes what was decided and wakes the pod's loop.
void PodWorker::ProbeDecided(const std::string& name, ProbeKind kind, bool passed) {
  ContainerRecord* record = state_.Find(name);
  if (record == nullptr || !record->running()) return;
  const Pod pod = view();
  for (auto container : pod.spec().containers()) {
    if (container.name() != name) continue;
    if (kind == ProbeKind::kReadiness) record->ready = passed;
    if (kind == ProbeKind::kStartup && passed) {
      record->startup_passed = true;
      record->ready = !container.readiness_probe();
    }
    if (kind != ProbeKind::kReadiness && !passed) {
      const bool liveness = kind == ProbeKind::kLiveness;
      const auto probe = liveness ? container.liveness_probe() : container.startup_probe();
      const int64_t seconds =
          probe.termination_grace_period_seconds().value_or(pod.spec().termination_grace_period_seconds().value_or(30));
      record->kill_grace = std::max<Duration>(std::chrono::seconds(seconds), kGraceLeast);
      record->kill_message =
          fmt::format("Container {} failed {} probe, will be restarted", name, liveness ? "liveness" : "startup");
    }
  }
  wake_.Set();
}

/// Volumes of a pod that is older than this process, and what is due in the others: tokens, the pod's own fields. A pod
/// that runs goes on when it fails.
Ok PodWorker::KeepVolumes() {
  const api::ObjectPtr keep = pod_;
  const WallTime now = environment_.runtime.Wall();
  const auto due = volumes_.refresh_at();
  const bool refresh = fields_changed_ || (due && now >= *due);
  if (now < volumes_again_ || !(volumes_.idle() || refresh)) return {};
  fields_changed_ = false;
  const Pod pod(keep->tree());
  const Ok kept = volumes_.idle() ? volumes_.SetUp(pod) : volumes_.Refresh(pod);
  if (kept.Failed(Reason::kCancelled)) return kept;
  if (!kept.ok()) {
    LOG_WARN("volumes not refreshed", {"pod", KeyOf(*keep)}, {"error", kept.status()});
    volumes_again_ = now + kVolumesRetry;
    fields_changed_ = true;
  }
  return {};
}

/// Watches the ConfigMaps and Secrets that the pod's volumes show, and rewrites the files when they change.
void PodWorker::FollowSources() {
  if (following_) return;
  following_ = true;
  auto follow = [this](const api::KindInfo& kind, std::string_view name) {
    followers_.Spawn(name, [this, &kind, name = std::string(name)] {
      rt::Runtime& runtime = environment_.runtime;
      Duration pause = kRetryFirst;
      while (runtime.CheckCancelled().ok()) {
        client::WatchOptions options{.field_selector = "metadata.name=" + name};
        const std::string ns(pod_->ns());
        auto stream = environment_.client.Watch(kind, ns, options);
        while (stream.ok() && (*stream)->Next().ok()) {
          pause = kRetryFirst;
          const api::ObjectPtr keep = pod_;
          Ok refreshed = volumes_.Refresh(Pod(keep->tree()));
          if (refreshed.Failed(Reason::kCancelled)) return;
          if (!refreshed.ok()) {
            LOG_WARN("volume not refreshed", {"pod", KeyOf(*pod_)}, {"error", refreshed.status()});
          }
        }
        if (!runtime.Sleep(pause).ok()) return;
        pause = std::min(pause * 2, kRetryMost);
      }
    });
  };
  for (auto volume : view().spec().volumes()) {
    if (volume.config_map()) follow(api::core_v1::ConfigMapInfo(), volume.config_map().name());
    if (volume.secret()) follow(api::core_v1::SecretInfo(), volume.secret().secret_name());
    for (auto part : volume.projected().sources()) {
      // Every pod has the cluster's authority, which changes once in years: it is read again with the token.
      if (part.config_map() && part.config_map().name() != kRootCa) {
        follow(api::core_v1::ConfigMapInfo(), part.config_map().name());
      }
      if (part.secret()) follow(api::core_v1::SecretInfo(), part.secret().name());
    }
  }
}

}  // namespace knarr::node

#include "node/pod_worker.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/pod_resources.h"
#include "base/log.h"
#include "base/strings.h"
#include "doc/json.h"
#include "node/admission.h"
#include "node/environment.h"
#include "node/log_rotation.h"
#include "node/termination_message.h"
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
constexpr Duration kClearAfter = 10ms;
constexpr Duration kConflictPause = 5ms;
constexpr Duration kVolumesRetry = 1min;
constexpr const char* kStatusUnknown = "ContainerStatusUnknown";
constexpr std::string_view kRootCa = "kube-root-ca.crt";

/// Where the pod's status tells of such containers.
api::ListView<api::core_v1::ContainerStatus> StatusesOf(Pod pod, const ContainerRecord& record) {
  if (record.ephemeral) return pod.status().ephemeral_container_statuses();
  return record.init ? pod.status().init_container_statuses() : pod.status().container_statuses();
}

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
                .allocatable_cpu_milli = environment.allocatable_cpu_milli,
                .allocatable_memory = environment.allocatable_memory},
               &environment.asking_servers),
      wake_(environment.runtime),
      turns_(environment.runtime),
      steps_(environment.runtime, "pod steps"),
      followers_(environment.runtime, "volume sources"),
      main_(environment.runtime, "pod") {
  state_.host_ip = environment.node_ip;
  state_.runtime_name = environment.containers.name();
  state_.recursive_read_only = environment.containers.features().recursive_read_only_mounts;
  state_.started = view().status().start_time();
  if (!state_.started) state_.started = environment.runtime.Wall();
  // Failed once is failed for good.
  if (view().status().phase() == "Failed") {
    state_.failed_reason = std::string(view().status().reason());
    state_.failed_message = std::string(view().status().message());
    // Of one that never began here, nothing is said of containers.
    state_.rejected = !state_.failed_reason.empty() && view().status().container_statuses().empty();
  }
}

PodWorker::~PodWorker() { environment_.allocator.Leave(std::string(pod_->uid())); }

void PodWorker::Adopt(std::vector<runtime::SandboxStatus> sandboxes, std::vector<ContainerStatus> containers) {
  adopted_ = true;
  // Until it is known what of it was set aside.
  environment_.allocator.Hold(std::string(pod_->uid()), api::PodRequests(pod_->tree(), {.use_status = true}));
  if (!containers.empty()) state_.rejected = false;
  std::ranges::sort(sandboxes, std::greater<>(), &runtime::SandboxStatus::attempt);
  for (runtime::SandboxStatus& sandbox : sandboxes) {
    sandbox_attempt_ = std::max(sandbox_attempt_, sandbox.attempt + 1);
    if (!sandbox_ && sandbox.state == SandboxState::kReady) {
      sandbox_ = std::move(sandbox);
    } else {
      old_sandboxes_.push_back(sandbox.id);
    }
  }
  if (sandbox_) state_.sandbox_id = sandbox_->id;
  state_.pod_ip = std::string(view().status().pod_ip());
  leftovers_ = AdoptContainers(state_, std::move(containers));
  for (ContainerRecord& record : state_.containers) {
    // What was ready before the agent was away stays ready until a probe says otherwise.
    const auto container = FindContainer(view(), record.name);
    record.startup_passed = container && !container->startup_probe();
    record.ready = record.lasting() && record.running() && container && !container->readiness_probe();
    for (const auto before : StatusesOf(view(), record)) {
      if (before.name() != record.name) continue;
      record.startup_passed |= before.started().value_or(false);
      record.ready = (record.ready || before.ready()) && record.running() && record.startup_passed;
      record.image_id = std::string(before.image_id());
      if (before.container_id() != "") record.first_attempt = static_cast<uint32_t>(before.restart_count()) + 1;
    }
    if (record.ephemeral && !record.current && record.first_attempt > 0) record.current = LostContainer(record);
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
  if (!status.ok()) return {};
  TRY(environment_.runtime.files().Remove(TerminationLogOf(Directory(), status->name, status->attempt)));
  return RemoveLog(environment_.runtime.files(), status->log_path);
}

std::string PodWorker::Directory() const { return environment_.pods_directory + "/" + std::string(pod_->uid()); }

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
  environment_.allocator.Release(std::string(pod_->uid()));
  wake_.Set();
}

void PodWorker::RuntimeChanged() {
  refresh_ = true;
  wake_.Set();
}

void PodWorker::Run() {
  rt::Runtime& runtime = environment_.runtime;
  LoadResources();
  Admit();
  AddMissedWords();
  KeepToldEnds();
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
  environment_.allocator.Release(std::string(pod_->uid()));
  finished_();
}

/// A pod that has not begun yet may be one that this node does not run.
void PodWorker::Admit() {
  const bool begun = sandbox_ || !old_sandboxes_.empty() || view().status().phase() != "Pending";
  const std::string uid(pod_->uid());
  if (gone_) return;
  if (begun) return environment_.allocator.Hold(uid, Amounts());
  if (pod_->deleting()) return;
  auto refused = Refuse(view(), environment_.apparmor);
  if (auto pressed = RefusedByPressure(view(), environment_.pressures); pressed && !refused) {
    refused = Rejection{"Evicted", std::move(*pressed)};
  }
  const api::ResourceList amounts = Amounts();
  if (environment_.shutting_down && !refused) {
    refused = Rejection{"NodeShutdown", "Pod was rejected as the node is shutting down."};
  }
  if (const auto shortage = environment_.allocator.Check(uid, amounts); shortage && !refused) {
    refused = Rejection{shortage->Reason(), shortage->Message()};
  }
  if (!refused) return environment_.allocator.Hold(uid, amounts);
  RecordEvent(EventKind::kWarning, refused->reason, refused->message);
  state_.rejected = true;
  state_.failed_reason = std::move(refused->reason);
  state_.failed_message = "Pod was rejected: " + refused->message;
}

Ok PodWorker::Sync() {
  AddEphemeral(state_, view());
  if (refresh_) {
    refresh_ = false;
    TRY(RefreshContainers());
  }
  // A stop that failed is begun anew, but not at once.
  if (stop_failed_) return *std::exchange(stop_failed_, std::nullopt);
  state_.terminating = gone_ || view().metadata().deletion_timestamp().has_value();
  LookForResize();
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
      status = LostContainer(record);
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
    state_.sandbox_id.clear();
    state_.pod_ip.clear();
    if (!state_.terminating) {
      RecordEvent(EventKind::kNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
    }
  }
  return {};
}

/// The end of a container of which nothing is left.
ContainerStatus PodWorker::LostContainer(const ContainerRecord& record) const {
  ContainerStatus out = record.current.value_or(ContainerStatus{.name = record.name});
  out.state = ContainerState::kExited;
  out.exit_code = 137;
  out.reason = kStatusUnknown;
  out.message = "The container could not be located when the pod was terminated";
  out.finished = environment_.runtime.Wall();
  return out;
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
  AddLastWords(record.current);
  turns_.NotifyAll();
  if (record.in_post_start && post_start_ != nullptr) post_start_->Stop();
  StopProbes(record.name);
  if (record.restart_anyway) return;
  NoteExit(record);
  if (record.not_before > environment_.runtime.Wall() && !state_.ending() && ShouldRestart(view(), record)) {
    RecordEvent(EventKind::kWarning, "BackOff",
                fmt::format("Back-off restarting failed container {} in pod {}_{}({})", record.name, pod_->name(),
                            pod_->ns(), pod_->uid()),
                record.name);
  }
}

/// Adds what a container that has ended wanted to be known of it.
void PodWorker::AddLastWords(std::optional<ContainerStatus>& ended) {
  if (!ended || ended->state != ContainerState::kExited || ended->reason == kStatusUnknown) return;
  const api::ObjectPtr keep = pod_;
  const auto container = FindContainer(Pod(keep->tree()), ended->name);
  if (!container) return;
  const ContainerStatus asked = *ended;
  const std::string words = ReadTerminationMessage(environment_.runtime, Directory(), *container, asked);
  // Reading waits, and there may be another by now.
  if (words.empty() || !ended || ended->id != asked.id) return;
  ended->message = asked.message + (asked.message.empty() ? "" : ": ") + words;
}

/// Of those that ended while no agent was there.
void PodWorker::AddMissedWords() {
  for (ContainerRecord& record : state_.containers) {
    AddLastWords(record.current);
    AddLastWords(record.last);
  }
}

/// Those of which nothing is left here: an agent was killed after it had cleared them away. Such an end stays, as for
/// the kubelet: the API server takes back none.
void PodWorker::KeepToldEnds() {
  for (ContainerRecord& record : state_.containers) {
    if (record.current || record.last) continue;
    for (const auto before : StatusesOf(view(), record)) {
      if (before.name() != record.name || !before.state().terminated()) continue;
      record.current = ToldEnd(before);
      if (sandbox_) record.current->sandbox_id = sandbox_->id;
      record.image_id = std::string(before.image_id());
    }
  }
}

Ok PodWorker::SyncRunning() {
  PodPlan plan = PlanPod(view(), state_, environment_.runtime.Wall());
  if (plan.finished) {
    state_.finished = true;
    return StopAll(Grace()) ? SyncFinished() : WriteStatus();
  }
  if (plan.restart_all && !TRY(RestartAll())) return WriteStatus();
  if (plan.restart_all) plan = PlanPod(view(), state_, environment_.runtime.Wall());
  if (!sandbox_) {
    TRY(WriteStatus());
    TRY(EnsureSandbox());
    // Clearing the old one away may have ended containers.
    TRY(RefreshContainers());
    plan = PlanPod(view(), state_, environment_.runtime.Wall());
  }
  if (!state_.sandbox_ready) TRY(JoinSandbox());
  TRY(ActuateResize());
  TRY(KeepVolumes());
  FollowSources();
  for (ContainerRecord& record : state_.containers) {
    if (!record.running()) continue;
    if (!record.kill_message.empty()) {
      StopContainer(record, record.kill_grace, record.kill_message, StopOrder::kAtOnce);
    }
    // Adopted containers that run have no probes yet.
    if (record.lasting() && record.up() && !probes_.contains(record.name)) StartProbes(record, ProbeOrigin::kAdopted);
  }
  if (plan.recheck) recheck_ = recheck_ ? std::min(*recheck_, *plan.recheck) : *plan.recheck;
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
    // Whoever waits for the end hears of it before clearing away takes the processor and the disk.
    TRY(environment_.runtime.Sleep(kClearAfter));
    if (sandbox_) {
      TRY(environment_.network.Detach(sandbox_->id));
      TRY(environment_.containers.StopSandbox(sandbox_->id));
    }
    state_.sandbox_ready = false;
    followers_.StopAndJoin();
    TRY(volumes_.TearDown());
    TRY(environment_.user_ranges.Release(std::string(pod_->uid())));
    over_ = true;
    environment_.allocator.Release(std::string(pod_->uid()));
    environment_.over.NotifyAll();
  }
  return WriteStatus();
}

Ok PodWorker::WriteStatus() {
  if (gone_) return {};
  doc::Document document = doc::Document::Copy(pod_->tree());
  document.root.Remove("status");
  PodEdit edit(document);
  const api::ObjectPtr keep = Allocated();
  ComputePodStatus(Pod(keep->tree()), state_, environment_.runtime.Wall(), edit.status());
  const std::string text = doc::ToJson(edit.status().value());
  if (text == written_status_) return {};
  Result<api::ObjectPtr> written = environment_.client.Update(
      api::core_v1::PodInfo(), {std::string(pod_->ns()), std::string(pod_->name())}, document.root, "status");
  if (written.ok()) {
    written_status_ = text;
    // The watch brings this object, too; until then the next status builds on it.
    if (!gone_) TakeNewer(std::move(written).value());
    if (std::exchange(hold_again_, false) && !gone_ && !over_) {
      environment_.allocator.Hold(std::string(pod_->uid()), Amounts());
    }
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
    const bool debug = record != nullptr && record->ephemeral;
    const bool init = record != nullptr && record->init;
    path = fmt::format("spec.{}{{{}}}",
                       debug  ? "ephemeralContainers"
                       : init ? "initContainers"
                              : "containers",
                       container);
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
  const auto container = FindContainer(Pod(keep->tree()), record.name);
  if (!container || !record.running()) return;
  const std::string name = record.name;
  Prober::Events events{
      .decided = [this, name](ProbeKind kind, bool passed, const std::string&) { ProbeDecided(name, kind, passed); },
      .told = [this, name](std::string_view reason,
                           const std::string& message) { RecordEvent(EventKind::kWarning, reason, message, name); },
      .tried =
          [this, name, keep](ProbeKind kind, const Result<ProbeOutcome>& outcome, Duration took) {
            const ProbeResult result = !outcome.ok()      ? ProbeResult::kUnknown
                                       : outcome->passed ? ProbeResult::kSuccessful
                                                         : ProbeResult::kFailed;
            environment_.probe_counts.Add(*keep, name, kind, result, took);
          }};
  auto prober = std::make_unique<Prober>(environment_.runtime, environment_.containers, keep, *container,
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
  const auto container = FindContainer(pod, name);
  if (!container) return;
  if (kind == ProbeKind::kReadiness) record->ready = passed;
  if (kind == ProbeKind::kStartup && passed) {
    record->startup_passed = true;
    record->ready = !container->readiness_probe();
  }
  if (kind != ProbeKind::kReadiness && !passed) {
    const bool liveness = kind == ProbeKind::kLiveness;
    const auto probe = liveness ? container->liveness_probe() : container->startup_probe();
    record->kill_grace = std::chrono::seconds(
        probe.termination_grace_period_seconds().value_or(pod.spec().termination_grace_period_seconds().value_or(30)));
    record->kill_message = fmt::format("{} {} failed {} probe", record->init ? "Init container" : "Container", name,
                                       liveness ? "liveness" : "startup");
    if (!record->init && RestartsWhenStopped(pod, *container)) record->kill_message += ", will be restarted";
  }
  wake_.Set();
}

/// Volumes of a pod that is older than this process, and what is due in the others: tokens, the pod's own fields. A pod
/// that runs goes on when it fails.
Ok PodWorker::KeepVolumes() {
  const api::ObjectPtr keep = Allocated();
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

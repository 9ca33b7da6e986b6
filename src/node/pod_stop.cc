// The part of a pod worker that brings things down: containers in their order, and what is left of the pod.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "node/environment.h"
#include "node/lifecycle.h"
#include "node/pod_worker.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using client::EventKind;

// The kubelet's minimumGracePeriodInSeconds.
constexpr Duration kGraceLeast = 2s;
constexpr const char* kRemovedMessage = "The container is removed because RestartAllContainers in place";
// One part in so many of the time may go into measuring a pod's files.
constexpr int kMeasureShare = 20;
// How long a hook whose container is gone may go on, where it waits for somebody else.
constexpr Duration kHookAfter = 30s;

}  // namespace

Duration PodWorker::Grace() const {
  Pod pod = view();
  int64_t seconds = pod.spec().termination_grace_period_seconds().value_or(30);
  if (auto given = pod.metadata().deletion_grace_period_seconds()) seconds = *given;
  return std::chrono::seconds(seconds);
}

/// Sees to it that nothing of the pod runs; whether that is so.
bool PodWorker::StopAll(Duration grace) {
  bool any_running = false;
  for (const ContainerRecord& record : state_.containers) {
    if (!record.running()) continue;
    any_running = true;
    StopContainer(record, grace, "Stopping container " + record.name, StopOrder::kInTurn);
    if (auto prober = probes_.find(record.name); prober != probes_.end()) prober->second->StopAllButReadiness();
  }
  if (any_running || !stops_.empty() || starting_) return false;
  for (const ContainerRecord& record : state_.containers) StopProbes(record.name);
  return true;
}

/// The agent has failed the pod: what runs is stopped, and then it is over.
Ok PodWorker::SyncFailed() { return StopAll(hurry_.value_or(Grace())) ? SyncFinished() : WriteStatus(); }

bool PodWorker::active() const { return !gone_ && !over_ && !state_.ending() && !state_.finished && sandbox_; }

void PodWorker::Evict(const std::string& message, EvictedFor why, Duration grace) {
  if (!active()) return;
  RecordEvent(EventKind::kWarning, "Evicted", message);
  state_.failed_reason = "Evicted";
  state_.failed_message = message;
  state_.disrupted = why == EvictedFor::kTheNode;
  hurry_ = grace;
  wake_.Set();
}

void PodWorker::EndWithNode(const std::string& message, Duration grace) {
  if (ended() || over()) return;
  if (state_.failed_reason.empty() && !state_.finished) {
    state_.failed_reason = "Terminated";
    state_.failed_message = message;
    state_.disrupted = true;
    state_.work_counts = true;
  }
  hurry_ = std::min(grace, hurry_.value_or(Grace()));
  wake_.Set();
}

void PodWorker::CheckStorage() {
  if (!active() || measuring_ || environment_.runtime.Mono() < measure_after_ || !LimitsLocalStorage(view())) return;
  measuring_ = true;
  steps_.Spawn("local storage", [this] {
    const MonoTime begin = environment_.runtime.Mono();
    const LocalStorageUsage usage =
        MeasureLocalStorage(environment_.runtime, environment_.containers, StoragePlaces());
    const auto excess = LocalStorageExcess(view(), usage);
    if (excess) Evict(*excess, EvictedFor::kItsOwnUse);
    // Where there are many files to look at, that is done less often.
    const MonoTime end = environment_.runtime.Mono();
    measure_after_ = end + (end - begin) * kMeasureShare;
    measuring_ = false;
  });
}

LocalStoragePlaces PodWorker::StoragePlaces() const {
  LocalStoragePlaces out;
  for (const auto volume : view().spec().volumes()) {
    const Result<std::string> path = volumes_.PathOf(volume.name());
    if (volume.empty_dir() && path.ok()) out.empty_dirs[std::string(volume.name())] = *path;
  }
  for (const ContainerRecord& record : state_.containers) {
    if (!record.current) continue;
    const std::string& log = record.current->log_path;
    out.containers.push_back({record.name, record.current->id, log.substr(0, log.rfind('/'))});
  }
  return out;
}

Ok PodWorker::SyncTerminating() {
  if (!StopAll(std::min(Grace(), hurry_.value_or(Grace())))) return gone_ ? Ok() : WriteStatus();
  TRY(TearDown());
  if (!gone_) {
    TRY(WriteStatus());
    TRY(DeleteObject());
  }
  done_ = true;
  environment_.over.NotifyAll();
  return {};
}

/// Ends and removes all containers, those last whose end it was for, so that the pod begins anew; whether that is done.
/// An agent that comes in the middle of it finds one of those, and goes on.
Result<bool> PodWorker::RestartAll() {
  state_.restarting_all = true;
  bool any_running = false;
  for (const ContainerRecord& record : state_.containers) {
    if (record.ephemeral || !record.running()) continue;
    any_running = true;
    StopContainer(record, Duration::zero(), "killing", StopOrder::kAtOnce);
  }
  if (any_running || !stops_.empty() || starting_) return false;
  const api::ObjectPtr keep = pod_;
  for (const bool source : {false, true}) {
    for (ContainerRecord& record : state_.containers) {
      if (record.ephemeral) continue;
      if (record.current && RestartsAll(Pod(keep->tree()), record) == source) TRY(ResetContainer(record));
    }
  }
  state_.restarting_all = false;
  return true;
}

/// The container goes, and its end stays known; its log goes with the next one's.
Ok PodWorker::ResetContainer(ContainerRecord& record) {
  runtime::ContainerStatus gone = *record.current;
  const bool source = RestartsAll(view(), record);
  if (record.last) TRY(RemoveContainer(record.last->id));
  TRY(environment_.containers.RemoveContainer(gone.id));
  if (!source && gone.exit_code != 0) {
    gone.reason = "RestartingAllContainers";
    gone.message = kRemovedMessage;
  }
  record.last = std::move(gone);
  record.current.reset();
  record.waiting_reason = "RestartingAllContainers";
  record.waiting_message = kRemovedMessage;
  // Who made it happen may have to wait before it does again.
  if (!source) record.not_before = {};
  return {};
}

/// Stops a running container in a fiber of its own; one that is being stopped already is only hurried.
void PodWorker::StopContainer(const ContainerRecord& record, Duration grace, const std::string& message,
                              StopOrder order) {
  const std::string id = record.current->id;
  auto [stop, fresh] = stops_.try_emplace(id, StopUnderWay{.grace = grace});
  if (!fresh && grace >= stop->second.grace) return;
  stop->second.grace = grace;
  stop->second.calls++;
  if (fresh) {
    RecordEvent(EventKind::kNormal, "Killing", message, record.name);
    BeginPreStop(record, grace);
  }
  steps_.Spawn("stop " + record.name, [this, id, name = record.name, grace, order] {
    const MonoTime until = environment_.runtime.Mono() + grace;
    const auto its_turn = [&] {
      const ContainerRecord* now = state_.Find(name);
      if (now == nullptr || !now->running() || now->current->id != id) return true;
      return !stops_.at(id).hook_runs && (order == StopOrder::kAtOnce || MayStop(state_, *now));
    };
    const Ok turn = turns_.WaitUntil(its_turn, until);
    Ok stopped = turn.Failed(Reason::kCancelled) ? turn : Ok();
    if (stopped.ok()) {
      const Duration left = std::max<Duration>(until - environment_.runtime.Mono(), kGraceLeast);
      stopped = environment_.containers.StopContainer(id, left);
    }
    if (!stopped.ok() && !stopped.Failed(Reason::kCancelled)) {
      stop_failed_ = stopped.status().WithContext("stop container " + id);
    }
    // Before it may be stopped again: that it has ended is known as soon as it has.
    ContainerRecord* stopped_record = state_.Find(name);
    const auto ended = environment_.containers.GetContainer(id);
    if (stopped.ok() && ended.ok() && stopped_record->running() && stopped_record->current->id == id) {
      NoteContainer(*stopped_record, *ended);
    }
    auto at = stops_.find(id);
    if (--at->second.calls == 0) stops_.erase(at);
    turns_.NotifyAll();
    RuntimeChanged();
  });
}

/// What the container wants done before it is asked to end goes on in a fiber of its own; it is waited for no longer
/// than the grace period, and ends with the container.
void PodWorker::BeginPreStop(const ContainerRecord& record, Duration grace) {
  const api::ObjectPtr keep = pod_;
  const auto container = FindContainer(Pod(keep->tree()), record.name);
  if (grace <= Duration::zero() || !container || !container->lifecycle().pre_stop()) return;
  const std::string id = record.current->id;
  stops_.at(id).hook_runs = true;
  steps_.Spawn("preStop " + record.name, [this, keep, container = *container, id, grace] {
    rt::Runtime& runtime = environment_.runtime;
    Ok ran;
    {
      rt::CancelScope scope(runtime, grace + kHookAfter);
      ran = RunHook(runtime, environment_.containers, container.lifecycle().pre_stop(), HookOn(*keep, container, id));
    }
    if (!runtime.CheckCancelled().ok()) return;
    // What it says may be secret, and events are seen by many.
    if (!ran.ok()) {
      LOG_INFO("a preStop hook failed", {"pod", KeyOf(*keep)}, {"error", ran.status()});
      RecordEvent(EventKind::kWarning, "FailedPreStopHook", "PreStopHook failed", container.name());
    }
    if (auto stop = stops_.find(id); stop != stops_.end()) stop->second.hook_runs = false;
    turns_.NotifyAll();
  });
}

HookTarget PodWorker::HookOn(const api::Object& pod, api::core_v1::Container container, const std::string& id) {
  return {.pod = Pod(pod.tree()),
          .container = container,
          .place = {state_.pod_ip, id},
          .sleep = [this, name = std::string(container.name()), id](Duration time) -> Ok {
            const auto over = [&] {
              const ContainerRecord* now = state_.Find(name);
              return now == nullptr || !now->running() || now->current->id != id;
            };
            const Ok slept = turns_.WaitUntil(over, environment_.runtime.Mono() + time);
            return slept.Failed(Reason::kTimeout) ? environment_.runtime.CheckCancelled() : slept;
          }};
}

/// What a container wants done right after its start. While it is, the container counts as not started. It is waited
/// for no longer than the container runs, or a pod whose hook waits for somebody else could not be deleted.
Ok PodWorker::RunPostStart(const api::Object& pod, api::core_v1::Container container, ContainerRecord& record) {
  const std::string id = record.current->id;
  record.in_post_start = true;
  Ok ran;
  {
    rt::CancelScope scope(environment_.runtime);
    post_start_ = &scope;
    ran = RunHook(environment_.runtime, environment_.containers, container.lifecycle().post_start(),
                  HookOn(pod, container, id));
    post_start_ = nullptr;
    if (ran.Failed(Reason::kCancelled) && scope.stopped()) ran = Unavailable("the container ended before its hook");
  }
  if (ran.Failed(Reason::kCancelled)) return ran;
  if (ran.ok()) {
    record.in_post_start = false;
    return ran;
  }
  // What it says may be secret: it goes into the status of the pod, but not into the event.
  RecordEvent(EventKind::kWarning, "FailedPostStartHook", "PostStartHook failed", record.name);
  if (record.running()) {
    StopContainer(record, Grace(), "FailedPostStartHook", StopOrder::kAtOnce);
    TRY(turns_.WaitUntil([&] { return !stops_.contains(id); }));
    NoteContainer(record, TRY(environment_.containers.GetContainer(id)));
  }
  record.in_post_start = false;
  record.waiting_reason = "PostStartHookError";
  record.waiting_message = ran.status().message();
  return ran;
}

Ok PodWorker::TearDown() {
  rt::FileSystem& files = environment_.runtime.files();
  followers_.StopAndJoin();
  if (sandbox_) old_sandboxes_.push_back(sandbox_->id);
  sandbox_.reset();
  state_.sandbox_id.clear();
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
  TRY(environment_.user_ranges.Release(std::string(pod.metadata().uid())));
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

}  // namespace knarr::node

#include <fmt/format.h>

#include <algorithm>

#include "doc/text.h"
#include "node/pod_state.h"
#include "node/resource_status.h"
#include "node/termination_message.h"

namespace knarr::node {
namespace {

using api::core_v1::ContainerStateEdit;
using api::core_v1::ContainerStatusEdit;
using api::core_v1::Pod;
using api::core_v1::PodConditionEdit;
using api::core_v1::PodStatusEdit;
using runtime::ContainerState;
using runtime::ContainerStatus;

std::string ContainerIdIn(const PodState& state, const ContainerStatus& container) {
  return state.runtime_name + "://" + container.id;
}

void WriteTerminated(Pod pod, const PodState& state, const ContainerStatus& from,
                     api::core_v1::ContainerStateTerminatedEdit to) {
  const size_t message_max = TerminationMessageMax(pod);
  to.set_exit_code(from.exit_code);
  std::string_view reason = from.reason;
  if (reason.empty()) reason = from.exit_code == 0 ? "Completed" : "Error";
  to.set_reason(reason);
  if (!from.message.empty()) to.set_message(doc::RepairUtf8(std::string_view(from.message).substr(0, message_max)));
  if (from.started != WallTime{}) to.set_started_at(from.started);
  to.set_finished_at(from.finished);
  to.set_container_id(ContainerIdIn(state, from));
}

bool InitDone(const ContainerRecord& record) { return record.exited() && record.current->exit_code == 0; }

/// The three-way state: waiting, running or terminated, exactly one.
void WriteState(Pod pod, const PodState& state, const ContainerRecord& record, WallTime now, ContainerStateEdit to) {
  if (record.up()) {
    to.running().set_started_at(record.current->started);
    return;
  }
  const bool again = !state.ending() && !state.finished && record.exited() && ShouldRestart(pod, record) &&
                     (record.lasting() || record.current->exit_code != 0);
  if (again && record.not_before > now) {
    to.waiting().set_reason("CrashLoopBackOff");
    to.waiting().set_message(BackOffMessage(record, pod));
    return;
  }
  if (again && !record.waiting_reason.empty()) {
    to.waiting().set_reason(record.waiting_reason);
    if (!record.waiting_message.empty()) to.waiting().set_message(record.waiting_message);
    return;
  }
  if (record.exited()) {
    WriteTerminated(pod, state, *record.current, to.terminated());
    return;
  }
  std::string_view reason = record.waiting_reason;
  if (reason.empty()) reason = pod.spec().init_containers().empty() ? "ContainerCreating" : "PodInitializing";
  to.waiting().set_reason(reason);
  if (!record.waiting_message.empty()) to.waiting().set_message(record.waiting_message);
}

template <typename Spec>
void WriteMounts(const PodState& state, Spec spec, ContainerStatusEdit to) {
  for (const auto mount : spec.volume_mounts()) {
    auto status = to.add_volume_mounts();
    status.set_name(mount.name());
    status.set_mount_path(mount.mount_path());
    if (!mount.read_only()) continue;
    status.set_read_only(true);
    const std::string_view mode = mount.recursive_read_only().value_or("Disabled");
    const bool recursive = mode == "Enabled" || (mode == "IfPossible" && state.recursive_read_only);
    status.set_recursive_read_only(recursive ? "Enabled" : "Disabled");
  }
}

template <typename Spec>
void WriteContainer(Pod pod, const PodState& state, Spec spec, WallTime now, ContainerStatusEdit to) {
  const ContainerRecord* record = state.Find(spec.name());
  to.set_name(spec.name());
  to.set_image(spec.image());
  to.set_image_id("");
  to.set_ready(false);
  to.set_restart_count(0);
  const bool ephemeral = record != nullptr && record->ephemeral;
  if (!ephemeral) to.set_started(false);
  to.last_state();
  WriteMounts(state, spec, to);
  if (record == nullptr) {
    to.state().waiting().set_reason("ContainerCreating");
    return;
  }
  WriteState(pod, state, *record, now, to.state());
  // What is shown as waiting to run again keeps its end in lastState.
  const bool shows_end = api::core_v1::ContainerStatus(to.value()).state().has_terminated();
  if (record->exited() && !shows_end) {
    WriteTerminated(pod, state, *record->current, to.last_state().terminated());
  } else if (record->last) {
    WriteTerminated(pod, state, *record->last, to.last_state().terminated());
  }
  to.set_restart_count(record->restarts());
  if (!record->image_id.empty()) to.set_image_id(record->image_id);
  if (record->current) to.set_container_id(ContainerIdIn(state, *record->current));
  WriteContainerResources(state, *record, to);
  // Of ephemeral ones, nobody asks.
  if (ephemeral) return;
  to.set_ready(record->lasting() ? record->ready && record->up() : InitDone(*record));
  to.set_started(record->up() && record->startup_passed);
}

struct Counts {
  int running = 0;
  int waiting = 0;
  int stopped = 0;
  int restarting = 0;  // of those that have stopped
  int succeeded = 0;
};

/// One that is being made anew has run before, so the pod is not Pending for it.
void Count(Pod pod, const ContainerRecord& record, Counts& counts) {
  if (record.up()) {
    counts.running++;
  } else if (record.exited()) {
    counts.stopped++;
    if (ShouldRestart(pod, record)) counts.restarting++;
    if (record.current->exit_code == 0) counts.succeeded++;
  } else if (record.last) {
    counts.stopped++;
    counts.restarting++;
  } else {
    counts.waiting++;
  }
}

/// What its containers make of it.
std::string_view PhaseOfWork(Pod pod, const PodState& state) {
  Counts main;
  int sidecars_running = 0;
  bool sidecars_pending = false;
  bool init_pending = false;
  for (const ContainerRecord& record : state.containers) {
    if (record.ephemeral) continue;
    if (!record.init) {
      Count(pod, record, main);
    } else if (record.sidecar) {
      sidecars_running += record.up() ? 1 : 0;
      sidecars_pending |= record.up() ? !record.startup_passed : !record.exited() && !record.last;
    } else if (record.exited() && record.current->exit_code != 0) {
      if (!ShouldRestart(pod, record)) return "Failed";
      init_pending = true;
    } else {
      init_pending |= !record.exited() && !record.last;
    }
  }
  const bool begun = main.running + main.stopped > 0;
  if (init_pending || (sidecars_pending && !begun) || main.waiting > 0) return "Pending";
  if (main.running + sidecars_running > 0) return "Running";
  if (main.stopped == 0) return "Pending";
  if (!state.terminating && main.restarting > 0) return "Running";
  return main.stopped == main.succeeded ? "Succeeded" : "Failed";
}

/// That the node has failed the pod shows once nothing of it runs: others take that for a sign that it has gone.
bool FailureShows(Pod pod, const PodState& state) {
  if (state.failed_reason.empty()) return false;
  const std::string_view before = pod.status().phase();
  return before == "Failed" || before == "Succeeded" ||
         std::ranges::none_of(state.containers, &ContainerRecord::running);
}

std::string_view Phase(Pod pod, const PodState& state) {
  if (!FailureShows(pod, state)) return PhaseOfWork(pod, state);
  return state.work_counts && PhaseOfWork(pod, state) == "Succeeded" ? "Succeeded" : "Failed";
}

struct Condition {
  std::string_view type;
  bool value;
  std::string reason;
  std::string message;
};

/// Sets the condition, moving its transition time only when its value changes.
void WriteCondition(const Condition& condition, Pod pod, WallTime now, PodStatusEdit status) {
  std::string_view value = condition.value ? "True" : "False";
  std::optional<WallTime> since;
  for (api::core_v1::PodCondition before : pod.status().conditions()) {
    if (before.type() == condition.type && before.status() == value) since = before.last_transition_time();
  }
  PodConditionEdit to = status.add_conditions();
  to.set_type(condition.type);
  if (pod.metadata().generation() > 0) to.set_observed_generation(pod.metadata().generation());
  to.set_status(value);
  to.set_last_transition_time(since.value_or(now));
  if (!condition.reason.empty()) to.set_reason(condition.reason);
  if (!condition.message.empty()) to.set_message(condition.message);
}

/// What conditions of others the pod waits for; "" when all are there.
std::string MissingGates(Pod pod) {
  std::vector<std::string> out;
  for (auto gate : pod.spec().readiness_gates()) {
    std::optional<std::string_view> status;
    for (api::core_v1::PodCondition condition : pod.status().conditions()) {
      if (condition.type() == gate.condition_type()) status = condition.status();
    }
    if (!status) {
      out.push_back(
          fmt::format("corresponding condition of pod readiness gate \"{}\" does not exist.", gate.condition_type()));
    } else if (*status != "True") {
      out.push_back(fmt::format("the status of pod readiness gate \"{}\" is not \"True\", but {}",
                                gate.condition_type(), *status));
    }
  }
  return fmt::format("{}", fmt::join(out, ", "));
}

std::string Joined(const std::vector<std::string>& names) { return fmt::format("[{}]", fmt::join(names, " ")); }

void WriteConditions(Pod pod, const PodState& state, std::string_view phase, WallTime now, PodStatusEdit status) {
  std::vector<std::string> unready;
  std::vector<std::string> incomplete;
  bool begun = false;
  for (const ContainerRecord& record : state.containers) {
    if (record.lasting() && !(record.ready && record.up())) unready.push_back(record.name);
    if (record.init && !(record.sidecar ? record.up() && record.startup_passed : InitDone(record))) {
      incomplete.push_back(record.name);
    }
    begun |= record.main() && (record.up() || record.exited() || record.last);
  }
  // Once initialized it stays so, although sidecars may be started again.
  if (begun) incomplete.clear();
  const bool finished = phase == "Succeeded" || phase == "Failed";
  Condition initialized{"Initialized", incomplete.empty() || phase == "Succeeded", "", ""};
  if (!initialized.value) {
    initialized.reason = "ContainersNotInitialized";
    initialized.message = "containers with incomplete status: " + Joined(incomplete);
  } else if (phase == "Succeeded") {
    initialized.reason = "PodCompleted";
  }
  Condition ready{"ContainersReady", unready.empty() && !finished, "", ""};
  if (phase == "Succeeded") {
    ready.reason = "PodCompleted";
  } else if (phase == "Failed") {
    ready.reason = "PodFailed";
  } else if (!ready.value) {
    ready.reason = "ContainersNotReady";
    ready.message = "containers with unready status: " + Joined(unready);
  }
  WriteCondition({"PodReadyToStartContainers", state.sandbox_ready, "", ""}, pod, now, status);
  WriteCondition(initialized, pod, now, status);
  Condition pod_ready = ready;
  pod_ready.type = "Ready";
  if (pod_ready.value) pod_ready.message = MissingGates(pod);
  if (pod_ready.value && !pod_ready.message.empty()) {
    pod_ready.value = false;
    pod_ready.reason = "ReadinessGatesNotReady";
  }
  WriteCondition(pod_ready, pod, now, status);
  WriteCondition(ready, pod, now, status);
  WriteCondition({"PodScheduled", true, "", ""}, pod, now, status);
}

constexpr std::string_view kAllRestarting = "AllContainersRestarting";

void WriteAllRestarting(Pod pod, const PodState& state, std::string_view phase, WallTime now, PodStatusEdit status) {
  if (!MayRestartAll(pod)) return;
  Condition condition{kAllRestarting, false, "", ""};
  if (phase == "Succeeded") {
    condition.reason = "PodCompleted";
  } else if (phase == "Failed") {
    condition.reason = "PodFailed";
  } else if (state.restarting_all) {
    condition = {kAllRestarting, true, "RestartAllContainersStarted", "container exited with restart policy rule"};
  }
  WriteCondition(condition, pod, now, status);
}

bool IsOurs(std::string_view type) {
  return type == "PodReadyToStartContainers" || type == "Initialized" || type == "Ready" || type == "ContainersReady" ||
         type == "PodScheduled" || type == kAllRestarting || type == kResizePending || type == kResizeInProgress;
}

/// Of a pod that the node never ran: no word of containers.
void WriteRejected(Pod pod, const PodState& state, WallTime now, PodStatusEdit status) {
  status.set_observed_generation(pod.metadata().generation());
  status.set_phase("Failed");
  WriteCondition({"PodScheduled", true, "", ""}, pod, now, status);
  status.set_reason(state.failed_reason);
  status.set_message(state.failed_message);
  if (state.started) status.set_start_time(*state.started);
  if (!pod.status().qos_class().empty()) status.set_qos_class(pod.status().qos_class());
}

}  // namespace

void ComputePodStatus(Pod pod, const PodState& state, WallTime now, PodStatusEdit status) {
  if (state.rejected) return WriteRejected(pod, state, now, status);
  const std::string_view phase = Phase(pod, state);
  status.set_observed_generation(pod.metadata().generation());
  status.set_phase(phase);
  WriteConditions(pod, state, phase, now, status);
  WriteAllRestarting(pod, state, phase, now, status);
  WriteResizeConditions(state.resize, status);
  WritePodResources(pod, state, status);
  for (api::core_v1::PodCondition other : pod.status().conditions()) {
    const bool replaced = state.disrupted && FailureShows(pod, state) && other.type() == "DisruptionTarget";
    if (IsOurs(other.type()) || replaced) continue;
    status.add_conditions().CopyFrom(other.value());
  }
  if (FailureShows(pod, state)) {
    status.set_reason(state.failed_reason);
    status.set_message(state.failed_message);
    if (state.disrupted) {
      WriteCondition({"DisruptionTarget", true, "TerminationByKubelet", state.failed_message}, pod, now, status);
    }
  }
  if (!state.host_ip.empty()) {
    status.set_host_ip(state.host_ip);
    status.add_host_ips().set_ip(state.host_ip);
  }
  if (!state.pod_ip.empty()) {
    status.set_pod_ip(state.pod_ip);
    status.add_pod_ips().set_ip(state.pod_ip);
  }
  if (state.started) status.set_start_time(*state.started);
  for (api::core_v1::Container container : pod.spec().init_containers()) {
    WriteContainer(pod, state, container, now, status.add_init_container_statuses());
  }
  for (api::core_v1::Container container : pod.spec().containers()) {
    WriteContainer(pod, state, container, now, status.add_container_statuses());
  }
  for (const auto container : pod.spec().ephemeral_containers()) {
    WriteContainer(pod, state, container, now, status.add_ephemeral_container_statuses());
  }
  if (!pod.status().qos_class().empty()) status.set_qos_class(pod.status().qos_class());
}

}  // namespace knarr::node

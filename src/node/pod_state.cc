#include "node/pod_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using runtime::ContainerState;
using runtime::ContainerStatus;

// Upstream's kubelet: MaxContainerBackOff, backOffPeriod.
constexpr Duration kBackOffFirst = 10s;
constexpr Duration kBackOffMost = 300s;
constexpr Duration kBackOffReset = 600s;

bool ShouldRestart(std::string_view policy, const ContainerRecord& record) {
  if (policy == "Always") return true;
  return policy == "OnFailure" && record.current->exit_code != 0;
}

/// Plans the start of an ended or not yet made container, or the time to look again.
void PlanStart(const ContainerRecord& record, WallTime now, PodPlan& plan) {
  if (record.not_before > now) {
    plan.recheck = plan.recheck ? std::min(*plan.recheck, record.not_before) : record.not_before;
  } else {
    plan.start.push_back(record.name);
  }
}

enum class InitResult : uint8_t { kDone, kWaiting, kFailed };

/// Init containers run one after the other; the first that has not succeeded decides.
InitResult PlanInit(Pod pod, const PodState& state, WallTime now, PodPlan& plan) {
  for (const ContainerRecord& record : state.containers) {
    if (!record.init) continue;
    if (!record.current || record.current->state == ContainerState::kUnknown) {
      PlanStart(record, now, plan);
      return InitResult::kWaiting;
    }
    if (!record.exited()) return InitResult::kWaiting;
    if (record.current->exit_code == 0) continue;
    // restartPolicy Always means "until it succeeds" for an init container.
    if (pod.spec().restart_policy() == "Never") return InitResult::kFailed;
    PlanStart(record, now, plan);
    return InitResult::kWaiting;
  }
  return InitResult::kDone;
}

}  // namespace

ContainerRecord* PodState::Find(std::string_view name) {
  auto at = std::ranges::find(containers, name, &ContainerRecord::name);
  return at == containers.end() ? nullptr : &*at;
}

const ContainerRecord* PodState::Find(std::string_view name) const { return const_cast<PodState*>(this)->Find(name); }

PodState InitialState(Pod pod) {
  PodState state;
  for (api::core_v1::Container container : pod.spec().init_containers()) {
    state.containers.push_back({.name = std::string(container.name()), .init = true});
  }
  for (api::core_v1::Container container : pod.spec().containers()) {
    state.containers.push_back({.name = std::string(container.name())});
  }
  for (ContainerRecord& record : state.containers) record.waiting_reason = "";
  return state;
}

std::vector<std::string> AdoptContainers(PodState& state, std::vector<ContainerStatus> found) {
  std::ranges::sort(found, [](const ContainerStatus& a, const ContainerStatus& b) {
    return std::tie(a.attempt, a.created) > std::tie(b.attempt, b.created);
  });
  std::vector<std::string> old;
  for (ContainerStatus& status : found) {
    ContainerRecord* record = state.Find(status.name);
    if (record == nullptr) {
      old.push_back(status.id);
    } else if (!record->current) {
      record->image_id = status.image;
      record->current = std::move(status);
    } else if (!record->last) {
      record->last = std::move(status);
    } else {
      old.push_back(status.id);
    }
  }
  return old;
}

PodPlan PlanPod(Pod pod, const PodState& state, WallTime now) {
  PodPlan plan;
  if (state.ending()) return plan;
  InitResult init = PlanInit(pod, state, now, plan);
  if (init == InitResult::kFailed) plan.finished = true;
  if (init != InitResult::kDone) return plan;
  bool all_ended = true;
  for (const ContainerRecord& record : state.containers) {
    if (record.init) continue;
    if (!record.current || record.current->state == ContainerState::kUnknown) {
      all_ended = false;
      PlanStart(record, now, plan);
    } else if (record.exited() && ShouldRestart(pod.spec().restart_policy(), record)) {
      all_ended = false;
      PlanStart(record, now, plan);
    } else if (!record.exited()) {
      all_ended = false;
    }
  }
  plan.finished = all_ended && !state.containers.empty();
  return plan;
}

void NoteExit(ContainerRecord& record) {
  const ContainerStatus& ended = *record.current;
  // The first end costs nothing: the container is started again at once, and only the next one waits.
  if (ended.started != WallTime{} && ended.finished - ended.started > kBackOffReset) record.back_off = {};
  record.not_before = record.back_off == Duration{} ? WallTime{} : ended.finished + record.back_off;
  record.back_off = record.back_off == Duration{} ? kBackOffFirst : std::min(record.back_off * 2, kBackOffMost);
}

std::string BackOffMessage(const ContainerRecord& record, Pod pod) {
  Duration wait = record.not_before - record.current->finished;
  return fmt::format("back-off {} restarting failed container={} pod={}_{}({})", FormatDuration(wait), record.name,
                     pod.metadata().name(), pod.metadata().ns(), pod.metadata().uid());
}

}  // namespace knarr::node

#include "node/pod_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "node/environment.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;
using runtime::ContainerState;
using runtime::ContainerStatus;

// Upstream's kubelet: MaxContainerBackOff, backOffPeriod.
constexpr std::string_view kRestartAll = "RestartAllContainers";
constexpr Duration kBackOffFirst = 10s;
constexpr Duration kBackOffMost = 300s;
constexpr Duration kBackOffReset = 600s;

/// Plans the start of an ended or not yet made container, or the time to look again.
void PlanStart(const ContainerRecord& record, WallTime now, PodPlan& plan) {
  if (record.not_before > now) {
    plan.recheck = plan.recheck ? std::min(*plan.recheck, record.not_before) : record.not_before;
  } else {
    plan.start.push_back(record.name);
  }
}

enum class InitResult : uint8_t { kDone, kWaiting, kFailed };

/// Whether there is none that runs or has ended: never made, or made by an agent that was killed before it was started.
bool IsToBeMade(const ContainerRecord& record) { return !record.running() && !record.exited(); }

/// Whether it has been made in the present sandbox: in a new one everything begins anew.
bool IsBegun(const PodState& state, const ContainerRecord& record) {
  return record.current && (state.sandbox_id.empty() || record.current->sandbox_id == state.sandbox_id);
}

/// What comes of the init container that is furthest: the ones before it are through, the ones behind not begun.
InitResult PlanFurthest(Pod pod, const ContainerRecord& record, WallTime now, PodPlan& plan) {
  if (record.sidecar && record.running()) {
    return record.up() && record.startup_passed ? InitResult::kDone : InitResult::kWaiting;
  }
  if (record.running()) return InitResult::kWaiting;
  if (record.exited() && !record.sidecar) {
    if (record.current->exit_code == 0) return InitResult::kDone;
    if (!ShouldRestart(pod, record)) return InitResult::kFailed;
  }
  PlanStart(record, now, plan);
  return InitResult::kWaiting;
}

/// Init containers run one after the other; the furthest decides. Sidecars before it are kept running.
InitResult PlanInit(Pod pod, const PodState& state, WallTime now, PodPlan& plan) {
  const auto& inits = state.containers;  // the first so many of them
  const auto count = static_cast<size_t>(std::ranges::count_if(inits, &ContainerRecord::init));
  if (count == 0) return InitResult::kDone;
  // Once the others have come up, regular init containers are never run again.
  const bool initialized = std::ranges::any_of(inits, [](const auto& r) { return r.main() && r.running(); });
  size_t furthest = count;
  if (!initialized) {
    while (furthest > 0 && !IsBegun(state, inits[furthest - 1])) --furthest;
    if (furthest == 0) {
      PlanStart(inits[0], now, plan);
      return InitResult::kWaiting;
    }
    --furthest;
  }
  for (size_t i = 0; i < furthest; ++i) {
    if (inits[i].sidecar && !inits[i].running()) PlanStart(inits[i], now, plan);
  }
  if (initialized) return InitResult::kDone;
  const InitResult result = PlanFurthest(pod, inits[furthest], now, plan);
  if (result != InitResult::kDone || furthest + 1 == count) return result;
  PlanStart(inits[furthest + 1], now, plan);
  return InitResult::kWaiting;
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
    state.containers.push_back({.name = std::string(container.name()),
                                .init = true,
                                .sidecar = container.restart_policy().value_or("") == "Always"});
  }
  for (api::core_v1::Container container : pod.spec().containers()) {
    state.containers.push_back({.name = std::string(container.name())});
  }
  AddEphemeral(state, pod);
  for (ContainerRecord& record : state.containers) record.waiting_reason = "";
  state.allocated = AllocationOf(pod);
  state.actuated = state.allocated;
  return state;
}

void AddEphemeral(PodState& state, Pod pod) {
  for (const auto container : pod.spec().ephemeral_containers()) {
    if (state.Find(container.name()) != nullptr) continue;
    state.containers.push_back({.name = std::string(container.name()), .ephemeral = true});
  }
}

Result<std::string> PidTargetOf(const PodState& state, Container container) {
  const std::string_view name = container.tree().At("targetContainerName").AsString();
  if (name.empty()) return std::string();
  const ContainerRecord* target = state.Find(name);
  if (target == nullptr || !target->current) return NotFound(fmt::format("unable to find target container {}", name));
  return target->current->id;
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

ContainerStatus ToldEnd(api::core_v1::ContainerStatus told) {
  const auto end = told.state().terminated();
  const auto id = Cut(end.container_id(), "://");
  ContainerStatus out{.id = std::string(id ? id->second : end.container_id()), .name = std::string(told.name())};
  out.attempt = static_cast<uint32_t>(told.restart_count());
  out.state = ContainerState::kExited;
  out.exit_code = static_cast<int>(end.exit_code());
  out.reason = std::string(end.reason());
  out.message = std::string(end.message());
  out.started = end.started_at().value_or(WallTime());
  out.finished = end.finished_at().value_or(WallTime());
  if (const auto user = told.user().linux()) {
    out.user = runtime::ContainerUser{user.uid(), user.gid(), {}};
    for (const int64_t group : user.supplemental_groups()) out.user->groups.push_back(group);
  }
  return out;
}

PodPlan PlanPod(Pod pod, const PodState& state, WallTime now) {
  PodPlan plan;
  if (state.ending()) return plan;
  if (std::ranges::any_of(state.containers, [&](const auto& record) { return RestartsAll(pod, record); })) {
    return {.restart_all = true};
  }
  // Sidecars do not keep a pod alive.
  bool over = !state.containers.empty();
  for (const ContainerRecord& record : state.containers) {
    over &= !record.main() || (record.exited() && !ShouldRestart(pod, record));
  }
  if (over) return {.finished = true};
  // Whoever looks into a pod may do so before it is up, and when it never gets up.
  for (const ContainerRecord& record : state.containers) {
    if (record.ephemeral && IsToBeMade(record) && record.next_attempt() == 0) PlanStart(record, now, plan);
  }
  const InitResult init = PlanInit(pod, state, now, plan);
  if (init == InitResult::kFailed) return {.finished = true};
  if (init != InitResult::kDone) return plan;
  for (const ContainerRecord& record : state.containers) {
    if (!record.main()) continue;
    if (IsToBeMade(record) || (record.exited() && ShouldRestart(pod, record))) PlanStart(record, now, plan);
  }
  return plan;
}

namespace {

/// What the first rule says that such an end matches; "" for none.
std::string_view ActionFor(Container container, int exit_code) {
  for (const auto rule : container.restart_policy_rules()) {
    const auto codes = rule.exit_codes();
    if (!codes) continue;
    bool listed = false;
    for (const int32_t code : codes.values()) listed |= code == exit_code;
    if (codes.operator_() == (listed ? "In" : "NotIn")) return rule.action();
  }
  return "";
}

}  // namespace

bool RestartsAll(Pod pod, const ContainerRecord& record) {
  const auto container =
      record.exited() && !record.restart_anyway ? FindContainer(pod, record.name) : std::nullopt;
  return container && ActionFor(*container, record.current->exit_code) == kRestartAll;
}

bool MayRestartAll(Pod pod) {
  const auto any = [](auto containers) {
    for (const Container container : containers) {
      for (const auto rule : container.restart_policy_rules()) {
        if (rule.action() == kRestartAll) return true;
      }
    }
    return false;
  };
  return any(pod.spec().init_containers()) || any(pod.spec().containers());
}

bool ShouldRestart(Pod pod, Container container, int exit_code) {
  std::string_view policy = pod.spec().restart_policy();
  if (const auto own = container.restart_policy()) {
    const std::string_view action = ActionFor(container, exit_code);
    if (action == "Restart" || action == kRestartAll) return true;
    policy = *own;
  }
  return policy != "Never" && (policy != "OnFailure" || exit_code != 0);
}

bool ShouldRestart(Pod pod, const ContainerRecord& record) {
  if (record.ephemeral) return false;
  if (record.restart_anyway) return true;
  const auto container = FindContainer(pod, record.name);
  return container && ShouldRestart(pod, *container, record.current->exit_code);
}

bool RestartsWhenStopped(Pod pod, Container container) {
  return container.restart_policy().value_or(pod.spec().restart_policy()) != "Never";
}

bool MayStop(const PodState& state, const ContainerRecord& record) {
  if (!record.sidecar) return true;
  bool behind = false;
  for (const ContainerRecord& other : state.containers) {
    if (other.running() && (other.main() || (behind && other.sidecar))) return false;
    behind |= other.name == record.name;
  }
  return true;
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

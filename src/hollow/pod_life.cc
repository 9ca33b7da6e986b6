#include "hollow/pod_life.h"

#include <algorithm>

namespace knarr::hollow {
namespace {

using api::core_v1::ContainerStatusEdit;
using api::core_v1::Pod;
using api::core_v1::PodStatusEdit;

// The kubelet's.
constexpr Duration kBackOffFirst = 10s;
constexpr Duration kBackOffMost = 5min;
// Whatever is asked for: what ends at once when it is started would keep a processor busy.
constexpr Duration kRestartLeast = 100ms;

/// As Linux reports a process that was killed.
constexpr int kKilled = 137;

int ExitCode(const Outcome* outcome) {
  if (outcome == nullptr) return 0;
  return outcome->fails_pod && outcome->exit_code == 0 ? kKilled : outcome->exit_code;
}

/// A status that says where a pod's container was, if the pod has one.
template <typename Statuses>
std::optional<api::core_v1::ContainerStatus> Find(const Statuses& statuses, std::string_view name) {
  for (auto status : statuses) {
    if (status.name() == name) return status;
  }
  return std::nullopt;
}

}  // namespace

PodLife::PodLife(rt::Runtime& runtime, const PodLifeCycle& cycle, Pod pod, bool adopt)
    : runtime_(runtime), cycle_(cycle), begin_(runtime.Mono() + cycle.start.Draw(runtime)), created_(runtime.Wall()) {
  const std::string_view policy = pod.spec().restart_policy();
  policy_ = policy == "Never" ? Restart::kNever : policy == "OnFailure" ? Restart::kOnFailure : Restart::kAlways;
  for (auto spec : pod.spec().init_containers()) {
    Container& container = containers_.emplace_back();
    container.init = true;
    container.sidecar = spec.restart_policy().value_or("") == "Always";
    if (auto known = Find(pod.status().init_container_statuses(), spec.name())) {
      container.restarts = known->restart_count();
    }
  }
  for (auto spec : pod.spec().containers()) {
    Container& container = containers_.emplace_back();
    if (auto known = Find(pod.status().container_statuses(), spec.name())) container.restarts = known->restart_count();
  }
  if (auto start = pod.status().start_time()) created_ = *start;
  was_initialized_ = Initialized();
  initialized_since_ = created_;
  if (adopt && pod.status().phase() == "Running") TakeOver(pod);
}

/// As its status says; what ended meanwhile nobody knows.
void PodLife::TakeOver(Pod pod) {
  const MonoTime now = runtime_.Mono();
  begin_ = now;
  size_t index = 0;
  auto each = [&](const auto& specs, const auto& statuses) {
    for (auto spec : specs) {
      Container& container = containers_[index++];
      auto known = Find(statuses, spec.name());
      if (!known) continue;
      if (known->state().has_running()) {
        StartContainer(container, now);
        container.started = known->state().running().started_at().value_or(container.started);
      } else if (known->state().has_terminated()) {
        EndContainer(container, now, known->state().terminated().exit_code());
        container.ended = known->state().terminated().finished_at().value_or(container.ended);
      }
    }
  };
  each(pod.spec().init_containers(), pod.status().init_container_statuses());
  each(pod.spec().containers(), pod.status().container_statuses());
  for (auto condition : pod.status().conditions()) {
    const WallTime since = condition.last_transition_time().value_or(WallTime{});
    if (condition.type() == "Ready" && condition.status() == "True") {
      was_ready_ = true;
      ready_since_ = since;
      ready_at_ = now;
    }
    if (condition.type() == "Initialized" && condition.status() == "True") {
      was_initialized_ = true;
      initialized_since_ = since;
    }
  }
  if (!was_ready_) ready_at_ = now + cycle_.ready.Draw(runtime_);
}

const Outcome* PodLife::DrawOutcome() {
  if (calm_ || cycle_.outcomes.empty()) return nullptr;
  int64_t total = 0;
  for (const Outcome& outcome : cycle_.outcomes) total += outcome.weight;
  auto at = static_cast<int64_t>(runtime_.Random() % static_cast<uint64_t>(total));
  for (const Outcome& outcome : cycle_.outcomes) {
    at -= outcome.weight;
    if (at < 0) return &outcome;
  }
  return nullptr;
}

Duration PodLife::BackOff(const Container& container) {
  if (cycle_.restart) return std::max(kRestartLeast, cycle_.restart->Draw(runtime_));
  Duration out = kBackOffFirst;
  for (int i = 0; i < container.restarts && out < kBackOffMost; ++i) out *= 2;
  return std::min(out, kBackOffMost);
}

void PodLife::StartContainer(Container& container, MonoTime now) {
  const bool init = container.init && !container.sidecar;
  container.outcome = init ? nullptr : DrawOutcome();
  if (container.outcome != nullptr && !container.outcome->waiting.empty()) {
    container.state = State::kStuck;
    container.next = MonoTime::max();
    return;
  }
  container.state = State::kRunning;
  container.started = runtime_.Wall();
  container.next = MonoTime::max();
  if (init) container.next = now + cycle_.init.Draw(runtime_);
  if (container.outcome != nullptr && container.outcome->after) {
    container.next = now + container.outcome->after->Draw(runtime_);
  }
}

void PodLife::EndContainer(Container& container, MonoTime now, int exit_code) {
  if (container.state == State::kRunning && container.outcome != nullptr && container.outcome->fails_pod) {
    failed_ = container.outcome;
  }
  container.state = State::kEnded;
  container.exit_code = exit_code;
  container.ended = runtime_.Wall();
  container.next = RunsAgain(container) ? now + BackOff(container) : MonoTime::max();
}

bool PodLife::RunsAgain(const Container& container) const {
  if (failed_ != nullptr || stop_ != MonoTime::max()) return false;
  if (container.sidecar) return true;
  if (container.init) return container.exit_code != 0 && policy_ != Restart::kNever;
  return policy_ == Restart::kAlways || (policy_ == Restart::kOnFailure && container.exit_code != 0);
}

bool PodLife::MayStart(size_t index) const {
  for (size_t i = 0; i < index; ++i) {
    const Container& before = containers_[i];
    if (!before.init) return true;
    const bool done = before.sidecar ? before.state == State::kRunning
                                     : before.state == State::kEnded && before.exit_code == 0;
    if (!done) return false;
  }
  return true;
}

bool PodLife::Step(Container& container, MonoTime now) {
  const auto index = static_cast<size_t>(&container - containers_.data());
  if (container.state == State::kWaiting) {
    if (now < begin_ || !MayStart(index)) return false;
    StartContainer(container, now);
    return true;
  }
  if (container.next > now) return false;
  if (container.state == State::kRunning) {
    EndContainer(container, now, ExitCode(container.outcome));
  } else {
    container.last_exit_code = container.exit_code;
    container.last_started = container.started;
    container.last_ended = container.ended;
    container.restarts++;
    StartContainer(container, now);
  }
  return true;
}

MonoTime PodLife::Advance(MonoTime now) {
  if (now >= stop_ || failed_ != nullptr) {
    for (Container& container : containers_) {
      if (container.state == State::kRunning) EndContainer(container, now, failed_ != nullptr ? kKilled : 0);
      container.next = MonoTime::max();
    }
    Noticed();
    return MonoTime::max();
  }
  bool changed = true;
  while (changed) {
    changed = false;
    // One after the other: what starts lets the next one start.
    for (Container& container : containers_) {
      if (failed_ == nullptr && Step(container, now)) {
        changed = true;
        version_++;
      }
    }
  }
  if (failed_ != nullptr) return Advance(now);
  const bool all_run = Initialized() && std::ranges::all_of(containers_, [](const Container& container) {
                         return (container.init && !container.sidecar) || container.state == State::kRunning;
                       });
  if (!all_run) {
    ready_at_ = MonoTime::max();
  } else if (ready_at_ == MonoTime::max()) {
    ready_at_ = now + cycle_.ready.Draw(runtime_);
  }
  Noticed();
  MonoTime next = std::min(stop_, ready_at_ > now ? ready_at_ : MonoTime::max());
  for (const Container& container : containers_) {
    next = std::min(next, container.next);
    if (container.state == State::kWaiting && begin_ > now) next = std::min(next, begin_);
  }
  return next;
}

/// Notes since when what the conditions say is so.
void PodLife::Noticed() {
  if (ready() != was_ready_) {
    was_ready_ = !was_ready_;
    ready_since_ = runtime_.Wall();
    version_++;
  }
  if (Initialized() != was_initialized_) {
    was_initialized_ = !was_initialized_;
    initialized_since_ = runtime_.Wall();
    version_++;
  }
}

MonoTime PodLife::Stop(Duration grace) {
  const MonoTime by = runtime_.Mono() + std::min(cycle_.stop.Draw(runtime_), grace);
  stop_ = running() ? std::min(stop_, by) : runtime_.Mono();
  return stop_;
}

void PodLife::Calm() {
  calm_ = true;
  for (Container& container : containers_) {
    const bool ends = container.state == State::kRunning && container.outcome != nullptr;
    if (ends) container.next = MonoTime::max();
    if (container.state == State::kStuck) {
      container.state = State::kEnded;
      container.next = runtime_.Mono();
    }
    if (ends || container.state == State::kRunning) container.outcome = nullptr;
  }
}

bool PodLife::running() const {
  return std::ranges::any_of(containers_, [](const Container& c) { return c.state == State::kRunning; });
}

bool PodLife::Initialized() const { return MayStart(containers_.size()); }

std::string_view PodLife::phase() const {
  if (failed_ != nullptr) return "Failed";
  if (!Initialized()) {
    const bool failed = policy_ == Restart::kNever && std::ranges::any_of(containers_, [](const Container& c) {
                          return c.init && c.state == State::kEnded && c.exit_code != 0;
                        });
    return failed ? "Failed" : "Pending";
  }
  bool waiting = false;
  bool goes_on = false;
  bool failed = false;
  for (const Container& container : containers_) {
    if (container.init) continue;
    waiting |= container.state == State::kWaiting || (container.state == State::kStuck && container.restarts == 0);
    goes_on |= container.state == State::kRunning || RunsAgain(container);
    failed |= container.state == State::kEnded && container.exit_code != 0;
  }
  if (waiting) return "Pending";
  if (goes_on) return "Running";
  return failed ? "Failed" : "Succeeded";
}

bool PodLife::finished() const {
  const std::string_view now = phase();
  return now == "Failed" || now == "Succeeded";
}

bool PodLife::ready() const { return ready_at_ <= runtime_.Mono() && !finished() && running(); }

void PodLife::FillContainer(const Container& container, size_t index, ContainerStatusEdit status) const {
  status.set_image_id("").set_restart_count(container.restarts);
  const bool runs = container.state == State::kRunning;
  const bool done = container.init && !container.sidecar && container.state == State::kEnded;
  status.set_ready(container.init && !container.sidecar ? done && container.exit_code == 0 : runs && ready());
  status.set_started(runs);
  auto ended = [](auto to, int code, const Outcome* outcome, WallTime from, WallTime until) {
    to.set_exit_code(code).set_started_at(from).set_finished_at(until);
    const bool named = outcome != nullptr && !outcome->reason.empty() && !outcome->fails_pod;
    to.set_reason(named ? std::string_view(outcome->reason) : code == 0 ? "Completed" : "Error");
    if (outcome != nullptr && !outcome->message.empty()) to.set_message(outcome->message);
  };
  if (container.last_exit_code >= 0) {
    ended(status.last_state().terminated(), container.last_exit_code, nullptr, container.last_started,
          container.last_ended);
  }
  auto state = status.state();
  switch (container.state) {
    case State::kWaiting:
      state.waiting().set_reason(MayStart(index) || !container.init ? "ContainerCreating" : "PodInitializing");
      break;
    case State::kStuck:
      state.waiting().set_reason(container.outcome->waiting);
      if (!container.outcome->message.empty()) state.waiting().set_message(container.outcome->message);
      break;
    case State::kRunning:
      state.running().set_started_at(container.started);
      break;
    case State::kEnded:
      if (RunsAgain(container)) {
        state.waiting().set_reason("CrashLoopBackOff").set_message("the container is started again after a while");
        ended(status.last_state().terminated(), container.exit_code, container.outcome, container.started,
              container.ended);
      } else {
        ended(state.terminated(), container.exit_code, container.outcome, container.started, container.ended);
      }
      break;
  }
}

void PodLife::FillConditions(PodStatusEdit status) const {
  struct Condition {
    std::string_view type;
    bool value;
    WallTime since;
  };
  const bool all_ready = ready();
  for (const Condition& condition :
       {Condition{"PodReadyToStartContainers", !finished(), finished() ? ready_since_ : created_},
        Condition{"Initialized", Initialized(), initialized_since_}, Condition{"Ready", all_ready, ready_since_},
        Condition{"ContainersReady", all_ready, ready_since_}}) {
    auto to = status.add_conditions();
    to.set_type(condition.type).set_status(condition.value ? "True" : "False");
    to.set_last_transition_time(condition.since == WallTime{} ? created_ : condition.since);
    if (condition.value || condition.type == "PodReadyToStartContainers") continue;
    if (condition.type == "Initialized") {
      to.set_reason("ContainersNotInitialized").set_message("containers with incomplete status");
    } else {
      to.set_reason(finished() ? "PodCompleted" : "ContainersNotReady").set_message("containers with unready status");
    }
  }
}

void PodLife::Fill(Pod pod, const Placement& place, PodStatusEdit status) const {
  status.set_phase(phase());
  if (failed_ != nullptr) {
    if (!failed_->reason.empty()) status.set_reason(failed_->reason);
    if (!failed_->message.empty()) status.set_message(failed_->message);
  }
  if (pod.metadata().generation() > 0) status.set_observed_generation(pod.metadata().generation());
  status.set_start_time(created_);
  status.set_host_ip(place.host_ip);
  status.add_host_ips().set_ip(place.host_ip);
  status.set_pod_ip(place.pod_ip);
  status.add_pod_ips().set_ip(place.pod_ip);
  FillConditions(status);
  size_t index = 0;
  auto each = [&](const auto& specs, auto add) {
    for (auto spec : specs) {
      ContainerStatusEdit to = add();
      to.set_name(spec.name()).set_image(spec.image());
      FillContainer(containers_[index], index, to);
      ++index;
    }
  };
  each(pod.spec().init_containers(), [&] { return status.add_init_container_statuses(); });
  each(pod.spec().containers(), [&] { return status.add_container_statuses(); });
}

}  // namespace knarr::hollow

#include "node/prober.h"

#include <fmt/format.h>

#include <algorithm>

namespace knarr::node {
namespace {

using api::core_v1::Probe;

constexpr int kPeriodDefault = 10;
constexpr int kFailuresDefault = 3;
// The kubelet asks its runtime what runs once a second.
constexpr Duration kNoticed = 1s;

int OrDefault(int value, int other) { return value > 0 ? value : other; }

}  // namespace

Prober::Prober(rt::Runtime& runtime, runtime::Runtime& containers, api::ObjectPtr pod,
               api::core_v1::Container container, ProbeTarget target, WallTime started, ProbeOrigin origin,
               Events events)
    : runtime_(runtime),
      containers_(containers),
      pod_(std::move(pod)),
      container_(container),
      target_(std::move(target)),
      started_(started),
      origin_(origin),
      events_(std::move(events)),
      look_(runtime),
      readiness_(runtime, "readiness of " + target_.container_id),
      others_(runtime, "probes of " + target_.container_id) {}

Prober::~Prober() = default;

Probe Prober::SpecOf(ProbeKind kind) const {
  switch (kind) {
    case ProbeKind::kStartup:
      return container_.startup_probe();
    case ProbeKind::kLiveness:
      return container_.liveness_probe();
    case ProbeKind::kReadiness:
      break;
  }
  return container_.readiness_probe();
}

Duration Prober::DelayOf(ProbeKind kind) const {
  const Duration left = started_ + std::chrono::seconds(SpecOf(kind).initial_delay_seconds()) - runtime_.Wall();
  return std::max(left, Duration::zero());
}

void Prober::Start(bool startup_passed) {
  // The others wait until the startup probe has succeeded.
  if (!startup_passed && SpecOf(ProbeKind::kStartup)) {
    Begin(ProbeKind::kStartup);
    return;
  }
  Begin(ProbeKind::kLiveness);
  Begin(ProbeKind::kReadiness);
}

void Prober::LookAtReadiness() {
  const bool due = DelayOf(ProbeKind::kReadiness) == Duration::zero() && runtime_.Wall() - started_ >= kNoticed;
  if (due && !ready_) look_.Set();
}

void Prober::StopAllButReadiness() { others_.Stop(); }

void Prober::Stop() {
  readiness_.StopAndJoin();
  others_.StopAndJoin();
}

void Prober::Begin(ProbeKind kind) {
  if (!SpecOf(kind)) return;
  rt::TaskGroup& group = kind == ProbeKind::kReadiness ? readiness_ : others_;
  group.Spawn(ProbeName(kind), [this, kind] { Run(kind); });
}

Ok Prober::WaitForTurn(ProbeKind kind, MonoTime until) {
  if (kind != ProbeKind::kReadiness) return runtime_.Sleep(until - runtime_.Mono());
  const Ok looked = look_.Wait(until);
  look_.Reset();
  if (looked.Failed(Reason::kTimeout)) return runtime_.CheckCancelled();
  return looked;
}

Result<ProbeOutcome> Prober::Try(ProbeKind kind) {
  Result<ProbeOutcome> outcome = TryProbe(runtime_, containers_, SpecOf(kind), container_, target_);
  if (!outcome.ok() && !runtime_.CheckCancelled().ok()) return runtime_.CheckCancelled().status();
  return outcome;
}

void Prober::Run(ProbeKind kind) {
  const Probe spec = SpecOf(kind);
  ProbeCounter counter(OrDefault(spec.success_threshold(), 1), OrDefault(spec.failure_threshold(), kFailuresDefault));
  const Duration period = std::chrono::seconds(OrDefault(spec.period_seconds(), kPeriodDefault));
  bool at_start = origin_ == ProbeOrigin::kStarted && kind != ProbeKind::kLiveness;
  Duration wait = DelayOf(kind);
  if (wait == Duration::zero() && origin_ == ProbeOrigin::kAdopted) {
    wait = Duration(static_cast<int64_t>(runtime_.Random() % static_cast<uint64_t>(period.count())));
  } else if (wait == Duration::zero() && kind == ProbeKind::kLiveness) {
    wait = period;
  }
  if (wait > Duration::zero()) {
    at_start = false;
    if (!WaitForTurn(kind, runtime_.Mono() + wait).ok()) return;
  }
  while (true) {
    const MonoTime begin = runtime_.Mono();
    Result<ProbeOutcome> outcome = Try(kind);
    if (outcome.Failed(Reason::kCancelled)) return;
    const bool counts = !at_start || (outcome.ok() && outcome->passed);
    if (counts && events_.tried) events_.tried(kind, outcome, runtime_.Mono() - begin);
    if (!outcome.ok() && counts) {
      events_.told("Unhealthy", fmt::format("{} probe errored and resulted in unknown state: {}", ProbeName(kind),
                                            outcome.status().message()));
    }
    if (outcome.ok() && counts) {
      if (!outcome->passed) {
        events_.told("Unhealthy", fmt::format("{} probe failed: {}", ProbeName(kind), outcome->message));
      } else if (!outcome->warning.empty()) {
        events_.told("ProbeWarning", fmt::format("{} probe warning: {}", ProbeName(kind), outcome->warning));
      }
      const std::optional<bool> decided = counter.Add(outcome->passed);
      if (decided && kind == ProbeKind::kReadiness) ready_ = *decided;
      if (decided) events_.decided(kind, *decided, outcome->message);
      if (decided && *decided && kind == ProbeKind::kStartup) {
        Begin(ProbeKind::kLiveness);
        Begin(ProbeKind::kReadiness);
        return;
      }
      // A container that is to be killed is not asked again.
      if (decided && !*decided && kind != ProbeKind::kReadiness) return;
    }
    if (!runtime_.CheckCancelled().ok()) return;
    // A readiness that was tried too early is tried again when the kubelet would have come to it.
    const bool soon = at_start && !counts && kind == ProbeKind::kReadiness;
    at_start = false;
    if (!WaitForTurn(kind, begin + (soon ? kNoticed : period)).ok()) return;
  }
}

}  // namespace knarr::node

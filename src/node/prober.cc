#include "node/prober.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::node {
namespace {

using api::core_v1::Probe;

constexpr int kPeriodDefault = 10;
constexpr int kFailuresDefault = 3;

int OrDefault(int value, int other) { return value > 0 ? value : other; }

}  // namespace

Prober::Prober(rt::Runtime& runtime, runtime::Runtime& containers, api::ObjectPtr pod,
               api::core_v1::Container container, ProbeTarget target, WallTime started, Events events)
    : runtime_(runtime),
      containers_(containers),
      pod_(std::move(pod)),
      container_(container),
      target_(std::move(target)),
      started_(started),
      events_(std::move(events)),
      tasks_(runtime, "probes of " + target_.container_id) {}

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

void Prober::Start(bool startup_passed) {
  // The others wait until the startup probe has succeeded.
  if (!startup_passed && SpecOf(ProbeKind::kStartup)) {
    Begin(ProbeKind::kStartup);
    return;
  }
  Begin(ProbeKind::kLiveness);
  Begin(ProbeKind::kReadiness);
}

void Prober::Stop() { tasks_.StopAndJoin(); }

void Prober::Begin(ProbeKind kind) {
  if (!SpecOf(kind)) return;
  tasks_.Spawn(ProbeName(kind), [this, kind] { Run(kind); });
}

void Prober::Run(ProbeKind kind) {
  const Probe spec = SpecOf(kind);
  ProbeCounter counter(OrDefault(spec.success_threshold(), 1), OrDefault(spec.failure_threshold(), kFailuresDefault));
  const Duration period = std::chrono::seconds(OrDefault(spec.period_seconds(), kPeriodDefault));
  Duration wait = started_ + std::chrono::seconds(spec.initial_delay_seconds()) - runtime_.Wall();
  if (wait > Duration::zero() && !runtime_.Sleep(wait).ok()) return;
  while (true) {
    const MonoTime begin = runtime_.Mono();
    Result<ProbeOutcome> outcome = TryProbe(runtime_, containers_, spec, container_, target_);
    if (outcome.Failed(Reason::kCancelled)) return;
    if (!outcome.ok()) {
      LOG_WARN("probe could not be tried", {"container", target_.container_id}, {"error", outcome.status()});
    } else {
      if (!outcome->passed) events_.failed(kind, outcome->message);
      std::optional<bool> decided = counter.Add(outcome->passed);
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
    if (!runtime_.Sleep(std::max<Duration>(1ms, begin + period - runtime_.Mono())).ok()) return;
  }
}

}  // namespace knarr::node

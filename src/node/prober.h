#pragma once

// The probes of one running container: a fiber for each, from the container's start until Stop.
//
// When they are tried follows the kubelet. Liveness keeps to its period, whose first turn comes a period after the
// start (or when initialDelaySeconds are over). Readiness is looked at besides when something happens to the pod, and
// first when the kubelet would notice that the container runs, a second after its start at the latest. What is up at
// once need not wait for that: startup and readiness are tried at the start, too, and only a success counts then.

#include <functional>
#include <memory>
#include <string>

#include "api/object.h"
#include "node/probe.h"
#include "rt/runtime.h"
#include "rt/sync.h"

namespace knarr::node {

/// Where the container came from.
enum class ProbeOrigin : uint8_t {
  kStarted,  ///< just started
  kAdopted,  ///< ran when the agent came: probes of many such containers are spread over their periods
};

class Prober {
 public:
  struct Events {
    /// A threshold was crossed. Called on the runtime's thread from the probe's fiber, which Stop would wait for: it
    /// may not be called here.
    std::function<void(ProbeKind kind, bool passed, const std::string& message)> decided;
    /// What the Unhealthy and ProbeWarning events say: every failed try, every one that could not be made, and passes
    /// that need a word.
    std::function<void(std::string_view reason, const std::string& message)> told;
    /// Every try, and how long it took; an error: it could not be made. May be empty.
    std::function<void(ProbeKind kind, const Result<ProbeOutcome>& outcome, Duration took)> tried = {};
  };

  /// `pod` is kept, so that `container` (a view into it) stays valid. `started` is when the container started.
  Prober(rt::Runtime& runtime, runtime::Runtime& containers, api::ObjectPtr pod, api::core_v1::Container container,
         ProbeTarget target, WallTime started, ProbeOrigin origin, Events events);
  ~Prober();

  /// `startup_passed`: the startup probe need not run (again).
  void Start(bool startup_passed);
  /// Tries readiness now if it is due and has not succeeded.
  void LookAtReadiness();
  /// The container is to end: whether it is alive is no question any more.
  void StopAllButReadiness();
  /// Ends the fibers and waits for them.
  void Stop();

 private:
  void Begin(ProbeKind kind);
  void Run(ProbeKind kind);
  /// Until the next turn; for readiness, or until it is looked at before.
  Ok WaitForTurn(ProbeKind kind, MonoTime until);
  Result<ProbeOutcome> Try(ProbeKind kind);
  api::core_v1::Probe SpecOf(ProbeKind kind) const;
  /// What is left of initialDelaySeconds.
  Duration DelayOf(ProbeKind kind) const;

  rt::Runtime& runtime_;
  runtime::Runtime& containers_;
  const api::ObjectPtr pod_;
  const api::core_v1::Container container_;
  const ProbeTarget target_;
  const WallTime started_;
  const ProbeOrigin origin_;
  const Events events_;
  bool ready_ = false;
  rt::Event look_;
  rt::TaskGroup readiness_;
  rt::TaskGroup others_;
};

}  // namespace knarr::node

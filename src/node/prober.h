#pragma once

// The probes of one running container: a fiber for each, from the container's start until Stop.

#include <functional>
#include <memory>
#include <string>

#include "api/object.h"
#include "node/probe.h"
#include "rt/runtime.h"

namespace knarr::node {

class Prober {
 public:
  struct Events {
    /// A threshold was crossed. Called on the runtime's thread from the probe's fiber; may call Prober::Stop.
    std::function<void(ProbeKind kind, bool passed, const std::string& message)> decided;
    /// Every failed try, for the Unhealthy event.
    std::function<void(ProbeKind kind, const std::string& message)> failed;
  };

  /// `pod` is kept, so that `container` (a view into it) stays valid. `started` is when the container started.
  Prober(rt::Runtime& runtime, runtime::Runtime& containers, api::ObjectPtr pod, api::core_v1::Container container,
         ProbeTarget target, WallTime started, Events events);
  ~Prober();

  /// `startup_passed`: the startup probe need not run (again).
  void Start(bool startup_passed);
  /// Ends the fibers and waits for them, but for the one that calls it.
  void Stop();

 private:
  void Begin(ProbeKind kind);
  void Run(ProbeKind kind);
  api::core_v1::Probe SpecOf(ProbeKind kind) const;

  rt::Runtime& runtime_;
  runtime::Runtime& containers_;
  const api::ObjectPtr pod_;
  const api::core_v1::Container container_;
  const ProbeTarget target_;
  const WallTime started_;
  const Events events_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::node

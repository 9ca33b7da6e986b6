#pragma once

// What a container's spec says is done right after its start and before its end.

#include <functional>
#include <string>

#include "api/core_v1.h"
#include "base/status.h"
#include "node/probe.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::node {

struct HookTarget {
  api::core_v1::Pod pod;
  api::core_v1::Container container;
  ProbeTarget place;
  /// Waits, but no longer than the container runs.
  std::function<Ok(Duration)> sleep;
};

/// Runs it to its end, however long that takes. Cancelled when the fiber is to end; any other error's message is the
/// kubelet's ("Exec lifecycle hook ([sh]) for Container "c" in Pod "p_ns(uid)" failed - error: …").
Ok RunHook(rt::Runtime& runtime, runtime::Runtime& containers, api::core_v1::LifecycleHandler handler,
           const HookTarget& target);

}  // namespace knarr::node

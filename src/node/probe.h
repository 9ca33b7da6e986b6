#pragma once

// Probing one container: the single try, and the fiber that repeats it and counts.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/core_v1.h"
#include "base/status.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::node {

struct ProbeOutcome {
  bool passed = false;
  std::string message;  ///< why not, in the kubelet's words ("HTTP probe failed with statuscode: 404")
};

struct ProbeTarget {
  std::string pod_ip;
  std::string container_id;
};

/// One try within the probe's timeout. An error is ours, not the container's (cancelled, runtime gone): no result.
Result<ProbeOutcome> TryProbe(rt::Runtime& runtime, runtime::Runtime& containers, api::core_v1::Probe probe,
                              api::core_v1::Container container, const ProbeTarget& target);

/// A container's port by number or by its name in the spec.
Result<uint16_t> ResolvePort(api::IntOrString port, api::core_v1::Container container);

enum class ProbeKind : uint8_t { kStartup, kLiveness, kReadiness };
std::string_view ProbeName(ProbeKind kind);  ///< "Startup", …

/// The counting half of a prober: successes and failures in a row against the thresholds.
class ProbeCounter {
 public:
  ProbeCounter(int success_threshold, int failure_threshold)
      : success_threshold_(success_threshold), failure_threshold_(failure_threshold) {}
  /// true or false when this outcome crosses a threshold (again), nothing in between.
  std::optional<bool> Add(bool passed);

 private:
  int success_threshold_;
  int failure_threshold_;
  int run_ = 0;
  bool last_ = false;
};

}  // namespace knarr::node

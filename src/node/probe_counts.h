#pragma once

// How the probes of this node's containers went, for /metrics/probes. What is told of a pod goes with it.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "api/object.h"
#include "base/time.h"
#include "node/probe.h"

namespace knarr::node {

enum class ProbeResult : uint8_t { kSuccessful, kFailed, kUnknown };

class ProbeCounts {
 public:
  void Add(const api::Object& pod, std::string_view container, ProbeKind kind, ProbeResult result, Duration took);
  void Forget(const std::string& uid);
  /// With the kubelet's names: prober_probe_total, prober_probe_duration_seconds.
  std::string Text() const;

 private:
  static constexpr std::array<double, 11> kBounds = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
  struct Series {
    std::string pod;
    std::string ns;
    std::array<uint64_t, 3> results{};
    std::array<uint64_t, kBounds.size() + 1> took{};
    double seconds = 0;
  };
  using Key = std::tuple<std::string, std::string, ProbeKind>;  // uid, container
  std::map<Key, Series> series_;
};

}  // namespace knarr::node

#pragma once

// When the node runs out of something: which pod has to go, what it is told, and which pods may not begin.

#include <optional>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "node/eviction.h"

namespace knarr::node {

/// Pods from here up are what the cluster itself needs.
inline constexpr int32_t kSystemCriticalPriority = 2000000000;

/// A threshold that is met, with its amounts as events print them.
struct ThresholdMet {
  Starved resource;
  std::string threshold;  ///< "100Mi"
  std::string available;
};
ThresholdMet Describe(const Threshold& threshold, const Observations& observations);

/// A pod that may be evicted, and what its containers use of the starved resource.
struct Candidate {
  std::string uid;
  int64_t priority = 0;
  bool measured = true;  ///< it is known what it uses
  int64_t used = 0;
  int64_t requested = 0;
  struct Container {
    std::string name;
    int64_t used = 0;
    std::string requested_text;  ///< "0"
    int64_t requested = 0;
  };
  std::vector<Container> containers;
};
/// Who uses more than was asked for goes first; then who matters less; then who uses most beyond the request. Nobody
/// asks for processes: there, who matters less goes first.
void Rank(std::vector<Candidate>& candidates, Starved resource);
/// "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container c was using …"
std::string EvictionMessage(const ThresholdMet& met, const Candidate& candidate);

/// Why a pod may not begin on this node now; nullopt when it may.
std::optional<std::string> RefusedByPressure(api::core_v1::Pod pod, const Pressures& pressures);
/// One that the system can't do without: it is never evicted.
bool IsCritical(api::core_v1::Pod pod);

}  // namespace knarr::node

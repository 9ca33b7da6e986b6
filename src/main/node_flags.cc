#include "main/node_flags.h"

namespace knarr::main {

void RegisterNodeFlags(cli::FlagSet& flags, NodeFlags& out) {
  node::EvictionFlags& eviction = out.eviction;
  flags.String(&eviction.hard, "eviction-hard", 0,
               "Thresholds (memory.available<1Gi,nodefs.available<10%) below which a pod is evicted at once");
  flags.String(&eviction.soft, "eviction-soft", 0,
               "Thresholds below which a pod is evicted when that lasts; each needs a grace period");
  flags.String(&eviction.soft_grace, "eviction-soft-grace-period", 0,
               "For how long a soft threshold has to be met (memory.available=1m30s)");
  flags.Int(&eviction.pod_grace_most, "eviction-max-pod-grace-period", 0,
            "The most seconds a pod gets to end when a soft threshold is met; less than 0: what it asks for");
  flags.String(&eviction.reclaim, "eviction-minimum-reclaim", 0,
               "How much more than its threshold has to be free again (imagefs.available=2Gi)");
  flags.DurationOf(&eviction.transition, "eviction-pressure-transition-period", 0,
                   "How long the node's condition outlasts what it was about");
}

Ok CheckNodeFlags(const NodeFlags& flags) {
  const auto eviction = node::ParseEviction(flags.eviction);
  return eviction.ok() ? Ok() : Ok(eviction.status());
}

}  // namespace knarr::main

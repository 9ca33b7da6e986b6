#include "main/node_flags.h"

#include <algorithm>

namespace knarr::main {

void RegisterNodeFlags(cli::FlagSet& flags, NodeFlags& out) {
  node::EvictionFlags& eviction = out.eviction;
  flags.String(&out.kube_reserved, "kube-reserved", 0,
               "What of the node is for Knarr and not for pods: cpu=100m,memory=256Mi,ephemeral-storage=1Gi,pid=500");
  flags.String(&out.system_reserved, "system-reserved", 0, "The same, for the system's other programs");
  flags.Int(&out.pod_pids_most, "pod-max-pids", 0, "The most processes of one pod; -1: as many as the machine lets");
  flags.String(&out.manifest_path, "pod-manifest-path", 0,
               "A folder, or one file, of pods that the node runs whatever the API server says (static pods)");
  flags.DurationOf(&out.shutdown.grace, "shutdown-grace-period", 0,
                   "How long the machine's shutdown waits for pods to end, as logind lets it; 0: not at all");
  flags.DurationOf(&out.shutdown.grace_critical, "shutdown-grace-period-critical-pods", 0,
                   "What of that is kept for critical pods, which end last");
  flags.String(&out.shutdown.by_priority, "shutdown-grace-period-by-pod-priority", 0,
               "Instead of both: how long pods of which priority and up get (0=60s,100000=30s)");
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
  if (!flags.manifest_path.empty() && !flags.manifest_path.starts_with('/')) {
    return BadRequest("--pod-manifest-path: want a path that begins with /");
  }
  node::AgentOptions options;
  return ApplyNodeFlags(flags, options);
}

Ok ApplyNodeFlags(const NodeFlags& flags, node::AgentOptions& out) {
  out.eviction = TRY(node::ParseEviction(flags.eviction));
  out.reserved.kube = TRY(node::ParseReserved(flags.kube_reserved).Context("--kube-reserved"));
  out.reserved.system = TRY(node::ParseReserved(flags.system_reserved).Context("--system-reserved"));
  out.pids_most = std::max<int64_t>(0, flags.pod_pids_most);
  out.manifest_path = flags.manifest_path;
  out.shutdown_periods = TRY(node::ParseShutdown(flags.shutdown));
  return {};
}

}  // namespace knarr::main

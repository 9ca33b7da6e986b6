#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {

std::unique_ptr<Strategy> MakeStrategy(const api::KindInfo& kind, const api::KindInfo& served,
                                       const StrategyOptions& options) {
  if (kind.group == "apps" && kind.plural != "controllerrevisions") return MakeWorkloadStrategy(kind);
  if (auto strategy = MakeExtensionStrategy(kind)) return strategy;
  if (kind.group == "batch") return MakeJobStrategy(kind);
  if (kind.group == "networking.k8s.io" || kind.group == "discovery.k8s.io") return MakeNetworkingStrategy(kind);
  if (kind.group == "storage.k8s.io") return MakeStorageStrategy(kind);
  if (kind.group == "autoscaling" || kind.group == "scheduling.k8s.io" || kind.group == "node.k8s.io" ||
      kind.group == "coordination.k8s.io") {
    return MakeClusterStrategy(kind);
  }
  if (!kind.group.empty()) return MakeRecordStrategy(kind);
  if (kind.plural == "pods") return MakePodStrategy(kind);
  if (kind.plural == "namespaces") return MakeNamespaceStrategy(kind);
  if (kind.plural == "events") return MakeEventStrategy(kind, served);
  if (kind.plural == "nodes") return MakeNodeStrategy(kind);
  if (kind.plural == "services") return MakeServiceStrategy(kind, options);
  if (kind.plural == "replicationcontrollers") return MakeWorkloadStrategy(kind);
  if (kind.plural == "persistentvolumes" || kind.plural == "persistentvolumeclaims") return MakeVolumeStrategy(kind);
  return MakeCoreStrategy(kind);
}

}  // namespace knarr::apiserver

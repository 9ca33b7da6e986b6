#include "controller/endpoints.h"
#include "controller/garbage_collector.h"
#include "controller/namespace.h"
#include "controller/node_lifecycle.h"
#include "controller/replica_set.h"
#include "controller/service_account.h"

namespace knarr::controller {

std::span<const ControllerEntry> AllControllers() {
  static constexpr ControllerEntry kControllers[] = {
      {"namespace-controller", MakeNamespaceController},
      {"serviceaccount-controller", MakeServiceAccountController},
      {"replicationcontroller-controller", MakeReplicationController},
      {"replicaset-controller", MakeReplicaSetController},
      {"endpoints-controller", MakeEndpointsController},
      {"node-lifecycle-controller", MakeNodeLifecycleController},
      {"garbage-collector-controller", MakeGarbageCollector},
  };
  return kControllers;
}

}  // namespace knarr::controller

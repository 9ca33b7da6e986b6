#include "controller/certificates.h"
#include "controller/cluster_role_aggregation.h"
#include "controller/endpoints.h"
#include "controller/ephemeral_volumes.h"
#include "controller/garbage_collector.h"
#include "controller/namespace.h"
#include "controller/node_lifecycle.h"
#include "controller/persistent_volumes.h"
#include "controller/pod_garbage.h"
#include "controller/replica_set.h"
#include "controller/resource_quota.h"
#include "controller/root_ca.h"
#include "controller/service_account.h"
#include "controller/service_cidrs.h"
#include "controller/token_cleaner.h"
#include "controller/token_secrets.h"
#include "controller/volume_expansion.h"
#include "controller/volume_protection.h"

namespace knarr::controller {

std::span<const ControllerEntry> AllControllers() {
  static constexpr ControllerEntry kControllers[] = {
      {"namespace-controller", "namespace-controller", MakeNamespaceController},
      {"serviceaccount-controller", "service-account-controller", MakeServiceAccountController},
      {"replicationcontroller-controller", "replication-controller", MakeReplicationController},
      {"replicaset-controller", "replicaset-controller", MakeReplicaSetController},
      {"endpoints-controller", "endpoint-controller", MakeEndpointsController},
      {"node-lifecycle-controller", "node-controller", MakeNodeLifecycleController},
      {"clusterrole-aggregation-controller", "clusterrole-aggregation-controller",
       MakeClusterRoleAggregationController},
      {"serviceaccount-token-controller", "", MakeTokenSecretsController},
      {"legacy-serviceaccount-token-cleaner-controller", "legacy-service-account-token-cleaner", MakeTokenCleaner},
      {"certificatesigningrequest-approving-controller", "certificate-controller", MakeCertificateApprover},
      {"certificatesigningrequest-signing-controller", "certificate-controller", MakeCertificateSigner},
      {"certificatesigningrequest-cleaner-controller", "certificate-controller", MakeCertificateCleaner},
      {"garbage-collector-controller", "generic-garbage-collector", MakeGarbageCollector},
      {"pod-garbage-collector-controller", "pod-garbage-collector", MakePodGarbageCollector},
      {"service-cidr-controller", "service-cidrs-controller", MakeServiceCidrController},
      {"resourcequota-controller", "resourcequota-controller", MakeResourceQuotaController},
      {"root-ca-certificate-publisher-controller", "root-ca-cert-publisher", MakeRootCaController},
      {"persistentvolume-binder-controller", "persistent-volume-binder", MakePersistentVolumeController},
      {"persistentvolume-expander-controller", "expand-controller", MakeVolumeExpansionController},
      {"ephemeral-volume-controller", "ephemeral-volume-controller", MakeEphemeralVolumeController},
      {"persistentvolumeclaim-protection-controller", "pvc-protection-controller", MakeClaimProtectionController},
      {"persistentvolume-protection-controller", "pv-protection-controller", MakeVolumeProtectionController},
      {"volumeattributesclass-protection-controller", "volumeattributesclass-protection-controller",
       MakeAttributesClassProtectionController},
  };
  return kControllers;
}

}  // namespace knarr::controller

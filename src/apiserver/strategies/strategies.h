#pragma once

// The resources that need more than the general Strategy: each is made in its own file.

#include <memory>

#include "apiserver/strategy.h"

namespace knarr::apiserver {

std::unique_ptr<Strategy> MakePodStrategy(const api::KindInfo& kind);
std::unique_ptr<Strategy> MakeNodeStrategy(const api::KindInfo& kind);
std::unique_ptr<Strategy> MakeNamespaceStrategy(const api::KindInfo& kind);
std::unique_ptr<Strategy> MakeServiceStrategy(const api::KindInfo& kind, const StrategyOptions& options);
/// Events: written through events.k8s.io (`served`), they must meet stricter rules.
std::unique_ptr<Strategy> MakeEventStrategy(const api::KindInfo& kind, const api::KindInfo& served);
/// Deployments, ReplicaSets, StatefulSets, DaemonSets and ReplicationControllers.
std::unique_ptr<Strategy> MakeWorkloadStrategy(const api::KindInfo& kind);
/// PersistentVolumes and PersistentVolumeClaims.
std::unique_ptr<Strategy> MakeVolumeStrategy(const api::KindInfo& kind);
/// The groups around the workloads: access, admission, fairness, devices, and what extends the API; nullptr for others.
std::unique_ptr<Strategy> MakeExtensionStrategy(const api::KindInfo& kind);
struct ExtensionTraits;
std::unique_ptr<Strategy> MakeSigningRequestStrategy(const api::KindInfo& kind, const ExtensionTraits& traits);
std::unique_ptr<Strategy> MakeApiServiceStrategy(const api::KindInfo& kind, const ExtensionTraits& traits);
std::unique_ptr<Strategy> MakeDefinitionStrategy(const api::KindInfo& kind, const ExtensionTraits& traits);
std::unique_ptr<Strategy> MakeDeviceStrategy(const api::KindInfo& kind, const ExtensionTraits& traits);
/// Jobs and CronJobs.
std::unique_ptr<Strategy> MakeJobStrategy(const api::KindInfo& kind);
/// The kinds of networking.k8s.io and discovery.k8s.io.
std::unique_ptr<Strategy> MakeNetworkingStrategy(const api::KindInfo& kind);
/// The kinds of storage.k8s.io.
std::unique_ptr<Strategy> MakeStorageStrategy(const api::KindInfo& kind);
/// The kinds of autoscaling, scheduling.k8s.io, node.k8s.io and coordination.k8s.io.
std::unique_ptr<Strategy> MakeClusterStrategy(const api::KindInfo& kind);
/// The rest of core: Secrets, ServiceAccounts, Endpoints, ResourceQuotas, PodTemplates, and those that are only data.
std::unique_ptr<Strategy> MakeCoreStrategy(const api::KindInfo& kind);
/// Kinds that are only data and differ in what a PUT may do: ConfigMaps, Secrets, Endpoints, Leases, ….
std::unique_ptr<Strategy> MakeRecordStrategy(const api::KindInfo& kind);

}  // namespace knarr::apiserver

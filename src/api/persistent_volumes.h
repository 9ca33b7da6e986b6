#pragma once

// What binding claims to volumes is about: which volume fits which claim, and what either says of it. Controllers,
// scheduler and node agents all ask this.

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "api/core_v1.h"
#include "api/node_selector.h"
#include "api/object.h"
#include "api/storage_v1.h"
#include "base/quantity.h"

namespace knarr::api {

inline constexpr std::string_view kBindCompleted = "pv.kubernetes.io/bind-completed";
inline constexpr std::string_view kBoundByController = "pv.kubernetes.io/bound-by-controller";
inline constexpr std::string_view kProvisionedBy = "pv.kubernetes.io/provisioned-by";
inline constexpr std::string_view kSelectedNode = "volume.kubernetes.io/selected-node";
inline constexpr std::string_view kStorageProvisioner = "volume.kubernetes.io/storage-provisioner";
inline constexpr std::string_view kStorageProvisionerBeta = "volume.beta.kubernetes.io/storage-provisioner";
inline constexpr std::string_view kDefaultClass = "storageclass.kubernetes.io/is-default-class";
inline constexpr std::string_view kDefaultClassBeta = "storageclass.beta.kubernetes.io/is-default-class";
inline constexpr std::string_view kNoProvisioner = "kubernetes.io/no-provisioner";
inline constexpr std::string_view kProvisionerFinalizer = "external-provisioner.volume.kubernetes.io/finalizer";
/// Who makes folders of a node's disk into volumes (controller/local_volumes.h).
inline constexpr std::string_view kLocalProvisioner = "knarr.dev/local";
inline constexpr std::string_view kHostnameLabel = "kubernetes.io/hostname";

/// The class by name: an annotation that is older than the field still wins. "" for none.
std::string_view ClassOf(core_v1::PersistentVolumeClaim claim);
std::string_view ClassOf(core_v1::PersistentVolume volume);
/// Whether the claim says anything about its class, if only that it wants none.
bool NamesClass(core_v1::PersistentVolumeClaim claim);
/// Of several defaults the youngest, then the first by name; null when there is none.
ObjectPtr DefaultStorageClass(std::span<const ObjectPtr> classes);
bool WaitsForFirstConsumer(storage_v1::StorageClass storage_class);

/// What the claim asks for, and what there is of it.
Quantity StorageRequest(core_v1::PersistentVolumeClaim claim);
Quantity StorageCapacity(core_v1::PersistentVolume volume);
/// What the claim was told it has.
Quantity StatusCapacity(core_v1::PersistentVolumeClaim claim);

/// The node that a volume is to be made on for the claim, "" for none.
std::string_view SelectedNode(const Object& claim);
/// The claim has its volume, and everybody was told.
bool IsFullyBound(core_v1::PersistentVolumeClaim claim);
/// The volume is bound to the claim, or meant for it (then it may lack the uid).
bool IsMeantFor(core_v1::PersistentVolume volume, core_v1::PersistentVolumeClaim claim);
bool VolumeModesDiffer(core_v1::PersistentVolume volume, core_v1::PersistentVolumeClaim claim);
bool HasAccessMode(ListView<std::string_view> modes, std::string_view mode);
/// All that the claim asks for.
bool HasAccessModes(core_v1::PersistentVolume volume, core_v1::PersistentVolumeClaim claim);
/// Why a volume that the claim names is not one it can have, in upstream's words; "" when it can.
std::string WhyUnfit(core_v1::PersistentVolume volume, core_v1::PersistentVolumeClaim claim);
/// Whether the volume can be reached from the node.
bool IsReachable(core_v1::PersistentVolume volume, const NodeText& node);

struct VolumeSearch {
  /// The scheduler's: volumes must be reachable from it.
  const NodeText* node = nullptr;
  /// Names of volumes that are taken.
  const std::set<std::string, std::less<>>* excluded = nullptr;
  /// Without a node: only volumes that are meant for the claim.
  bool only_meant = false;
};
/// The volume that is meant for the claim, or else the smallest that is large enough, of those with the fewest access
/// modes. Null when there is none; BadRequest for a selector that can't be read.
Result<ObjectPtr> FindVolume(core_v1::PersistentVolumeClaim claim, std::span<const ObjectPtr> volumes,
                             const VolumeSearch& search);

/// Makes the volume refer to the claim; false when it does already.
bool ReferToClaim(doc::Document& volume, core_v1::PersistentVolumeClaim claim);

/// The claim behind a volume of a pod, also one made from the volume; "" when there is none.
std::string ClaimNameOf(core_v1::Pod pod, core_v1::Volume volume);
/// "" when the claim, which a volume of the pod stands for, was made for this pod; otherwise upstream's words.
std::string WhyNotForPod(core_v1::Pod pod, core_v1::PersistentVolumeClaim claim);

}  // namespace knarr::api

#include "api/persistent_volumes.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "api/label_selector.h"
#include "api/resource_list.h"
#include "base/strings.h"

namespace knarr::api {
namespace {

using core_v1::PersistentVolume;
using core_v1::PersistentVolumeClaim;

constexpr std::string_view kClassAnnotation = "volume.beta.kubernetes.io/storage-class";

bool IsDefault(const Object& storage_class) {
  const doc::Value& annotations = storage_class.tree().Get("metadata", "annotations");
  return annotations.At(kDefaultClass).AsString() == "true" || annotations.At(kDefaultClassBeta).AsString() == "true";
}

/// Everything but being available and where it is.
bool CouldHave(PersistentVolume volume, PersistentVolumeClaim claim, const Quantity& wanted) {
  if (volume.spec().claim_ref() && !IsMeantFor(volume, claim)) return false;
  if (StorageCapacity(volume) < wanted || VolumeModesDiffer(volume, claim)) return false;
  if (claim.spec().volume_attributes_class_name().value_or("") !=
      volume.spec().volume_attributes_class_name().value_or("")) {
    return false;
  }
  // A binding that was begun is finished: both go together.
  return !volume.metadata().deletion_timestamp() || volume.spec().claim_ref().uid() == claim.metadata().uid();
}

}  // namespace

std::string_view ClassOf(PersistentVolumeClaim claim) {
  const auto annotation = claim.metadata().annotations().Find(kClassAnnotation);
  return annotation ? *annotation : claim.spec().storage_class_name().value_or("");
}

std::string_view ClassOf(PersistentVolume volume) {
  const auto annotation = volume.metadata().annotations().Find(kClassAnnotation);
  return annotation ? *annotation : volume.spec().storage_class_name();
}

bool NamesClass(PersistentVolumeClaim claim) {
  return claim.metadata().annotations().Has(kClassAnnotation) || claim.spec().storage_class_name().has_value();
}

ObjectPtr DefaultStorageClass(std::span<const ObjectPtr> classes) {
  ObjectPtr best;
  const auto made = [](const ObjectPtr& object) {
    return object->tree().Get("metadata", "creationTimestamp").AsString();
  };
  for (const ObjectPtr& each : classes) {
    if (!IsDefault(*each)) continue;
    if (best == nullptr || made(each) > made(best) || (made(each) == made(best) && each->name() < best->name())) {
      best = each;
    }
  }
  return best;
}

bool WaitsForFirstConsumer(storage_v1::StorageClass storage_class) {
  return storage_class.volume_binding_mode().value_or("") == "WaitForFirstConsumer";
}

Quantity StorageRequest(PersistentVolumeClaim claim) {
  return ReadQuantity(claim.tree().Get("spec", "resources", "requests", "storage"));
}

Quantity StorageCapacity(PersistentVolume volume) {
  return ReadQuantity(volume.tree().Get("spec", "capacity", "storage"));
}

Quantity StatusCapacity(PersistentVolumeClaim claim) {
  return ReadQuantity(claim.tree().Get("status", "capacity", "storage"));
}

std::string_view SelectedNode(const Object& claim) {
  return claim.tree().Get("metadata", "annotations").At(kSelectedNode).AsString();
}

bool IsFullyBound(PersistentVolumeClaim claim) {
  return !claim.spec().volume_name().empty() && claim.metadata().annotations().Has(kBindCompleted);
}

bool IsMeantFor(PersistentVolume volume, PersistentVolumeClaim claim) {
  const auto reference = volume.spec().claim_ref();
  if (!reference || reference.name() != claim.metadata().name() || reference.ns() != claim.metadata().ns()) {
    return false;
  }
  return reference.uid().empty() || reference.uid() == claim.metadata().uid();
}

bool VolumeModesDiffer(PersistentVolume volume, PersistentVolumeClaim claim) {
  return volume.spec().volume_mode().value_or("Filesystem") != claim.spec().volume_mode().value_or("Filesystem");
}

bool HasAccessMode(ListView<std::string_view> modes, std::string_view mode) {
  for (const std::string_view each : modes) {
    if (each == mode) return true;
  }
  return false;
}

bool HasAccessModes(PersistentVolume volume, PersistentVolumeClaim claim) {
  for (const std::string_view mode : claim.spec().access_modes()) {
    if (!HasAccessMode(volume.spec().access_modes(), mode)) return false;
  }
  return true;
}

std::string WhyUnfit(PersistentVolume volume, PersistentVolumeClaim claim) {
  if (volume.metadata().deletion_timestamp()) {
    return fmt::format("the volume is marked for deletion {}", GoQuote(volume.metadata().name()));
  }
  if (StorageCapacity(volume).Value() < StorageRequest(claim).Value()) return "requested PV is too small";
  if (ClassOf(volume) != ClassOf(claim)) return "storageClassName does not match";
  if (claim.spec().volume_attributes_class_name().value_or("") !=
      volume.spec().volume_attributes_class_name().value_or("")) {
    return "volumeAttributesClassName does not match";
  }
  if (VolumeModesDiffer(volume, claim)) return "incompatible volumeMode";
  return HasAccessModes(volume, claim) ? "" : "incompatible accessMode";
}

bool IsReachable(PersistentVolume volume, const NodeText& node) {
  const auto required = volume.spec().node_affinity().required();
  return !required || Matches(required, node);
}

Result<ObjectPtr> FindVolume(PersistentVolumeClaim claim, std::span<const ObjectPtr> volumes,
                             const VolumeSearch& search) {
  std::optional<LabelSelector> selector;
  if (claim.spec().selector()) selector = TRY(ToLabelSelector(claim.spec().selector()));
  const Quantity wanted = StorageRequest(claim);
  const std::string_view wanted_class = ClassOf(claim);
  ObjectPtr best;
  const auto rank = [&](const ObjectPtr& object) {
    const PersistentVolume volume(object->tree());
    const size_t modes = search.node == nullptr ? volume.spec().access_modes().size() : 0;
    return std::tuple(modes, StorageCapacity(volume), object->name());
  };
  for (const ObjectPtr& each : volumes) {
    const PersistentVolume volume(each->tree());
    if (search.excluded != nullptr && search.excluded->contains(each->name())) continue;
    if (!CouldHave(volume, claim, wanted)) continue;
    const bool reachable = search.node == nullptr || IsReachable(volume, *search.node);
    if (IsMeantFor(volume, claim)) {
      // One that was bound before its access modes were looked at keeps its claim waiting.
      if (search.node == nullptr && !HasAccessModes(volume, claim)) continue;
      return reachable ? each : ObjectPtr();
    }
    if (search.only_meant && search.node == nullptr) continue;
    if (volume.status().phase() != "Available" || ClassOf(volume) != wanted_class || !reachable) continue;
    if (selector && !Matches(*selector, volume.metadata().labels())) continue;
    if (!HasAccessModes(volume, claim)) continue;
    if (best == nullptr || rank(each) < rank(best)) best = each;
  }
  return best;
}

bool ReferToClaim(doc::Document& volume, PersistentVolumeClaim claim) {
  core_v1::PersistentVolumeEdit edit(volume);
  const auto reference = edit.view().spec().claim_ref();
  const auto metadata = claim.metadata();
  const bool meant = IsMeantFor(edit.view(), claim);
  if (meant && reference.uid() == metadata.uid()) return false;
  edit.spec()
      .claim_ref()
      .set_kind("PersistentVolumeClaim")
      .set_ns(metadata.ns())
      .set_name(metadata.name())
      .set_uid(metadata.uid())
      .set_api_version("v1")
      .set_resource_version(metadata.resource_version());
  if (!meant && !edit.view().metadata().annotations().Has(kBoundByController)) {
    edit.metadata().put_annotations(kBoundByController, "yes");
  }
  return true;
}

std::string ClaimNameOf(core_v1::Pod pod, core_v1::Volume volume) {
  if (const auto claim = volume.persistent_volume_claim()) return std::string(claim.claim_name());
  if (volume.ephemeral()) return fmt::format("{}-{}", pod.metadata().name(), volume.name());
  return {};
}

std::string WhyNotForPod(core_v1::Pod pod, PersistentVolumeClaim claim) {
  for (const auto owner : claim.metadata().owner_references()) {
    if (owner.controller().value_or(false) && owner.uid() == pod.metadata().uid()) return {};
  }
  return fmt::format("PVC {}/{} was not created for pod {}/{} (pod is not owner)", claim.metadata().ns(),
                     claim.metadata().name(), pod.metadata().ns(), pod.metadata().name());
}

}  // namespace knarr::api

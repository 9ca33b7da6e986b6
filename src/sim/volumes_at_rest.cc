#include "sim/volumes_at_rest.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "api/persistent_volumes.h"
#include "api/storage_v1.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::Pod;

ObjectPtr Named(std::span<const ObjectPtr> objects, std::string_view ns, std::string_view name) {
  const auto at = std::ranges::find_if(
      objects, [&](const ObjectPtr& object) { return object->name() == name && object->ns() == ns; });
  return at == objects.end() ? nullptr : *at;
}

class Objects : public scheduler::VolumeSource {
 public:
  explicit Objects(const StorageObjects& objects) : objects_(objects) {}
  ObjectPtr Claim(const client::ObjectName& name) const override { return Named(objects_.claims, name.ns, name.name); }
  ObjectPtr Volume(const std::string& name) const override { return Named(objects_.volumes, "", name); }
  ObjectPtr StorageClassOf(const std::string& name) const override { return Named(objects_.classes, "", name); }
  std::vector<ObjectPtr> Candidates(const api::Object& /*claim*/) const override {
    return {objects_.volumes.begin(), objects_.volumes.end()};
  }
  std::string NodeFor(const api::Object& claim) const override { return std::string(api::SelectedNode(claim)); }

 private:
  const StorageObjects& objects_;
};

bool IsLocal(PersistentVolume volume) {
  return volume.metadata().annotations().Find(api::kProvisionedBy) == api::kLocalProvisioner;
}

std::string VolumeProblem(const api::Object& object, const StorageObjects& objects) {
  const PersistentVolume volume(object.tree());
  const std::string_view phase = volume.status().phase();
  const auto reference = volume.spec().claim_ref();
  if (reference.uid().empty()) return phase == "Available" ? "" : fmt::format("is {}, and belongs to nobody", phase);
  const ObjectPtr claim = Named(objects.claims, reference.ns(), reference.name());
  if (claim != nullptr && claim->uid() == reference.uid()) {
    const std::string_view has = PersistentVolumeClaim(claim->tree()).spec().volume_name();
    if (has != object.name()) return fmt::format("belongs to {}, which has \"{}\"", KeyOf(*claim), has);
    return phase == "Bound" ? "" : fmt::format("is {}, and its claim is there", phase);
  }
  if (phase != "Released" && phase != "Failed") return fmt::format("is {}, and its claim is gone", phase);
  const bool goes = IsLocal(volume) && volume.spec().persistent_volume_reclaim_policy() == "Delete";
  return goes ? "is left" : "";
}

std::string ClaimProblem(const api::Object& object, const StorageObjects& objects) {
  const PersistentVolumeClaim claim(object.tree());
  const std::string_view phase = claim.status().phase();
  if (api::IsFullyBound(claim)) {
    const ObjectPtr found = Named(objects.volumes, "", claim.spec().volume_name());
    // Whether it may be lost, whoever saw it go has judged (Auditor::SeeClaim).
    if (found == nullptr) return phase == "Lost" ? "" : fmt::format("has lost its volume, and is {}", phase);
    const PersistentVolume volume(found->tree());
    if (volume.spec().claim_ref().uid() != object.uid()) return "has a volume that is another's";
    if (phase != "Bound") return fmt::format("has a volume, and is {}", phase);
    const bool grows = IsLocal(volume) && api::StatusCapacity(claim) < api::StorageRequest(claim);
    if (grows || !claim.status().conditions().empty()) return "does not grow";
    return "";
  }
  if (phase != "Pending") return fmt::format("has no volume, and is {}", phase);
  if (!claim.spec().volume_name().empty()) {
    const ObjectPtr found = Named(objects.volumes, "", claim.spec().volume_name());
    if (found == nullptr) return "";
    const PersistentVolume volume(found->tree());
    const bool has = volume.spec().claim_ref() ? api::IsMeantFor(volume, claim) : api::WhyUnfit(volume, claim).empty();
    return has ? "waits for a volume that it could have" : "";
  }
  const ObjectPtr storage_class = Named(objects.classes, "", api::ClassOf(claim));
  const bool waits =
      storage_class != nullptr && api::WaitsForFirstConsumer(api::storage_v1::StorageClass(storage_class->tree()));
  const auto found = api::FindVolume(claim, objects.volumes, {.only_meant = waits});
  return found.ok() && *found != nullptr ? fmt::format("waits, and could have {}", (*found)->name()) : "";
}

}  // namespace

std::vector<std::string> StorageProblems(const StorageObjects& objects) {
  std::vector<std::string> out;
  for (const ObjectPtr& volume : objects.volumes) {
    const std::string problem = VolumeProblem(*volume, objects);
    if (!problem.empty()) out.push_back(fmt::format("volume {} {}", volume->name(), problem));
  }
  for (const ObjectPtr& claim : objects.claims) {
    const std::string problem = ClaimProblem(*claim, objects);
    if (!problem.empty()) out.push_back(fmt::format("claim {} {}", KeyOf(*claim), problem));
  }
  return out;
}

bool MayStay(const api::Object& object, const StorageObjects& objects) {
  if (object.kind() == "PersistentVolume") return PersistentVolume(object.tree()).status().phase() == "Bound";
  if (object.kind() != "PersistentVolumeClaim") return false;
  const std::string key = KeyOf(object);
  return std::ranges::any_of(objects.pods, [&](const ObjectPtr& pod) {
    const std::vector<std::string> claims = scheduler::ClaimsOf(Pod(pod->tree()));
    return std::ranges::find(claims, key) != claims.end() && !Pod(pod->tree()).spec().node_name().empty();
  });
}

scheduler::PodVolumes VolumesOf(const api::Object& pod, const StorageObjects& objects,
                                const std::map<std::string, int, std::less<>>& users) {
  return scheduler::LookAtVolumes(Pod(pod.tree()), Objects(objects), users);
}

}  // namespace knarr::sim

#include "controller/volume_expansion.h"

#include "api/core_v1.h"
#include "api/persistent_volumes.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using client::EventKind;
using client::ObjectName;

class VolumeExpansionController : public Controller {
 public:
  explicit VolumeExpansionController(const Context& context)
      : context_(context),
        claims_(context.informers.For(api::core_v1::PersistentVolumeClaimInfo())),
        volumes_(context.informers.For(api::core_v1::PersistentVolumeInfo())),
        worker_(context.runtime, "volume-expansion", [this](const ObjectName& key) { return Sync(key); }) {
    claims_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      if (before == nullptr || after == nullptr || before->uid() != after->uid()) return;
      const PersistentVolumeClaim claim(after->tree());
      const bool grows = api::StorageRequest(claim) > api::StorageRequest(PersistentVolumeClaim(before->tree()));
      if (grows && claim.status().phase() == "Bound") worker_.Add(NameOf(*after));
    });
  }
  void Start() override { worker_.Start({&claims_, &volumes_}, 1); }
  void Stop() override { worker_.Stop(); }

 private:
  Result<Requeue> Sync(const ObjectName& key) {
    const ObjectPtr object = claims_.Get(key);
    if (object == nullptr) return Requeue();
    const PersistentVolumeClaim claim(object->tree());
    const ObjectPtr found = volumes_.Get({"", std::string(claim.spec().volume_name())});
    if (found == nullptr || api::StorageRequest(claim) <= api::StatusCapacity(claim)) return Requeue();
    const PersistentVolume volume(found->tree());
    if (volume.spec().claim_ref().uid() != object->uid()) return Requeue();
    // A volume of a kind that nobody can enlarge is worth a warning.
    const bool somebody = volume.spec().csi() || volume.metadata().annotations().Has(api::kProvisionedBy);
    context_.events.Record(client::EventTarget::Of(api::core_v1::PersistentVolumeClaimInfo(), *object),
                           somebody ? EventKind::kNormal : EventKind::kWarning, "ExternalExpanding",
                           "waiting for an external controller to expand this PVC");
    return Requeue();
  }

  Context context_;
  client::Informer& claims_;
  client::Informer& volumes_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeVolumeExpansionController(Context context) {
  return std::make_unique<VolumeExpansionController>(context);
}

}  // namespace knarr::controller

#include "controller/ephemeral_volumes.h"

#include <fmt/format.h>

#include "api/core_v1.h"
#include "api/persistent_volumes.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::Pod;
using api::core_v1::Volume;
using client::ObjectName;

constexpr std::string_view kByClaim = "ephemeral-volumes/claim";

bool HasEphemeral(const api::Object& object) {
  if (!api::Mentions(object.json(), "ephemeral")) return false;
  for (const Volume volume : Pod(object.tree()).spec().volumes()) {
    if (volume.ephemeral()) return true;
  }
  return false;
}

doc::Document ClaimFor(const api::Object& pod, Volume volume) {
  doc::Document out;
  const api::core_v1::PersistentVolumeClaimEdit claim(out);
  const auto wanted = volume.ephemeral().volume_claim_template();
  claim.spec().CopyFrom(wanted.spec().tree());
  auto metadata = claim.metadata();
  metadata.set_name(api::ClaimNameOf(Pod(pod.tree()), volume));
  for (const auto [key, value] : wanted.metadata().annotations()) metadata.put_annotations(key, value);
  for (const auto [key, value] : wanted.metadata().labels()) metadata.put_labels(key, value);
  metadata.add_owner_references()
      .set_api_version("v1")
      .set_kind("Pod")
      .set_name(pod.name())
      .set_uid(pod.uid())
      .set_controller(true)
      .set_block_owner_deletion(true);
  return out;
}

class EphemeralVolumeController : public Controller {
 public:
  explicit EphemeralVolumeController(const Context& context)
      : context_(context),
        pods_(context.informers.For(api::core_v1::PodInfo())),
        claims_(context.informers.For(api::core_v1::PersistentVolumeClaimInfo())),
        worker_(context.runtime, "ephemeral-volumes", [this](const ObjectName& key) { return Sync(key); }) {
    pods_.AddIndex(std::string(kByClaim), [](const api::Object& object) {
      std::vector<std::string> out;
      if (!HasEphemeral(object)) return out;
      const Pod pod(object.tree());
      for (const Volume volume : pod.spec().volumes()) {
        if (volume.ephemeral()) out.push_back(fmt::format("{}/{}", object.ns(), api::ClaimNameOf(pod, volume)));
      }
      return out;
    });
    pods_.AddHandler([this](const ObjectPtr&, const ObjectPtr& after) {
      if (after != nullptr && !after->deleting() && HasEphemeral(*after)) worker_.Add(NameOf(*after));
    });
    // One that somebody deletes while its pod needs it is made again.
    claims_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      if (after != nullptr) return;
      for (const ObjectPtr& pod : pods_.ByIndex(kByClaim, KeyOf(*before))) worker_.Add(NameOf(*pod));
    });
  }
  void Start() override { worker_.Start({&pods_, &claims_}, 2); }
  void Stop() override { worker_.Stop(); }

 private:
  Result<Requeue> Sync(const ObjectName& key) {
    const ObjectPtr pod = pods_.Get(key);
    if (pod == nullptr || pod->deleting()) return Requeue();
    bool seen = true;
    for (const Volume volume : Pod(pod->tree()).spec().volumes()) {
      if (!volume.ephemeral()) continue;
      const Ok made = EnsureClaim(*pod, volume);
      seen = seen && claims_.Get({key.ns, api::ClaimNameOf(Pod(pod->tree()), volume)}) != nullptr;
      if (made.ok()) continue;
      if (!made.Failed(Reason::kCancelled)) {
        context_.events.Record(client::EventTarget::Of(api::core_v1::PodInfo(), *pod), client::EventKind::kWarning,
                               "FailedBinding",
                               fmt::format("ephemeral volume {}: {}", volume.name(), made.status().message()));
      }
      return made.status();
    }
    return seen ? Requeue() : Requeue(kUntilSeen);
  }

  Ok EnsureClaim(const api::Object& pod, Volume volume) {
    const Pod view(pod.tree());
    const ObjectName name{std::string(pod.ns()), api::ClaimNameOf(view, volume)};
    ObjectPtr claim = claims_.Get(name);
    if (claim == nullptr) {
      const Result<ObjectPtr> made = context_.client.Create(api::core_v1::PersistentVolumeClaimInfo(), name.ns,
                                                            ClaimFor(pod, volume).root);
      if (made.ok()) return {};
      if (!made.Failed(Reason::kAlreadyExists)) {
        return Status(made.status().reason(), fmt::format("create PVC {}: {}", name.name, made.status().message()));
      }
      claim = TRY(context_.client.Get(api::core_v1::PersistentVolumeClaimInfo(), name));
    }
    const std::string why = api::WhyNotForPod(view, PersistentVolumeClaim(claim->tree()));
    return why.empty() ? Ok() : Ok(Conflict(why));
  }

  Context context_;
  client::Informer& pods_;
  client::Informer& claims_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeEphemeralVolumeController(Context context) {
  return std::make_unique<EphemeralVolumeController>(context);
}

}  // namespace knarr::controller

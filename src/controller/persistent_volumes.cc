#include "controller/persistent_volumes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/core_v1.h"
#include "api/persistent_volumes.h"
#include "api/storage_v1.h"
#include "base/log.h"
#include "base/strings.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::PersistentVolumeClaimEdit;
using api::core_v1::PersistentVolumeEdit;
using api::core_v1::Pod;
using api::storage_v1::StorageClass;
using client::EventKind;
using client::ObjectName;

// Indexes of one informer are named for who uses them: several controllers share it.
constexpr std::string_view kByClaim = "volume-binder/claim";    // volumes
constexpr std::string_view kByClass = "volume-binder/class";    // volumes, and claims that have none
constexpr std::string_view kByVolume = "volume-binder/volume";  // claims
constexpr std::string_view kByNode = "volume-binder/node";      // claims that are to get a volume there
constexpr std::string_view kWaiting = "volume-binder/waiting";  // pods without a node, by claim
constexpr std::string_view kNoClassNamed = "?";                 // no name of a class
constexpr std::string_view kInTree = "kubernetes.io/";
// How long a node that was chosen may be missing.
constexpr Duration kQuarantine = 40s;

const api::KindInfo& Claims() { return api::core_v1::PersistentVolumeClaimInfo(); }
const api::KindInfo& Volumes() { return api::core_v1::PersistentVolumeInfo(); }

std::string ClaimKey(PersistentVolume volume) {
  const auto reference = volume.spec().claim_ref();
  return reference ? fmt::format("{}/{}", reference.ns(), reference.name()) : std::string();
}

bool IsGiven(std::string_view phase) { return phase == "Released" || phase == "Failed"; }

bool HasAnnotation(const api::Object& object, std::string_view name) {
  return object.tree().Get("metadata", "annotations").Find(name) != nullptr;
}

/// "": a deleter of its own, outside of us, is responsible; otherwise why there is none, in upstream's words.
std::string WhyNotDeletable(PersistentVolume volume) {
  const std::string_view by = volume.metadata().annotations().Find(api::kProvisionedBy).value_or("");
  if (!by.empty()) {
    return by.starts_with(kInTree) ? fmt::format("no volume plugin matched name: {}", by) : std::string();
  }
  if (volume.spec().host_path()) {
    const std::string_view path = volume.spec().host_path().path();
    if (!path.starts_with("/tmp/")) {
      return fmt::format("host_path deleter only supports /tmp/.+ but received provided {}", path);
    }
  }
  return fmt::format("error getting deleter volume plugin for volume {}: no deletable volume plugin matched",
                     GoQuote(volume.metadata().name()));
}

class PersistentVolumeController : public Controller {
 public:
  explicit PersistentVolumeController(const Context& context)
      : context_(context),
        claims_(context.informers.For(Claims())),
        volumes_(context.informers.For(Volumes())),
        classes_(context.informers.For(api::storage_v1::StorageClassInfo())),
        pods_(context.informers.For(api::core_v1::PodInfo())),
        nodes_(context.informers.For(api::core_v1::NodeInfo())),
        worker_(context.runtime, "volume-binder", [this](const ObjectName& key) { return Sync(key); }) {
    AddIndexes();
    nodes_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) {
      const bool same = before != nullptr && after != nullptr;
      if (!same) AddAll(claims_.ByIndex(kByNode, after != nullptr ? after->name() : before->name()));
    });
    claims_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) { ClaimChanged(before, after); });
    volumes_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) { VolumeChanged(before, after); });
    classes_.AddHandler([this](const ObjectPtr&, const ObjectPtr& after) {
      if (after == nullptr) return;
      AddAll(claims_.ByIndex(kByClass, after->name()));
      AddAll(claims_.ByIndex(kByClass, kNoClassNamed));
    });
  }
  // One fiber: what one claim is given is seen before the next one looks.
  void Start() override { worker_.Start({&claims_, &volumes_, &classes_, &pods_, &nodes_}, 1); }
  void Stop() override { worker_.Stop(); }

 private:
  using Strings = std::vector<std::string>;

  void AddIndexes() {
    volumes_.AddIndex(std::string(kByClaim), [](const api::Object& object) {
      std::string key = ClaimKey(PersistentVolume(object.tree()));
      return key.empty() ? Strings() : Strings{std::move(key)};
    });
    volumes_.AddIndex(std::string(kByClass), [](const api::Object& object) {
      return Strings{std::string(api::ClassOf(PersistentVolume(object.tree())))};
    });
    claims_.AddIndex(std::string(kByClass), [](const api::Object& object) {
      const PersistentVolumeClaim claim(object.tree());
      if (!claim.spec().volume_name().empty()) return Strings();
      return Strings{std::string(api::NamesClass(claim) ? api::ClassOf(claim) : kNoClassNamed)};
    });
    claims_.AddIndex(std::string(kByNode), [](const api::Object& object) {
      const std::string_view node = api::SelectedNode(object);
      const bool open = PersistentVolumeClaim(object.tree()).spec().volume_name().empty();
      return open && !node.empty() ? Strings{std::string(node)} : Strings();
    });
    claims_.AddIndex(std::string(kByVolume), [](const api::Object& object) {
      const std::string_view name = PersistentVolumeClaim(object.tree()).spec().volume_name();
      return name.empty() ? Strings() : Strings{std::string(name)};
    });
    pods_.AddIndex(std::string(kWaiting), [](const api::Object& object) {
      const Pod pod(object.tree());
      Strings out;
      if (!pod.spec().node_name().empty()) return out;
      for (const auto volume : pod.spec().volumes()) {
        const std::string name = api::ClaimNameOf(pod, volume);
        if (!name.empty()) out.push_back(fmt::format("{}/{}", object.ns(), name));
      }
      return out;
    });
  }

  void AddAll(const std::vector<ObjectPtr>& objects) {
    for (const ObjectPtr& object : objects) worker_.Add(NameOf(*object));
  }

  void ClaimChanged(const ObjectPtr& before, const ObjectPtr& after) {
    if (before != nullptr && (after == nullptr || before->uid() != after->uid() ||
                              api::SelectedNode(*before) != api::SelectedNode(*after))) {
      missing_since_.erase(KeyOf(*before));
    }
    if (after != nullptr) worker_.Add(NameOf(*after));
    const auto volume = [](const ObjectPtr& claim) {
      return PersistentVolumeClaim(claim->tree()).spec().volume_name();
    };
    if (before != nullptr && after != nullptr && before->uid() == after->uid() && volume(before) == volume(after)) {
      return;
    }
    AddAll(volumes_.ByIndex(kByClaim, KeyOf(after != nullptr ? *after : *before)));
  }

  void VolumeChanged(const ObjectPtr& before, const ObjectPtr& after) {
    const ObjectPtr& any = after != nullptr ? after : before;
    if (after != nullptr) worker_.Add(NameOf(*after));
    AddAll(claims_.ByIndex(kByVolume, any->name()));
    for (const ObjectPtr& each : {before, after}) {
      if (each == nullptr) continue;
      const auto reference = PersistentVolume(each->tree()).spec().claim_ref();
      if (reference) worker_.Add({std::string(reference.ns()), std::string(reference.name())});
    }
    if (after == nullptr) return;
    // Somebody may wait for just such a one.
    const PersistentVolume volume(after->tree());
    if (volume.status().phase() != "Available") return;
    if (before != nullptr && PersistentVolume(before->tree()).status().phase() == "Available" &&
        before->tree().At("spec").Equals(after->tree().At("spec")) &&
        before->tree().Get("metadata", "labels").Equals(after->tree().Get("metadata", "labels"))) {
      return;
    }
    AddAll(claims_.ByIndex(kByClass, api::ClassOf(volume)));
    if (api::ClassOf(volume).empty()) AddAll(claims_.ByIndex(kByClass, kNoClassNamed));
  }

  Result<Requeue> Sync(const ObjectName& key) {
    const ObjectPtr object = key.ns.empty() ? volumes_.Get(key) : claims_.Get(key);
    if (object == nullptr) return Requeue();
    const Ok done = key.ns.empty()                              ? SyncVolume(object)
                    : HasAnnotation(*object, api::kBindCompleted) ? SyncBound(object)
                                                                  : SyncUnbound(object);
    // Either of the two may go meanwhile: the watch will say so.
    if (!done.ok() && !done.Failed(Reason::kNotFound)) return done.status();
    return Requeue();
  }

  void Tell(const api::KindInfo& kind, const api::Object& object, EventKind type, std::string_view reason,
            std::string message) {
    context_.events.Record(client::EventTarget::Of(kind, object), type, reason, std::move(message));
  }

  // --- Claims ---

  Ok SyncUnbound(const ObjectPtr& object) {
    const PersistentVolumeClaim claim(object->tree());
    if (!claim.spec().volume_name().empty()) return SyncNamed(object);
    const ObjectPtr storage_class = ClassObject(api::ClassOf(claim));
    const bool delay = storage_class != nullptr && api::WaitsForFirstConsumer(StorageClass(storage_class->tree()));
    std::vector<ObjectPtr> candidates = volumes_.ByIndex(kByClass, api::ClassOf(claim));
    for (ObjectPtr& meant : volumes_.ByIndex(kByClaim, KeyOf(*object))) candidates.push_back(std::move(meant));
    const ObjectPtr volume = TRY(api::FindVolume(claim, candidates, {.only_meant = delay}));
    if (volume != nullptr) return Bind(volume, object);
    if (!api::NamesClass(claim)) {
      const ObjectPtr by_default = api::DefaultStorageClass(classes_.List());
      if (by_default != nullptr) return NameClass(*object, by_default->name());
    }
    if (delay && !HasAnnotation(*object, api::kSelectedNode)) {
      TellWaiting(*object);
    } else if (!api::ClassOf(claim).empty()) {
      return Provision(*object, storage_class);
    } else {
      Tell(Claims(), *object, EventKind::kNormal, "FailedBinding",
           "no persistent volumes available for this claim and no storage class is set");
    }
    return SetClaimStatus(object, "Pending", nullptr);
  }

  /// Of a claim that says which volume it wants.
  Ok SyncNamed(const ObjectPtr& object) {
    const PersistentVolumeClaim claim(object->tree());
    const ObjectPtr found = volumes_.Get({"", std::string(claim.spec().volume_name())});
    if (found == nullptr) return SetClaimStatus(object, "Pending", nullptr);
    const PersistentVolume volume(found->tree());
    if (!volume.spec().claim_ref()) {
      const std::string why = api::WhyUnfit(volume, claim);
      if (why.empty()) return Bind(found, object);
      Tell(Claims(), *object, EventKind::kWarning, "VolumeMismatch",
           fmt::format("Cannot bind to requested volume {}: {}", GoQuote(found->name()), why));
      return SetClaimStatus(object, "Pending", nullptr);
    }
    if (api::IsMeantFor(volume, claim)) return Bind(found, object);
    Tell(Claims(), *object, EventKind::kWarning, "FailedBinding",
         fmt::format("volume {} already bound to a different claim.", GoQuote(found->name())));
    return SetClaimStatus(object, "Pending", nullptr);
  }

  Ok SyncBound(const ObjectPtr& object) {
    const PersistentVolumeClaim claim(object->tree());
    const std::string name(claim.spec().volume_name());
    if (name.empty()) {
      return LoseClaim(object, "ClaimLost",
                       "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
    }
    const auto is_ours = [&](const ObjectPtr& volume) {
      const auto reference = PersistentVolume(volume->tree()).spec().claim_ref();
      return !reference || reference.uid() == object->uid();
    };
    ObjectPtr found = volumes_.Get({"", name});
    if (found == nullptr || !is_ours(found)) {
      // Our copy may only be late, or of one before that had the name: no claim is given up on its word.
      Result<ObjectPtr> live = context_.client.Get(Volumes(), {"", name});
      if (!live.ok() && !live.Failed(Reason::kNotFound)) return live.status();
      if (!live.ok()) {
        return LoseClaim(object, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
      }
      found = std::move(*live);
    }
    if (is_ours(found)) return Bind(found, object);
    return LoseClaim(object, "ClaimMisbound",
                     "Two claims are bound to the same volume, this one is bound incorrectly");
  }

  Ok LoseClaim(const ObjectPtr& claim, std::string_view reason, std::string message) {
    if (PersistentVolumeClaim(claim->tree()).status().phase() == "Lost") return {};
    TRY(SetClaimStatus(claim, "Lost", nullptr));
    Tell(Claims(), *claim, EventKind::kWarning, reason, std::move(message));
    return {};
  }

  ObjectPtr ClassObject(std::string_view name) const {
    return name.empty() ? nullptr : classes_.Get({"", std::string(name)});
  }

  Ok NameClass(const api::Object& claim, std::string_view name) {
    doc::Document copy = doc::Document::Copy(claim.tree());
    PersistentVolumeClaimEdit(copy).spec().set_storage_class_name(name);
    return Outcome(context_.client.Update(Claims(), NameOf(claim), copy.root));
  }

  void TellWaiting(const api::Object& claim) {
    Strings names;
    for (const ObjectPtr& pod : pods_.ByIndex(kWaiting, KeyOf(claim))) names.emplace_back(pod->name());
    if (names.empty()) {
      return Tell(Claims(), claim, EventKind::kNormal, "WaitForFirstConsumer",
                  "waiting for first consumer to be created before binding");
    }
    Tell(Claims(), claim, EventKind::kNormal, "WaitForPodScheduled",
         fmt::format("waiting for pod{} {} to be scheduled", names.size() == 1 ? "" : "s", fmt::join(names, ",")));
  }

  /// Names who is to make a volume for the claim.
  Ok Provision(const api::Object& object, const ObjectPtr& storage_class) {
    const PersistentVolumeClaim claim(object.tree());
    const auto refuse = [&](std::string why) {
      Tell(Claims(), object, EventKind::kWarning, "ProvisioningFailed", std::move(why));
      return Ok();
    };
    if (storage_class == nullptr) {
      return refuse(fmt::format("storageclass.storage.k8s.io {} not found", GoQuote(api::ClassOf(claim))));
    }
    const std::string_view by = StorageClass(storage_class->tree()).provisioner();
    if (by.starts_with(kInTree)) return refuse(fmt::format("no volume plugin matched name: {}", by));
    if (by == api::kLocalProvisioner && !HasAnnotation(object, api::kSelectedNode)) {
      return refuse(fmt::format("failed to provision volume with StorageClass {}: no node was selected: volumes of a "
                                "node's disk need volumeBindingMode WaitForFirstConsumer",
                                GoQuote(storage_class->name())));
    }
    if (by == api::kLocalProvisioner && TRY(IsLost(object))) return PlaceAnew(context_.client, object);
    const auto annotations = claim.metadata().annotations();
    if (annotations.Find(api::kStorageProvisioner) != by) {
      doc::Document copy = doc::Document::Copy(object.tree());
      PersistentVolumeClaimEdit(copy)
          .metadata()
          .put_annotations(api::kStorageProvisioner, by)
          .put_annotations(api::kStorageProvisionerBeta, by);
      TRY(context_.client.Update(Claims(), NameOf(object), copy.root));
    }
    Tell(Claims(), object, EventKind::kNormal, "ExternalProvisioning",
         fmt::format("Waiting for a volume to be created either by the external provisioner '{}' or manually by the "
                     "system administrator. If volume creation is delayed, please verify that the provisioner is "
                     "running and correctly registered.",
                     by));
    return {};
  }

  /// Whether the node that was chosen for the claim, and would make its volume, is gone.
  Result<bool> IsLost(const api::Object& claim) {
    const std::string node(api::SelectedNode(claim));
    if (nodes_.Get({"", node}) != nullptr) {
      missing_since_.erase(KeyOf(claim));
      return false;
    }
    const MonoTime now = context_.runtime.Mono();
    const MonoTime since = missing_since_.try_emplace(KeyOf(claim), now).first->second;
    if (now - since < kQuarantine) {
      worker_.AddAfter(NameOf(claim), since + kQuarantine - now);
      return false;
    }
    const client::ObjectList live =
        TRY(context_.client.List(api::core_v1::NodeInfo(), "", {.field_selector = "metadata.name=" + node}));
    return live.items.empty();
  }

  /// `volume`: whose capacity and modes the claim has; null for none.
  Ok SetClaimStatus(const ObjectPtr& object, std::string_view phase, const api::Object* volume_object) {
    const PersistentVolumeClaim claim(object->tree());
    const bool changes_phase = claim.status().phase() != phase;
    doc::Document copy = doc::Document::Copy(object->tree());
    doc::Value& status = copy.root.Ensure(copy.arena, "status");
    if (!status.is_object()) status = doc::Value::Object();
    status.Set(copy.arena, "phase", doc::Value::String(copy.arena, phase));
    if (volume_object == nullptr) {
      for (const std::string_view member : {"accessModes", "capacity", "currentVolumeAttributesClassName"}) {
        status.Remove(member);
      }
    } else {
      const doc::Value& spec = volume_object->tree().At("spec");
      status.Set(copy.arena, "accessModes", spec.At("accessModes").Clone(copy.arena));
      // Who expands it says how large it is from then on.
      if (changes_phase) status.Set(copy.arena, "capacity", spec.At("capacity").Clone(copy.arena));
      const doc::Value& attributes = spec.At("volumeAttributesClassName");
      if (claim.status().phase() == "Pending" && changes_phase && !attributes.is_null()) {
        status.Set(copy.arena, "currentVolumeAttributesClassName", attributes.Clone(copy.arena));
      }
    }
    if (std::as_const(status).Equals(object->tree().At("status"))) return {};
    return Outcome(context_.client.Update(Claims(), NameOf(*object), copy.root, "status"));
  }

  // --- Both ---

  Ok Bind(ObjectPtr volume, ObjectPtr claim) {
    doc::Document copy = doc::Document::Copy(volume->tree());
    if (api::ReferToClaim(copy, PersistentVolumeClaim(claim->tree()))) {
      volume = TRY(context_.client.Update(Volumes(), NameOf(*volume), copy.root));
    }
    volume = TRY(SetPhase(volume, "Bound", ""));
    const PersistentVolumeClaim present(claim->tree());
    const bool refers = present.spec().volume_name() == volume->name();
    if (!refers || !HasAnnotation(*claim, api::kBindCompleted)) {
      doc::Document changed = doc::Document::Copy(claim->tree());
      const PersistentVolumeClaimEdit edit(changed);
      if (!refers) {
        edit.spec().set_volume_name(volume->name());
        if (!HasAnnotation(*claim, api::kBoundByController)) {
          edit.metadata().put_annotations(api::kBoundByController, "yes");
        }
      }
      edit.metadata().put_annotations(api::kBindCompleted, "yes");
      claim = TRY(context_.client.Update(Claims(), NameOf(*claim), changed.root));
    }
    return SetClaimStatus(claim, "Bound", volume.get());
  }

  /// The volume as it is then.
  Result<ObjectPtr> SetPhase(const ObjectPtr& object, std::string_view phase, std::string_view message) {
    if (PersistentVolume(object->tree()).status().phase() == phase) return object;
    doc::Document copy = doc::Document::Copy(object->tree());
    const PersistentVolumeEdit edit(copy);
    edit.status().set_phase(phase);
    message.empty() ? edit.status().clear_message() : edit.status().set_message(message);
    return context_.client.Update(Volumes(), NameOf(*object), copy.root, "status");
  }

  // --- Volumes ---

  Ok SyncVolume(const ObjectPtr& object) {
    const PersistentVolume volume(object->tree());
    const auto reference = volume.spec().claim_ref();
    if (!reference || reference.uid().empty()) return Outcome(SetPhase(object, "Available", ""));
    const ObjectName name{std::string(reference.ns()), std::string(reference.name())};
    ObjectPtr claim = claims_.Get(name);
    if (claim != nullptr && claim->uid() != reference.uid()) claim = nullptr;
    if (claim == nullptr && !IsGiven(volume.status().phase())) {
      // Our copy may only be late: nothing is given away on its word.
      Result<ObjectPtr> live = context_.client.Get(Claims(), name);
      if (!live.ok() && !live.Failed(Reason::kNotFound)) return live.status();
      if (live.ok() && (*live)->uid() == reference.uid()) claim = std::move(*live);
    }
    if (claim == nullptr) return Release(object);
    const PersistentVolumeClaim bound(claim->tree());
    if (bound.spec().volume_name() == object->name()) return Outcome(SetPhase(object, "Bound", ""));
    if (bound.spec().volume_name().empty()) {
      if (api::VolumeModesDiffer(volume, bound)) {
        TellModesDiffer(*object, *claim);
      } else {
        worker_.Add(name);  // it is bound from that side
      }
      return {};
    }
    // The claim has another one.
    if (HasAnnotation(*object, api::kProvisionedBy) && volume.spec().persistent_volume_reclaim_policy() == "Delete") {
      return Release(object);
    }
    return Unbind(object);
  }

  void TellModesDiffer(const api::Object& volume, const api::Object& claim) {
    Tell(Volumes(), volume, EventKind::kWarning, "VolumeMismatch",
         fmt::format("Cannot bind PersistentVolume to requested PersistentVolumeClaim {} due to incompatible "
                     "volumeMode.",
                     GoQuote(claim.name())));
    Tell(Claims(), claim, EventKind::kWarning, "VolumeMismatch",
         fmt::format("Cannot bind PersistentVolume {} to requested PersistentVolumeClaim due to incompatible "
                     "volumeMode.",
                     GoQuote(volume.name())));
  }

  /// What was said of a claim is taken back: all of it where we said it, the uid where a user did.
  Ok Unbind(const ObjectPtr& object) {
    doc::Document copy = doc::Document::Copy(object->tree());
    const PersistentVolumeEdit edit(copy);
    if (HasAnnotation(*object, api::kBoundByController)) {
      edit.spec().clear_claim_ref();
      edit.metadata().remove_annotations(api::kBoundByController);
      if (edit.view().metadata().annotations().empty()) edit.metadata().clear_annotations();
    } else {
      edit.spec().claim_ref().clear_uid();
    }
    const ObjectPtr unbound = TRY(context_.client.Update(Volumes(), NameOf(*object), copy.root));
    return Outcome(SetPhase(unbound, "Available", ""));
  }

  /// Its claim is gone: the policy says what becomes of it.
  Ok Release(ObjectPtr object) {
    if (!IsGiven(PersistentVolume(object->tree()).status().phase())) {
      LOG_INFO("a volume is released", {"volume", object->name()});
      object = TRY(SetPhase(object, "Released", ""));
    }
    const PersistentVolume volume(object->tree());
    const std::string_view policy = volume.spec().persistent_volume_reclaim_policy();
    if (policy == "Retain") return {};
    if (policy == "Recycle") return Fail(object, "VolumeFailedRecycle", "No recycler plugin found for the volume!");
    if (policy != "Delete") {
      return Fail(object, "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy");
    }
    const std::string why = WhyNotDeletable(volume);
    return why.empty() ? Ok() : Fail(object, "VolumeFailedDelete", why);
  }

  Ok Fail(const ObjectPtr& object, std::string_view reason, const std::string& message) {
    if (PersistentVolume(object->tree()).status().phase() == "Failed") return {};
    const ObjectPtr failed = TRY(SetPhase(object, "Failed", message));
    Tell(Volumes(), *failed, EventKind::kWarning, reason, message);
    return {};
  }

  Context context_;
  client::Informer& claims_;
  client::Informer& volumes_;
  client::Informer& classes_;
  client::Informer& pods_;
  client::Informer& nodes_;
  std::map<std::string, MonoTime, std::less<>> missing_since_;  // claims' keys → when their node was missed first
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakePersistentVolumeController(Context context) {
  return std::make_unique<PersistentVolumeController>(context);
}

Ok PlaceAnew(client::Client& client, const api::Object& claim) {
  doc::Document copy = doc::Document::Copy(claim.tree());
  PersistentVolumeClaimEdit(copy).metadata().remove_annotations(api::kSelectedNode);
  return Outcome(client.Update(Claims(), NameOf(claim), copy.root));
}

}  // namespace knarr::controller

#include "controller/volume_protection.h"

#include <algorithm>

#include "api/core_v1.h"
#include "api/storage_v1.h"
#include "controller/framework/pods.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::Pod;
using client::ObjectName;

constexpr std::string_view kByUse = "uses";

bool HasFinalizer(const api::Object& object, std::string_view finalizer) {
  const auto items = object.tree().Get("metadata", "finalizers").items();
  return std::ranges::any_of(items, [&](const doc::Value& item) { return item.AsString() == finalizer; });
}

/// The common part: one kind, one finalizer.
class ProtectionController : public Controller {
 public:
  ProtectionController(Context context, const api::KindInfo& kind, std::string_view finalizer)
      : context_(std::move(context)),
        kind_(kind),
        finalizer_(finalizer),
        objects_(context_.informers.For(kind)),
        worker_(context_.runtime, std::string(finalizer), [this](const ObjectName& key) { return Sync(key); }) {
    needs_.push_back(&objects_);
    objects_.AddHandler([this](const ObjectPtr&, const ObjectPtr& after) {
      if (after == nullptr) return;
      if (after->deleting() == HasFinalizer(*after, finalizer_)) worker_.Add(NameOf(*after));
    });
  }
  void Start() override { worker_.Start(needs_, 1); }
  void Stop() override { worker_.Stop(); }

 protected:
  /// Whether something keeps the object, which is being deleted, as far as informers show. Asked again, with `live`,
  /// of the server itself before the object is let go.
  virtual Result<bool> Used(const api::Object& object, bool live) = 0;

  /// What an object of another kind uses: `key` of each is looked at again when it changes or goes.
  void Watch(client::Informer& users, std::function<std::vector<std::string>(const api::Object&)> uses) {
    needs_.push_back(&users);
    users.AddIndex(IndexName(), uses);
    users.AddHandler([this, uses](const ObjectPtr& before, const ObjectPtr&) {
      if (before == nullptr) return;
      for (const std::string& key : uses(*before)) LookAgain(key);
    });
  }
  /// Indexes of one informer are named for who uses them: several controllers share it.
  std::string IndexName() const { return std::string(finalizer_) + "/" + std::string(kByUse); }

  Context& context() { return context_; }

 private:
  void LookAgain(const std::string& key) {
    const size_t slash = key.find('/');
    const ObjectName name =
        slash == std::string::npos ? ObjectName{"", key} : ObjectName{key.substr(0, slash), key.substr(slash + 1)};
    const ObjectPtr object = objects_.Get(name);
    if (object != nullptr && object->deleting()) worker_.Add(name);
  }

  Result<Requeue> Sync(const ObjectName& key) {
    const ObjectPtr object = objects_.Get(key);
    if (object == nullptr) return Requeue();
    const bool present = HasFinalizer(*object, finalizer_);
    if (!object->deleting()) {
      if (!present) TRY(Write(*object, true));
      return Requeue();
    }
    if (!present) return Requeue();
    if (TRY(Used(*object, false)) || TRY(Used(*object, true))) return Requeue();
    TRY(Write(*object, false));
    return Requeue();
  }

  Ok Write(const api::Object& object, bool add) {
    doc::Document copy = doc::Document::Copy(object.tree());
    doc::Value fresh = doc::Value::Array();
    for (const doc::Value& item : object.tree().Get("metadata", "finalizers").items()) {
      if (item.AsString() != finalizer_) fresh.Append(copy.arena, item.Clone(copy.arena));
    }
    if (add) fresh.Append(copy.arena, doc::Value::Borrow(finalizer_));
    doc::Value& metadata = copy.root.Ensure(copy.arena, "metadata");
    metadata.Set(copy.arena, "finalizers", fresh);
    const auto written = context_.client.Update(kind_, NameOf(object), copy.root);
    if (written.ok() || written.Failed(Reason::kNotFound)) return {};
    return written.status();
  }

  Context context_;
  const api::KindInfo& kind_;
  const std::string_view finalizer_;
  client::Informer& objects_;
  std::vector<client::Informer*> needs_;
  Worker worker_;
};

/// The claims of a pod, also those made from its ephemeral volumes.
std::vector<std::string> ClaimsOf(const api::Object& object) {
  const Pod pod(object.tree());
  std::vector<std::string> out;
  // A node does not begin a pod whose claim is being deleted: only those that have one count.
  if (pod.spec().node_name().empty()) return out;
  for (auto volume : pod.spec().volumes()) {
    std::string name;
    if (auto claim = volume.persistent_volume_claim()) name = claim.claim_name();
    if (volume.ephemeral() && !IsFinished(pod)) name = std::string(object.name()) + "-" + std::string(volume.name());
    if (!name.empty()) out.push_back(std::string(object.ns()) + "/" + name);
  }
  return out;
}

class ClaimProtection : public ProtectionController {
 public:
  explicit ClaimProtection(const Context& given)
      : ProtectionController(given, api::core_v1::PersistentVolumeClaimInfo(), "kubernetes.io/pvc-protection"),
        pods_(context().informers.For(api::core_v1::PodInfo())) {
    Watch(pods_, ClaimsOf);
  }

 protected:
  Result<bool> Used(const api::Object& claim, bool live) override {
    const std::string key = KeyOf(claim);
    if (!live) return !pods_.ByIndex(IndexName(), key).empty();
    const client::ObjectList pods = TRY(context().client.List(api::core_v1::PodInfo(), claim.ns()));
    return std::ranges::any_of(pods.items, [&](const ObjectPtr& pod) {
      const std::vector<std::string> claims = ClaimsOf(*pod);
      return std::ranges::find(claims, key) != claims.end();
    });
  }

 private:
  client::Informer& pods_;
};

class VolumeProtection : public ProtectionController {
 public:
  explicit VolumeProtection(const Context& given)
      : ProtectionController(given, api::core_v1::PersistentVolumeInfo(), "kubernetes.io/pv-protection") {}

 protected:
  Result<bool> Used(const api::Object& volume, bool /*live*/) override {
    return PersistentVolume(volume.tree()).status().phase() == "Bound";
  }
};

std::vector<std::string> ClassesOfClaim(const api::Object& object) {
  const PersistentVolumeClaim claim(object.tree());
  std::vector<std::string> out;
  for (const std::string_view name : {claim.spec().volume_attributes_class_name().value_or(""),
                                      claim.status().current_volume_attributes_class_name().value_or(""),
                                      claim.status().modify_volume_status().target_volume_attributes_class_name()}) {
    if (!name.empty() && std::ranges::find(out, name) == out.end()) out.emplace_back(name);
  }
  return out;
}

std::vector<std::string> ClassesOfVolume(const api::Object& object) {
  const std::string_view name = PersistentVolume(object.tree()).spec().volume_attributes_class_name().value_or("");
  if (name.empty()) return {};
  return {std::string(name)};
}

class AttributesClassProtection : public ProtectionController {
 public:
  explicit AttributesClassProtection(const Context& given)
      : ProtectionController(given, api::storage_v1::VolumeAttributesClassInfo(), "kubernetes.io/vac-protection"),
        claims_(context().informers.For(api::core_v1::PersistentVolumeClaimInfo())),
        volumes_(context().informers.For(api::core_v1::PersistentVolumeInfo())) {
    Watch(claims_, ClassesOfClaim);
    Watch(volumes_, ClassesOfVolume);
  }

 protected:
  Result<bool> Used(const api::Object& object, bool live) override {
    const std::string name(object.name());
    if (!live) return !claims_.ByIndex(IndexName(), name).empty() || !volumes_.ByIndex(IndexName(), name).empty();
    const auto any = [&](const client::ObjectList& list, std::vector<std::string> (*classes)(const api::Object&)) {
      return std::ranges::any_of(list.items, [&](const ObjectPtr& each) {
        const std::vector<std::string> used = classes(*each);
        return std::ranges::find(used, name) != used.end();
      });
    };
    if (any(TRY(context().client.List(api::core_v1::PersistentVolumeClaimInfo(), "")), ClassesOfClaim)) return true;
    return any(TRY(context().client.List(api::core_v1::PersistentVolumeInfo(), "")), ClassesOfVolume);
  }

 private:
  client::Informer& claims_;
  client::Informer& volumes_;
};

}  // namespace

std::unique_ptr<Controller> MakeClaimProtectionController(Context context) {
  return std::make_unique<ClaimProtection>(context);
}
std::unique_ptr<Controller> MakeVolumeProtectionController(Context context) {
  return std::make_unique<VolumeProtection>(context);
}
std::unique_ptr<Controller> MakeAttributesClassProtectionController(Context context) {
  return std::make_unique<AttributesClassProtection>(context);
}

}  // namespace knarr::controller

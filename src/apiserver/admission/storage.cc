#include <algorithm>

#include "api/persistent_volumes.h"
#include "api/resource_list.h"
#include "apiserver/admission/plugins.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kClaims = "persistentvolumeclaims";
constexpr std::string_view kClassAnnotation = "volume.beta.kubernetes.io/storage-class";

// The annotation is older than the field, and still wins.
std::string_view ClassOf(const Value& claim) {
  const Value* annotation = claim.Get("metadata", "annotations").Find(kClassAnnotation);
  return annotation != nullptr ? annotation->AsString() : claim.Get("spec", "storageClassName").AsString();
}

/// A claim that names no storage class gets the default one, if there is one.
class DefaultStorageClass : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    if (!request.IsFor("", kClaims) || !request.subresource.empty()) return {};
    if (request.operation != AdmissionOperation::kCreate) return {};
    const bool named = request.root().Get("metadata", "annotations").Find(kClassAnnotation) != nullptr ||
                       !request.root().Get("spec", "storageClassName").is_null();
    if (named) return {};
    const api::ObjectPtr found = api::DefaultStorageClass(request.List("storage.k8s.io", "storageclasses", ""));
    if (found == nullptr) return {};
    doc::Document& object = *request.object;
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (!spec.is_object()) spec = Value::Object();
    spec.Set(object.arena, "storageClassName", Value::String(object.arena, found->name()));
    return {};
  }
};

/// Volumes and claims in use do not go: a finalizer each, which the protection controllers take away.
class StorageObjectInUse : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    if (request.operation != AdmissionOperation::kCreate || !request.subresource.empty()) return {};
    const std::string_view finalizer = FinalizerFor(request);
    if (finalizer.empty()) return {};
    doc::Document& object = *request.object;
    Value& finalizers = object.root.Ensure(object.arena, "metadata").Ensure(object.arena, "finalizers");
    const bool present = std::ranges::any_of(std::as_const(finalizers).items(),
                                             [&](const Value& item) { return item.AsString() == finalizer; });
    if (!present) finalizers.Append(object.arena, Value::Borrow(finalizer));
    return {};
  }

 private:
  static std::string_view FinalizerFor(const AdmissionRequest& request) {
    if (request.IsFor("", "persistentvolumes")) return "kubernetes.io/pv-protection";
    if (request.IsFor("", kClaims)) return "kubernetes.io/pvc-protection";
    if (request.IsFor("storage.k8s.io", "volumeattributesclasses")) return "kubernetes.io/vac-protection";
    return {};
  }
};

/// A claim grows only when it is bound and its class allows it.
class ClaimResize : public AdmissionPlugin {
 public:
  Ok Validate(const AdmissionRequest& request) const override {
    if (!request.IsFor("", kClaims) || !request.subresource.empty()) return {};
    if (request.operation != AdmissionOperation::kUpdate) return {};
    const auto asked = [](const Value& claim) {
      return api::ReadQuantity(claim.Get("spec", "resources", "requests", "storage"));
    };
    const Value& old = *request.old_object;
    if (asked(request.root()) <= asked(old)) return {};
    if (old.Get("status", "phase").AsString() != "Bound") {
      return request.Forbidden("Only bound persistent volume claims can be expanded");
    }
    const std::string_view name = ClassOf(request.root());
    if (!name.empty() && name == ClassOf(old)) {
      const api::ObjectPtr found = request.Find("storage.k8s.io", "storageclasses", "", name);
      if (found != nullptr && found->tree().At("allowVolumeExpansion").AsBool()) return {};
    }
    return request.Forbidden(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support "
        "resize");
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> MakeDefaultStorageClass() { return std::make_unique<DefaultStorageClass>(); }
std::unique_ptr<AdmissionPlugin> MakeStorageObjectInUse() { return std::make_unique<StorageObjectInUse>(); }
std::unique_ptr<AdmissionPlugin> MakeClaimResize() { return std::make_unique<ClaimResize>(); }

}  // namespace knarr::apiserver

#include "api/validation/storage.h"

#include <algorithm>
#include <array>

#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "api/validation/storage_kinds.h"
#include "base/names.h"
#include "base/quantity.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr std::array kAccessModes = {std::string_view("ReadOnlyMany"), std::string_view("ReadWriteMany"),
                                     std::string_view("ReadWriteOnce"), std::string_view("ReadWriteOncePod")};

void ValidateAccessModes(const Value& modes, const Path& path, Errors& errors) {
  if (modes.empty()) return errors.Required(path, "at least 1 access mode is required");
  bool once_pod = false;
  bool others = false;
  for (const Value& mode : modes.items()) {
    if (std::ranges::find(kAccessModes, mode.AsString()) == kAccessModes.end()) {
      errors.NotSupported(path, mode.AsString(), kAccessModes);
    }
    (mode.AsString() == "ReadWriteOncePod" ? once_pod : others) = true;
  }
  if (once_pod && others) errors.Forbidden(path, "may not use ReadWriteOncePod with other access modes");
}

void ValidateVolumeMode(const Value& mode, const Path& path, Errors& errors) {
  if (mode.is_null() || mode.AsString() == "Block" || mode.AsString() == "Filesystem") return;
  errors.NotSupported(path, mode.AsString(), {"Block", "Filesystem"});
}

void ValidateStorageAmount(std::string_view amount, const Path& path, Errors& errors) {
  const Result<Quantity> quantity = Quantity::Parse(amount);
  if (quantity.ok() && quantity->Sign() <= 0) errors.Invalid(path, amount, "must be greater than zero");
}

// The sources that a volume may have, in the schema's order.
std::vector<std::string_view> Sources(const Value& spec) {
  std::vector<std::string_view> found;
  const Type* type = FindType("core/v1", "PersistentVolumeSource");
  for (const Field* field : type->flat) {
    if (!spec.At(field->name).is_null()) found.push_back(field->name);
  }
  return found;
}

// What only a PersistentVolume may say.
void ValidateInlineVolume(const core_v1::PersistentVolumeSpec& spec, const Path& path, Errors& errors) {
  constexpr std::string_view kNotHere = "may not be specified in the context of inline volumes";
  for (const std::string_view name : {"claimRef", "capacity", "nodeAffinity", "storageClassName"}) {
    const Value& value = spec.tree().At(name);
    const bool said = value.is_string() ? !value.AsString().empty() : !value.is_null();
    if (said) errors.Forbidden(path / name, kNotHere);
  }
  if (!spec.has_csi()) errors.Required(path / "csi", "has to be specified in the context of inline volumes");
  const std::string_view reclaim = spec.persistent_volume_reclaim_policy();
  if (!reclaim.empty() && reclaim != "Retain") {
    errors.Forbidden(path / "persistentVolumeReclaimPolicy", "may only be Retain in the context of inline volumes");
  }
  if (spec.volume_mode().value_or("Filesystem") != "Filesystem") {
    errors.Forbidden(path / "volumeMode",
                     "may not specify volumeMode other than Filesystem in the context of inline volumes");
  }
}

void ValidateCapacity(const core_v1::PersistentVolumeSpec& spec, const Path& path, Errors& errors) {
  const StringMap capacity = spec.capacity();
  if (capacity.empty()) {
    errors.Required(path / "capacity");
  }
  if (!capacity.Has("storage") || capacity.size() > 1) {
    errors.NotSupported(path / "capacity", spec.tree().At("capacity"), {"storage"});
  }
  for (const auto& [resource, amount] : capacity) {
    ValidateStorageAmount(amount, (path / "capacity").Key(resource), errors);
  }
}

void ValidateCsiSource(const Value& csi, const Path& path, Errors& errors) {
  if (csi.is_null()) return;
  ValidateDriverName(csi.At("driver").AsString(), path / "driver", errors);
  if (csi.At("volumeHandle").AsString().empty()) errors.Required(path / "volumeHandle");
  for (const std::string_view name :
       {"controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"}) {
    const Value& secret = csi.At(name);
    if (secret.is_null()) continue;
    const std::string_view secret_name = secret.At("name").AsString();
    const std::string_view space = secret.At("namespace").AsString();
    if (secret_name.empty()) {
      errors.Required(path / name / "name");
    } else {
      ValidateDns1123Subdomain(secret_name, path / name / "name", errors);
    }
    if (space.empty()) {
      errors.Required(path / name / "namespace");
    } else {
      ValidateDns1123Label(space, path / name / "namespace", errors);
    }
  }
}

void ValidateVolumeSource(const core_v1::PersistentVolumeSpec& spec, const Path& path, Errors& errors) {
  const std::vector<std::string_view> sources = Sources(spec.tree());
  if (sources.empty()) errors.Required(path, "must specify a volume type");
  for (size_t i = 1; i < sources.size(); ++i) {
    errors.Forbidden(path / sources[i], "may not specify more than 1 volume type");
  }
  if (sources.size() == 1) ValidateCsiSource(spec.tree().At("csi"), path / "csi", errors);
  if (!spec.has_host_path()) return;
  if (spec.host_path().path().empty()) {
    errors.Required(path / "hostPath" / "path");
  } else {
    ValidateNoBacksteps(spec.host_path().path(), path / "hostPath" / "path", errors);
  }
  if (spec.host_path().path() == "/" && spec.persistent_volume_reclaim_policy() == "Recycle") {
    errors.Forbidden(path / "persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'");
  }
}

}  // namespace

void ValidateClaimSpec(const core_v1::PersistentVolumeClaimSpec& spec, const Path& path, Errors& errors) {
  const Value& tree = spec.tree();
  ValidateAccessModes(tree.At("accessModes"), path / "accessModes", errors);
  ValidateLabelSelector(spec.selector(), true, path / "selector", errors);
  const Path amount = (path / "resources").Key("storage");
  if (const auto storage = spec.resources().requests().Find("storage")) {
    ValidateStorageAmount(*storage, amount, errors);
  } else {
    errors.Required(amount);
  }
  if (const auto name = spec.storage_class_name(); name && !name->empty()) {
    ValidateDns1123Subdomain(*name, path / "storageClassName", errors);
  }
  ValidateVolumeMode(tree.At("volumeMode"), path / "volumeMode", errors);
}

void ValidateClaimTemplate(const Value& claim, const Path& path, Errors& errors) {
  const meta_v1::ObjectMeta metadata(claim.At("metadata"));
  ValidateLabels(metadata.labels(), path / "metadata" / "labels", errors);
  ValidateAnnotations(metadata.annotations(), path / "metadata" / "annotations", errors);
  ValidateClaimSpec(core_v1::PersistentVolumeClaimSpec(claim.At("spec")), path / "spec", errors);
}

void ValidatePersistentVolumeClaim(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateClaimSpec(core_v1::PersistentVolumeClaim(object).spec(), SpecPath(), errors);
}

void ValidatePersistentVolumeClaimUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidatePersistentVolumeClaim(object, errors);
  const Value& spec = object.At("spec");
  const Value& before = old.At("spec");
  for (const std::string_view name : {"accessModes", "selector", "dataSource", "dataSourceRef", "volumeMode"}) {
    if (spec.At(name).Equals(before.At(name))) continue;
    return errors.Forbidden(SpecPath(),
                            "spec is immutable after creation except resources.requests and volumeAttributesClassName "
                            "for bound claims");
  }
  const bool bound = !before.At("volumeName").AsString().empty();
  if (bound && !spec.At("volumeName").Equals(before.At("volumeName"))) {
    errors.Forbidden(SpecPath(),
                     "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
                     "bound claims");
  }
  const Result<Quantity> now = Quantity::Parse(spec.Get("resources", "requests", "storage").AsString("0"));
  const Result<Quantity> was = Quantity::Parse(before.Get("resources", "requests", "storage").AsString("0"));
  if (now.ok() && was.ok() && *now < *was) {
    errors.Forbidden(SpecPath() / "resources" / "requests" / "storage", "field can not be less than status.capacity");
  }
}

void ValidateVolumeSpec(const core_v1::PersistentVolumeSpec& spec, VolumeUse use, const Path& path, Errors& errors) {
  const bool inlined = use == VolumeUse::kInline;
  if (inlined) ValidateInlineVolume(spec, path, errors);
  if (spec.access_modes().empty()) {
    errors.Required(path / "accessModes");
  } else {
    ValidateAccessModes(spec.tree().At("accessModes"), path / "accessModes", errors);
  }
  if (!inlined) {
    ValidateCapacity(spec, path, errors);
    if (!spec.persistent_volume_reclaim_policy().empty()) {
      errors.OneOf(path / "persistentVolumeReclaimPolicy", spec.persistent_volume_reclaim_policy(),
                   {"Delete", "Recycle", "Retain"});
    }
  }
  ValidateVolumeSource(spec, path, errors);
  if (inlined) return;
  if (spec.has_local() && !spec.has_node_affinity()) {
    errors.Required(MetadataPath() / "annotations", "Local volume requires node affinity");
  }
  if (spec.node_affinity().has_required()) {
    ValidateNodeSelector(spec.node_affinity().required(), path / "nodeAffinity" / "required", errors);
  } else if (spec.has_node_affinity()) {
    errors.Required(path / "nodeAffinity" / "required", "must specify required node constraints");
  }
  if (!spec.storage_class_name().empty()) {
    ValidateDns1123Subdomain(spec.storage_class_name(), path / "storageClassName", errors);
  }
  ValidateVolumeMode(spec.tree().At("volumeMode"), path / "volumeMode", errors);
}

void ValidatePersistentVolume(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  const core_v1::PersistentVolume volume(object);
  ValidateVolumeSpec(volume.spec(), VolumeUse::kPersistentVolume, SpecPath(), errors);
}

void ValidatePersistentVolumeUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidatePersistentVolume(object, errors);
  const Value& spec = object.At("spec");
  const Value& before = old.At("spec");
  const Type* type = FindType("core/v1", "PersistentVolumeSource");
  for (const Field* field : type->flat) {
    if (spec.At(field->name).Equals(before.At(field->name))) continue;
    errors.Forbidden(SpecPath() / "persistentvolumesource", "spec.persistentvolumesource is immutable after creation");
    break;
  }
  ValidateImmutable(spec.At("volumeMode"), before.At("volumeMode"), SpecPath() / "volumeMode", errors);
}

}  // namespace knarr::api::validation

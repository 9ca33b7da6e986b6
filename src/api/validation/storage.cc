#include "api/validation/storage.h"

#include <algorithm>
#include <array>

#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "api/validation/storage_kinds.h"
#include "base/names.h"
#include "base/quantity.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr std::string_view kClassAnnotation = "volume.beta.kubernetes.io/storage-class";

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
    const Path at = (path / "capacity").Key(resource);
    const Result<Quantity> quantity = Quantity::Parse(amount);
    if (quantity.ok() && quantity->Value() < 0) {
      errors.Invalid(at, quantity->Value(), "must be a valid resource quantity");
    }
    ValidateStorageAmount(amount, at, errors);
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

// The sources that a volume may have, in upstream's order.
constexpr std::string_view kSources[] = {
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker",   "nfs",           "rbd",
    "quobyte",  "cephfs",            "iscsi",                "cinder",    "fc",        "flexVolume",    "azureFile",
    "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk", "scaleIO", "local", "storageos", "csi"};

void ValidateLocal(const core_v1::PersistentVolumeSpec& spec, const Path& path, Errors& errors) {
  if (spec.local().path().empty()) {
    errors.Required(path / "local" / "path");
  } else {
    ValidateNoBacksteps(spec.local().path(), path / "local" / "path", errors);
  }
  if (!spec.has_node_affinity()) errors.Required(path / "nodeAffinity", "Local volume requires node affinity");
}

void ValidateSources(const core_v1::PersistentVolumeSpec& spec, const Path& path, Errors& errors) {
  int sources = 0;
  for (const std::string_view kind : kSources) {
    const Value& source = spec.tree().At(kind);
    if (source.is_null()) continue;
    // A flexVolume beside another source is let pass.
    if (sources++ > 0 && kind != "flexVolume") {
      errors.Forbidden(path / (kind == "cephfs" ? "cephFS" : kind), "may not specify more than 1 volume type");
    } else if (kind == "csi") {
      ValidateCsiSource(source, path / kind, errors);
    } else if (kind == "local") {
      ValidateLocal(spec, path, errors);
    } else {
      ValidateVolumeSource(kind, source, path / (kind == "gcePersistentDisk" ? "persistentDisk" : kind), errors);
    }
  }
  if (sources == 0) errors.Required(path, "must specify a volume type");
  if (spec.host_path().path() == "/" && spec.persistent_volume_reclaim_policy() == "Recycle") {
    errors.Forbidden(path / "persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'");
  }
}

void ValidateNodeAffinity(const core_v1::PersistentVolumeSpec& spec, const Path& path, Errors& errors) {
  if (!spec.has_node_affinity()) return;
  if (spec.node_affinity().has_required()) {
    ValidateNodeSelector(spec.node_affinity().required(), path / "required", errors);
  } else {
    errors.Required(path / "required", "must specify required node constraints");
  }
}

// A claim's data source, in either of the fields for it.
void ValidateDataSource(const Value& source, SourceGroups groups, const Path& path, Errors& errors) {
  if (source.is_null()) return;
  for (const std::string_view name : {"name", "kind"}) {
    if (source.At(name).AsString().empty()) errors.Required(path / name);
  }
  const std::string_view group = source.At("apiGroup").AsString();
  const std::string_view kind = source.At("kind").AsString();
  if (group.empty() && kind != "PersistentVolumeClaim") {
    errors.Invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  }
  if (!group.empty() && groups == SourceGroups::kChecked) {
    errors.InvalidAll(path / "apiGroup", group, CheckDns1123Subdomain(group));
  }
  const std::string_view space = source.At("namespace").AsString();
  if (!space.empty()) errors.InvalidAll(path / "namespace", space, CheckDns1123Label(space));
}

void ValidateDataSources(const Value& spec, SourceGroups groups, const Path& path, Errors& errors) {
  const Value& source = spec.At("dataSource");
  const Value& reference = spec.At("dataSourceRef");
  ValidateDataSource(source, groups, path / "dataSource", errors);
  ValidateDataSource(reference, groups, path / "dataSourceRef", errors);
  if (source.is_null() || reference.is_null()) return;
  // Upstream shows its own path object there, which prints as nothing.
  if (!reference.At("namespace").AsString().empty()) {
    errors.Invalid(path, Value::Object(), "may not be specified when dataSourceRef.namespace is specified");
    return;
  }
  for (const std::string_view name : {"apiGroup", "kind", "name"}) {
    if (source.At(name).Equals(reference.At(name))) continue;
    return errors.Invalid(path, Value::Object(), "must match dataSourceRef");
  }
}

bool HasGroup(const Value& spec) {
  return !spec.Get("dataSource", "apiGroup").is_null() || !spec.Get("dataSourceRef", "apiGroup").is_null();
}

Quantity AmountOf(const Value& value) {
  const Result<Quantity> amount = Quantity::Parse(value.AsString("0"));
  return amount.ok() ? *amount : Quantity();
}

void ValidateClaim(const Value& object, SourceGroups groups, Errors& errors) {
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateClaimSpec(core_v1::PersistentVolumeClaim(object).spec(), groups, SpecPath(), errors);
}

// Whether a claim without a class gets the one that its annotation has named, if it has one.
bool GainsClass(const Value& old, const Value& object) {
  const Value& now = object.Get("spec", "storageClassName");
  if (!old.Get("spec", "storageClassName").is_null() || now.is_null()) return false;
  const Value& annotation = old.Get("metadata", "annotations", kClassAnnotation);
  return annotation.is_null() || annotation.AsString() == now.AsString();
}

// The claim's spec with what may change as it was.
Value Comparable(const Value& object, const Value& old, doc::Arena& arena) {
  Value spec = object.At("spec").Clone(arena);
  const Value& before = old.At("spec");
  const auto keep = [&](std::string_view name) {
    spec.Remove(name);
    if (!before.At(name).is_null()) spec.Set(arena, name, before.At(name).Clone(arena));
  };
  if (before.At("volumeName").AsString().empty()) keep("volumeName");
  if (GainsClass(old, object)) keep("storageClassName");
  if (object.Get("status", "phase").AsString() != "Bound") return spec;
  keep("volumeAttributesClassName");
  if (!spec.Get("resources", "requests").is_null()) {
    Value& requests = spec.Ensure(arena, "resources").Ensure(arena, "requests");
    requests.Set(arena, "storage", before.Get("resources", "requests", "storage").Clone(arena));
  }
  return spec;
}

void ValidateAttributesClass(const Value& object, const Value& old, Errors& errors) {
  const Value& now = object.Get("spec", "volumeAttributesClassName");
  if (now.Equals(old.Get("spec", "volumeAttributesClassName"))) return;
  if (old.Get("status", "currentVolumeAttributesClassName").is_null()) return;
  const std::string_view to = now.is_null() ? "nil" : "empty string";
  if (!now.AsString().empty()) return;
  errors.Forbidden(SpecPath() / "volumeAttributesClassName",
                   "update to " + std::string(to) +
                       " is forbidden when status.currentVolumeAttributesClassName is not nil");
}

}  // namespace

void ValidateClaimSpec(const core_v1::PersistentVolumeClaimSpec& spec, SourceGroups groups, const Path& path,
                       Errors& errors) {
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
  ValidateDataSources(tree, groups, path, errors);
  if (const auto name = spec.volume_attributes_class_name(); name && !name->empty()) {
    ValidateDns1123Subdomain(*name, path / "volumeAttributesClassName", errors);
  }
}

void ValidateClaimTemplate(const Value& claim, const Path& path, Errors& errors) {
  ValidateTemplateMetadata(meta_v1::ObjectMeta(claim.At("metadata")), path / "metadata", errors);
  ValidateClaimSpec(core_v1::PersistentVolumeClaimSpec(claim.At("spec")), SourceGroups::kChecked, path / "spec",
                    errors);
}

void ValidatePersistentVolumeClaim(const Value& object, Errors& errors) {
  ValidateClaim(object, SourceGroups::kChecked, errors);
}

void ValidatePersistentVolumeClaimUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  // What an older server let pass.
  ValidateClaim(object, HasGroup(old.At("spec")) ? SourceGroups::kAny : SourceGroups::kChecked, errors);
  const Value& annotation = object.Get("metadata", "annotations", kClassAnnotation);
  const Value& annotation_was = old.Get("metadata", "annotations", kClassAnnotation);
  const bool moves = !annotation_was.is_null() && GainsClass(old, object) &&
                     (annotation.is_null() || annotation.Equals(annotation_was));
  if (!moves && annotation.AsString() != annotation_was.AsString()) {
    errors.Invalid(MetadataPath() / "annotations", annotation.AsString(), kImmutable);
  }
  doc::Arena arena;
  const Value comparable = Comparable(object, old, arena);
  if (!comparable.Equals(old.At("spec"))) {
    const Type& type = core_v1::PersistentVolumeClaimSpec::SchemaType();
    errors.Forbidden(SpecPath(),
                     "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
                     "bound claims\n" +
                         GoDifference(type, old.At("spec"), comparable));
  }
  const Quantity now = AmountOf(object.Get("spec", "resources", "requests", "storage"));
  if (now < AmountOf(old.Get("spec", "resources", "requests", "storage")) &&
      now <= AmountOf(old.Get("status", "capacity", "storage"))) {
    errors.Forbidden(SpecPath() / "resources" / "requests" / "storage", "field can not be less than status.capacity");
  }
  ValidateImmutable(object.Get("spec", "volumeMode"), old.Get("spec", "volumeMode"), Path("volumeMode"), errors);
  ValidateAttributesClass(object, old, errors);
}

namespace {

// Of what is being resized: storage, or something with a domain of its own.
bool ValidateResized(std::string_view resource, const Path& path, Errors& errors) {
  const std::vector<std::string> problems = CheckQualifiedName(resource);
  errors.InvalidAll(path, resource, problems);
  if (!problems.empty()) return false;
  const bool native = resource.find('/') == std::string_view::npos ||
                      resource.find("kubernetes.io/") != std::string_view::npos;
  if (!native || resource == "storage") return true;
  errors.NotSupported(path, resource, {"storage"});
  return false;
}

bool ValidateAmount(const Value& amount, const Path& path, Errors& errors) {
  const int64_t value = AmountOf(amount).Value();
  if (value < 0) errors.Invalid(path, value, "must be a valid resource quantity");
  return value >= 0;
}

}  // namespace

void ValidatePersistentVolumeClaimStatusUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  const Path status("status");
  for (const doc::Member& entry : object.Get("status", "capacity").members()) {
    ValidateAmount(entry.value, (status / "capacity").Key(entry.key), errors);
  }
  static constexpr std::array<std::string_view, 5> kStates = {
      "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible",
      "NodeResizePending"};
  const Path states = status / "allocatedResourceStatuses";
  for (const doc::Member& entry : object.Get("status", "allocatedResourceStatuses").members()) {
    ValidateResized(entry.key, states, errors);
    if (std::ranges::find(kStates, entry.value.AsString()) != kStates.end()) continue;
    // Upstream tells of the resource here, not of its state.
    errors.NotSupported(states, entry.key,
                        {"ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress",
                         "NodeResizeInfeasible", "NodeResizePending"});
  }
  const Path allocated = status / "allocatedResources";
  for (const doc::Member& entry : object.Get("status", "allocatedResources").members()) {
    if (ValidateResized(entry.key, allocated, errors)) {
      ValidateAmount(entry.value, allocated.Key(entry.key), errors);
    }
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
  if (!inlined) ValidateNodeAffinity(spec, path / "nodeAffinity", errors);
  ValidateSources(spec, path, errors);
  if (inlined) return;
  if (!spec.storage_class_name().empty()) {
    ValidateDns1123Subdomain(spec.storage_class_name(), path / "storageClassName", errors);
  }
  ValidateVolumeMode(spec.tree().At("volumeMode"), path / "volumeMode", errors);
  const auto attributes = spec.volume_attributes_class_name();
  if (!attributes) return;
  if (attributes->empty()) {
    errors.Required(path / "volumeAttributesClassName", "an empty string is disallowed");
  } else {
    ValidateDns1123Subdomain(*attributes, path / "volumeAttributesClassName", errors);
  }
  if (!spec.has_csi()) errors.Required(path / "csi", "has to be specified when using volumeAttributesClassName");
}

void ValidatePersistentVolume(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  const core_v1::PersistentVolume volume(object);
  ValidateVolumeSpec(volume.spec(), VolumeUse::kPersistentVolume, SpecPath(), errors);
}

void ValidatePersistentVolumeUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidatePersistentVolume(object, errors);
  doc::Arena arena;
  Value now = Value::Object();
  Value was = Value::Object();
  const Type& type = core_v1::PersistentVolumeSource::SchemaType();
  for (const Field* field : type.flat) {
    now.Set(arena, field->name, object.Get("spec", field->name).Clone(arena));
    was.Set(arena, field->name, old.Get("spec", field->name).Clone(arena));
  }
  // The secret to expand with may be given later.
  constexpr std::string_view kExpandSecret = "controllerExpandSecretRef";
  if (was.At("csi").is_object() && was.Get("csi", kExpandSecret).is_null() && now.At("csi").is_object()) {
    now.Ensure(arena, "csi").Remove(kExpandSecret);
  }
  if (!now.Equals(was)) {
    errors.Forbidden(SpecPath() / "persistentvolumesource",
                     "spec.persistentvolumesource is immutable after creation\n" + GoDifference(type, was, now));
  }
  ValidateImmutable(object.Get("spec", "volumeMode"), old.Get("spec", "volumeMode"), Path("volumeMode"), errors);
  const Value& affinity = old.Get("spec", "nodeAffinity");
  if (!affinity.is_null() && !affinity.Equals(object.Get("spec", "nodeAffinity"))) {
    errors.Invalid(Path("nodeAffinity"),
                   GoForm(core_v1::VolumeNodeAffinity::SchemaType(), object.Get("spec", "nodeAffinity"), arena),
                   "field is immutable, except for updating from beta label to GA");
  }
  if (!old.Get("spec", "volumeAttributesClassName").is_null() &&
      object.Get("spec", "volumeAttributesClassName").is_null()) {
    errors.Forbidden(SpecPath() / "volumeAttributesClassName", "update from non-nil value to nil is forbidden");
  }
}

}  // namespace knarr::api::validation

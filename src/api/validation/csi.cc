// What CSI drivers and the volumes they attach are described by.

#include <algorithm>
#include <set>

#include "api/storage_v1.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "api/validation/storage.h"
#include "api/validation/storage_kinds.h"
#include "base/names.h"
#include "base/quantity.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr size_t kDriverNameMax = 63;
constexpr size_t kNodeIdMax = 256;
constexpr size_t kMetadataBytesMax = size_t{256} * 1024;
constexpr size_t kErrorMessageMax = 1024;
constexpr int64_t kTokenSecondsLeast = 600;
constexpr int64_t kTokenSecondsMost = int64_t{1} << 32;
constexpr int64_t kUpdatePeriodLeast = 10;
constexpr int64_t kErrorCodeMax = INT32_MAX;

void ValidateSource(const storage_v1::VolumeAttachmentSource& source, const Path& path, Errors& errors) {
  const auto name = source.persistent_volume_name();
  const bool inlined = source.has_inline_volume_spec();
  constexpr std::string_view kOne = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
  if (!inlined && !name) return errors.Required(path, kOne);
  if (inlined && name) return errors.Forbidden(path, kOne);
  if (inlined)
    return ValidateVolumeSpec(source.inline_volume_spec(), VolumeUse::kInline, path / "inlineVolumeSpec", errors);
  if (name->empty()) errors.Required(path / "persistentVolumeName", "must specify non empty persistentVolumeName");
}

void ValidateVolumeError(const storage_v1::VolumeError& error, const Path& path, Errors& errors) {
  if (!error) return;
  // Upstream checks one limit and names another.
  if (error.message().size() > kErrorMessageMax) errors.TooLong(path / "message", kMetadataBytesMax);
  const auto code = error.error_code();
  if (code && *code < 0) errors.Invalid(path / "errorCode", *code, RangeProblem(0, kErrorCodeMax));
}

void ValidateAttachmentStatus(const storage_v1::VolumeAttachmentStatus& status, Errors& errors) {
  const Path path("status");
  size_t bytes = 0;
  for (const auto& [key, value] : status.attachment_metadata()) bytes += key.size() + value.size();
  if (bytes > kMetadataBytesMax) errors.TooLong(path / "attachmentMetadata", kMetadataBytesMax);
  ValidateVolumeError(status.attach_error(), path / "attachError", errors);
  ValidateVolumeError(status.detach_error(), path / "detachError", errors);
}

void ValidateTokenRequests(const ListView<storage_v1::TokenRequest>& requests, Errors& errors) {
  const Path path = SpecPath() / "tokenRequests";
  std::set<std::string_view> audiences;
  size_t index = 0;
  for (const storage_v1::TokenRequest request : requests) {
    const Path at = path[index++];
    if (!audiences.insert(request.audience()).second) {
      errors.Duplicate(at / "audience", request.audience());
      continue;
    }
    const auto seconds = request.expiration_seconds();
    if (!seconds) continue;
    if (*seconds < kTokenSecondsLeast) {
      errors.Invalid(at / "expirationSeconds", *seconds, "may not specify a duration less than 10 minutes");
    }
    if (*seconds > kTokenSecondsMost) {
      errors.Invalid(at / "expirationSeconds", *seconds, "may not specify a duration larger than 2^32 seconds");
    }
  }
}

void ValidateDriverSpec(const storage_v1::CSIDriverSpec& spec, Errors& errors) {
  const Path path = SpecPath();
  // The name of the first field is upstream's slip.
  if (!spec.attach_required()) errors.Required(path / "attachedRequired");
  if (!spec.pod_info_on_mount()) errors.Required(path / "podInfoOnMount");
  if (!spec.storage_capacity()) errors.Required(path / "storageCapacity");
  const auto policy = spec.fs_group_policy();
  if (policy && *policy != "File" && *policy != "None" && *policy != "ReadWriteOnceWithFSType") {
    errors.NotSupported(path / "fsGroupPolicy", *policy, {"File", "None", "ReadWriteOnceWithFSType"});
  }
  ValidateTokenRequests(spec.token_requests(), errors);
  for (const std::string_view mode : spec.volume_lifecycle_modes()) {
    if (mode == "Persistent" || mode == "Ephemeral") continue;
    errors.NotSupported(path / "volumeLifecycleModes", mode, {"Persistent", "Ephemeral"});
  }
  if (!spec.se_linux_mount()) errors.Required(path / "seLinuxMount");
  const auto period = spec.node_allocatable_update_period_seconds();
  if (period && *period < kUpdatePeriodLeast) {
    errors.Invalid(path / "nodeAllocatableUpdatePeriodSeconds", *period, "must be greater than or equal to 10 seconds");
  }
  const Value& in_secrets = spec.tree().At("serviceAccountTokenInSecrets");
  if (!in_secrets.is_null() && spec.token_requests().empty()) {
    errors.Invalid(path / "serviceAccountTokenInSecrets", in_secrets,
                   "serviceAccountTokenInSecrets is set but no tokenRequests are specified");
  }
}

void ValidateNodeDriver(const storage_v1::CSINodeDriver& driver, std::set<std::string_view>& names, const Path& path,
                        Errors& errors) {
  ValidateDriverName(driver.name(), path / "name", errors);
  const std::string_view id = driver.node_id();
  if (id.empty()) errors.Required(path / "nodeID");
  if (id.size() > kNodeIdMax) {
    errors.Invalid(path / "nodeID", id, "must be " + std::to_string(kNodeIdMax) + " characters or less");
  }
  errors.NonNegative(path / "allocatable" / "count", driver.allocatable().count().value_or(0));
  if (!names.insert(driver.name()).second) errors.Duplicate(path / "name", driver.name());
  std::set<std::string_view> keys;
  for (const std::string_view key : driver.topology_keys()) {
    if (key.empty()) errors.Required(path);
    if (!keys.insert(key).second) errors.Duplicate(path, key);
    ValidateQualifiedName(key, path, errors);
  }
}

void ValidateCapacity(const Value& object, bool strict_selector, Errors& errors) {
  const storage_v1::CSIStorageCapacity capacity(object);
  ValidateMetadata(object.At("metadata"), true, NameIsSubdomain, MetadataPath(), errors);
  ValidateLabelSelector(capacity.node_topology(), strict_selector, Path("nodeTopology"), errors);
  ValidateDns1123Subdomain(capacity.storage_class_name(), Path("storageClassName"), errors);
  const Value& amount = object.At("capacity");
  const Result<Quantity> parsed = Quantity::Parse(amount.AsString("0"));
  if (parsed.ok() && parsed->Sign() < 0) errors.Invalid(Path("capacity"), amount, kNegative);
}

}  // namespace

void ValidateDriverName(std::string_view name, const Path& path, Errors& errors) {
  if (name.empty()) return errors.Required(path);
  if (name.size() > kDriverNameMax) errors.TooLong(path, kDriverNameMax);
  errors.InvalidAll(path, name, CheckDns1123Subdomain(ToLower(name)));
}

void ValidateVolumeAttachment(const Value& object, Errors& errors) {
  const storage_v1::VolumeAttachmentSpec spec = storage_v1::VolumeAttachment(object).spec();
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  ValidateDriverName(spec.attacher(), SpecPath() / "attacher", errors);
  ValidateSource(spec.source(), SpecPath() / "source", errors);
  errors.InvalidAll(SpecPath() / "nodeName", spec.node_name(), NameIsSubdomain(spec.node_name(), false));
  ValidateAttachmentStatus(storage_v1::VolumeAttachment(object).status(), errors);
  if (const auto name = spec.source().persistent_volume_name()) {
    errors.InvalidAll(SpecPath() / "source" / "persistentVolumeName", *name, NameIsSubdomain(*name, false));
  }
}

void ValidateVolumeAttachmentUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateVolumeAttachment(object, errors);
  const Value& spec = object.At("spec");
  if (spec.Equals(old.At("spec"))) return;
  doc::Arena arena;
  errors.Invalid(SpecPath(), GoForm(storage_v1::VolumeAttachmentSpec::SchemaType(), spec, arena), kImmutable);
}

void ValidateCsiDriver(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  ValidateDriverSpec(storage_v1::CSIDriver(object).spec(), errors);
}

void ValidateCsiDriverUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateDriverSpec(storage_v1::CSIDriver(object).spec(), errors);
  ValidateImmutable(object.Get("spec", "attachRequired"), old.Get("spec", "attachRequired"),
                    SpecPath() / "attachedRequired", errors);
  ValidateImmutable(object.Get("spec", "volumeLifecycleModes"), old.Get("spec", "volumeLifecycleModes"),
                    SpecPath() / "volumeLifecycleModes", errors);
}

void ValidateCsiNode(const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  std::set<std::string_view> names;
  size_t index = 0;
  for (const storage_v1::CSINodeDriver driver : storage_v1::CSINode(object).spec().drivers()) {
    ValidateNodeDriver(driver, names, (SpecPath() / "drivers")[index++], errors);
  }
}

void ValidateCsiNodeUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateCsiNode(object, errors);
  // How many volumes a driver can have is all that may change of it.
  for (const storage_v1::CSINodeDriver before : storage_v1::CSINode(old).spec().drivers()) {
    for (const storage_v1::CSINodeDriver now : storage_v1::CSINode(object).spec().drivers()) {
      if (before.name() != now.name()) continue;
      doc::Document a = doc::Document::Copy(before.tree());
      doc::Document b = doc::Document::Copy(now.tree());
      a.root.Remove("allocatable");
      b.root.Remove("allocatable");
      if (a.root.Equals(b.root)) continue;
      errors.Invalid(SpecPath() / "drivers", GoForm(storage_v1::CSINodeDriver::SchemaType(), b.root, b.arena),
                     kImmutable);
    }
  }
}

void ValidateCsiStorageCapacity(const Value& object, Errors& errors) { ValidateCapacity(object, true, errors); }

void ValidateCsiStorageCapacityUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  Errors old_errors;
  ValidateLabelSelector(storage_v1::CSIStorageCapacity(old).node_topology(), true, Path(), old_errors);
  ValidateCapacity(object, old_errors.empty(), errors);
  for (const std::string_view name : {"nodeTopology", "storageClassName"}) {
    ValidateImmutable(object.At(name), old.At(name), Path(name), errors);
  }
}

}  // namespace knarr::api::validation

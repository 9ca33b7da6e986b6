// StorageClasses and VolumeAttributesClasses.

#include <map>
#include <set>
#include <vector>

#include "api/storage_v1.h"
#include "api/validation/metadata.h"
#include "api/validation/storage_kinds.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr size_t kParametersMax = 512;
constexpr size_t kParametersBytesMax = size_t{256} * 1024;

void ValidateProvisioner(std::string_view name, const Path& path, Errors& errors) {
  if (name.empty()) return errors.Required(path);
  ValidateQualifiedName(ToLower(name), path, errors);
}

// False when there are too many to look at.
bool ValidateParameters(const StringMap& parameters, const Path& path, Errors& errors) {
  if (parameters.size() > kParametersMax) {
    errors.TooLong(path, kParametersMax);
    return false;
  }
  size_t bytes = 0;
  for (const auto& [key, value] : parameters) {
    if (key.empty()) errors.Invalid(path, key, "field can not be empty.");
    bytes += key.size() + value.size();
  }
  if (bytes > kParametersBytesMax) errors.TooLong(path, kParametersBytesMax);
  return true;
}

using Term = std::map<std::string_view, std::set<std::string_view>>;

Term ValidateTerm(const core_v1::TopologySelectorTerm& term, const Path& path, Errors& errors) {
  Term values_by_key;
  size_t index = 0;
  for (const core_v1::TopologySelectorLabelRequirement requirement : term.match_label_expressions()) {
    const Path at = (path / "matchLabelExpressions")[index++];
    if (requirement.values().empty()) errors.Required(at / "values");
    std::set<std::string_view> values;
    size_t value_index = 0;
    for (const std::string_view value : requirement.values()) {
      const Path value_path = (at / "values")[value_index++];
      if (!values.insert(value).second) errors.Duplicate(value_path, value);
    }
    ValidateLabelName(requirement.key(), at / "key", errors);
    if (values_by_key.contains(requirement.key())) errors.Duplicate(at / "key", requirement.key());
    values_by_key[requirement.key()] = std::move(values);
  }
  return values_by_key;
}

void ValidateTopologies(const ListView<core_v1::TopologySelectorTerm>& terms, Errors& errors) {
  const Path path("allowedTopologies");
  // Upstream compares with as many empty terms as there are terms, so that an empty term repeats each of them.
  std::vector<Term> before(terms.size());
  size_t index = 0;
  for (const core_v1::TopologySelectorTerm term : terms) {
    const Path at = path[index++];
    Term values = ValidateTerm(term, at, errors);
    for (const Term& other : before) {
      if (other == values) errors.Duplicate(at / "matchLabelExpressions", "");
    }
    before.push_back(std::move(values));
  }
}

}  // namespace

void ValidateStorageClass(const Value& object, Errors& errors) {
  const storage_v1::StorageClass storage(object);
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  ValidateProvisioner(storage.provisioner(), Path("provisioner"), errors);
  ValidateParameters(storage.parameters(), Path("parameters"), errors);
  const std::string_view reclaim = storage.reclaim_policy().value_or("");
  if (!reclaim.empty()) errors.OneOf(Path("reclaimPolicy"), reclaim, {"Delete", "Retain"});
  const auto mode = storage.volume_binding_mode();
  if (!mode) {
    errors.Required(Path("volumeBindingMode"));
  } else if (*mode != "Immediate" && *mode != "WaitForFirstConsumer") {
    errors.NotSupported(Path("volumeBindingMode"), *mode, {"Immediate", "WaitForFirstConsumer"});
  }
  ValidateTopologies(storage.allowed_topologies(), errors);
}

void ValidateStorageClassUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  ValidateStorageClass(object, errors);
  for (const std::string_view name : {"parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"}) {
    ValidateImmutable(object.At(name), old.At(name), Path(name), errors);
  }
}

void ValidateVolumeAttributesClass(const Value& object, Errors& errors) {
  const storage_v1::VolumeAttributesClass storage(object);
  ValidateMetadata(object.At("metadata"), false, NameIsSubdomain, MetadataPath(), errors);
  ValidateProvisioner(storage.driver_name(), Path("driverName"), errors);
  const Path path("parameters");
  if (ValidateParameters(storage.parameters(), path, errors) && storage.parameters().empty()) {
    errors.Required(path, "must contain at least one key/value pair");
  }
}

void ValidateVolumeAttributesClassUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
  for (const std::string_view name : {"driverName", "parameters"}) {
    if (object.At(name).Equals(old.At(name))) continue;
    errors.Forbidden(Path(name), "updates to " + std::string(name) + " are forbidden.");
  }
  ValidateVolumeAttributesClass(object, errors);
}

}  // namespace knarr::api::validation

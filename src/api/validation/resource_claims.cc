#include <algorithm>

#include "api/validation/claim_requests.h"
#include "api/validation/devices.h"
#include "api/validation/go_form.h"
#include "api/validation/metadata.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;
namespace v1 = resource_v1;

constexpr size_t kSubRequestsMax = 8;
constexpr size_t kConstraintsMax = 32;
constexpr size_t kConfigMax = 32;
constexpr std::string_view kOneOfTwo = "exactly one of `exactly` or `firstAvailable` is required";

std::string NameOf(const Value& item) { return std::string(item.At("name").AsString()); }

// The fields that a request and an alternative have in common.
void ValidateWanted(const v1::ExactDeviceRequest& request, const Path& path, Errors& errors) {
  const Path device_class = path / "deviceClassName";
  if (request.device_class_name().empty()) {
    errors.Required(device_class);
  } else {
    ValidateDns1123Subdomain(request.device_class_name(), device_class, errors);
  }
  ValidateDeviceSelectors(request.tree().At("selectors"), path / "selectors", errors);
  const std::string_view mode = request.allocation_mode();
  if (mode == "All") {
    if (request.count() != 0) {
      errors.Invalid(path / "count", request.count(), "must not be specified when allocationMode is 'All'");
    }
  } else if (mode == "ExactCount") {
    if (request.count() <= 0) errors.Invalid(path / "count", request.count(), "must be greater than zero");
  } else {
    errors.NotSupported(path / "allocationMode", mode, {"All", "ExactCount"});
  }
  ValidateDeviceTolerations(request.tolerations(), path / "tolerations", errors);
}

void ValidateRequest(const v1::DeviceRequest& request, const Path& path, Errors& errors) {
  ValidateDns1123Label(request.name(), path / "name", errors);
  const bool listed = !request.first_available().empty();
  if (!listed && !request.has_exactly()) return errors.Required(path, kOneOfTwo);
  if (listed && request.has_exactly()) {
    return errors.Invalid(path, Value::Null(), std::string(kOneOfTwo) + ", but multiple fields are set");
  }
  if (!listed) return ValidateWanted(request.exactly(), path / "exactly", errors);
  const Value& list = request.tree().At("firstAvailable");
  const Path at = path / "firstAvailable";
  if (!ValidateSize(list, kSubRequestsMax, at, errors)) return;
  for (size_t i = 0; i < list.size(); ++i) {
    ValidateDns1123Label(list[i].At("name").AsString(), at[i] / "name", errors);
    ValidateWanted(v1::ExactDeviceRequest(list[i]), at[i], errors);
  }
  ValidateUnique(list, NameOf, at, errors);
}

void ValidateFullyQualified(std::string_view name, const Path& path, Errors& errors) {
  ValidateDeviceQualifiedName(name, path, errors);
  if (name.find('/') != std::string_view::npos) return;
  errors.Invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash");
}

void ValidateConstraint(const v1::DeviceConstraint& constraint, const RequestNames& names, const Path& path,
                        Errors& errors) {
  ValidateRequestReferences(constraint.tree().At("requests"), names, path / "requests", errors);
  if (constraint.match_attribute()) {
    ValidateFullyQualified(*constraint.match_attribute(), path / "matchAttribute", errors);
  } else if (constraint.distinct_attribute()) {
    ValidateFullyQualified(*constraint.distinct_attribute(), path / "distinctAttribute", errors);
  } else {
    errors.Required(
        path, "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set");
  }
}

void ValidateClaimSpec(const v1::ResourceClaimSpec& spec, const Path& path, Errors& errors) {
  const v1::DeviceClaim claim = spec.devices();
  const RequestNames names(claim);
  const Value& requests = claim.tree().At("requests");
  const Path at = path / "devices";
  if (ValidateSize(requests, kDeviceRequestsMax, at / "requests", errors)) {
    for (size_t i = 0; i < requests.size(); ++i) {
      ValidateRequest(v1::DeviceRequest(requests[i]), (at / "requests")[i], errors);
    }
    ValidateUnique(requests, NameOf, at / "requests", errors);
  }
  const Value& constraints = claim.tree().At("constraints");
  if (ValidateSize(constraints, kConstraintsMax, at / "constraints", errors)) {
    for (size_t i = 0; i < constraints.size(); ++i) {
      ValidateConstraint(v1::DeviceConstraint(constraints[i]), names, (at / "constraints")[i], errors);
    }
  }
  const Value& configs = claim.tree().At("config");
  if (!ValidateSize(configs, kConfigMax, at / "config", errors)) return;
  for (size_t i = 0; i < configs.size(); ++i) {
    const Path config = (at / "config")[i];
    ValidateRequestReferences(configs[i].At("requests"), names, config / "requests", errors);
    ValidateDeviceConfiguration(v1::DeviceClaimConfiguration(configs[i]).opaque(), false, config, errors);
  }
}

void ValidateMetadataOf(const Value& object, bool namespaced, Errors& errors) {
  ValidateMetadata(object.At("metadata"), namespaced, NameIsSubdomain, MetadataPath(), errors);
}
void ValidateMetadataChange(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), MetadataPath(), errors);
}

void ValidateSameSpec(const Type& type, const Value& object, const Value& old, Errors& errors) {
  if (object.At("spec").Equals(old.At("spec"))) return;
  doc::Arena arena;
  errors.Invalid(SpecPath(), GoForm(type, object.At("spec"), arena), kImmutable);
}

// A name with a domain, which is not Kubernetes' own.
bool IsExtendedResourceName(std::string_view name) {
  if (name.find('/') == std::string_view::npos || name.find("kubernetes.io/") != std::string_view::npos) return false;
  constexpr std::string_view kQuotaPrefix = "requests.";
  return !name.starts_with(kQuotaPrefix) && CheckQualifiedName(std::string(kQuotaPrefix) + std::string(name)).empty();
}

void ValidateClassSpec(const Value& spec, const Value& old, Errors& errors) {
  ValidateDeviceSelectors(spec.At("selectors"), SpecPath() / "selectors", errors);
  const Value& configs = spec.At("config");
  const bool stored = old.is_object() && configs.Equals(old.At("config"));
  if (ValidateSize(configs, kConfigMax, SpecPath() / "config", errors)) {
    for (size_t i = 0; i < configs.size(); ++i) {
      ValidateDeviceConfiguration(v1::DeviceClassConfiguration(configs[i]).opaque(), stored, (SpecPath() / "config")[i],
                                  errors);
    }
  }
  const std::string_view extended = spec.At("extendedResourceName").AsString();
  if (spec.At("extendedResourceName").is_null() || IsExtendedResourceName(extended)) return;
  errors.Invalid(SpecPath() / "extendedResourceName", extended, "must be a valid extended resource name");
}

}  // namespace

void ValidateResourceClaim(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, true, errors);
  ValidateClaimSpec(v1::ResourceClaimSpec(object.At("spec")), SpecPath(), errors);
}
void ValidateResourceClaimUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataOf(object, true, errors);
  ValidateMetadataChange(object, old, errors);
  ValidateSameSpec(v1::ResourceClaimSpec::SchemaType(), object, old, errors);
}

void ValidateResourceClaimTemplate(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, true, errors);
  const v1::ResourceClaimTemplateSpec spec(object.At("spec"));
  ValidateTemplateMetadata(spec.metadata(), SpecPath() / "metadata", errors);
  ValidateClaimSpec(spec.spec(), SpecPath() / "spec", errors);
}
void ValidateResourceClaimTemplateUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateResourceClaimTemplate(object, errors);
  ValidateMetadataChange(object, old, errors);
  ValidateSameSpec(v1::ResourceClaimTemplateSpec::SchemaType(), object, old, errors);
}

void ValidateDeviceClass(const Value& object, Errors& errors) {
  ValidateMetadataOf(object, false, errors);
  ValidateClassSpec(object.At("spec"), Value::Null(), errors);
}
void ValidateDeviceClassUpdate(const Value& object, const Value& old, Errors& errors) {
  ValidateMetadataOf(object, false, errors);
  ValidateMetadataChange(object, old, errors);
  ValidateClassSpec(object.At("spec"), old.At("spec"), errors);
}

}  // namespace knarr::api::validation

// What a pod's status says of its claims and of its containers' resources.

#include <algorithm>
#include <set>
#include <tuple>

#include "api/validation/metadata.h"
#include "api/validation/pods.h"

namespace knarr::api::validation {
namespace {

using core_v1::Pod;
using doc::Value;

const Value* FindNamed(const Value& list, std::string_view name) {
  for (const Value& item : list.items()) {
    if (item.At("name").AsString() == name) return &item;
  }
  return nullptr;
}

void ValidateClaims(const Pod& pod, const Path& path, Errors& errors) {
  std::set<std::string_view> names;
  size_t index = 0;
  for (const core_v1::PodResourceClaimStatus status : pod.status().resource_claim_statuses()) {
    const Path at = path[index++];
    if (FindNamed(pod.spec().tree().At("resourceClaims"), status.name()) == nullptr) {
      errors.Invalid(at / "name", status.name(), "must match the name of an entry in `spec.resourceClaims`");
    }
    if (!names.insert(status.name()).second) errors.Duplicate(at / "name", status.name());
    if (const auto claim = status.resource_claim_name()) {
      ValidateDns1123Subdomain(*claim, at / "resourceClaimName", errors);
    }
  }
}

void ValidateExtended(const Pod& pod, const Path& path, Errors& errors) {
  const Value& status = pod.status().tree().At("extendedResourceClaimStatus");
  if (status.is_null()) return;
  const Path mappings = path / "requestMappings";
  if (status.At("requestMappings").empty()) errors.Required(mappings, "at least one request mapping is required");
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> seen;
  size_t index = 0;
  for (const Value& mapping : status.At("requestMappings").items()) {
    const Path at = mappings[index++];
    const std::string_view container = mapping.At("containerName").AsString();
    const std::string_view resource = mapping.At("resourceName").AsString();
    const std::string_view request = mapping.At("requestName").AsString();
    const Value* found = FindNamed(pod.spec().tree().At("containers"), container);
    if (found == nullptr) found = FindNamed(pod.spec().tree().At("initContainers"), container);
    if (found == nullptr) {
      errors.Invalid(at / "containerName", container,
                     "must match the name of an entry in spec.initContainers.name or spec.containers.name");
    } else if (found->Get("resources", "requests", resource).is_null()) {
      errors.Invalid(at / "resourceName", resource,
                     "must match the extended resource name of an entry in spec.initContainers.resources.requests or "
                     "spec.containers.resources.requests");
    }
    ValidateDns1123Label(request, path / "requestName", errors);
    if (seen.emplace(container, resource, request).second) continue;
    errors.Duplicate(at / "containerName", container);
    errors.Duplicate(at / "resourceName", resource);
    errors.Duplicate(at / "requestName", request);
  }
  const std::string_view claim = status.At("resourceClaimName").AsString();
  if (claim.empty()) return errors.Required(path / "resourceClaimName");
  ValidateDns1123Subdomain(claim, path / "resourceClaimName", errors);
}

}  // namespace

void ValidatePodStatusClaims(const Pod& pod, Errors& errors) {
  const Path status("status");
  ValidateClaims(pod, status / "resourceClaimStatuses", errors);
  ValidateExtended(pod, status / "extendedResourceClaimStatus", errors);
}

void ValidateDebugStatuses(const Pod& pod, Errors& errors) {
  const Path path = Path("status") / "ephemeralContainerStatuses";
  size_t index = 0;
  for (const Value& status : pod.status().tree().At("ephemeralContainerStatuses").items()) {
    const Path at = path[index++] / "allocatedResourcesStatus";
    if (!status.At("allocatedResourcesStatus").empty()) {
      errors.Forbidden(at, "must not be specified in container status");
    }
  }
}

}  // namespace knarr::api::validation

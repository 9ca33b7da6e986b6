// What a pod's status says of its claims and of its containers' resources.

#include <map>
#include <set>
#include <tuple>

#include "api/validation/metadata.h"
#include "api/validation/pods.h"

namespace knarr::api::validation {
namespace {

using core_v1::Pod;
using doc::Value;

void ValidateClaims(const Pod& pod, const Path& path, Errors& errors) {
  std::set<std::string_view> claims;
  for (const core_v1::PodResourceClaim claim : pod.spec().resource_claims()) claims.insert(claim.name());
  std::set<std::string_view> names;
  size_t index = 0;
  for (const core_v1::PodResourceClaimStatus status : pod.status().resource_claim_statuses()) {
    const Path at = path[index++];
    if (!claims.contains(status.name())) {
      errors.Invalid(at / "name", status.name(), "must match the name of an entry in `spec.resourceClaims`");
    }
    if (!names.insert(status.name()).second) errors.Duplicate(at / "name", status.name());
    if (const auto claim = status.resource_claim_name()) {
      ValidateDns1123Subdomain(*claim, at / "resourceClaimName", errors);
    }
  }
}

// The names of what each container asks for.
std::map<std::string_view, std::set<std::string_view>> RequestsOf(const Pod& pod) {
  std::map<std::string_view, std::set<std::string_view>> out;
  for (const std::string_view list : {"containers", "initContainers"}) {
    for (const Value& container : pod.spec().tree().At(list).items()) {
      const auto [own, fresh] = out.try_emplace(container.At("name").AsString());
      if (!fresh) continue;
      for (const doc::Member& request : container.Get("resources", "requests").members()) {
        own->second.insert(request.key);
      }
    }
  }
  return out;
}

void ValidateExtended(const Pod& pod, const Path& path, Errors& errors) {
  const Value& status = pod.status().tree().At("extendedResourceClaimStatus");
  if (status.is_null()) return;
  const Path mappings = path / "requestMappings";
  if (status.At("requestMappings").empty()) errors.Required(mappings, "at least one request mapping is required");
  const auto requests = RequestsOf(pod);
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> seen;
  size_t index = 0;
  for (const Value& mapping : status.At("requestMappings").items()) {
    const Path at = mappings[index++];
    const std::string_view container = mapping.At("containerName").AsString();
    const std::string_view resource = mapping.At("resourceName").AsString();
    const std::string_view request = mapping.At("requestName").AsString();
    const auto found = requests.find(container);
    if (found == requests.end()) {
      errors.Invalid(at / "containerName", container,
                     "must match the name of an entry in spec.initContainers.name or spec.containers.name");
    } else if (!found->second.contains(resource)) {
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

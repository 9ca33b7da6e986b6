#pragma once

// Pods, pod templates and everything inside a PodSpec. Internal to api/validation.

#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "api/core_v1.h"
#include "api/validation/errors.h"

namespace knarr::api::validation {

/// What the rules for a container need to know of its pod.
struct PodContext {
  /// The volumes without errors of their own, by name.
  std::map<std::string_view, core_v1::Volume> volumes;
  std::set<std::string_view> claims;  ///< the names of its resource claims, without empty ones
  std::string_view restart_policy;
  std::optional<int64_t> grace_seconds;
  bool host_users = true;
  bool is_pod = false;  ///< a Pod itself, no template
  std::string_view pod_name;
};

void ValidatePodSpec(const core_v1::PodSpec& spec, std::string_view pod_name, bool is_pod, const Path& path,
                     Errors& errors);
void ValidatePodTemplate(const core_v1::PodTemplateSpec& pod_template, const Path& path, Errors& errors);

/// What a volume is made of, `kind` being its field.
void ValidateVolumeSource(std::string_view kind, const doc::Value& source, const Path& path, Errors& errors);
/// The same for kinds of storage that Kubernetes has handed over to drivers.
void ValidateLegacyVolume(std::string_view kind, const doc::Value& source, const Path& path, Errors& errors);
void ValidateVolumes(const ListView<core_v1::Volume>& volumes, PodContext& context, const Path& path, Errors& errors);

void ValidateContainers(const core_v1::PodSpec& spec, const PodContext& context, const Path& path, Errors& errors);
void ValidateInitContainers(const core_v1::PodSpec& spec, const PodContext& context, const Path& path, Errors& errors);
void ValidateEphemeralContainers(const core_v1::PodSpec& spec, const PodContext& context, const Path& path,
                                 Errors& errors);

/// Space around images, which only pods themselves are checked for.
void ValidateImages(const ListView<core_v1::Container>& containers, const Path& path, Errors& errors);

void ValidateEnv(const ListView<core_v1::EnvVar>& variables, const Path& path, Errors& errors);
void ValidateEnvFrom(const ListView<core_v1::EnvFromSource>& sources, const Path& path, Errors& errors);
/// `volume`: in a downward API volume, which has to name a container.
void ValidateResourceFieldRef(const core_v1::ResourceFieldSelector& selector, bool volume, const Path& path,
                              Errors& errors);
void ValidateFieldRef(const core_v1::ObjectFieldSelector& selector, bool volume, const Path& path, Errors& errors);

void ValidateProbes(const core_v1::Container& container, const PodContext& context, const Path& path, Errors& errors);
void ValidateLifecycle(const core_v1::Lifecycle& lifecycle, const PodContext& context, const Path& path,
                       Errors& errors);

/// How a resource's name is looked at.
using ResourceNameRule = void (*)(std::string_view resource, const Path& path, Errors& errors);
void ValidateResources(const core_v1::ResourceRequirements& resources, const std::set<std::string_view>& claims,
                       ResourceNameRule name_rule, const Path& path, Errors& errors);
/// Amounts that a pod costs besides its containers, as a container's limits would be.
void ValidateOverhead(const doc::Value& amounts, const Path& path, Errors& errors);
void ValidateResourceName(std::string_view resource, const Path& path, Errors& errors);
void ValidateContainerResourceName(std::string_view resource, const Path& path, Errors& errors);
void ValidatePodResourceName(std::string_view resource, const Path& path, Errors& errors);
void ValidateQuotaResourceName(std::string_view resource, const Path& path, Errors& errors);
bool IsQuotaResource(std::string_view resource);
/// Whether requests may be less than limits.
bool MayOvercommit(std::string_view resource);
void ValidateResourceQuantity(std::string_view resource, std::string_view quantity, const Path& path, Errors& errors);

void ValidateSecurityContext(const core_v1::SecurityContext& context, bool host_users, const Path& path,
                             Errors& errors);
void ValidatePodSecurityContext(const core_v1::PodSpec& spec, const Path& path, Errors& errors);

/// The pod's own budget, and that its containers keep to it.
void ValidatePodLevelResources(const core_v1::PodSpec& spec, const PodContext& context, const Path& path,
                               Errors& errors);
void ValidateResourceClaims(const core_v1::PodSpec& spec, const Path& path, Errors& errors);
/// What a pod with hostProcess containers needs, and what pods of an operating system can't have.
void ValidateHostProcess(const core_v1::PodSpec& spec, const Path& path, Errors& errors);
void ValidateOs(const core_v1::PodSpec& spec, const Path& path, Errors& errors);
void ValidateFileKeys(const core_v1::PodSpec& spec, const Path& path, Errors& errors);

void ValidateAffinity(const core_v1::Affinity& affinity, const Path& path, Errors& errors);
void ValidateNodeSelector(const core_v1::NodeSelector& selector, const Path& path, Errors& errors);
void ValidateTolerations(const ListView<core_v1::Toleration>& tolerations, const Path& path, Errors& errors);
void ValidateTopologySpread(const core_v1::PodSpec& spec, const Path& path, Errors& errors);
void ValidateTaintEffect(std::string_view effect, bool allow_empty, const Path& path, Errors& errors);

/// "must not contain '..'" and "must be a relative path".
void ValidateNoBacksteps(std::string_view text, const Path& path, Errors& errors);
void ValidateDescendingPath(std::string_view text, const Path& path, Errors& errors);
void ValidateNonReservedPath(std::string_view text, const Path& path, Errors& errors);

/// Of a pod's status: its claims, and its debug containers.
void ValidatePodStatusClaims(const core_v1::Pod& pod, Errors& errors);
void ValidateDebugStatuses(const core_v1::Pod& pod, Errors& errors);

/// What holds of a pod whenever it is written.
void ValidatePodMetadataAndSpec(const core_v1::Pod& pod, Errors& errors);
void ValidatePod(const doc::Value& object, Errors& errors);
void ValidatePodUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);
void ValidatePodStatusUpdate(const doc::Value& object, const doc::Value& old, Errors& errors);

}  // namespace knarr::api::validation

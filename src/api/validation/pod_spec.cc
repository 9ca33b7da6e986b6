// A PodSpec as a whole, in a pod or in a template.

#include <limits>

#include "api/validation/addresses.h"
#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using core_v1::PodSpec;

constexpr size_t kNameserversMax = 3;
constexpr size_t kSearchPathsMax = 32;
constexpr size_t kSearchCharactersMax = 2048;
constexpr size_t kHostnameMax = 64;

void ValidateHostNetwork(const PodSpec& spec, bool is_pod, const Path& path, Errors& errors) {
  if (!spec.host_network()) return;
  size_t index = 0;
  for (const core_v1::Container container : spec.containers()) {
    const Path ports = (path / "containers")[index++] / "ports";
    size_t port_index = 0;
    for (const core_v1::ContainerPort port : container.ports()) {
      const Path at = ports[port_index++];
      if ((!is_pod && port.host_port() == 0) || port.host_port() == port.container_port()) continue;
      errors.Invalid(at / "hostPort", port.host_port(), "must match `containerPort` when `hostNetwork` is true");
    }
  }
}

void ValidateDns(const PodSpec& spec, const Path& path, Errors& errors) {
  const core_v1::PodDNSConfig config = spec.dns_config();
  if (spec.dns_policy() == "None") {
    if (!config) return errors.Required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
    if (config.nameservers().empty()) {
      return errors.Required(path / "nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
  }
  if (!config) return;
  if (config.nameservers().size() > kNameserversMax) {
    errors.Invalid(path / "nameservers", config.tree().At("nameservers"), "must not have more than 3 nameservers");
  }
  size_t index = 0;
  for (const std::string_view server : config.nameservers()) {
    ValidateIp(server, (path / "nameservers")[index++], errors);
  }
  if (config.searches().size() > kSearchPathsMax) {
    errors.Invalid(path / "searches", config.tree().At("searches"), "must not have more than 32 search paths");
  }
  size_t characters = 0;
  for (const std::string_view search : config.searches()) characters += search.size() + 1;
  if (characters > kSearchCharactersMax + 1) {
    errors.Invalid(path / "searches", config.tree().At("searches"),
                   "must not have more than 2048 characters (including spaces) in the search list");
  }
  index = 0;
  for (std::string_view search : config.searches()) {
    const Path at = (path / "searches")[index++];
    if (search == ".") continue;
    ConsumeSuffix(search, ".");
    errors.InvalidAll(at, search, CheckDns1123SubdomainWithUnderscore(search));
  }
  index = 0;
  for (const core_v1::PodDNSConfigOption option : config.options()) {
    const Path at = (path / "options")[index++];
    if (option.name().empty()) errors.Required(at, "must not be empty");
  }
}

void ValidateGates(const PodSpec& spec, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const core_v1::PodReadinessGate gate : spec.readiness_gates()) {
    ValidateQualifiedName(gate.condition_type(), (path / "readinessGates")[index++] / "conditionType", errors);
  }
  std::set<std::string_view> names;
  index = 0;
  for (const core_v1::PodSchedulingGate gate : spec.scheduling_gates()) {
    const Path at = (path / "schedulingGates")[index++];
    ValidateQualifiedName(gate.name(), at, errors);
    if (!names.insert(gate.name()).second) errors.Duplicate(at, gate.name());
  }
}

void ValidateHostUsers(const PodSpec& spec, const Path& path, Errors& errors) {
  if (spec.host_users().value_or(true)) return;
  if (spec.host_network()) errors.Forbidden(path / "hostNetwork", "when `hostUsers` is false");
  if (spec.host_pid()) errors.Forbidden(path / "HostPID", "when `hostUsers` is false");
  if (spec.host_ipc()) errors.Forbidden(path / "HostIPC", "when `hostUsers` is false");
  const auto look = [&](const auto& containers, std::string_view name) {
    size_t index = 0;
    for (const auto container : containers) {
      const Path at = (path / name)[index++];
      if (!container.volume_devices().empty()) errors.Forbidden(at / "volumeDevices", "when `hostUsers` is false");
    }
  };
  look(spec.init_containers(), "initContainers");
  look(spec.containers(), "containers");
  look(spec.ephemeral_containers(), "ephemeralContainers");
}

void ValidateHostname(const PodSpec& spec, const Path& path, Errors& errors) {
  const auto hostname = spec.hostname_override();
  if (!hostname) return;
  const Path at = path / "hostnameOverride";
  if (spec.set_hostname_as_fqdn().value_or(false)) {
    errors.Forbidden(at, "may not be specified when setHostnameAsFQDN is true");
  }
  if (spec.host_network()) errors.Forbidden(at, "may not be specified when hostNetwork is true");
  if (hostname->size() > kHostnameMax) errors.TooLong(at, kHostnameMax);
  ValidateDns1123Subdomain(*hostname, at, errors);
}

void ValidateNames(const PodSpec& spec, const Path& path, Errors& errors) {
  if (!spec.service_account_name().empty()) {
    ValidateDns1123Subdomain(spec.service_account_name(), path / "serviceAccountName", errors);
  }
  if (!spec.node_name().empty()) ValidateDns1123Subdomain(spec.node_name(), path / "nodeName", errors);
  if (const auto seconds = spec.active_deadline_seconds()) {
    constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
    if (*seconds < 1 || *seconds > kMost) {
      errors.Invalid(path / "activeDeadlineSeconds", *seconds, RangeProblem(1, kMost));
    }
  }
  if (!spec.hostname().empty()) ValidateDns1123Label(spec.hostname(), path / "hostname", errors);
  if (!spec.subdomain().empty()) ValidateDns1123Label(spec.subdomain(), path / "subdomain", errors);
}

void ValidateHostAliases(const PodSpec& spec, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const core_v1::HostAlias alias : spec.host_aliases()) {
    const Path at = path[index++];
    ValidateIp(alias.ip(), at / "ip", errors);
    size_t name_index = 0;
    for (const std::string_view name : alias.hostnames()) {
      ValidateDns1123Subdomain(name, (at / "hostnames")[name_index++], errors);
    }
  }
}

void ValidatePolicies(const PodSpec& spec, const Path& path, Errors& errors) {
  if (!spec.priority_class_name().empty()) {
    ValidateDns1123Subdomain(spec.priority_class_name(), path / "priorityClassName", errors);
  }
  if (const auto name = spec.runtime_class_name()) {
    ValidateDns1123Subdomain(*name, path / "runtimeClassName", errors);
  }
  if (const auto policy = spec.preemption_policy()) {
    errors.OneOf(path / "preemptionPolicy", *policy, {"PreemptLowerPriority", "Never"});
  }
  ValidateOverhead(spec.tree().At("overhead"), path / "overhead", errors);
}

void ValidateAnnotationsOf(const meta_v1::ObjectMeta& metadata, const PodSpec& spec, const Path& path, Errors& errors) {
  static constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
  static constexpr std::string_view kDeletionCost = "controller.kubernetes.io/pod-deletion-cost";
  if (const auto mirror = metadata.annotations().Find(kMirror); mirror && spec.node_name().empty()) {
    errors.Invalid(path.Key(kMirror), *mirror, "must set spec.nodeName if mirror pod annotation is set");
  }
  if (const auto cost = metadata.annotations().Find(kDeletionCost)) {
    const bool canonical = *cost == "0" || (!cost->starts_with('+') && !cost->starts_with('0') && *cost != "-0" &&
                                            !cost->starts_with("-0"));
    if (!canonical || !ParseInt<int32_t>(*cost).ok()) {
      errors.Invalid(path.Key(kDeletionCost), *cost, "must be a 32bit integer");
    }
  }
}

}  // namespace

void ValidatePodSpec(const PodSpec& spec, std::string_view pod_name, bool is_pod, const Path& path, Errors& errors) {
  PodContext context;
  context.restart_policy = spec.restart_policy();
  context.grace_seconds = spec.termination_grace_period_seconds();
  context.host_users = spec.host_users().value_or(true);
  context.is_pod = is_pod;
  context.pod_name = pod_name;
  for (const core_v1::PodResourceClaim claim : spec.resource_claims()) {
    if (!claim.name().empty()) context.claims.insert(claim.name());
  }
  if (!context.grace_seconds) errors.Required(path / "terminationGracePeriodSeconds");
  ValidateVolumes(spec.volumes(), context, path / "volumes", errors);
  ValidateResourceClaims(spec, path / "resourceClaims", errors);
  ValidateContainers(spec, context, path / "containers", errors);
  ValidateInitContainers(spec, context, path / "initContainers", errors);
  ValidateEphemeralContainers(spec, context, path / "ephemeralContainers", errors);
  if (spec.has_resources()) ValidatePodLevelResources(spec, context, path / "resources", errors);
  ValidateHostNetwork(spec, is_pod, path, errors);
  errors.OneOf(path / "restartPolicy", spec.restart_policy(), {"Always", "OnFailure", "Never"});
  errors.OneOf(path / "dnsPolicy", spec.dns_policy(), {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"});
  ValidateLabels(spec.node_selector(), path / "nodeSelector", errors);
  ValidatePodSecurityContext(spec, path / "securityContext", errors);
  ValidateAffinity(spec.affinity(), path / "affinity", errors);
  ValidateDns(spec, path / "dnsConfig", errors);
  ValidateGates(spec, path, errors);
  ValidateTopologySpread(spec, path / "topologySpreadConstraints", errors);
  ValidateHostProcess(spec, path, errors);
  ValidateHostUsers(spec, path, errors);
  ValidateHostname(spec, path, errors);
  ValidateNames(spec, path, errors);
  ValidateTolerations(spec.tolerations(), path / "tolerations", errors);
  ValidateHostAliases(spec, path / "hostAliases", errors);
  ValidatePolicies(spec, path, errors);
  ValidateOs(spec, path, errors);
  ValidateFileKeys(spec, path, errors);
}

void ValidatePodTemplate(const core_v1::PodTemplateSpec& pod_template, const Path& path, Errors& errors) {
  const meta_v1::ObjectMeta metadata = pod_template.metadata();
  ValidateLabels(metadata.labels(), path / "labels", errors);
  ValidateAnnotations(metadata.annotations(), path / "annotations", errors);
  ValidateAnnotationsOf(metadata, pod_template.spec(), path / "annotations", errors);
  ValidatePodSpec(pod_template.spec(), {}, false, path / "spec", errors);
  if (!pod_template.spec().ephemeral_containers().empty()) {
    errors.Forbidden(path / "spec" / "ephemeralContainers", "ephemeral containers not allowed in pod template");
  }
}

void ValidatePodMetadataAndSpec(const core_v1::Pod& pod, Errors& errors) {
  const Path metadata("metadata");
  const Path spec_path("spec");
  const PodSpec spec = pod.spec();
  ValidateMetadata(pod.metadata().tree(), true, NameIsSubdomain, metadata, errors);
  ValidateAnnotationsOf(pod.metadata(), spec, metadata / "annotations", errors);
  ValidatePodSpec(spec, pod.metadata().name(), true, spec_path, errors);
  if (spec.service_account_name().empty()) {
    size_t index = 0;
    for (const core_v1::Volume volume : spec.volumes()) {
      const Path sources = (spec_path / "volumes")[index++] / "projected" / "sources";
      size_t source_index = 0;
      for (const core_v1::VolumeProjection source : volume.projected().sources()) {
        const Path at = sources[source_index++] / "serviceAccountToken";
        if (!source.has_service_account_token()) continue;
        errors.Forbidden(at, "must not be specified when serviceAccountName is not set");
      }
    }
  }
  ValidateImages(spec.containers(), spec_path / "containers", errors);
  ValidateImages(spec.init_containers(), spec_path / "initContainers", errors);
}

void ValidatePod(const doc::Value& object, Errors& errors) {
  const core_v1::Pod pod(object);
  ValidatePodMetadataAndSpec(pod, errors);
  const Path spec("spec");
  if (!pod.spec().ephemeral_containers().empty()) {
    errors.Forbidden(spec / "ephemeralContainers", "cannot be set on create");
  }
  if (!pod.spec().node_name().empty() && !pod.spec().scheduling_gates().empty()) {
    errors.Forbidden(spec / "nodeName", "cannot be set until all schedulingGates have been cleared");
  }
}

}  // namespace knarr::api::validation

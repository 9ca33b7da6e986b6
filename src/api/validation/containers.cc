// Containers of all sorts: names, images, ports, mounts and devices.

#include <set>
#include <string>

#include "api/validation/metadata.h"
#include "api/validation/pods.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using core_v1::Container;
using core_v1::PodSpec;

constexpr size_t kRestartRulesMax = 20;
constexpr size_t kExitCodesMax = 255;

void ValidatePorts(const Container& container, const Path& path, Errors& errors) {
  std::set<std::string_view> names;
  size_t index = 0;
  for (const core_v1::ContainerPort port : container.ports()) {
    const Path at = path[index++];
    if (!port.name().empty()) {
      const Problems problems = CheckPortName(port.name());
      if (!problems.empty()) {
        errors.InvalidAll(at / "name", port.name(), problems);
      } else if (!names.insert(port.name()).second) {
        errors.Duplicate(at / "name", port.name());
      }
    }
    if (port.container_port() == 0) {
      errors.Required(at / "containerPort");
    } else {
      errors.InvalidAll(at / "containerPort", port.container_port(), CheckPortNumber(port.container_port()));
    }
    if (port.host_port() != 0) {
      errors.InvalidAll(at / "hostPort", port.host_port(), CheckPortNumber(port.host_port()));
    }
    errors.OneOf(at / "protocol", port.protocol(), {"SCTP", "TCP", "UDP"});
  }
}

void ValidatePropagation(const core_v1::VolumeMount& mount, const Container& container, const Path& path,
                         Errors& errors) {
  const auto mode = mount.mount_propagation();
  if (!mode) return;
  if (*mode != "Bidirectional" && *mode != "HostToContainer" && *mode != "None") {
    errors.NotSupported(path, *mode, {"Bidirectional", "HostToContainer", "None"});
  }
  if (*mode == "Bidirectional" && !container.security_context().privileged().value_or(false)) {
    errors.Forbidden(path, "Bidirectional mount propagation is available only to privileged containers");
  }
}

void ValidateRecursiveReadOnly(const core_v1::VolumeMount& mount, const Path& path, Errors& errors) {
  const auto mode = mount.recursive_read_only();
  if (!mode || *mode == "Disabled") return;
  if (*mode != "Enabled" && *mode != "IfPossible") {
    errors.NotSupported(path, *mode, {"Disabled", "Enabled", "IfPossible"});
    return;
  }
  if (!mount.read_only()) errors.Forbidden(path, "may only be specified when readOnly is true");
  if (mount.mount_propagation().value_or("None") != "None") {
    errors.Forbidden(path, "may only be specified when mountPropagation is None or not specified");
  }
}

bool HasDevice(const Container& container, std::string_view name, std::string_view device_path) {
  for (const core_v1::VolumeDevice device : container.volume_devices()) {
    if ((!name.empty() && device.name() == name) || (!device_path.empty() && device.device_path() == device_path)) {
      return true;
    }
  }
  return false;
}

bool HasMount(const Container& container, std::string_view name, std::string_view mount_path) {
  for (const core_v1::VolumeMount mount : container.volume_mounts()) {
    if ((!name.empty() && mount.name() == name) || (!mount_path.empty() && mount.mount_path() == mount_path)) {
      return true;
    }
  }
  return false;
}

void ValidateMounts(const Container& container, const PodContext& context, const Path& path, Errors& errors) {
  std::set<std::string_view> points;
  size_t index = 0;
  for (const core_v1::VolumeMount mount : container.volume_mounts()) {
    const Path at = path[index++];
    if (mount.name().empty()) errors.Required(at / "name");
    if (!context.volumes.contains(mount.name())) errors.NotFound(at / "name", mount.name());
    if (mount.mount_path().empty()) errors.Required(at / "mountPath");
    if (!points.insert(mount.mount_path()).second)
      errors.Invalid(at / "mountPath", mount.mount_path(), "must be unique");
    if (HasDevice(container, mount.name(), {})) {
      errors.Invalid(at / "name", mount.name(), "must not already exist in volumeDevices");
    }
    if (HasDevice(container, {}, mount.mount_path())) {
      errors.Invalid(at / "mountPath", mount.mount_path(), "must not already exist as a path in volumeDevices");
    }
    if (!mount.sub_path().empty()) ValidateDescendingPath(mount.sub_path(), path / "subPath", errors);
    if (!mount.sub_path_expr().empty()) {
      if (!mount.sub_path().empty()) {
        errors.Invalid(at / "subPathExpr", mount.sub_path_expr(), "subPathExpr and subPath are mutually exclusive");
      }
      ValidateDescendingPath(mount.sub_path_expr(), path / "subPathExpr", errors);
    }
    ValidatePropagation(mount, container, path / "mountPropagation", errors);
    ValidateRecursiveReadOnly(mount, path / "recursiveReadOnly", errors);
  }
}

void ValidateDevices(const Container& container, const PodContext& context, const Path& path, Errors& errors) {
  std::set<std::string_view> paths;
  std::set<std::string_view> names;
  size_t index = 0;
  for (const core_v1::VolumeDevice device : container.volume_devices()) {
    const Path at = path[index++];
    const std::string_view name = device.name();
    const std::string_view device_path = device.device_path();
    const auto volume = context.volumes.find(name);
    const bool known = volume != context.volumes.end();
    if (name.empty()) errors.Required(at / "name");
    if (names.contains(name)) errors.Invalid(at / "name", name, "must be unique");
    if (known && !volume->second.has_persistent_volume_claim() && !volume->second.has_ephemeral()) {
      errors.Invalid(at / "name", name,
                     "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
    }
    if (!known) errors.NotFound(at / "name", name);
    if (device_path.empty()) errors.Required(at / "devicePath");
    if (paths.contains(device_path)) errors.Invalid(at / "devicePath", device_path, "must be unique");
    Errors backsteps;
    ValidateNoBacksteps(device_path, at, backsteps);
    if (!device_path.empty() && !backsteps.empty()) {
      errors.Invalid(at / "devicePath", device_path, "can not contain backsteps ('..')");
    } else {
      paths.insert(device_path);
    }
    if (HasMount(container, name, {})) errors.Invalid(at / "name", name, "must not already exist in volumeMounts");
    if (HasMount(container, {}, device_path)) {
      errors.Invalid(at / "devicePath", device_path, "must not already exist as a path in volumeMounts");
    }
    if (!name.empty()) names.insert(name);
  }
}

void ValidateResizePolicy(const Container& container, const PodContext& context, const Path& path, Errors& errors) {
  std::set<std::string_view> seen;
  size_t index = 0;
  for (const core_v1::ContainerResizePolicy policy : container.resize_policy()) {
    const Path at = path[index++];
    if (!seen.insert(policy.resource_name()).second) errors.Duplicate(at, policy.resource_name());
    errors.OneOf(path, policy.resource_name(), {"cpu", "memory"});
    errors.OneOf(path, policy.restart_policy(), {"NotRequired", "RestartContainer"});
    if (context.restart_policy == "Never" && policy.restart_policy() != "NotRequired") {
      errors.Invalid(path, policy.restart_policy(), "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
    }
  }
}

void ValidateRestartRules(const Container& container, const Path& path, Errors& errors) {
  const auto policy = container.restart_policy();
  const auto rules = container.restart_policy_rules();
  if (!policy) {
    if (rules.empty()) return;
    errors.Required(path / "restartPolicy", "must specify restartPolicy when restart rules are used");
  } else if (*policy != "Always" && *policy != "Never" && *policy != "OnFailure") {
    errors.NotSupported(path / "restartPolicy", *policy, {"Always", "Never", "OnFailure"});
  }
  const Path rules_path = path / "restartPolicyRules";
  if (rules.size() > kRestartRulesMax) errors.TooMany(rules_path, rules.size(), kRestartRulesMax);
  size_t index = 0;
  for (const core_v1::ContainerRestartRule rule : rules) {
    const Path at = rules_path[index++];
    if (rule.action() != "Restart" && rule.action() != "RestartAllContainers") {
      errors.NotSupported(at / "action", rule.action(), {"Restart", "RestartAllContainers"});
    }
    if (!rule.has_exit_codes()) {
      errors.Required(at / "exitCodes", "must be specified");
      continue;
    }
    const std::string_view op = rule.exit_codes().operator_();
    if (op != "In" && op != "NotIn") errors.NotSupported(at / "exitCodes" / "operator", op, {"In", "NotIn"});
    const size_t values = rule.exit_codes().values().size();
    if (values > kExitCodesMax) errors.TooMany(at / "exitCodes" / "values", values, kExitCodesMax);
  }
}

void ValidateCommon(const Container& container, const PodContext& context, const Path& path, Errors& errors) {
  if (container.name().empty()) {
    errors.Required(path / "name");
  } else {
    ValidateDns1123Label(container.name(), path / "name", errors);
  }
  if (container.image().empty()) errors.Required(path / "image");
  errors.OneOf(path / "terminationMessagePolicy", container.termination_message_policy(),
               {"File", "FallbackToLogsOnError"});
  ValidatePorts(container, path / "ports", errors);
  ValidateEnv(container.env(), path / "env", errors);
  ValidateEnvFrom(container.env_from(), path / "envFrom", errors);
  ValidateMounts(container, context, path / "volumeMounts", errors);
  ValidateDevices(container, context, path / "volumeDevices", errors);
  errors.OneOf(path / "imagePullPolicy", container.image_pull_policy(), {"Always", "IfNotPresent", "Never"});
  ValidateResources(container.resources(), context.claims, ValidateContainerResourceName, path / "resources", errors);
  ValidateResizePolicy(container, context, path / "resizePolicy", errors);
  ValidateSecurityContext(container.security_context(), context.host_users, path / "securityContext", errors);
}

void ValidateImageSpace(const Container& container, const Path& path, Errors& errors) {
  if (TrimSpace(container.image()).size() == container.image().size()) return;
  errors.Invalid(path / "image", container.image(), "must not have leading or trailing whitespace");
}

void HostPortConflicts(const Container& container, const Path& path, std::set<std::string>& seen, Errors& errors) {
  size_t index = 0;
  for (const core_v1::ContainerPort port : container.ports()) {
    const Path at = (path / "ports")[index++];
    if (port.host_port() == 0) continue;
    const std::string text =
        std::string(port.protocol()) + "/" + std::string(port.host_ip()) + "/" + std::to_string(port.host_port());
    if (!seen.insert(text).second) errors.Duplicate(at / "hostPort", text);
  }
}

}  // namespace

void ValidateContainers(const PodSpec& spec, const PodContext& context, const Path& path, Errors& errors) {
  if (spec.containers().empty()) return errors.Required(path);
  std::set<std::string_view> names;
  size_t index = 0;
  for (const Container container : spec.containers()) {
    const Path at = path[index++];
    ValidateCommon(container, context, at, errors);
    if (!names.insert(container.name()).second) errors.Duplicate(at / "name", container.name());
    if (container.has_lifecycle()) ValidateLifecycle(container.lifecycle(), context, at / "lifecycle", errors);
    ValidateProbes(container, context, at, errors);
    ValidateRestartRules(container, at, errors);
  }
  std::set<std::string> host_ports;
  index = 0;
  for (const Container container : spec.containers()) HostPortConflicts(container, path[index++], host_ports, errors);
}

void ValidateInitContainers(const PodSpec& spec, const PodContext& context, const Path& path, Errors& errors) {
  std::set<std::string_view> names;
  for (const Container container : spec.containers()) names.insert(container.name());
  size_t index = 0;
  for (const Container container : spec.init_containers()) {
    const Path at = path[index++];
    ValidateCommon(container, context, at, errors);
    ValidateRestartRules(container, at, errors);
    const bool sidecar = container.restart_policy() == "Always";
    if (!container.name().empty() && !names.insert(container.name()).second) {
      errors.Duplicate(at / "name", container.name());
    }
    // Upstream looks at each init container alone, and so counts from the first.
    std::set<std::string> host_ports;
    HostPortConflicts(container, path[0], host_ports, errors);
    if (sidecar) {
      if (container.has_lifecycle()) ValidateLifecycle(container.lifecycle(), context, at / "lifecycle", errors);
      ValidateProbes(container, context, at, errors);
    } else {
      for (const std::string_view name : {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"}) {
        if (container.value().At(name).is_null()) continue;
        errors.Forbidden(at / name, "may not be set for init containers without restartPolicy=Always");
      }
      size_t policy_index = 0;
      for (const core_v1::ContainerResizePolicy policy : container.resize_policy()) {
        const Path policy_path = (at / "resizePolicy")[policy_index++];
        if (policy.restart_policy() != "RestartContainer") continue;
        errors.Invalid(policy_path / "restartPolicy", policy.restart_policy(),
                       "must not be set to 'RestartContainer' for non-sidecar initContainers");
      }
    }
  }
}

void ValidateImages(const ListView<Container>& containers, const Path& path, Errors& errors) {
  size_t index = 0;
  for (const Container container : containers) ValidateImageSpace(container, path[index++], errors);
}

void ValidateEphemeralContainers(const PodSpec& spec, const PodContext& context, const Path& path, Errors& errors) {
  std::set<std::string_view> names;
  std::set<std::string_view> others;
  for (const Container container : spec.containers()) others.insert(container.name());
  for (const Container container : spec.init_containers()) others.insert(container.name());
  size_t index = 0;
  for (const core_v1::EphemeralContainer ephemeral : spec.ephemeral_containers()) {
    const Path at = path[index++];
    const Container container(ephemeral.value());
    ValidateCommon(container, context, at, errors);
    ValidateImageSpace(container, at, errors);
    if (others.contains(container.name()) || !names.insert(container.name()).second) {
      errors.Duplicate(at / "name", container.name());
    }
    const std::string_view target = ephemeral.target_container_name();
    if (!target.empty() && !others.contains(target)) errors.NotFound(at / "targetContainerName", target);
    for (const std::string_view name :
         {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "ports", "resizePolicy", "restartPolicy",
          "restartPolicyRules"}) {
      if (container.value().At(name).is_null()) continue;
      errors.Forbidden(at / name, "cannot be set for an Ephemeral Container");
    }
    if (!container.resources().value().empty()) {
      errors.Forbidden(at / "resources", "cannot be set for an Ephemeral Container");
    }
    size_t mount_index = 0;
    for (const core_v1::VolumeMount mount : container.volume_mounts()) {
      const Path mount_path = (at / "volumeMounts")[mount_index++];
      if (!mount.sub_path().empty()) {
        errors.Forbidden(mount_path / "subPath", "cannot be set for an Ephemeral Container");
      }
      if (!mount.sub_path_expr().empty()) {
        errors.Forbidden(mount_path / "subPathExpr", "cannot be set for an Ephemeral Container");
      }
    }
  }
}

}  // namespace knarr::api::validation

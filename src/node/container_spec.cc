#include "node/container_spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/quantity.h"
#include "base/strings.h"
#include "node/huge_pages.h"
#include "node/resources.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;

constexpr size_t kHostnameMax = 63;
constexpr size_t kWholeHostnameMax = 64;

std::vector<std::string> Expanded(api::ListView<std::string_view> words, const Environment& environment) {
  std::vector<std::string> out;
  auto lookup = [&environment](std::string_view name) { return environment.Find(name); };
  for (std::string_view word : words) out.push_back(ExpandVariables(word, lookup));
  return out;
}

runtime::MountPropagation PropagationOf(api::core_v1::VolumeMount mount) {
  const std::string_view mode = mount.mount_propagation().value_or("None");
  if (mode == "Bidirectional") return runtime::MountPropagation::kBidirectional;
  return mode == "HostToContainer" ? runtime::MountPropagation::kHostToContainer : runtime::MountPropagation::kPrivate;
}

Result<bool> IsRecursiveReadOnly(api::core_v1::VolumeMount mount, bool supported) {
  const std::string_view mode = mount.recursive_read_only().value_or("Disabled");
  if (mode == "Disabled") return false;
  const std::string what = fmt::format("failed to resolve recursive read-only mode: volume \"{}\" requested recursive "
                                       "read-only mode, but it is not ",
                                       mount.name());
  if (!mount.read_only()) return BadRequest(what + "read-only");
  if (const std::string_view propagation = mount.mount_propagation().value_or("None"); propagation != "None") {
    return BadRequest(fmt::format("{}compatible with propagation \"{}\"", what, propagation));
  }
  if (!supported && mode != "IfPossible") return BadRequest(what + "supported by the runtime");
  return supported;
}

Result<std::vector<runtime::MountSpec>> Mounts(Container container, const PodVolumes& volumes,
                                               const ContainerInputs& inputs) {
  std::vector<runtime::MountSpec> out;
  size_t number = 0;
  for (auto mount : container.volume_mounts()) {
    const auto sub_path = inputs.sub_paths.find(number++);
    std::string source = sub_path != inputs.sub_paths.end() ? sub_path->second : TRY(volumes.PathOf(mount.name()));
    std::string target(mount.mount_path());
    if (!target.starts_with('/')) target.insert(0, "/");
    out.push_back({.host_path = std::move(source),
                   .container_path = std::move(target),
                   .read_only = mount.read_only() || volumes.IsReadOnly(mount.name()),
                   .propagation = PropagationOf(mount),
                   .recursive_read_only = TRY(IsRecursiveReadOnly(mount, inputs.recursive_read_only)),
                   .ids_are_mapped = volumes.IdsAreMapped(mount.name())});
  }
  auto add = [&out](const std::string& file, std::string_view path) {
    const bool taken = std::ranges::any_of(out, [path](const auto& mount) { return mount.container_path == path; });
    if (!file.empty() && !taken) out.push_back({.host_path = file, .container_path = std::string(path)});
  };
  add(inputs.hosts_file, "/etc/hosts");
  add(inputs.resolv_file, "/etc/resolv.conf");
  add(inputs.hostname_file, "/etc/hostname");
  if (const std::string_view path = container.termination_message_path(); !path.empty()) {
    add(inputs.termination_log, path.starts_with('/') ? std::string(path) : fmt::format("/{}", path));
  }
  return out;
}

Result<std::vector<runtime::DeviceSpec>> Devices(Container container, const PodVolumes& volumes) {
  std::vector<runtime::DeviceSpec> out;
  for (const auto device : container.volume_devices()) {
    if (!device.device_path().starts_with('/')) {
      return BadRequest(fmt::format("error DevicePath `{}` must be an absolute path", device.device_path()));
    }
    const Result<std::string> path = volumes.PathOf(device.name());
    if (!path.ok()) {
      return NotFound(
          fmt::format("cannot find volume \"{}\" to pass into container \"{}\"", device.name(), container.name()));
    }
    out.push_back({.host_path = *path,
                   .container_path = std::string(device.device_path()),
                   .read_only = volumes.IsReadOnly(device.name())});
  }
  return out;
}

/// The container's own profile counts, or else the pod's.
Ok SetProfiles(Pod pod, Container container, const std::string& directory, runtime::SecuritySpec& out) {
  const auto own = container.security_context();
  const auto shared = pod.spec().security_context();
  const auto seccomp = own.seccomp_profile() ? own.seccomp_profile() : shared.seccomp_profile();
  if (seccomp.type() == "RuntimeDefault") out.seccomp = runtime::SeccompMode::kRuntimeDefault;
  if (seccomp.type() == "Localhost") {
    const std::string_view name = seccomp.localhost_profile().value_or("");
    if (name.empty()) return BadRequest("localhostProfile must be set if seccompProfile type is Localhost.");
    out.seccomp = runtime::SeccompMode::kLocalhost;
    out.seccomp_file = fmt::format("{}/{}", directory, name);
  }
  const auto apparmor = own.app_armor_profile() ? own.app_armor_profile() : shared.app_armor_profile();
  if (apparmor.type() == "Localhost") out.apparmor_profile = std::string(apparmor.localhost_profile().value_or(""));
  return {};
}

runtime::SecuritySpec Security(Pod pod, Container container) {
  runtime::SecuritySpec out;
  auto own = container.security_context();
  auto shared = pod.spec().security_context();
  out.image_groups = shared.supplemental_groups_policy().value_or("Merge") != "Strict";
  out.unmasked_proc = own.proc_mount().value_or("Default") == "Unmasked";
  out.privileged = own.privileged().value_or(false);
  out.read_only_root = own.read_only_root_filesystem().value_or(false);
  out.no_new_privileges = !own.allow_privilege_escalation().value_or(true);
  out.run_as_user = own.run_as_user() ? own.run_as_user() : shared.run_as_user();
  out.run_as_group = own.run_as_group() ? own.run_as_group() : shared.run_as_group();
  for (int64_t group : shared.supplemental_groups()) out.supplemental_groups.push_back(group);
  if (shared.fs_group()) out.supplemental_groups.push_back(*shared.fs_group());
  for (std::string_view capability : own.capabilities().add()) out.add_capabilities.emplace_back(capability);
  for (std::string_view capability : own.capabilities().drop()) out.drop_capabilities.emplace_back(capability);
  return out;
}

}  // namespace

Ok CheckNonRoot(Pod pod, Container container, std::string_view image_user) {
  auto own = container.security_context();
  auto shared = pod.spec().security_context();
  if (!(own.run_as_non_root() ? own.run_as_non_root() : shared.run_as_non_root()).value_or(false)) return {};
  const std::string where = fmt::format("(pod: \"{}_{}({})\", container: {})", pod.metadata().name(),
                                        pod.metadata().ns(), pod.metadata().uid(), container.name());
  if (const auto user = own.run_as_user() ? own.run_as_user() : shared.run_as_user()) {
    if (*user != 0) return {};
    return BadRequest("container's runAsUser breaks non-root policy " + where);
  }
  const std::string_view user = image_user.substr(0, image_user.find(':'));
  const Result<int64_t> uid = user.empty() ? Result<int64_t>(0) : ParseInt64(user);
  if (!uid.ok()) {
    return BadRequest(
        fmt::format("container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root {}",
                    user, where));
  }
  if (*uid == 0) return BadRequest("container has runAsNonRoot and image will run as root " + where);
  return {};
}

Result<runtime::ContainerSpec> MakeContainerSpec(Pod pod, Container container, const PodVolumes& volumes,
                                                 const ContainerInputs& inputs) {
  runtime::ContainerSpec spec;
  spec.name = std::string(container.name());
  spec.attempt = inputs.attempt;
  spec.image = inputs.image_id;
  spec.command = Expanded(container.command(), inputs.environment);
  spec.args = Expanded(container.args(), inputs.environment);
  spec.working_directory = std::string(container.working_dir());
  spec.environment = inputs.environment.Lines();
  spec.mounts = TRY(Mounts(container, volumes, inputs));
  spec.devices = TRY(Devices(container, volumes));
  spec.resources = TRY(ContainerResources(pod, container));
  spec.resources.huge_pages = HugePageLimits(api::ReadResources(container.tree().Get("resources", "limits")),
                                             inputs.huge_pages);
  spec.security = Security(pod, container);
  TRY(SetProfiles(pod, container, inputs.seccomp_directory, spec.security));
  spec.stdin_open = container.stdin();
  spec.stdin_once = container.stdin_once();
  spec.tty = container.tty();
  spec.log_path = fmt::format("{}/{}.log", container.name(), inputs.attempt);
  spec.stop_signal = std::string(container.lifecycle().stop_signal().value_or(""));
  spec.oom_score_adjust = OomScoreAdjust(pod, container, inputs.machine_memory);
  spec.labels = PodLabels(pod);
  spec.labels["io.kubernetes.container.name"] = spec.name;
  return spec;
}

std::map<std::string, std::string> PodLabels(Pod pod) {
  return {{"io.kubernetes.pod.name", std::string(pod.metadata().name())},
          {"io.kubernetes.pod.namespace", std::string(pod.metadata().ns())},
          {"io.kubernetes.pod.uid", std::string(pod.metadata().uid())}};
}

std::string HostnameOf(Pod pod) {
  std::string_view name = pod.spec().hostname().empty() ? pod.metadata().name() : pod.spec().hostname();
  name = pod.spec().hostname_override().value_or(name);
  name = name.substr(0, kHostnameMax);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.remove_suffix(1);
  return std::string(name);
}

namespace {

/// The domain of the pod's host name; "" when it has none.
std::string DomainOf(Pod pod) {
  if (pod.spec().subdomain().empty() || pod.spec().hostname_override()) return {};
  return fmt::format("{}.{}.svc.{}", pod.spec().subdomain(), pod.metadata().ns(), kClusterDomain);
}

}  // namespace

Result<std::string> KernelHostnameOf(Pod pod) {
  const std::string domain = DomainOf(pod);
  if (domain.empty() || !pod.spec().set_hostname_as_fqdn().value_or(false)) return HostnameOf(pod);
  std::string whole = fmt::format("{}.{}", HostnameOf(pod), domain);
  if (whole.size() <= kWholeHostnameMax) return whole;
  return BadRequest(
      fmt::format("failed to construct FQDN from pod hostname and cluster domain, FQDN {} is too long ({} characters "
                  "is the max, {} characters requested)",
                  whole, kWholeHostnameMax, whole.size()));
}

std::string HostsFile(Pod pod, std::string_view pod_ip, std::string_view node_hosts) {
  const bool host_network = pod.spec().host_network();
  std::string out = host_network ? "# Kubernetes-managed hosts file (host network).\n" + std::string(node_hosts)
                                 : "# Kubernetes-managed hosts file.\n"
                                   "127.0.0.1\tlocalhost\n"
                                   "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                   "fe00::0\tip6-localnet\n"
                                   "fe00::0\tip6-mcastprefix\n"
                                   "fe00::1\tip6-allnodes\n"
                                   "fe00::2\tip6-allrouters\n";
  const std::string hostname = HostnameOf(pod);
  const std::string domain = DomainOf(pod);
  if (!host_network && !pod_ip.empty()) {
    out += pod_ip;
    out += '\t';
    if (!domain.empty()) out += fmt::format("{}.{}\t", hostname, domain);
    out += hostname + "\n";
  }
  if (!pod.spec().host_aliases().empty()) out += "\n# Entries added by HostAliases.\n";
  for (auto alias : pod.spec().host_aliases()) {
    out += alias.ip();
    for (std::string_view name : alias.hostnames()) out.append("\t").append(name);
    out += '\n';
  }
  return out;
}

}  // namespace knarr::node

#include "node/container_spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ip.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "node/resources.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;

constexpr size_t kHostnameMax = 63;
constexpr std::string_view kClusterDomain = "cluster.local";

std::vector<std::string> Expanded(api::ListView<std::string_view> words, const Environment& environment) {
  std::vector<std::string> out;
  auto lookup = [&environment](std::string_view name) { return environment.Find(name); };
  for (std::string_view word : words) out.push_back(ExpandVariables(word, lookup));
  return out;
}

Result<std::vector<runtime::MountSpec>> Mounts(Container container, const PodVolumes& volumes,
                                               const ContainerInputs& inputs) {
  std::vector<runtime::MountSpec> out;
  for (auto mount : container.volume_mounts()) {
    if (!mount.sub_path().empty() || !mount.sub_path_expr().empty()) {
      return BadRequest(fmt::format("volume mount \"{}\": this node does not know subPath", mount.name()));
    }
    out.push_back({.host_path = TRY(volumes.PathOf(mount.name())),
                   .container_path = std::string(mount.mount_path()),
                   .read_only = mount.read_only()});
  }
  auto add = [&out](const std::string& file, std::string_view path) {
    const bool taken = std::ranges::any_of(out, [path](const auto& mount) { return mount.container_path == path; });
    if (!file.empty() && !taken) out.push_back({.host_path = file, .container_path = std::string(path)});
  };
  add(inputs.hosts_file, "/etc/hosts");
  add(inputs.resolv_file, "/etc/resolv.conf");
  add(inputs.hostname_file, "/etc/hostname");
  return out;
}

runtime::SecuritySpec Security(Pod pod, Container container) {
  runtime::SecuritySpec out;
  auto own = container.security_context();
  auto shared = pod.spec().security_context();
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
  spec.resources = TRY(ContainerResources(container));
  spec.security = Security(pod, container);
  spec.stdin_open = container.stdin();
  spec.stdin_once = container.stdin_once();
  spec.tty = container.tty();
  spec.log_path = fmt::format("{}/{}.log", container.name(), inputs.attempt);
  int64_t memory_request = 0;
  if (auto text = container.resources().requests().Find("memory")) {
    memory_request = TRY(Quantity::Parse(*text)).Value();
  }
  spec.oom_score_adjust = OomScoreAdjust(QosOf(pod), memory_request, inputs.machine_memory);
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

bool NamesOnlyLoopback(std::string_view resolv_conf) {
  bool any = false;
  for (const std::string_view line : Lines(resolv_conf)) {
    const auto words = Fields(line);
    if (words.size() < 2 || words[0] != "nameserver") continue;
    const auto address = IpAddress::Parse(words[1]);
    if (!address.ok() || !address->IsLoopback()) return false;
    any = true;
  }
  return any;
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
  const bool in_subdomain = !pod.spec().subdomain().empty() && !pod.spec().hostname_override();
  if (!host_network && !pod_ip.empty()) {
    out += pod_ip;
    out += '\t';
    if (in_subdomain) {
      out += fmt::format("{}.{}.{}.svc.{}\t", hostname, pod.spec().subdomain(), pod.metadata().ns(), kClusterDomain);
    }
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

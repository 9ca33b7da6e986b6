#include "cri/specs.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "doc/json.h"
#include "runtime/bundle.h"

namespace knarr::cri {
namespace {

constexpr const char* kRestarts = "io.kubernetes.container.restartCount";
// containerd's own of a container whose end it does not know.
constexpr int kLostExitCode = 255;

int32_t NamespaceOf(runtime::NamespaceMode mode) {
  return mode == runtime::NamespaceMode::kNode ? kNamespaceNode : kNamespacePod;
}

int32_t PropagationOf(runtime::MountPropagation propagation) {
  switch (propagation) {
    case runtime::MountPropagation::kHostToContainer:
      return kPropagationHostToContainer;
    case runtime::MountPropagation::kBidirectional:
      return kPropagationBidirectional;
    default:
      return kPropagationPrivate;
  }
}

SecurityProfile SeccompOf(const runtime::SecuritySpec& security) {
  switch (security.seccomp) {
    case runtime::SeccompMode::kRuntimeDefault:
      return {kProfileRuntimeDefault, ""};
    case runtime::SeccompMode::kLocalhost:
      return {kProfileLocalhost, security.seccomp_file};
    default:
      return {kProfileUnconfined, ""};
  }
}

std::vector<IdMapping> MappingsOf(const runtime::IdRange& ids) {
  return {{.host_id = ids.first, .container_id = 0, .length = ids.length}};
}

std::vector<std::string> Texts(std::span<const std::string_view> list) { return {list.begin(), list.end()}; }

LinuxContainerSecurityContext SecurityOf(const runtime::SecuritySpec& spec, const NamespaceOption& namespaces) {
  LinuxContainerSecurityContext out;
  out.capabilities = {spec.add_capabilities, spec.drop_capabilities};
  out.privileged = spec.privileged;
  out.namespaces = namespaces;
  out.run_as_user = spec.run_as_user;
  out.run_as_group = spec.run_as_group;
  out.read_only_root = spec.read_only_root;
  out.supplemental_groups = spec.supplemental_groups;
  out.supplemental_groups_policy = spec.image_groups ? kGroupsMerge : kGroupsStrict;
  out.no_new_privileges = spec.no_new_privileges;
  if (!spec.unmasked_proc && !spec.privileged) {
    out.masked_paths = Texts(runtime::MaskedPaths());
    out.read_only_paths = Texts(runtime::ReadOnlyPaths());
  }
  out.seccomp = SeccompOf(spec);
  if (!spec.apparmor_profile.empty()) out.apparmor = SecurityProfile{kProfileLocalhost, spec.apparmor_profile};
  return out;
}

KeyValue Variable(const std::string& line) {
  const size_t equals = std::min(line.find('='), line.size());
  return {line.substr(0, equals), {equals < line.size() ? line.substr(equals + 1) : ""}};
}

WallTime TimeOf(int64_t nanoseconds) { return WallTime(Duration(nanoseconds)); }

/// The path of the sandbox's network namespace, from the OCI spec in the verbose answer.
std::string NetworkNamespace(const doc::Value& info) {
  const doc::Value& namespaces = info.Get("runtimeSpec", "linux", "namespaces");
  for (const doc::Value& one : namespaces.items()) {
    if (one.At("type").AsString() == "network") return std::string(one.At("path").AsString());
  }
  return "";
}

std::string Find(const StringMap& map, const char* key) {
  const auto at = map.find(key);
  return at == map.end() ? "" : at->second;
}

void SetMetadata(const PodSandboxMetadata& metadata, runtime::SandboxStatus& out) {
  out.pod_name = metadata.name;
  out.pod_namespace = metadata.ns;
  out.pod_uid = metadata.uid;
  out.attempt = metadata.attempt;
}

}  // namespace

PodSandboxConfig MakeSandboxConfig(const runtime::SandboxSpec& spec, const std::string& cluster, const Limits& limits) {
  PodSandboxConfig out;
  out.metadata = {spec.pod_name, spec.pod_uid, spec.pod_namespace, spec.attempt};
  // In the node's network it has the node's name, which runtimes refuse to set.
  if (spec.network == runtime::NamespaceMode::kPod) out.hostname = spec.hostname;
  out.log_directory = spec.log_directory;
  out.labels = spec.labels;
  out.labels[kClusterLabel] = cluster;
  out.annotations = spec.annotations;
  LinuxPodSandboxConfig& own = out.linux_config;
  own.cgroup_parent = spec.cgroup_parent;
  own.sysctls = spec.sysctls;
  own.resources = ResourcesOf(spec.pod_resources, limits);
  own.security.privileged = spec.privileged;
  own.security.seccomp = SecurityProfile{kProfileRuntimeDefault, ""};
  own.security.namespaces.network = NamespaceOf(spec.network);
  own.security.namespaces.ipc = NamespaceOf(spec.ipc);
  own.security.namespaces.pid = spec.pid_per_container ? kNamespaceContainer : NamespaceOf(spec.pid);
  if (const auto& ids = spec.user_namespace) {
    own.security.namespaces.users = UserNamespace{kNamespacePod, MappingsOf(*ids), MappingsOf(*ids)};
  }
  out.annotations[kConfigAnnotation] = Base64Encode(Encode(out));
  return out;
}

Result<PodSandboxConfig> ConfigFrom(const StringMap& annotations) {
  const auto at = annotations.find(kConfigAnnotation);
  if (at == annotations.end()) return BadRequest(std::string("it has no annotation ") + kConfigAnnotation);
  return Decode<PodSandboxConfig>(TRY(Base64Decode(at->second)));
}

CreateContainerRequest MakeContainerRequest(const std::string& sandbox_id, const PodSandboxConfig& sandbox,
                                            const runtime::ContainerSpec& spec, const std::string& cluster,
                                            const Limits& limits) {
  CreateContainerRequest out;
  out.sandbox_id = sandbox_id;
  out.sandbox_config = sandbox;
  ContainerConfig& config = out.config;
  config.metadata = {spec.name, spec.attempt};
  config.image.image = spec.image;
  config.image.user_specified_image = spec.image;
  config.command = spec.command;
  config.args = spec.args;
  config.working_directory = spec.working_directory;
  for (const std::string& line : spec.environment) config.environment.push_back(Variable(line));
  const auto& users = sandbox.linux_config.security.namespaces.users;
  for (const runtime::MountSpec& mount : spec.mounts) {
    const bool mapped = users && !mount.ids_are_mapped;
    config.mounts.push_back({.container_path = mount.container_path,
                             .host_path = mount.host_path,
                             .read_only = mount.read_only,
                             .propagation = PropagationOf(mount.propagation),
                             .uids = mapped ? users->uids : std::vector<IdMapping>(),
                             .gids = mapped ? users->gids : std::vector<IdMapping>(),
                             .recursive_read_only = mount.recursive_read_only});
  }
  for (const runtime::DeviceSpec& device : spec.devices) {
    config.devices.push_back({device.container_path, device.host_path, device.read_only ? "r" : "mrw"});
  }
  config.labels = spec.labels;
  config.labels[kClusterLabel] = cluster;
  config.annotations = spec.annotations;
  config.annotations[kRestarts] = std::to_string(spec.attempt);
  config.annotations[kImageAnnotation] = spec.image;
  if (spec.tty) config.annotations[kTtyAnnotation] = "true";
  config.log_path = spec.log_path;
  config.stdin_open = spec.stdin_open;
  config.stdin_once = spec.stdin_once;
  config.tty = spec.tty;
  config.stop_signal = SignalNumber(spec.stop_signal);
  config.linux_config.resources = ResourcesOf(spec.resources, limits);
  config.linux_config.resources.oom_score_adj = spec.oom_score_adjust;
  NamespaceOption namespaces = sandbox.linux_config.security.namespaces;
  if (!spec.pid_target.empty()) {
    namespaces.pid = kNamespaceTarget;
    namespaces.target_id = spec.pid_target;
  }
  config.linux_config.security = SecurityOf(spec.security, namespaces);
  return out;
}

LinuxContainerResources ResourcesOf(const runtime::CgroupResources& resources, const Limits& limits) {
  LinuxContainerResources out{.cpu_period = resources.cpu_quota_us > 0 ? resources.cpu_period_us : 0,
                              .cpu_quota = resources.cpu_quota_us,
                              .cpu_shares = resources.cpu_shares,
                              .memory_limit = resources.memory_limit};
  // Without swap, as the kubelet has it by default.
  if (limits.swap) out.memory_swap_limit = resources.memory_limit;
  for (const auto& [size, bytes] : resources.huge_pages) {
    out.hugepage_limits.push_back({size, static_cast<uint64_t>(bytes)});
  }
  return out;
}

runtime::SandboxStatus StatusOf(const PodSandbox& sandbox) {
  runtime::SandboxStatus out;
  out.id = sandbox.id;
  out.state = sandbox.state == kSandboxReady ? runtime::SandboxState::kReady : runtime::SandboxState::kNotReady;
  SetMetadata(sandbox.metadata, out);
  out.created = TimeOf(sandbox.created_at);
  out.annotations = sandbox.annotations;
  return out;
}

int PidIn(const StringMap& info) {
  const Result<doc::Document> parsed = doc::ParseJson(Find(info, "info"));
  return parsed.ok() ? static_cast<int>(parsed->root.At("pid").AsInt()) : 0;
}

runtime::SandboxStatus StatusOf(const PodSandboxStatusResponse& answer) {
  runtime::SandboxStatus out;
  const PodSandboxStatus status = answer.status.value_or(PodSandboxStatus());
  out.id = status.id;
  out.state = status.state == kSandboxReady ? runtime::SandboxState::kReady : runtime::SandboxState::kNotReady;
  SetMetadata(status.metadata, out);
  out.created = TimeOf(status.created_at);
  out.annotations = status.annotations;
  const Result<doc::Document> info = doc::ParseJson(Find(answer.info, "info"));
  if (out.state != runtime::SandboxState::kReady || !info.ok()) return out;
  out.infra_pid = static_cast<int>(info->root.At("pid").AsInt());
  if (status.linux_status.namespaces.options.network != kNamespaceNode) {
    out.network_namespace = NetworkNamespace(info->root);
  }
  return out;
}

runtime::ContainerState StateOf(int32_t state) {
  switch (state) {
    case kContainerCreated:
      return runtime::ContainerState::kCreated;
    case kContainerRunning:
      return runtime::ContainerState::kRunning;
    default:
      return runtime::ContainerState::kExited;
  }
}

runtime::ContainerStatus StatusOf(const ContainerStatus& status, const std::string& sandbox_id) {
  runtime::ContainerStatus out;
  out.id = status.id;
  out.sandbox_id = sandbox_id;
  out.name = status.metadata.name;
  out.attempt = status.metadata.attempt;
  out.state = StateOf(status.state);
  out.image = Find(status.annotations, kImageAnnotation);
  out.created = TimeOf(status.created_at);
  out.started = TimeOf(status.started_at);
  out.finished = TimeOf(status.finished_at);
  const bool lost = out.state == runtime::ContainerState::kExited && status.state != kContainerExited;
  out.exit_code = lost && status.exit_code == 0 ? kLostExitCode : status.exit_code;
  out.reason = status.reason;
  out.message = status.message;
  out.log_path = status.log_path;
  if (const auto& user = status.user.linux_user) out.user = {user->uid, user->gid, user->groups};
  out.annotations = status.annotations;
  return out;
}

}  // namespace knarr::cri

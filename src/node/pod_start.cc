// The part of a pod worker that brings things up: the sandbox, images, containers.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "node/admission.h"
#include "node/container_spec.h"
#include "node/dns.h"
#include "node/pod_worker.h"
#include "node/resources.h"
#include "node/sub_path.h"
#include "node/termination_message.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;
using client::EventKind;
using runtime::ContainerState;

// How long a start that failed for another reason waits: the kubelet's backOffPeriod.
constexpr Duration kStartRetry = 10s;

/// "" for a file that not every machine has.
Result<std::string> ReadIfThere(rt::FileSystem& files, const std::string& path) {
  Result<std::string> text = files.ReadFile(path);
  if (text.Failed(Reason::kNotFound)) return std::string();
  return text;
}

/// The ports of the node that the pod's containers ask for. As upstream, those of init containers lead nowhere: they
/// may be the same as the others'.
std::vector<network::PortMapping> HostPortsOf(Pod pod) {
  std::vector<network::PortMapping> out;
  for (const Container container : pod.spec().containers()) {
    for (const auto port : container.ports()) {
      if (port.host_port() <= 0) continue;
      out.push_back({.protocol = std::string(port.protocol().empty() ? "TCP" : port.protocol()),
                     .host_ip = std::string(port.host_ip()),
                     .host_port = static_cast<uint16_t>(port.host_port()),
                     .pod_port = static_cast<uint16_t>(port.container_port())});
    }
  }
  return out;
}

bool HasPrivileged(Pod pod) {
  bool out = false;
  const auto look = [&out](const auto& containers) {
    for (const auto container : containers) out |= container.security_context().privileged().value_or(false);
  };
  look(pod.spec().containers());
  look(pod.spec().init_containers());
  look(pod.spec().ephemeral_containers());
  return out;
}

}  // namespace

Ok PodWorker::EnsureSandbox() {
  const api::ObjectPtr keep = Allocated();  // `pod` reads from it, and it may be replaced at every wait
  const Pod pod(keep->tree());
  TRY(ClearOldSandboxes());
  Ok mounted = volumes_.SetUp(pod);
  if (!mounted.ok()) {
    if (failure_told_ != mounted.status().message()) {
      failure_told_ = mounted.status().message();
      const bool mapping = failure_told_.starts_with("MapVolume.MapBlockVolume");
      RecordEvent(EventKind::kWarning, mapping ? "FailedMapVolume" : "FailedMount", failure_told_);
    }
    return mounted.status();
  }
  TRY(SaveResources());
  const Result<runtime::SandboxSpec> spec = MakeSandboxSpec(pod);
  Result<runtime::SandboxStatus> made =
      spec.ok() ? environment_.containers.RunSandbox(*spec) : Result<runtime::SandboxStatus>(spec.status());
  Ok joined = made.ok() ? Ok() : Ok(made.status());
  if (made.ok()) {
    sandbox_ = std::move(*made);
    state_.sandbox_id = sandbox_->id;
    state_.pod_group = spec->pod_resources;
    state_.pod_group_in_doubt = false;
    resources_changed_ = true;
    joined = JoinSandbox();
  }
  if (joined.ok()) {
    failure_told_.clear();
    return {};
  }
  // One that gets no address is not kept.
  if (sandbox_) old_sandboxes_.push_back(sandbox_->id);
  sandbox_.reset();
  state_.sandbox_id.clear();
  if (failure_told_ != joined.status().message()) {
    failure_told_ = joined.status().message();
    RecordEvent(EventKind::kWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: " + failure_told_);
  }
  return joined;
}

/// Its address and files: of a new one, and again of one from before the agent came, which may have died in between.
Ok PodWorker::JoinSandbox() {
  if (view().spec().host_network()) {
    state_.pod_ip = environment_.node_ip;
  } else {
    const std::string id = sandbox_->id;
    state_.pod_ip = TRY(environment_.network.Attach(id, sandbox_->network_namespace)).ip;
    if (const auto ports = HostPortsOf(view()); !ports.empty()) TRY(environment_.network.MapPorts(id, ports));
  }
  TRY(WriteSandboxFiles());
  state_.sandbox_ready = true;
  return {};
}

Result<runtime::SandboxSpec> PodWorker::MakeSandboxSpec(Pod pod) {
  runtime::SandboxSpec spec{.pod_name = std::string(pod.metadata().name()),
                            .pod_namespace = std::string(pod.metadata().ns()),
                            .pod_uid = std::string(pod.metadata().uid()),
                            .attempt = sandbox_attempt_++};
  spec.hostname = TRY(HostnameIn(pod));
  spec.log_directory =
      fmt::format("{}/{}_{}_{}", environment_.log_directory, spec.pod_namespace, spec.pod_name, spec.pod_uid);
  spec.cgroup_parent = PodCgroup(environment_.cgroup_root, pod);
  if (!pod.spec().host_users().value_or(true)) {
    if (!environment_.containers.features().user_namespaces) {
      return Unavailable("can't set `spec.hostUsers: false`, runtime does not support user namespaces");
    }
    spec.user_namespace = TRY(environment_.user_ranges.Of(spec.pod_uid));
  }
  spec.pod_resources = TRY(PodGroup(pod));
  if (pod.spec().host_network()) spec.network = runtime::NamespaceMode::kNode;
  if (pod.spec().host_ipc()) spec.ipc = runtime::NamespaceMode::kNode;
  if (pod.spec().host_pid()) spec.pid_per_container = false;
  if (pod.spec().share_process_namespace().value_or(false)) {
    spec.pid_per_container = false;
    spec.pid = runtime::NamespaceMode::kPod;
  }
  for (const auto sysctl : pod.spec().security_context().sysctls()) {
    spec.sysctls[NormalSysctlName(sysctl.name())] = std::string(sysctl.value());
  }
  spec.privileged = HasPrivileged(pod);
  spec.labels = PodLabels(pod);
  for (const auto [key, value] : pod.metadata().labels()) spec.labels.emplace(std::string(key), std::string(value));
  return spec;
}

/// Before a new one is made: nothing runs in the old ones any more, and those go that hold no container whose log or
/// end may still be asked for.
Ok PodWorker::ClearOldSandboxes() {
  auto needed = [this](const std::string& id) {
    return std::ranges::any_of(state_.containers, [&id](const ContainerRecord& record) {
      return (record.current && record.current->sandbox_id == id) || (record.last && record.last->sandbox_id == id);
    });
  };
  const std::vector<std::string> old = old_sandboxes_;
  for (const std::string& id : old) {
    TRY(environment_.network.Detach(id));
    TRY(environment_.containers.StopSandbox(id));
    if (needed(id)) continue;
    TRY(environment_.containers.RemoveSandbox(id));
    std::erase(old_sandboxes_, id);
  }
  return {};
}

/// A pod in the host's network has the host's name, too.
Result<std::string> PodWorker::HostnameIn(Pod pod) {
  if (!pod.spec().host_network()) return KernelHostnameOf(pod);
  const std::string name = TRY(ReadIfThere(environment_.runtime.files(), "/proc/sys/kernel/hostname"));
  return name.empty() ? environment_.node_name : std::string(TrimSpace(name));
}

void PodWorker::TellMissingDns() {
  if (std::exchange(missing_dns_told_, true)) return;
  RecordEvent(EventKind::kWarning, "MissingClusterDNS",
              fmt::format("pod: \"{}_{}({})\". kubelet does not have ClusterDNS IP configured and cannot create Pod "
                          "using \"ClusterFirst\" policy. Falling back to \"Default\" policy.",
                          pod_->name(), pod_->ns(), pod_->uid()));
}

Ok PodWorker::WriteSandboxFiles() {
  rt::FileSystem& files = environment_.runtime.files();
  const api::ObjectPtr keep = pod_;
  const Pod pod(keep->tree());
  const std::string directory = environment_.pods_directory + "/" + std::string(pod.metadata().uid());
  TRY(files.MakeDirectories(directory));
  std::string node_hosts;
  if (pod.spec().host_network()) node_hosts = TRY(ReadIfThere(files, "/etc/hosts"));
  TRY(files.WriteFile(directory + "/hosts", HostsFile(pod, state_.pod_ip, node_hosts), 0644));
  const std::string hostname = TRY(HostnameIn(pod));
  TRY(files.WriteFile(directory + "/hostname", hostname + "\n", 0644));
  std::string resolv = TRY(ReadIfThere(files, "/etc/resolv.conf"));
  // systemd-resolved's stub listens where no pod gets; whom it asks stands in a file of its own.
  if (!pod.spec().host_network() && NamesOnlyLoopback(resolv)) {
    const std::string servers = TRY(ReadIfThere(files, "/run/systemd/resolve/resolv.conf"));
    if (!servers.empty()) resolv = servers;
  }
  const PodDns dns = DnsOf(pod, ParseResolverConfig(resolv), {});
  if (!adopted_ && dns.fell_back) TellMissingDns();
  for (const std::string& warning : dns.warnings) {
    if (!adopted_) RecordEvent(EventKind::kWarning, "DNSConfigForming", warning);
  }
  return files.WriteFile(directory + "/resolv.conf", ToText(dns.config), 0644);
}

void PodWorker::StartContainers(std::vector<std::string> names) {
  starting_ = true;
  steps_.Spawn("start", [this, names = std::move(names)] {
    for (const std::string& name : names) {
      if (state_.ending() || !sandbox_) break;
      Ok started = StartOne(name);
      if (started.Failed(Reason::kCancelled)) break;
      wake_.Set();
    }
    starting_ = false;
    RuntimeChanged();
  });
}

void PodWorker::NoteStartFailure(ContainerRecord& record, std::string_view reason, const Status& status) {
  const bool same = record.waiting_reason == reason && record.waiting_message == status.message();
  record.waiting_reason = reason;
  record.waiting_message = status.message();
  record.not_before = environment_.runtime.Wall() + kStartRetry;
  if (!same) RecordEvent(EventKind::kWarning, "Failed", "Error: " + status.message(), record.name);
}

/// What the runtime is asked to make; the reasons it can't be are noted at the container.
Result<runtime::ContainerSpec> PodWorker::PrepareContainer(Pod pod, Container container, ContainerRecord& record,
                                                           const image::Image& image) {
  const std::string directory = Directory();
  PodFacts facts{.pod_ip = state_.pod_ip,
                 .host_ip = state_.host_ip,
                 .node_name = environment_.node_name,
                 .allocatable_cpu_milli = environment_.allocatable_cpu_milli,
                 .allocatable_memory = environment_.allocatable_memory};
  ContainerInputs inputs{.image_id = image.id,
                         .attempt = record.next_attempt(),
                         .machine_memory = environment_.machine_memory,
                         .huge_pages = environment_.huge_pages,
                         .recursive_read_only = environment_.containers.features().recursive_read_only_mounts,
                         .seccomp_directory = environment_.pods_directory + "/../seccomp",
                         .termination_log = TerminationLogOf(directory, container.name(), record.next_attempt()),
                         .hosts_file = directory + "/hosts",
                         .resolv_file = directory + "/resolv.conf",
                         .hostname_file = directory + "/hostname"};
  Result<runtime::ContainerSpec> spec = [&]() -> Result<runtime::ContainerSpec> {
    inputs.environment = TRY(MakeEnvironment(environment_.client, pod, container, facts));
    TRY(CheckNonRoot(pod, container, image.config.user));
    TRY(MakeTerminationLog(environment_.runtime, inputs.termination_log));
    inputs.sub_paths = TRY(BindSubPaths(environment_.runtime, container, volumes_, inputs.environment, directory));
    runtime::ContainerSpec made = TRY(MakeContainerSpec(pod, container, volumes_, inputs));
    made.pid_target = TRY(PidTargetOf(state_, container));
    return made;
  }();
  if (!spec.ok() && !spec.Failed(Reason::kCancelled)) {
    NoteStartFailure(record, "CreateContainerConfigError", spec.status());
  }
  return spec;
}

Ok PodWorker::StartOne(const std::string& name) {
  const api::ObjectPtr keep = Allocated();  // `pod` and `container` read from it, across waits
  const Pod pod(keep->tree());
  std::optional<Container> container = FindContainer(pod, name);
  ContainerRecord* record = state_.Find(name);
  if (!container || record == nullptr || record->running()) return {};

  Result<image::Image> image =
      EnsureImage(pod, {std::string(container->image()), container->image_pull_policy(), name}, *record);
  if (!image.ok()) return image.status();
  TRY(EnsureImageVolumes(pod, *container, *record));
  if (state_.ending() || !sandbox_) return Cancelled("pod is going away");
  const std::string sandbox = sandbox_->id;  // the loop may find it gone while we wait
  Result<runtime::ContainerSpec> spec = PrepareContainer(pod, *container, *record, *image);
  if (!spec.ok()) return spec.status();
  Result<std::string> id = environment_.containers.CreateContainer(sandbox, *spec);
  if (!id.ok()) {
    if (!id.Failed(Reason::kCancelled)) NoteStartFailure(*record, "CreateContainerError", id.status());
    return id.status();
  }
  NoteActuated(pod, name);
  if (state_.ending()) return Cancelled("pod is going away");  // what was made goes with the sandbox
  RecordEvent(EventKind::kNormal, "Created", "Container created", name);
  record->image_id = image->repo_digests.empty() ? image->id : image->repo_digests.front();
  TRY(Launch(*record, *id));
  RecordEvent(EventKind::kNormal, "Started", "Container started", name);
  if (container->lifecycle().post_start()) TRY(RunPostStart(*keep, *container, *record));
  if (!record->running()) return {};
  record->startup_passed = !container->startup_probe();
  record->ready = !container->readiness_probe() && record->startup_passed && record->lasting();
  if (record->lasting()) StartProbes(*record, ProbeOrigin::kStarted);
  return {};
}

/// Starts what was created, and makes it the container of the record.
Ok PodWorker::Launch(ContainerRecord& record, const std::string& id) {
  // The one before is kept for `logs --previous` and lastState; the one before that goes, and one that never ran. One
  // that was removed is remembered in its place already.
  const std::optional<runtime::ContainerStatus> last = record.last;
  const std::optional<runtime::ContainerStatus> before = std::exchange(record.current, std::nullopt);
  const bool ran = before && before->state != ContainerState::kCreated;
  if (ran) record.last = before;
  Ok started = environment_.containers.StartContainer(id);
  Result<runtime::ContainerStatus> status = environment_.containers.GetContainer(id);
  if (!status.ok()) return status.status();
  if (status->state == ContainerState::kCreated) {
    // It could not even be tried: the one before is still the newest.
    record.current = before;
    record.last = last;
    const Ok removed = RemoveContainer(id);
    if (!removed.ok()) LOG_WARN("container not removed", {"id", id}, {"error", removed.status()});
    NoteStartFailure(record, "RunContainerError", started.status());
    return started.status();
  }
  record.current = *status;
  record.restart_anyway = false;
  record.waiting_reason.clear();
  record.waiting_message.clear();
  // The files of one that never ran are this one's: it has the same number.
  const Ok removed = !ran && before ? environment_.containers.RemoveContainer(before->id)
                     : ran && last  ? RemoveContainer(last->id)
                                    : Ok();
  if (!removed.ok()) LOG_WARN("old container not removed", {"container", record.name}, {"error", removed.status()});
  if (!started.ok()) NoteStartFailure(record, "RunContainerError", started.status());
  // It may have ended before we looked.
  if (record.exited()) NoteEnd(record);
  return started;
}

}  // namespace knarr::node

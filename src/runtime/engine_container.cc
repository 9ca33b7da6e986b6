#include <signal.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "rt/file_system.h"
#include "rt/process.h"
#include "runtime/disk_usage.h"
#include "runtime/engine_impl.h"
#include "runtime/id_maps.h"
#include "runtime/kernel.h"
#include "runtime/oci_error.h"
#include "runtime/seccomp.h"

namespace knarr::runtime {

namespace {

constexpr Duration kKillTimeout = 30s;
constexpr Duration kCgroupTimeout = 5s;
constexpr Duration kCgroupRetry = 2ms;
constexpr int kStartErrorExit = 128;
constexpr int kLostExit = 255;
constexpr size_t kMountsInsideMost = 200;  // each is a descriptor of crun's

// What became of a container, in containerd's words.
std::string ExitReason(const ContainerEntry& container) {
  if (container.state != ContainerState::kExited) return "";
  if (!container.start_error.empty()) return "StartError";
  if (container.lost) return "Unknown";
  if (container.oom) return "OOMKilled";
  return container.exit_code == 0 ? "Completed" : "Error";
}

// What shows on the other side can't, where the host's own mount shows nothing to anybody.
Ok CheckPropagation(const MountSpec& mount) {
  if (mount.propagation == MountPropagation::kPrivate) return {};
  const kernel::MountPoint point = kernel::MountOf(mount.host_path);
  if (point.shared) return {};
  if (mount.propagation == MountPropagation::kHostToContainer && point.slave) return {};
  const bool both = mount.propagation == MountPropagation::kBidirectional;
  return Internal("path " + GoQuote(mount.host_path) + " is mounted on " + GoQuote(point.path) +
                  " but it is not a shared" + (both ? " mount" : " or slave mount"));
}

Result<std::string> SeccompOf(const BundleSpec& bundle) {
  const SecuritySpec& security = bundle.container->security;
  if (security.privileged || security.seccomp == SeccompMode::kUnconfined) return std::string();
  if (security.seccomp == SeccompMode::kLocalhost) {
    return kernel::ReadFile(security.seccomp_file).Context("cannot load seccomp profile " +
                                                           GoQuote(security.seccomp_file));
  }
  return DefaultSeccomp(security.add_capabilities, security.drop_capabilities, bundle.host.capability_mask);
}

// crun takes what it maps as it is named, and without what is mounted below: links are followed here, and the mounts
// below are mounts of their own (which, as with runc, are not mapped).
Ok ResolveMounts(std::vector<MountSpec>& mounts) {
  const std::vector<kernel::MountPoint> all = kernel::Mounts();
  const size_t given = mounts.size();
  for (size_t i = 0; i < given; i++) {
    mounts[i].host_path = kernel::RealPath(mounts[i].host_path);
    const MountSpec above = mounts[i];
    const auto inside = kernel::MountsInside(all, above.host_path);
    if (inside.size() > kMountsInsideMost) {
      return BadRequest("more than " + std::to_string(kMountsInsideMost) + " mounts lie below " + above.host_path +
                        ": in a pod with a user namespace they can't be shown");
    }
    for (const std::string& path : inside) {
      MountSpec& below = mounts.emplace_back(above);
      below.host_path = path;
      below.container_path = TrimRight(above.container_path, "/");
      below.container_path += path.substr(above.host_path == "/" ? 0 : above.host_path.size());
      below.ids_are_mapped = true;
    }
  }
  return {};
}

// The container's own folder is passed through to its root by that root's owner.
Ok MountMappedRoot(int infra_pid, const IdRange& ids, const std::string& directory, const image::Image& image) {
  TRY(kernel::Chmod(directory, 0711));
  TRY(kernel::Chown(directory + "/upper", ids.first, ids.first));
  const rt::OwnedFd users = TRY(kernel::UserNamespaceOf(infra_pid));
  return kernel::MountMappedOverlay(image.layer_directories, directory + "/upper", directory + "/work",
                                    directory + "/rootfs", users, directory + kAside);
}

std::string ProgramName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Result<EngineImpl::Found> EngineImpl::FindContainer(const std::string& id) const {
  for (const auto& [sandbox_id, sandbox] : sandboxes_) {
    const auto found = sandbox->containers.find(id);
    if (found != sandbox->containers.end()) return Found{sandbox, found->second};
  }
  return NotFound("container " + GoQuote(id) + " not found");
}

bool EngineImpl::UsesImage(const std::string& image_id) const {
  for (const auto& [sandbox_id, sandbox] : sandboxes_) {
    for (const auto& [id, container] : sandbox->containers) {
      if (container->record.image == image_id) return true;
    }
  }
  return false;
}

ContainerStatus EngineImpl::StatusOf(const SandboxEntry& sandbox, const ContainerEntry& container) const {
  ContainerStatus out;
  out.id = container.record.id;
  out.sandbox_id = sandbox.record.id;
  out.name = container.record.name;
  out.attempt = container.record.attempt;
  out.state = container.state;
  out.image = container.record.image;
  out.pid = container.state == ContainerState::kRunning ? container.pid : 0;
  out.created = container.record.created;
  out.started = container.started;
  out.finished = container.finished;
  out.exit_code = container.exit_code;
  out.reason = ExitReason(container);
  out.message = container.start_error;
  out.log_path = container.record.log_path;
  out.user = container.record.user;
  out.annotations = container.record.annotations;
  return out;
}

Result<ContainerStatus> EngineImpl::GetContainer(const std::string& id) {
  const Found found = TRY(FindContainer(id));
  return StatusOf(*found.sandbox, *found.container);
}

Result<std::vector<ContainerStatus>> EngineImpl::ListContainers(const std::string& sandbox_id) {
  std::vector<ContainerStatus> out;
  for (const auto& [id, sandbox] : sandboxes_) {
    if (!sandbox_id.empty() && id != sandbox_id) continue;
    for (const auto& [container_id, container] : sandbox->containers) out.push_back(StatusOf(*sandbox, *container));
  }
  return out;
}

/// 0 when the container has processes of its own.
Result<int> EngineImpl::FindPidTarget(const SandboxEntry& sandbox, const ContainerSpec& spec) {
  if (spec.pid_target.empty() || !sandbox.record.spec.pid_per_container) return 0;
  const auto target = sandbox.containers.find(spec.pid_target);
  if (target == sandbox.containers.end()) return NotFound("container " + GoQuote(spec.pid_target) + " not found");
  if (target->second->state != ContainerState::kRunning) {
    return Conflict("container " + GoQuote(spec.pid_target) + " is not running");
  }
  return target->second->pid;
}

Result<BundleSpec> EngineImpl::MakeBundle(const SandboxEntry& sandbox, const ContainerSpec& spec,
                                          const image::Image& image) {
  const SecuritySpec& security = spec.security;
  BundleSpec out;
  out.container = &spec;
  out.image = &image.config;
  const std::string user = security.run_as_user ? std::to_string(*security.run_as_user) : image.config.user;
  out.user = TRY(images_.ResolveUser(image, user));
  if (security.run_as_group) out.user.gid = static_cast<uint32_t>(*security.run_as_group);
  if (!security.image_groups) out.user.groups.clear();
  for (const int64_t group : security.supplemental_groups) out.user.groups.push_back(static_cast<uint32_t>(group));
  // As containerd has it: the first group is one of the others, too.
  if (std::ranges::find(out.user.groups, out.user.gid) == out.user.groups.end()) {
    out.user.groups.insert(out.user.groups.begin(), out.user.gid);
  }
  const SandboxSpec& pod = sandbox.record.spec;
  out.sandbox.hostname = pod.hostname;
  out.sandbox.infra_pid = sandbox.pids.infra;
  out.sandbox.network = pod.network;
  out.sandbox.pid = pod.pid;
  out.sandbox.pid_per_container = pod.pid_per_container;
  out.sandbox.pid_target = TRY(FindPidTarget(sandbox, spec));
  out.sandbox.ipc = pod.ipc;
  out.sandbox.user_namespace = pod.user_namespace;
  out.sandbox.shm_path = pod.ipc == NamespaceMode::kPod ? sandbox.directory + "/shm" : "/dev/shm";
  out.host = host_;
  out.extra_mounts.push_back({sandbox.directory + "/hostname", "/etc/hostname", false});
  return out;
}

Result<std::string> EngineImpl::CreateContainer(const std::string& sandbox_id, const ContainerSpec& spec) {
  const SandboxPtr sandbox = TRY(FindSandbox(sandbox_id));
  const auto context = [&](const Status& status) { return status.WithContext("create container " + spec.name); };
  if (!sandbox->ready()) return context(Conflict("sandbox " + sandbox_id + " is not running"));
  const auto image = images_.Get(spec.image);
  if (!image.ok()) return context(image.status());
  auto bundle = MakeBundle(*sandbox, spec, *image);
  if (!bundle.ok()) return context(bundle.status());

  auto container = std::make_shared<ContainerEntry>(runtime_);
  container->joins_pid = bundle->sandbox.pid_target > 0;
  ContainerRecord& record = container->record;
  record.id = NewId(32);
  record.sandbox_id = sandbox_id;
  record.created = runtime_.Wall();
  record.name = spec.name;
  record.attempt = spec.attempt;
  record.image = spec.image;
  if (!spec.log_path.empty()) record.log_path = sandbox->record.spec.log_directory + "/" + spec.log_path;
  record.cgroup_path = sandbox->record.spec.cgroup_parent + "/" + record.id;
  record.stop_signal = !spec.stop_signal.empty()            ? spec.stop_signal
                       : !image->config.stop_signal.empty() ? image->config.stop_signal
                                                            : "SIGTERM";
  record.tty = spec.tty;
  record.stdin_open = spec.stdin_open;
  record.user = ContainerUser{bundle->user.uid, bundle->user.gid, {}};
  for (const uint32_t group : bundle->user.groups) record.user->groups.push_back(group);
  record.labels = spec.labels;
  record.annotations = spec.annotations;
  container->directory = sandbox->directory + "/" + record.id;
  const std::vector<std::string>& program = !spec.command.empty()               ? spec.command
                                            : !image->config.entrypoint.empty() ? image->config.entrypoint
                                            : !spec.args.empty()                ? spec.args
                                                                                : image->config.command;
  record.program = program.empty() ? "" : program[0];
  // The root of a user namespace can't pass through our folders, but begins in the container's.
  const bool own_users = sandbox->record.spec.user_namespace.has_value();
  bundle->root_path = own_users ? "rootfs" : container->directory + "/rootfs";
  bundle->cgroup_path = record.cgroup_path;

  const Ok prepared = InPool([&] { return PrepareContainer(*sandbox, *container, std::move(*bundle), *image); });
  // The sandbox may have been stopped or removed meanwhile.
  if (prepared.ok() && sandbox->ready()) {
    sandbox->containers[record.id] = container;
    return record.id;
  }
  const rt::Shield shield(runtime_);
  const Ok removed = DeleteContainer(sandbox, container);
  if (!removed.ok()) LOG_WARN("a container that failed could not be removed", {"error", removed.status()});
  return context(prepared.ok() ? Conflict("sandbox " + sandbox_id + " was stopped") : prepared.status());
}

Ok EngineImpl::PrepareContainer(const SandboxEntry& sandbox, const ContainerEntry& container, BundleSpec bundle,
                                const image::Image& image) {
  const std::string& directory = container.directory;
  TRY(kernel::MakeDirectories(directory, 0700));
  TRY(kernel::ReplaceFile(directory + "/container.json", ToJson(container.record)));
  for (const char* name : {"/upper", "/work", "/rootfs"}) TRY(kernel::MakeDirectories(directory + name));
  if (const std::string& log = container.record.log_path; !log.empty()) {
    TRY(kernel::MakeDirectories(log.substr(0, log.rfind('/'))));
  }
  ContainerSpec spec = *bundle.container;
  for (const MountSpec& mount : spec.mounts) {
    // As containerd does for a hostPath that says nothing of its type.
    if (!kernel::Exists(mount.host_path)) TRY(kernel::MakeDirectories(mount.host_path));
    TRY(CheckPropagation(mount));
  }
  if (sandbox.record.spec.user_namespace) TRY(ResolveMounts(spec.mounts));
  bundle.container = &spec;
  bundle.seccomp = TRY(SeccompOf(bundle));
  if (spec.security.privileged) bundle.devices = kernel::HostDevices();
  for (const DeviceSpec& wanted : spec.devices) {
    kernel::Device device = TRY(kernel::FindDevice(wanted.host_path));
    device.path = wanted.container_path;
    device.access = wanted.read_only ? "r" : "rwm";
    bundle.devices.push_back(std::move(device));
  }
  const std::string config = TRY(MakeConfig(bundle));
  TRY(kernel::ReplaceFile(directory + "/config.json", config));
  if (const auto& ids = sandbox.record.spec.user_namespace) {
    return MountMappedRoot(sandbox.pids.infra, *ids, directory, image);
  }
  return kernel::MountOverlay(image.layer_directories, directory + "/upper", directory + "/work",
                              directory + "/rootfs");
}

Ok EngineImpl::StartContainer(const std::string& id) {
  const Found found = TRY(FindContainer(id));
  ContainerEntry& container = *found.container;
  if (container.state != ContainerState::kCreated || container.starting) {
    return Conflict("container " + id + " was started already");
  }
  const auto client = found.sandbox->client;
  if (client == nullptr) return Unavailable("start container " + id + ": its sandbox is not running");
  const ContainerRecord& record = container.record;
  std::string flags;
  if (record.tty) flags += 't';
  if (record.stdin_open) flags += 'i';
  if (found.sandbox->record.spec.pid_per_container && !container.joins_pid) flags += 'p';
  container.starting = true;
  const auto reply = client->Call({"start", id, flags + "-", record.log_path, cgroups_.OomFile(record.cgroup_path),
                                   cgroups_.ProcessesFile(record.cgroup_path)});
  container.starting = false;
  if (!reply.ok() && reply.status().Is(Reason::kInternalError)) {
    const std::string message = StartErrorMessage(ProgramName(options_.oci_runtime),
                                                  TranslateOciError(reply.status().message(), record.program));
    FailStart(container, message);
    return Internal(message);
  }
  if (!reply.ok()) return reply.status().WithContext("start container " + id);
  if (reply->fields.size() != 2) return Internal("start container " + id + ": the shim gave no process");
  container.pid = TRY(ParseInt<int>(reply->fields[0]));
  container.started = WallTime(Duration(TRY(ParseInt64(reply->fields[1]))));
  // Its end may have been told before this fiber ran again.
  if (container.state == ContainerState::kCreated) container.state = ContainerState::kRunning;
  Emit(EventType::kContainerStarted, *found.sandbox, id);
  return {};
}

void EngineImpl::FailStart(ContainerEntry& container, const std::string& message) {
  container.state = ContainerState::kExited;
  container.exit_code = kStartErrorExit;
  container.finished = runtime_.Wall();
  container.start_error = message;
  const std::string text = std::to_string(container.finished.time_since_epoch().count()) + "\n" + message;
  const Ok written = InPool([&] { return kernel::ReplaceFile(container.directory + "/start_error", text); });
  if (!written.ok()) LOG_WARN("a start error was not recorded", {"error", written.status()});
  container.changed.NotifyAll();
}

// The signal, to the container's first process; without a shim, SIGKILL goes to its control group.
Ok EngineImpl::Kill(const Found& found, int signal) {
  const ContainerEntry& container = *found.container;
  if (const auto client = found.sandbox->client; client != nullptr) {
    const auto reply = client->Call({"kill", container.record.id, std::to_string(signal)});
    if (reply.ok()) return {};
    if (!reply.status().Is(Reason::kServiceUnavailable)) return reply.status();
  }
  runtime_.Blocking([&] {
    if (signal == SIGKILL) {
      cgroups_.KillAll(container.record.cgroup_path);
    } else if (kernel::Alive(container.pid, container.pid_start)) {
      kill(container.pid, signal);
    }
  });
  return {};
}

Ok EngineImpl::KillAndWait(const Found& found) {
  const ContainerPtr container = found.container;
  TRY(Kill(found, SIGKILL));
  const auto ended = [&] { return container->state != ContainerState::kRunning; };
  if (found.sandbox->client != nullptr) {
    return container->changed.WaitUntil(ended, runtime_.Mono() + kKillTimeout)
        .Context("wait for container " + container->record.id + " after SIGKILL");
  }
  const MonoTime until = runtime_.Mono() + kKillTimeout;
  for (bool empty = false; !ended();) {
    runtime_.Blocking([&] { empty = cgroups_.Empty(container->record.cgroup_path); });
    if (empty) break;
    if (runtime_.Mono() > until) return Timeout("container " + container->record.id + " does not die of SIGKILL");
    TRY(runtime_.Sleep(kCgroupRetry));
  }
  if (ended()) return {};
  container->state = ContainerState::kExited;
  container->exit_code = kLostExit;
  container->lost = true;
  container->finished = runtime_.Wall();
  container->changed.NotifyAll();
  Emit(EventType::kContainerExited, *found.sandbox, container->record.id);
  return {};
}

Ok EngineImpl::StopContainer(const std::string& id, Duration grace) {
  const auto maybe = FindContainer(id);
  if (!maybe.ok()) return {};
  const Found found = *maybe;
  const ContainerPtr container = found.container;
  if (container->state != ContainerState::kRunning) return {};
  if (grace > Duration::zero()) {
    const auto signal = SignalNumber(container->record.stop_signal);
    if (!signal.ok()) LOG_WARN("SIGTERM instead", {"container", id}, {"error", signal.status()});
    TRY(Kill(found, signal.ok() ? *signal : SIGTERM));
    const Ok ended = container->changed.WaitUntil([&] { return container->state != ContainerState::kRunning; },
                                                  runtime_.Mono() + grace);
    if (container->state != ContainerState::kRunning) return {};
    // A scope that ended is the caller's; the grace period's end is ours.
    if (!ended.ok()) TRY(runtime_.CheckCancelled());
  }
  return KillAndWait(found);
}

Ok EngineImpl::RemoveContainer(const std::string& id) {
  const auto found = FindContainer(id);
  if (!found.ok()) return {};
  const Found keep = *found;
  if (keep.container->state == ContainerState::kRunning) TRY(KillAndWait(keep));
  return DeleteContainer(keep.sandbox, keep.container).Context("remove container " + id);
}

Ok EngineImpl::DeleteContainer(const SandboxPtr& sandbox, const ContainerPtr& container) {
  const std::string& id = container->record.id;
  if (const auto client = sandbox->client; client != nullptr) {
    const auto reply = client->Call({"forget", id});
    if (!reply.ok() && !reply.status().Is(Reason::kServiceUnavailable)) return reply.status();
  }
  TRY(DeleteOciState(id));
  TRY(RemoveCgroup(container->record.cgroup_path));
  const Ok unmounted = InPool([&]() -> Ok {
    TRY(kernel::Unmount(container->directory + "/rootfs"));
    // There still, if an engine was killed just after it had made the root of it.
    return kernel::Unmount(container->directory + kAside);
  });
  TRY(unmounted);
  TRY(runtime_.files().RemoveAll(container->directory));
  sandbox->containers.erase(id);
  return {};
}

Ok EngineImpl::DeleteOciState(const std::string& id) {
  const std::string directory = OciDirectory(options_) + "/" + id;
  bool there = false;
  runtime_.Blocking([&] { there = kernel::Exists(directory); });
  if (!there) return {};
  rt::ProcessSpec process;
  process.argv = {options_.oci_runtime, "--root", OciDirectory(options_), "delete", "--force", id};
  const rt::Output output = TRY(runtime_.processes().Run(process).Context("run " + options_.oci_runtime));
  if (!output.status.ok()) {
    // Half-written state of a runtime that was killed: there is nothing in it that we need.
    LOG_WARN("the OCI runtime could not delete a container", {"container", id}, {"error", TrimSpace(output.err)});
  }
  return runtime_.files().RemoveAll(directory);
}

// A group stays busy for a moment after its last process was killed.
Ok EngineImpl::RemoveCgroup(const std::string& path) {
  const MonoTime until = runtime_.Mono() + kCgroupTimeout;
  for (;;) {
    const Ok removed = InPool([&] { return cgroups_.Remove(path); });
    if (removed.ok() || runtime_.Mono() > until) return removed;
    runtime_.Blocking([&] {
      if (!cgroups_.Empty(path)) cgroups_.KillAll(path);
    });
    TRY(runtime_.Sleep(kCgroupRetry));
  }
}

Ok EngineImpl::UpdateContainer(const std::string& id, const CgroupResources& resources) {
  const Found found = TRY(FindContainer(id));
  if (found.container->state != ContainerState::kRunning) return Conflict("container " + id + " is not running");
  const std::string path = found.container->record.cgroup_path;
  return InPool([&] { return cgroups_.SetLimits(path, resources, CgroupWrite::kUpdate); })
      .Context("update container " + id);
}

Ok EngineImpl::ReopenLog(const std::string& id) {
  const Found found = TRY(FindContainer(id));
  const auto client = found.sandbox->client;
  if (found.container->state != ContainerState::kRunning || client == nullptr) {
    return Conflict("container " + id + " is not running");
  }
  TRY(client->Call({"reopen", id}).Context("reopen the log of container " + id));
  return {};
}

Result<DiskUse> EngineImpl::Written(const std::string& id) {
  const Found found = TRY(FindContainer(id));
  DiskUse out;
  runtime_.Blocking([&] { out = DiskUsage(found.container->directory + "/upper"); });
  return out;
}

Result<CgroupUsage> EngineImpl::Usage(const std::string& id) {
  const Found found = TRY(FindContainer(id));
  const std::string path = found.container->record.cgroup_path;
  Result<CgroupUsage> out = CgroupUsage{};
  runtime_.Blocking([&] { out = cgroups_.Usage(path); });
  return std::move(out).Context("usage of container " + id);
}

}  // namespace knarr::runtime

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "base/strings.h"
#include "rt/file_system.h"
#include "rt/process.h"
#include "runtime/engine_impl.h"
#include "runtime/kernel.h"

namespace knarr::runtime {

namespace {

constexpr Duration kShimStartTimeout = 10s;
constexpr Duration kShimStopTimeout = 10s;
constexpr size_t kReportMax = 512;
constexpr int kProtectedScore = -998;  // what the kubelet gives a pod's infra process
constexpr int kReadyFd = 3;
constexpr size_t kSysctlMax = 1000;  // what the shim takes of a line

// A group of its own somewhere below the root: what is removed with the sandbox must not be anybody else's.
bool IsPodCgroup(std::string_view path) {
  if (path.size() < 2 || path.front() != '/' || path.back() == '/') return false;
  for (const std::string_view part : Split(path.substr(1), '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

// net.ipv4.conf.eth0/1.x → net/ipv4/conf/eth0.1/x
std::string SysctlFile(std::string_view name) {
  std::string out(name);
  for (char& letter : out) letter = letter == '.' ? '/' : letter == '/' ? '.' : letter;
  return out;
}

std::string NamespaceLetters(const SandboxSpec& spec) {
  std::string out;
  if (spec.network == NamespaceMode::kPod) out += "nu";
  if (spec.ipc == NamespaceMode::kPod) out += "i";
  if (!spec.pid_per_container && spec.pid == NamespaceMode::kPod) out += "p";
  return out.empty() ? "-" : out;
}

}  // namespace

Result<SandboxPtr> EngineImpl::FindSandbox(const std::string& id) const {
  const auto found = sandboxes_.find(id);
  if (found == sandboxes_.end() || !found->second->made) return NotFound("sandbox " + GoQuote(id) + " not found");
  return found->second;
}

SandboxStatus EngineImpl::StatusOf(const SandboxEntry& sandbox) const {
  const SandboxSpec& spec = sandbox.record.spec;
  SandboxStatus out;
  out.id = sandbox.record.id;
  out.state = sandbox.ready() ? SandboxState::kReady : SandboxState::kNotReady;
  out.pod_name = spec.pod_name;
  out.pod_namespace = spec.pod_namespace;
  out.pod_uid = spec.pod_uid;
  out.attempt = spec.attempt;
  out.created = sandbox.record.created;
  out.annotations = spec.annotations;
  if (!sandbox.ready()) return out;
  out.infra_pid = sandbox.pids.infra;
  if (spec.network == NamespaceMode::kPod) {
    out.network_namespace = "/proc/" + std::to_string(sandbox.pids.infra) + "/ns/net";
  }
  return out;
}

Result<SandboxStatus> EngineImpl::RunSandbox(const SandboxSpec& spec) {
  if (!IsPodCgroup(spec.cgroup_parent)) {
    return BadRequest("sandbox of pod " + spec.pod_name + ": bad cgroup_parent " + GoQuote(spec.cgroup_parent));
  }
  if (spec.user_namespace && !features_.user_namespaces) {
    return Unavailable("sandbox of pod " + spec.pod_name + ": user namespaces are not supported here");
  }
  auto sandbox = std::make_shared<SandboxEntry>();
  sandbox->record = {NewId(32), boot_id_, runtime_.Wall(), spec};
  sandbox->directory = SandboxesDirectory(options_) + "/" + sandbox->record.id;
  // Seen by the removal of a former sandbox of the same pod: it leaves the group alone.
  sandboxes_[sandbox->record.id] = sandbox;
  Ok done = groups_changed_.WaitUntil([&] { return !removing_groups_.contains(spec.cgroup_parent); });
  if (done.ok()) done = InPool([&] { return PrepareSandbox(*sandbox, spec.pod_resources); });
  if (done.ok()) done = StartShim(*sandbox);
  if (done.ok()) done = Connect(sandbox);
  if (done.ok()) {
    sandbox->made = true;
    return StatusOf(*sandbox);
  }
  const Status failed = done.status().WithContext("run the sandbox of pod " + spec.pod_namespace + "/" + spec.pod_name);
  const rt::Shield shield(runtime_);
  if (const Ok removed = DeleteSandbox(sandbox); !removed.ok()) {
    LOG_WARN("a sandbox that failed could not be removed", {"sandbox", sandbox->record.id},
             {"error", removed.status()});
  }
  return failed;
}

Ok EngineImpl::PrepareSandbox(SandboxEntry& sandbox, const CgroupResources& resources) {
  const SandboxSpec& spec = sandbox.record.spec;
  TRY(kernel::MakeDirectories(sandbox.directory, 0700));
  TRY(kernel::ReplaceFile(sandbox.directory + "/sandbox.json", ToJson(sandbox.record)));
  TRY(kernel::MakeDirectories(sandbox.directory + "/root", 0700));
  const auto& ids = spec.user_namespace;
  // The infra process enters it as somebody whom nothing here belongs to.
  if (ids) TRY(kernel::Chmod(sandbox.directory + "/root", 0711));
  TRY(kernel::ReplaceFile(sandbox.directory + "/hostname", spec.hostname + "\n", 0644));
  if (!spec.sysctls.empty()) {
    std::string lines;
    for (const auto& [name, value] : spec.sysctls) {
      const std::string line = SysctlFile(name) + "=" + value;
      if (line.size() > kSysctlMax || line.find_first_of(std::string_view("\n\0", 2)) != std::string::npos) {
        return BadRequest("sysctl " + GoQuote(name) + " can't have such a value");
      }
      lines += line + "\n";
    }
    TRY(kernel::ReplaceFile(sandbox.directory + "/sysctls", lines));
  }
  if (!spec.log_directory.empty()) TRY(kernel::MakeDirectories(spec.log_directory));
  TRY(cgroups_.Create(spec.cgroup_parent));
  TRY(cgroups_.SetLimits(spec.cgroup_parent, resources, CgroupWrite::kFresh));
  if (spec.ipc == NamespaceMode::kPod) {
    TRY(kernel::MakeDirectories(sandbox.directory + "/shm", 0700));
    std::string options = "mode=1777,size=65536k";
    if (ids) options += ",uid=" + std::to_string(ids->first) + ",gid=" + std::to_string(ids->first);
    TRY(kernel::Mount("shm", sandbox.directory + "/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options));
  }
  return {};
}

Ok EngineImpl::StartShim(SandboxEntry& sandbox) {
  auto [ready, theirs] = TRY(MakePipe(PipeSide::kRead));
  const std::string log_path = sandbox.directory + "/shim.log";
  const OwnedFd log(open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log.ok()) return FromErrno(errno, "create " + log_path);
  rt::ProcessSpec process;
  process.argv = {options_.shim_path,          sandbox.directory,        options_.oci_runtime,
                  OciDirectory(options_),      std::to_string(kReadyFd), NamespaceLetters(sandbox.record.spec),
                  sandbox.record.spec.hostname};
  if (const auto& ids = sandbox.record.spec.user_namespace) {
    process.argv.push_back(std::to_string(ids->first));
    process.argv.push_back(std::to_string(ids->length));
  }
  process.inherit_environment = false;
  process.stderr_fd = log.get();
  process.pass_fds = {{theirs.get(), kReadyFd}};
  process.new_session = true;
  const auto started = TRY(runtime_.processes().Start(process).Context("start " + options_.shim_path));
  theirs.Reset();
  const auto text = ReadReport(ready);
  if (!text.ok() || !text->starts_with("ok ")) {
    (void)started->Kill(SIGKILL);  // ended already, as a rule; the infra process ends with it
    // What it may still write must not be in the way of removing its folder.
    const rt::Shield shield(runtime_);
    const rt::CancelScope scope(runtime_, kShimStopTimeout);
    (void)started->Wait();
    if (!text.ok()) return text.status().WithContext("the shim");
    return Internal("the shim: " + (text->empty() ? "ended before it was ready" : std::string(TrimSpace(*text))));
  }
  return InPool([&]() -> Ok {
    const std::string pids = TRY(kernel::ReadFile(sandbox.directory + "/shim.pid"));
    sandbox.pids = TRY(ParseShimPids(pids));
    for (const int pid : {sandbox.pids.shim, sandbox.pids.infra}) {
      if (!may_protect_) break;
      const Ok set =
          kernel::WriteFile("/proc/" + std::to_string(pid) + "/oom_score_adj", std::to_string(kProtectedScore));
      if (!set.ok()) LOG_WARN("a shim is not protected from the OOM killer", {"pid", pid}, {"error", set.status()});
    }
    return {};
  });
}

// What the shim writes once it is ready or has failed: one line.
Result<std::string> EngineImpl::ReadReport(const OwnedFd& fd) {
  const rt::CancelScope scope(runtime_, kShimStartTimeout);
  std::string out;
  Ok waited;
  while (waited.ok() && out.size() < kReportMax && !out.ends_with('\n')) {
    char data[128];
    const ssize_t got = read(fd.get(), data, sizeof(data));
    if (got == 0) break;
    if (got > 0) out.append(data, static_cast<size_t>(got));
    if (got < 0 && errno != EAGAIN && errno != EINTR) waited = FromErrno(errno, "read its report");
    if (got < 0 && errno == EAGAIN) waited = runtime_.WaitFd(fd.get(), rt::FdEvent::kReadable);
  }
  runtime_.ForgetFd(fd.get());
  if (!waited.ok()) return waited.status();
  return out;
}

Ok EngineImpl::StopSandbox(const std::string& id) {
  const auto found = FindSandbox(id);
  if (!found.ok()) return {};
  const SandboxPtr sandbox = *found;
  return KillSandbox(sandbox).Context("stop sandbox " + id);
}

// Ends the shim and all it is the parent of; and, should the shim be gone, what is left in the control groups.
Ok EngineImpl::KillSandbox(const SandboxPtr& sandbox) {
  if (sandbox->stopped) return {};
  sandbox->stopping = true;
  if (const auto client = sandbox->client; client != nullptr) {
    const rt::CancelScope scope(runtime_, kShimStopTimeout);
    const auto stopped = client->Call({"stop"});
    // A shim that ended before its answer came has stopped, too.
    if (!stopped.ok() && !stopped.Failed(Reason::kServiceUnavailable)) {
      LOG_WARN("a shim did not stop and is killed", {"sandbox", sandbox->record.id}, {"error", stopped.status()});
    }
  }
  std::vector<std::string> groups;
  for (const auto& [id, container] : sandbox->containers) groups.push_back(container->record.cgroup_path);
  const Ok killed = InPool([&]() -> Ok {
    kernel::Kill(sandbox->pids.shim, sandbox->pids.shim_start);
    kernel::Kill(sandbox->pids.infra, sandbox->pids.infra_start);
    for (const std::string& path : groups) {
      if (!cgroups_.Empty(path)) cgroups_.KillAll(path);
    }
    // Without the file (a full disk) a later engine finds no shim, which comes to the same.
    const Ok noted = kernel::ReplaceFile(sandbox->directory + "/stopped", "");
    if (!noted.ok()) LOG_DEBUG("a stopped sandbox is not marked", {"error", noted.status()});
    return kernel::Unmount(sandbox->directory + "/shm");
  });
  TRY(killed);
  sandbox->stopped = true;
  sandbox->infra_alive = false;
  // The end of the connection may be noticed only now, and finds no client then.
  sandbox->client = nullptr;
  sandbox->EndExecs();
  CloseContainers(*sandbox);
  return {};
}

// Without a shim nothing runs any more: what no exit was told of, its file says, or nobody knows.
void EngineImpl::CloseContainers(SandboxEntry& sandbox) {
  const auto containers = sandbox.containers;
  for (const auto& [id, container] : containers) {
    if (container->state != ContainerState::kRunning) continue;
    Result<std::string> text = NotFound("");
    runtime_.Blocking([&] { text = kernel::ReadFile(container->directory + "/exit"); });
    const auto exit = text.ok() ? ParseExitRecord(*text) : Result<ExitRecord>(text.status());
    container->state = ContainerState::kExited;
    container->lost = !exit.ok();
    container->exit_code = exit.ok() ? exit->code : 255;
    container->finished = exit.ok() ? exit->when : runtime_.Wall();
    container->oom = exit.ok() && exit->oom;
    container->changed.NotifyAll();
    Emit(EventType::kContainerExited, sandbox, id);
  }
}

Ok EngineImpl::RemoveSandbox(const std::string& id) {
  const auto found = FindSandbox(id);
  if (!found.ok()) return {};
  const SandboxPtr sandbox = *found;
  return DeleteSandbox(sandbox).Context("remove sandbox " + id);
}

Ok EngineImpl::DeleteSandbox(const SandboxPtr& sandbox) {
  TRY(KillSandbox(sandbox));
  const auto containers = sandbox->containers;
  for (const auto& [id, container] : containers) TRY(DeleteContainer(sandbox, container));
  TRY(RemovePodCgroup(sandbox));
  TRY(runtime_.files().RemoveAll(sandbox->directory));
  sandboxes_.erase(sandbox->record.id);
  return {};
}

// The pod's group, unless another sandbox of the pod has it too.
Ok EngineImpl::RemovePodCgroup(const SandboxPtr& sandbox) {
  const std::string& group = sandbox->record.spec.cgroup_parent;
  for (const auto& [id, other] : sandboxes_) {
    if (other != sandbox && other->record.spec.cgroup_parent == group) return {};
  }
  removing_groups_.insert(group);
  const Ok removed = RemoveCgroup(group);
  removing_groups_.erase(group);
  groups_changed_.NotifyAll();
  return removed;
}

Ok EngineImpl::UpdateSandbox(const std::string& id, const CgroupResources& resources) {
  const SandboxPtr sandbox = TRY(FindSandbox(id));
  if (!sandbox->ready()) return Conflict("sandbox " + id + " is not running");
  const std::string group = sandbox->record.spec.cgroup_parent;
  return InPool([&] { return cgroups_.SetLimits(group, resources, CgroupWrite::kUpdate); })
      .Context("update sandbox " + id);
}

Result<CgroupUsage> EngineImpl::SandboxUsage(const std::string& id) {
  const SandboxPtr sandbox = TRY(FindSandbox(id));
  const std::string group = sandbox->record.spec.cgroup_parent;
  Result<CgroupUsage> out = CgroupUsage{};
  runtime_.Blocking([&] { out = cgroups_.Usage(group); });
  return std::move(out).Context("usage of sandbox " + id);
}

Result<std::vector<SandboxStatus>> EngineImpl::ListSandboxes() {
  std::vector<SandboxStatus> out;
  for (const auto& [id, sandbox] : sandboxes_) {
    if (sandbox->made) out.push_back(StatusOf(*sandbox));
  }
  return out;
}

}  // namespace knarr::runtime

#include <signal.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "rt/file_system.h"
#include "rt/process.h"
#include "runtime/engine_impl.h"
#include "runtime/id_maps.h"
#include "runtime/kernel.h"

namespace knarr::runtime {

namespace {

constexpr size_t kEventsMax = 4096;
constexpr int kSysResource = 24;  // CAP_SYS_RESOURCE
constexpr int kLostExit = 255;
constexpr Duration kStartLook = 5ms;
constexpr Duration kStartMost = 30s;

// The program itself, so that no start searches for it.
std::string FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (const char* folder : {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    const std::string path = std::string(folder) + "/" + name;
    if (kernel::Exists(path)) return path;
  }
  return name;
}

// "knarr 0.9, crun 1.8.1". Those before take mappings the other way round, or not at all.
bool MapsMounts(std::string_view version) {
  const auto crun = Cut(version, ", crun ");
  std::vector<int> numbers;
  for (const std::string_view part : Split(crun ? crun->second : "", '.')) {
    numbers.push_back(ParseInt<int>(part).value_or(0));
  }
  return numbers >= std::vector<int>{1, 8, 1};
}

}  // namespace

std::string SandboxesDirectory(const EngineOptions& options) { return options.state_directory + "/sandboxes"; }
std::string OciDirectory(const EngineOptions& options) { return options.state_directory + "/oci"; }
std::string CgroupMountsFile(const EngineOptions& options) { return options.state_directory + "/cgroup-mounts"; }

void ExecState::Finish(int exit_code, bool is_lost) {
  if (exited.is_set()) return;
  code = exit_code;
  lost = is_lost;
  if (on_exit) on_exit();
  exited.Set();
}

void SandboxEntry::EndExecs() {
  const auto ended = std::exchange(execs, {});
  for (const auto& [id, exec] : ended) exec->Finish(kLostExit, true);
}

Result<std::unique_ptr<Engine>> Engine::Open(rt::Runtime& runtime, image::Store& images, EngineOptions options) {
  Result<Cgroups> cgroups = Unavailable("");
  runtime.Blocking([&] { cgroups = Cgroups::Detect(); });
  Cgroups found = TRY(std::move(cgroups));
  auto engine = std::make_unique<EngineImpl>(runtime, images, std::move(options), std::move(found));
  TRY(engine->Start().Context("open the container engine"));
  return Result<std::unique_ptr<Engine>>(std::move(engine));
}

EngineImpl::EngineImpl(rt::Runtime& runtime, image::Store& images, EngineOptions options, Cgroups cgroups)
    : runtime_(runtime),
      images_(images),
      options_(std::move(options)),
      cgroups_(std::move(cgroups)),
      groups_changed_(runtime),
      events_(runtime, kEventsMax),
      group_(runtime, "engine") {}

EngineImpl::~EngineImpl() {
  closing_ = true;
  events_.Close();
  group_.StopAndJoin();
}

Ok EngineImpl::InPool(const std::function<Ok()>& work) {
  Ok out;
  runtime_.Blocking([&] { out = work(); });
  return out;
}

std::string EngineImpl::NewId(size_t bytes) {
  std::string random(bytes, '\0');
  runtime_.RandomBytes(random.data(), random.size());
  return HexEncode(random);
}

Ok EngineImpl::Start() {
  if (options_.state_directory.empty() || options_.state_directory[0] != '/') {
    return BadRequest("state directory " + GoQuote(options_.state_directory) + " is no absolute path");
  }
  if (options_.shim_path.empty()) {
    const std::string self = TRY(runtime_.files().ReadLink("/proc/self/exe"));
    options_.shim_path = self.substr(0, self.rfind('/')) + "/knarr-shim";
  }
  TRY(InPool([this] { return PrepareMachine(); }));
  TRY(ReadVersion());
  TRY(LookForUserNamespaces());
  std::vector<std::string> names, mounts;
  runtime_.Blocking([&] {
    names = kernel::List(SandboxesDirectory(options_));
    for (const kernel::MountPoint& mount : kernel::Mounts()) mounts.push_back(mount.path);
  });
  std::ranges::sort(mounts);
  for (const std::string& name : names) RecoverSandbox(SandboxesDirectory(options_) + "/" + name, mounts);
  // Once it is known whose groups the others use.
  const auto sandboxes = sandboxes_;
  for (const auto& [id, sandbox] : sandboxes) {
    if (!sandbox->made) RemoveHalfMade(sandbox);
  }
  LOG_INFO("container engine open", {"runtime", version_}, {"cgroups", cgroups_.Description()},
           {"sandboxes", sandboxes_.size()});
  return {};
}

Ok EngineImpl::PrepareMachine() {
  options_.oci_runtime = FindProgram(options_.oci_runtime);
  if (!kernel::Exists(options_.shim_path)) return Unavailable("the shim is missing: " + options_.shim_path);
  TRY(kernel::MakeDirectories(options_.state_directory, 0700));
  // As the kernel lists what is mounted in it.
  options_.state_directory = kernel::RealPath(options_.state_directory);
  TRY(kernel::MakeDirectories(SandboxesDirectory(options_), 0700));
  TRY(kernel::MakeDirectories(OciDirectory(options_), 0700));
  TRY(MountLeftOverControllers());
  boot_id_ = kernel::BootId();
  host_.cgroup_v2 = cgroups_.v2();
  host_.swap_limit = cgroups_.has_swap_limit();
  host_.capability_mask = kernel::CapabilityMask();
  may_protect_ = (host_.capability_mask >> kSysResource & 1) != 0;
  if (!may_protect_) {
    host_.oom_score_min = kernel::OomScoreAdjust();
    LOG_WARN(
        "CAP_SYS_RESOURCE is missing: no process gets an oom_score_adj below ours, so pods of high priority are "
        "not protected from the OOM killer",
        {"ours", host_.oom_score_min});
  }
  return {};
}

// crun refuses hybrid control groups while a controller is still on the v2 side; as a v1 hierarchy it does no harm.
Ok EngineImpl::MountLeftOverControllers() {
  const auto left_over = cgroups_.LeftOver();
  if (left_over.empty()) return {};
  const auto made = TRY(cgroups_.MountLeftOver());
  LOG_INFO("hybrid control groups: mounted the controllers left on the v2 side as v1, as crun needs it",
           {"controllers", Join(left_over, " ")}, {"mounts", Join(made, " ")});
  if (!made.empty()) {
    const std::string before = kernel::ReadFile(CgroupMountsFile(options_)).value_or("");
    TRY(kernel::ReplaceFile(CgroupMountsFile(options_), before + Join(made, "\n") + "\n"));
  }
  cgroups_ = TRY(Cgroups::Detect());
  return {};
}

Ok EngineImpl::ReadVersion() {
  rt::ProcessSpec process;
  process.argv = {options_.oci_runtime, "--version"};
  const auto output = runtime_.processes().Run(process);
  if (!output.ok() || !output->status.ok()) {
    return Unavailable("the OCI runtime " + GoQuote(options_.oci_runtime) +
                       " can't be run: " + (output.ok() ? output->err : output.status().message()));
  }
  // "crun version 1.8.1"
  const std::string line = ReplaceAll(output->out.substr(0, output->out.find('\n')), " version ", " ");
  version_ = std::string("knarr ") + KNARR_VERSION + ", " + line;
  return {};
}

// Roots are named relative to where crun begins, since their owners can't pass through our folders, which other
// programs do not take.
Ok EngineImpl::LookForUserNamespaces() {
  if (!MapsMounts(version_)) {
    LOG_INFO("no pod can have a user namespace of its own: it takes crun 1.8.1 or later", {"runtime", version_});
    return {};
  }
  const std::string folder = options_.state_directory + "/user-namespaces";
  const Ok tried = InPool([&] { return kernel::TryUserNamespaces(folder); });
  TRY(runtime_.files().RemoveAll(folder));
  if (!tried.ok()) LOG_INFO("no pod can have a user namespace of its own here", {"why", tried.status()});
  features_.user_namespaces = tried.ok();
  return {};
}

void EngineImpl::RecoverSandbox(const std::string& directory, const std::vector<std::string>& mounts) {
  auto sandbox = std::make_shared<SandboxEntry>();
  sandbox->directory = directory;
  Result<SandboxRecord> record = NotFound("");
  Result<ShimPids> pids = NotFound("");
  runtime_.Blocking([&] {
    const auto text = kernel::ReadFile(directory + "/sandbox.json");
    record = text.ok() ? ParseSandboxRecord(*text) : Result<SandboxRecord>(text.status());
    const auto numbers = kernel::ReadFile(directory + "/shim.pid");
    pids = numbers.ok() ? ParseShimPids(*numbers) : Result<ShimPids>(numbers.status());
    sandbox->stopped = kernel::Exists(directory + "/stopped");
  });
  const bool same_boot = record.ok() && record->boot_id == boot_id_;
  if (record.ok()) sandbox->record = *record;
  if (pids.ok() && same_boot) sandbox->pids = *pids;
  const std::string id = directory.substr(directory.rfind('/') + 1);
  sandboxes_[id] = sandbox;
  if (!record.ok() || !pids.ok() || sandbox->record.id != id) return;
  sandbox->made = true;
  RecoverContainers(sandbox, mounts);
  if (!same_boot) sandbox->stopped = true;
  if (!sandbox->stopped) {
    const Ok connected = Connect(sandbox);
    if (!connected.ok()) LOG_WARN("a sandbox has lost its shim", {"sandbox", id}, {"error", connected.status()});
  }
  for (const auto& [container_id, container] : sandbox->containers) {
    if (sandbox->client == nullptr) RecoverFromFiles(*container, same_boot);
  }
}

// The engine died before the sandbox was there; its shim, if any, saw nobody listen and has ended.
void EngineImpl::RemoveHalfMade(const SandboxPtr& sandbox) {
  const std::string& directory = sandbox->directory;
  LOG_INFO("removing a half-made sandbox", {"folder", directory});
  Ok removed = InPool([&] { return kernel::Unmount(directory + "/shm"); });
  if (removed.ok() && !sandbox->record.spec.cgroup_parent.empty()) removed = RemovePodCgroup(sandbox);
  if (removed.ok()) removed = runtime_.files().RemoveAll(directory);
  if (!removed.ok()) LOG_WARN("a half-made sandbox could not be removed", {"error", removed.status()});
  sandboxes_.erase(directory.substr(directory.rfind('/') + 1));
}

void EngineImpl::RecoverContainers(const SandboxPtr& sandbox, const std::vector<std::string>& mounts) {
  std::vector<std::string> names;
  runtime_.Blocking([&] {
    for (const std::string& name : kernel::List(sandbox->directory)) {
      const bool made = kernel::IsDirectory(sandbox->directory + "/" + name) && name != "shm" && name != "root";
      if (made) names.push_back(name);
    }
  });
  for (const std::string& name : names) {
    auto container = std::make_shared<ContainerEntry>(runtime_);
    container->directory = sandbox->directory + "/" + name;
    Result<ContainerRecord> record = NotFound("");
    Result<std::string> start_error = NotFound("");
    // The mount is the last step of making one; a stopped one keeps it until it is removed.
    const bool mounted = std::ranges::binary_search(mounts, container->directory + "/rootfs");
    runtime_.Blocking([&] {
      const auto text = kernel::ReadFile(container->directory + "/container.json");
      record = text.ok() ? ParseContainerRecord(*text) : Result<ContainerRecord>(text.status());
      start_error = kernel::ReadFile(container->directory + "/start_error");
    });
    if (!record.ok() || record->id != name ||
        (!mounted && !runtime_.files().Exists(container->directory + "/started") && !start_error.ok())) {
      LOG_INFO("removing a half-made container", {"folder", container->directory});
      Ok removed = InPool([&] { return kernel::Unmount(container->directory + kAside); });
      if (removed.ok()) removed = runtime_.files().RemoveAll(container->directory);
      if (!removed.ok()) LOG_WARN("a half-made container could not be removed", {"error", removed.status()});
      continue;
    }
    container->record = *record;
    if (start_error.ok()) {
      const auto parts = Cut(*start_error, "\n");
      container->state = ContainerState::kExited;
      container->exit_code = 128;
      container->start_error = parts ? parts->second : *start_error;
      container->finished = WallTime(Duration(parts ? ParseInt64(parts->first).value_or(0) : 0));
    }
    sandbox->containers[name] = container;
  }
}

// What the shim left written, when there is no shim to ask.
void EngineImpl::RecoverFromFiles(ContainerEntry& container, bool same_boot) {
  if (container.state == ContainerState::kExited) return;
  Result<StartRecord> started = NotFound("");
  Result<ExitRecord> exit = NotFound("");
  bool alive = false;
  runtime_.Blocking([&] {
    const auto start_text = kernel::ReadFile(container.directory + "/started");
    if (start_text.ok()) started = ParseStartRecord(*start_text);
    const auto exit_text = kernel::ReadFile(container.directory + "/exit");
    if (exit_text.ok()) exit = ParseExitRecord(*exit_text);
    alive = same_boot && started.ok() && kernel::Alive(started->pid, started->start);
  });
  if (started.ok()) {
    container.pid = started->pid;
    container.pid_start = started->start;
    container.started = started->when;
  }
  if (alive && !exit.ok()) {
    container.state = ContainerState::kRunning;
    return;
  }
  if (!started.ok() && !exit.ok()) return;  // never started
  container.state = ContainerState::kExited;
  container.lost = !exit.ok();
  container.exit_code = exit.ok() ? exit->code : kLostExit;
  container.finished = exit.ok() ? exit->when : runtime_.Wall();
  container.oom = exit.ok() && exit->oom;
}

// A start that another engine asked for goes on without it. Whoever took the container for one that was never started
// would make a second one beside it: so what comes of it is waited for, some hundredths of a second as a rule.
Result<ShimClient::Reply> EngineImpl::ListStarted(ShimClient& client) {
  const MonoTime until = runtime_.Mono() + kStartMost;
  while (true) {
    ShimClient::Reply list = TRY(client.Call({"list"}));
    const auto starting = std::ranges::find_if(
        list.items, [](const auto& item) { return item.size() > 1 && item[1] == "starting"; });
    if (starting == list.items.end()) return list;
    if (runtime_.Mono() >= until) {
      LOG_WARN("a container's start does not end; it is given up", {"id", (*starting)[0]});
      TRY(client.Call({"kill", (*starting)[0], std::to_string(SIGKILL)}));
    }
    TRY(runtime_.Sleep(kStartLook));
  }
}

// Says hello to the sandbox's shim and takes over what it knows of its containers.
Ok EngineImpl::Connect(const SandboxPtr& sandbox) {
  const auto client = TRY(ShimClient::Connect(runtime_, sandbox->directory));
  group_.Spawn("shim " + sandbox->record.id.substr(0, 12), [this, sandbox, client] {
    client->Serve([this, &sandbox](const auto& event) { OnEvent(sandbox, event); });
    if (sandbox->client == client) OnClosed(sandbox);
  });
  const auto hello = client->Call({"hello"});
  const auto list = hello.ok() ? ListStarted(*client) : Result<ShimClient::Reply>(hello.status());
  if (!list.ok()) {
    client->Close();
    return list.status();
  }
  sandbox->infra_alive = !hello->fields.empty() && hello->fields[0] != "0";
  sandbox->client = client;
  for (const auto& item : list->items) {
    // <container> <state> <pid> <code> <started> <finished> <oom>
    const auto found = item.size() == 7 ? sandbox->containers.find(item[0]) : sandbox->containers.end();
    if (found == sandbox->containers.end()) continue;
    ContainerEntry& container = *found->second;
    container.pid = ParseInt<int>(item[2]).value_or(0);
    container.started = WallTime(Duration(ParseInt64(item[4]).value_or(0)));
    if (item[1] == "running") container.state = ContainerState::kRunning;
    if (item[1] == "exited" && container.state != ContainerState::kExited) {
      OnExit(sandbox, {"exit", item[0], item[3], item[5], item[6]});
    }
  }
  return {};
}

void EngineImpl::Emit(EventType type, const SandboxEntry& sandbox, const std::string& container_id) {
  const Ok pushed = events_.Push({type, sandbox.record.id, sandbox.record.spec.pod_uid, container_id});
  if (!pushed.ok() && !closing_) {
    LOG_WARN("an event was not delivered", {"sandbox", sandbox.record.id}, {"error", pushed.status()});
  }
}

Result<ContainerEvent> EngineImpl::NextEvent() { return events_.Pop(); }

void EngineImpl::OnEvent(const SandboxPtr& sandbox, const std::vector<std::string>& event) {
  if (event[0] == "exit" && event.size() == 5) return OnExit(sandbox, event);
  if (event[0] == "exec-exit" && event.size() == 3) {
    const auto found = sandbox->execs.find(event[1]);
    if (found == sandbox->execs.end()) return;
    const auto exec = found->second;
    sandbox->execs.erase(found);
    exec->Finish(ParseInt<int>(event[2]).value_or(kLostExit), false);
    return;
  }
  if (event[0] != "infra-exit" || sandbox->stopping) return;
  sandbox->infra_alive = false;
  Emit(EventType::kSandboxExited, *sandbox, "");
}

// exit <container> <code> <finished> <oom>
void EngineImpl::OnExit(const SandboxPtr& sandbox, const std::vector<std::string>& event) {
  const auto found = sandbox->containers.find(event[1]);
  if (found == sandbox->containers.end()) return;
  const ContainerPtr container = found->second;
  container->state = ContainerState::kExited;
  container->exit_code = ParseInt<int>(event[2]).value_or(kLostExit);
  container->finished = WallTime(Duration(ParseInt64(event[3]).value_or(0)));
  container->oom = event[4] == "1";
  container->changed.NotifyAll();
  Emit(EventType::kContainerExited, *sandbox, event[1]);
}

// The connection ended without our doing: cut off for not reading, or the shim is dead.
void EngineImpl::OnClosed(const SandboxPtr& sandbox) {
  sandbox->client = nullptr;
  sandbox->EndExecs();
  if (closing_ || sandbox->stopping) return;
  const Ok connected = Connect(sandbox);
  if (connected.ok()) {
    LOG_WARN("connected to a shim anew", {"sandbox", sandbox->record.id});
    return;
  }
  LOG_ERROR("a shim died", {"sandbox", sandbox->record.id}, {"error", connected.status()});
  sandbox->infra_alive = false;
  const auto containers = sandbox->containers;
  for (const auto& [id, container] : containers) {
    if (container->state != ContainerState::kRunning) continue;
    container->state = ContainerState::kCreated;  // as far as memory knows; the files and the process say what is so
    RecoverFromFiles(*container, true);
    container->changed.NotifyAll();
    if (container->state == ContainerState::kExited) Emit(EventType::kContainerExited, *sandbox, id);
  }
  Emit(EventType::kSandboxExited, *sandbox, "");
}

}  // namespace knarr::runtime

#include "cri/runtime.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cri/runtime_impl.h"
#include "doc/json.h"
#include "rt/file_system.h"

namespace knarr::cri {
namespace {

// As the kubelet: a sandbox may need its image first.
constexpr Duration kSandboxTimeout = 4min;
constexpr Duration kAgain = 200ms;
constexpr Duration kVersionLeast = 1s;
constexpr size_t kEventsMax = 4096;
constexpr std::string_view kNotThere = "not implemented";

}  // namespace

RuntimeImpl::RuntimeImpl(rt::Runtime& runtime, Channel& channel, RuntimeOptions options)
    : runtime_(runtime),
      channel_(channel),
      options_(std::move(options)),
      groups_(runtime),
      turns_(runtime),
      events_(runtime, kEventsMax),
      fibers_(runtime, "cri") {}

RuntimeImpl::~RuntimeImpl() {
  events_.Close();
  fibers_.StopAndJoin();
}

Ok RuntimeImpl::Start() {
  if (options_.cgroups) limits_.swap = options_.cgroups->has_swap_limit();
  TRY(WaitAnswer());
  TRY(CheckDriver());
  TRY(ReadFeatures());
  TRY(LookAtStates());
  fibers_.Spawn("cri events", [this] { ListenToEvents(); });
  fibers_.Spawn("cri states", [this] { WatchStates(); });
  return {};
}

std::string RuntimeImpl::Method(const char* name) { return std::string("/runtime.v1.RuntimeService/") + name; }

Ok RuntimeImpl::WaitAnswer() {
  const MonoTime until = runtime_.Mono() + options_.patience;
  while (true) {
    // Who listens but says nothing is not there either.
    const Duration left = std::max(kVersionLeast, until - runtime_.Mono());
    const auto version = Ask<VersionResponse>("Version", VersionRequest(), left);
    if (version.ok()) {
      name_ = version->runtime_name;
      version_ = version->runtime_version;
      return {};
    }
    if (version.Failed(Reason::kTimeout) && runtime_.CheckCancelled().ok()) {
      return Unavailable("container runtime: it takes connections, but says nothing");
    }
    if (!version.Failed(Reason::kServiceUnavailable)) return version.status().WithContext("container runtime");
    if (runtime_.Mono() > until) return version.status();
    TRY(runtime_.Sleep(kAgain));
  }
}

/// Control groups are named as paths; systemd's driver would want slices. Who does not know the question is as its
/// configuration says, and refuses the first pod otherwise.
Ok RuntimeImpl::CheckDriver() {
  const auto config = Ask<RuntimeConfigResponse>("RuntimeConfig", Empty());
  if (config.Failed(Reason::kMethodNotAllowed)) return {};
  if (!config.ok()) return config.status().WithContext("container runtime");
  if (config->linux_configuration && config->linux_configuration->cgroup_driver == kDriverSystemd) {
    return Unavailable("the container runtime uses the cgroup driver of systemd; set SystemdCgroup = false");
  }
  return {};
}

/// Of the handler that pods get. Those before containerd 2 and CRI-O 1.29 tell nothing of it, and can do neither.
Ok RuntimeImpl::ReadFeatures() {
  const auto status = TRY(Ask<StatusResponse>("Status", StatusRequest()).Context("container runtime"));
  for (const RuntimeHandler& handler : status.handlers) {
    if (!handler.name.empty()) continue;
    features_ = {.recursive_read_only_mounts = handler.features.recursive_read_only_mounts,
                 .user_namespaces = handler.features.user_namespaces};
  }
  return {};
}

Result<RuntimePlaces> RuntimeImpl::Places() {
  RuntimePlaces out;
  const auto status = TRY(Ask<StatusResponse>("Status", StatusRequest{.verbose = true}));
  const auto at = status.info.find("config");
  const auto config =
      at == status.info.end() ? Result<doc::Document>(NotFound("no configuration")) : doc::ParseJson(at->second);
  if (!config.ok()) return out;
  const doc::Value& cni = config->root.At("cni");
  out.cni_configs = cni.At("confDir").AsString(out.cni_configs);
  out.cni_plugins = cni.At("binDir").AsString(out.cni_plugins);
  return out;
}

Ok RuntimeImpl::WaitNetwork(Duration patience) {
  const MonoTime until = runtime_.Mono() + patience;
  while (true) {
    const auto status = TRY(Ask<StatusResponse>("Status", StatusRequest()));
    const auto& conditions = status.status.conditions;
    const auto bad = std::ranges::find_if(conditions, [](const RuntimeCondition& one) { return !one.status; });
    if (bad == conditions.end()) return {};
    if (runtime_.Mono() > until) {
      return Unavailable("container runtime: " + bad->type + " is false: " + bad->reason + ": " + bad->message);
    }
    TRY(runtime_.Sleep(kAgain));
  }
}

// ---- Pods' control groups ----

Ok RuntimeImpl::InPool(const std::function<Ok()>& work) {
  Ok done;
  runtime_.Blocking([&] { done = work(); });
  return done;
}

Ok RuntimeImpl::MakeGroup(const runtime::SandboxSpec& spec) {
  if (!options_.cgroups) return {};
  const auto turn = TRY(groups_.Lock());
  return InPool([&]() -> Ok {
    TRY(options_.cgroups->Create(spec.cgroup_parent));
    return options_.cgroups->SetLimits(spec.cgroup_parent, spec.pod_resources, runtime::CgroupWrite::kFresh);
  });
}

/// Unless another sandbox of the pod is there, or about to be.
Ok RuntimeImpl::RemoveGroup(const std::string& path) {
  if (!options_.cgroups || path.empty()) return {};
  const auto turn = TRY(groups_.Lock());
  if (making_.contains(path)) return {};
  for (const PodSandbox& other : TRY(RawSandboxes())) {
    const auto config = ConfigFrom(other.annotations);
    if (config.ok() && config->linux_config.cgroup_parent == path) return {};
  }
  const Ok removed = InPool([&] { return options_.cgroups->Remove(path); });
  return removed.ok() ? removed : Ok(removed.status().WithContext("control group " + path));
}

/// The pod's control group. ServiceUnavailable where control groups are not ours to write.
Result<std::string> RuntimeImpl::GroupOf(const std::string& sandbox_id) {
  for (const PodSandbox& sandbox : TRY(RawSandboxes())) {
    if (sandbox.id != sandbox_id) continue;
    const auto config = TRY(ConfigFrom(sandbox.annotations));
    if (!options_.cgroups || config.linux_config.cgroup_parent.empty()) break;
    return config.linux_config.cgroup_parent;
  }
  return Unavailable("sandbox " + sandbox_id + " has no control group of ours");
}

/// As the kubelet: a runtime that wants to know is told first, and may refuse; the control group is written here.
Ok RuntimeImpl::UpdateSandbox(const std::string& id, const runtime::CgroupResources& resources) {
  const std::string group = TRY(GroupOf(id));
  const UpdatePodSandboxResourcesRequest request{id, ResourcesOf(resources, limits_)};
  const Ok told = Do("UpdatePodSandboxResources", request);
  // containerd 2.2 says so with a code that means nothing.
  const bool unknown = told.Failed(Reason::kMethodNotAllowed) ||
                       (told.Failed(Reason::kUnknown) && told.status().message().find(kNotThere) != std::string::npos);
  if (!told.ok() && !unknown) return told.status().WithContext("update sandbox " + id);
  const auto turn = TRY(groups_.Lock());
  return InPool([&] { return options_.cgroups->SetLimits(group, resources, runtime::CgroupWrite::kUpdate); })
      .Context("update sandbox " + id);
}

Result<runtime::CgroupUsage> RuntimeImpl::SandboxUsage(const std::string& id) {
  const std::string group = TRY(GroupOf(id));
  Result<runtime::CgroupUsage> out = runtime::CgroupUsage{};
  runtime_.Blocking([&] { out = options_.cgroups->Usage(group); });
  return std::move(out).Context("usage of sandbox " + id);
}

// ---- Sandboxes ----

Result<runtime::SandboxStatus> RuntimeImpl::SandboxStatusOf(const std::string& id) {
  const auto answer =
      TRY(Ask<PodSandboxStatusResponse>("PodSandboxStatus", PodSandboxStatusRequest{.id = id, .verbose = true}));
  if (!answer.status) return NotFound("sandbox " + id + " not found");
  return StatusOf(answer);
}

Result<runtime::SandboxStatus> RuntimeImpl::RunSandbox(const runtime::SandboxSpec& spec) {
  const std::string& group = spec.cgroup_parent;
  making_[group]++;
  Result<runtime::SandboxStatus> out = [&]() -> Result<runtime::SandboxStatus> {
    TRY(MakeGroup(spec));
    TRY(runtime_.files().MakeDirectories(spec.log_directory));
    const RunPodSandboxRequest request{.config = MakeSandboxConfig(spec, options_.cluster, limits_)};
    const auto made = TRY(Ask<SandboxId>("RunPodSandbox", request, kSandboxTimeout));
    seen_sandboxes_[made.id] = kSandboxReady;
    return SandboxStatusOf(made.id);
  }();
  if (--making_[group] == 0) making_.erase(group);
  if (out.ok() || out.Failed(Reason::kCancelled)) return out;
  if (const Ok removed = RemoveHalfMade(spec); !removed.ok()) {
    LOG_WARN("what is left of a sandbox that failed was not removed", {"pod", spec.pod_name},
             {"error", removed.status()});
  }
  return out;
}

/// containerd keeps a sandbox whose network failed.
Ok RuntimeImpl::RemoveHalfMade(const runtime::SandboxSpec& spec) {
  for (const PodSandbox& sandbox : TRY(RawSandboxes())) {
    if (sandbox.metadata.uid != spec.pod_uid || sandbox.metadata.attempt != spec.attempt) continue;
    TRY(StopSandbox(sandbox.id));
    TRY(RemoveSandbox(sandbox.id));
  }
  return RemoveGroup(spec.cgroup_parent);
}

Ok RuntimeImpl::StopSandbox(const std::string& id) { return GoneIsFine(Do("StopPodSandbox", SandboxId{id})); }

Ok RuntimeImpl::RemoveSandbox(const std::string& id) {
  const auto status = Ask<PodSandboxStatusResponse>("PodSandboxStatus", PodSandboxStatusRequest{.id = id});
  if (status.Failed(Reason::kNotFound)) return {};
  if (!status.ok()) return status.status();
  const StringMap annotations = status->status ? status->status->annotations : StringMap();
  TRY(GoneIsFine(Do("RemovePodSandbox", SandboxId{id})));
  const auto config = ConfigFrom(annotations);
  return config.ok() ? RemoveGroup(config->linux_config.cgroup_parent) : Ok();
}

Result<std::vector<PodSandbox>> RuntimeImpl::RawSandboxes() {
  ListPodSandboxRequest request;
  request.filter.labels = {{kClusterLabel, options_.cluster}};
  return TRY(Ask<ListPodSandboxResponse>("ListPodSandbox", request)).items;
}

Result<std::vector<runtime::SandboxStatus>> RuntimeImpl::ListSandboxes() {
  std::vector<runtime::SandboxStatus> out;
  for (const PodSandbox& sandbox : TRY(RawSandboxes())) {
    // Its namespace stands in its status only.
    auto status = SandboxStatusOf(sandbox.id);
    if (status.Failed(Reason::kNotFound)) continue;  // it went meanwhile
    if (!status.ok()) return status.status();
    out.push_back(std::move(*status));
  }
  return out;
}

Result<std::unique_ptr<Runtime>> Runtime::Open(rt::Runtime& runtime, Channel& channel, RuntimeOptions options) {
  auto out = std::make_unique<RuntimeImpl>(runtime, channel, std::move(options));
  TRY(out->Start());
  return std::unique_ptr<Runtime>(std::move(out));
}

Result<std::vector<std::string>> ListAllSandboxes(Channel& channel) {
  const auto listed =
      TRY(Ask<ListPodSandboxResponse>(channel, "/runtime.v1.RuntimeService/ListPodSandbox", ListPodSandboxRequest()));
  std::vector<std::string> out;
  for (const PodSandbox& sandbox : listed.items) out.push_back(sandbox.id);
  return out;
}

Ok RemoveEverything(rt::Runtime& runtime, Runtime& containers, const RuntimeOptions& options) {
  for (const runtime::SandboxStatus& sandbox : TRY(containers.ListSandboxes())) {
    TRY(containers.StopSandbox(sandbox.id));
    TRY(containers.RemoveSandbox(sandbox.id));
  }
  if (!options.cgroups || options.cgroup_root.empty()) return {};
  Ok removed;
  runtime.Blocking([&] { removed = options.cgroups->Remove(options.cgroup_root); });
  return removed;
}

}  // namespace knarr::cri

// The part of a pod worker that brings things up: the sandbox, images, containers.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "doc/json.h"
#include "node/container_spec.h"
#include "node/pod_worker.h"
#include "node/resources.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;
using client::EventKind;
using runtime::ContainerState;

constexpr Duration kPullBackOffFirst = 10s;
constexpr Duration kPullBackOffMost = 300s;
constexpr Duration kErrImagePullShown = 1s;
// How long a start that failed for another reason waits: the kubelet's backOffPeriod.
constexpr Duration kStartRetry = 10s;

/// Username and password for a registry from a kubernetes.io/dockerconfigjson secret.
std::optional<image::PullOptions> FromDockerConfig(std::string_view json, const image::Reference& reference) {
  Result<doc::Document> config = doc::ParseJson(json);
  if (!config.ok()) return std::nullopt;
  for (const doc::Member& entry : config->root.At("auths").members()) {
    std::string_view host = entry.key;
    for (std::string_view scheme : {"https://", "http://"}) {
      if (host.starts_with(scheme)) host.remove_prefix(scheme.size());
    }
    host = host.substr(0, host.find('/'));
    if (host == "index.docker.io") host = "docker.io";
    if (host != reference.registry) continue;
    image::PullOptions options{.username = std::string(entry.value.At("username").AsString()),
                               .password = std::string(entry.value.At("password").AsString())};
    Result<std::string> pair = Base64Decode(entry.value.At("auth").AsString());
    if (options.username.empty() && pair.ok() && pair->find(':') != std::string::npos) {
      options.username = pair->substr(0, pair->find(':'));
      options.password = pair->substr(pair->find(':') + 1);
    }
    return options;
  }
  return std::nullopt;
}

/// "" for a file that not every machine has.
Result<std::string> ReadIfThere(rt::FileSystem& files, const std::string& path) {
  Result<std::string> text = files.ReadFile(path);
  if (text.Failed(Reason::kNotFound)) return std::string();
  return text;
}

}  // namespace

Ok PodWorker::EnsureSandbox() {
  const api::ObjectPtr keep = pod_;  // `pod` reads from it, and pod_ may be replaced at every wait
  const Pod pod(keep->tree());
  TRY(ClearOldSandboxes());
  Ok mounted = volumes_.SetUp(pod);
  if (!mounted.ok()) {
    if (failure_told_ != mounted.status().message()) {
      failure_told_ = mounted.status().message();
      RecordEvent(EventKind::kWarning, "FailedMount", failure_told_);
    }
    return mounted.status();
  }
  const runtime::SandboxSpec spec = TRY(MakeSandboxSpec(pod));
  Result<runtime::SandboxStatus> made = environment_.containers.RunSandbox(spec);
  Ok joined = made.ok() ? Ok() : Ok(made.status());
  if (made.ok()) {
    sandbox_ = std::move(*made);
    joined = JoinSandbox();
  }
  if (joined.ok()) {
    failure_told_.clear();
    return {};
  }
  // One that gets no address is not kept.
  if (sandbox_) old_sandboxes_.push_back(sandbox_->id);
  sandbox_.reset();
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
    state_.pod_ip = TRY(environment_.network.Attach(sandbox_->id, sandbox_->network_namespace)).ip;
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
  spec.pod_resources = TRY(PodResources(pod));
  if (pod.spec().host_network()) spec.network = runtime::NamespaceMode::kNode;
  if (pod.spec().host_ipc()) spec.ipc = runtime::NamespaceMode::kNode;
  if (pod.spec().host_pid()) spec.pid_per_container = false;
  if (pod.spec().share_process_namespace().value_or(false)) {
    spec.pid_per_container = false;
    spec.pid = runtime::NamespaceMode::kPod;
  }
  spec.labels = PodLabels(pod);
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
  if (!pod.spec().host_network()) return HostnameOf(pod);
  const std::string name = TRY(ReadIfThere(environment_.runtime.files(), "/proc/sys/kernel/hostname"));
  return name.empty() ? environment_.node_name : std::string(TrimSpace(name));
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
  return files.WriteFile(directory + "/resolv.conf", resolv, 0644);
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
  const std::string directory = environment_.pods_directory + "/" + std::string(pod.metadata().uid());
  PodFacts facts{.pod_ip = state_.pod_ip,
                 .host_ip = state_.host_ip,
                 .node_name = environment_.node_name,
                 .allocatable_cpu_milli = environment_.machine_cpu_milli,
                 .allocatable_memory = environment_.machine_memory};
  ContainerInputs inputs{.image_id = image.id,
                         .attempt = record.next_attempt(),
                         .machine_memory = environment_.machine_memory,
                         .hosts_file = directory + "/hosts",
                         .resolv_file = directory + "/resolv.conf",
                         .hostname_file = directory + "/hostname"};
  Result<runtime::ContainerSpec> spec = [&]() -> Result<runtime::ContainerSpec> {
    inputs.environment = TRY(MakeEnvironment(environment_.client, pod, container, facts));
    TRY(CheckNonRoot(pod, container, image.config.user));
    return MakeContainerSpec(pod, container, volumes_, inputs);
  }();
  if (!spec.ok() && !spec.Failed(Reason::kCancelled)) {
    NoteStartFailure(record, "CreateContainerConfigError", spec.status());
  }
  return spec;
}

Ok PodWorker::StartOne(const std::string& name) {
  const api::ObjectPtr keep = pod_;  // `pod` and `container` read from it, across waits
  const Pod pod(keep->tree());
  std::optional<Container> container = FindContainer(pod, name);
  ContainerRecord* record = state_.Find(name);
  if (!container || record == nullptr || record->running()) return {};

  Result<image::Image> image = EnsureImage(pod, *container);
  if (!image.ok()) return image.status();
  if (state_.ending() || !sandbox_) return Cancelled("pod is going away");
  const std::string sandbox = sandbox_->id;  // the loop may find it gone while we wait
  Result<runtime::ContainerSpec> spec = PrepareContainer(pod, *container, *record, *image);
  if (!spec.ok()) return spec.status();
  Result<std::string> id = environment_.containers.CreateContainer(sandbox, *spec);
  if (!id.ok()) {
    if (!id.Failed(Reason::kCancelled)) NoteStartFailure(*record, "CreateContainerError", id.status());
    return id.status();
  }
  if (state_.ending()) return Cancelled("pod is going away");  // what was made goes with the sandbox
  RecordEvent(EventKind::kNormal, "Created", "Container created", name);
  // The one before is kept for `logs --previous` and lastState; the one before that goes.
  std::optional<runtime::ContainerStatus> older = std::move(record->last);
  record->last = std::move(record->current);
  record->current.reset();
  record->image_id = image->repo_digests.empty() ? image->id : image->repo_digests.front();
  Ok started = environment_.containers.StartContainer(*id);
  Result<runtime::ContainerStatus> status = environment_.containers.GetContainer(*id);
  if (!status.ok()) return status.status();
  if (status->state == ContainerState::kCreated) {
    // It could not even be tried: the one before is still the newest.
    record->current = std::exchange(record->last, std::move(older));
    const Ok removed = RemoveContainer(*id);
    if (!removed.ok()) LOG_WARN("container not removed", {"id", *id}, {"error", removed.status()});
    NoteStartFailure(*record, "RunContainerError", started.status());
    return started.status();
  }
  record->current = *status;
  record->waiting_reason.clear();
  record->waiting_message.clear();
  if (older) {
    Ok removed = RemoveContainer(older->id);
    if (!removed.ok()) LOG_WARN("old container not removed", {"id", older->id}, {"error", removed.status()});
  }
  if (!started.ok()) {
    NoteStartFailure(*record, "RunContainerError", started.status());
    if (record->exited()) NoteEnd(*record);
    return started.status();
  }
  RecordEvent(EventKind::kNormal, "Started", "Container started", name);
  record->startup_passed = !container->startup_probe();
  record->ready = !container->readiness_probe() && record->startup_passed && !record->init;
  if (record->exited()) {
    NoteEnd(*record);  // it ended before we looked
  } else if (!record->init) {
    StartProbes(*record, ProbeOrigin::kStarted);
  }
  return {};
}

Result<image::Image> PodWorker::EnsureImage(Pod pod, Container container) {
  const std::string name(container.name());
  const std::string text(container.image());
  const std::string_view policy = container.image_pull_policy();
  ContainerRecord& record = *state_.Find(name);
  Result<image::Reference> reference = image::Reference::Parse(text);
  if (!reference.ok()) {
    Status bad =
        BadRequest(fmt::format("Failed to apply default image tag \"{}\": couldn't parse image name \"{}\": {}", text,
                               text, reference.status().message()));
    if (record.waiting_reason != "InvalidImageName") {
      RecordEvent(EventKind::kWarning, "InspectFailed", bad.message(), name);
    }
    NoteStartFailure(record, "InvalidImageName", bad);
    return bad;
  }
  if (policy != "Always") {
    Result<image::Image> present = environment_.images.Get(text);
    if (present.ok()) {
      RecordEvent(EventKind::kNormal, "Pulled",
                  fmt::format("Container image \"{}\" already present on machine and can be accessed by the pod", text),
                  name);
      return present;
    }
    if (policy == "Never") {
      Status never = NotFound(fmt::format("Container image \"{}\" is not present with pull policy of Never", text));
      if (record.waiting_reason != "ErrImageNeverPull") {
        RecordEvent(EventKind::kWarning, "ErrImageNeverPull", never.message(), name);
      }
      NoteStartFailure(record, "ErrImageNeverPull", never);
      return never;
    }
  }
  RecordEvent(EventKind::kNormal, "Pulling", fmt::format("Pulling image \"{}\"", text), name);
  const MonoTime begin = environment_.runtime.Mono();
  Result<image::PullOptions> credentials = PullCredentials(pod, *reference);
  Result<image::Image> pulled = credentials.ok() ? environment_.images.Pull(*reference, *credentials)
                                                 : Result<image::Image>(credentials.status());
  if (pulled.ok()) {
    pull_back_off_.erase(name);
    // Upstream rounds to milliseconds.
    Duration took = std::chrono::duration_cast<std::chrono::milliseconds>(environment_.runtime.Mono() - begin);
    RecordEvent(EventKind::kNormal, "Pulled",
                fmt::format("Successfully pulled image \"{}\" in {} ({} including waiting). Image size: {} bytes.",
                            text, FormatDuration(took), FormatDuration(took), pulled->size),
                name);
    return pulled;
  }
  if (pulled.Failed(Reason::kCancelled)) return pulled.status();
  Duration& back_off = pull_back_off_[name];
  back_off = back_off != Duration{} ? std::min(back_off * 2, kPullBackOffMost) : kPullBackOffFirst;
  const std::string why = fmt::format("failed to pull image \"{}\": {}", text, pulled.status().message());
  RecordEvent(EventKind::kWarning, "Failed", fmt::format("Failed to pull image \"{}\": {}", text, why), name);
  RecordEvent(EventKind::kWarning, "Failed", "Error: ErrImagePull", name);
  record.waiting_reason = "ErrImagePull";
  record.waiting_message = why;
  record.pull_failed = environment_.runtime.Wall();
  record.not_before = record.pull_failed + back_off;
  return pulled.status();
}

/// A failed pull shows as ErrImagePull first, and as ImagePullBackOff while the next try is waited for.
void PodWorker::TellPullBackOff() {
  const WallTime now = environment_.runtime.Wall();
  for (ContainerRecord& record : state_.containers) {
    if (record.waiting_reason != "ErrImagePull" || record.not_before <= now) continue;
    const WallTime due = record.pull_failed + kErrImagePullShown;
    if (now < due) {
      recheck_ = recheck_ ? std::min(*recheck_, due) : due;
      continue;
    }
    std::optional<Container> container = FindContainer(view(), record.name);
    if (!container) continue;
    const std::string text = fmt::format("Back-off pulling image \"{}\"", container->image());
    record.waiting_reason = "ImagePullBackOff";
    record.waiting_message = text + ": ErrImagePull: " + record.waiting_message;
    RecordEvent(EventKind::kNormal, "BackOff", text, record.name);
    RecordEvent(EventKind::kWarning, "Failed", "Error: ImagePullBackOff", record.name);
  }
}

Result<image::PullOptions> PodWorker::PullCredentials(Pod pod, const image::Reference& reference) {
  for (auto secret_ref : pod.spec().image_pull_secrets()) {
    Result<api::ObjectPtr> object = environment_.client.Get(
        api::core_v1::SecretInfo(), {std::string(pod.metadata().ns()), std::string(secret_ref.name())});
    // A missing secret is not fatal: the image may be public.
    if (object.Failed(Reason::kNotFound)) continue;
    if (!object.ok()) return object.status();
    api::core_v1::Secret secret((*object)->tree());
    auto config = secret.data().Find(".dockerconfigjson");
    if (!config) continue;
    std::string json = TRY(Base64Decode(*config));
    if (auto options = FromDockerConfig(json, reference)) return std::move(*options);
  }
  return image::PullOptions{};
}

}  // namespace knarr::node

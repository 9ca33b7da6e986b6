#include <algorithm>
#include <utility>

#include "cri/runtime_impl.h"
#include "cri/streaming.h"
#include "rt/file_system.h"

// Containers, commands in them, and what they use.

namespace knarr::cri {
namespace {

// What a call may take beyond the time that was asked for.
constexpr Duration kBeyond = 2min;

int64_t SecondsUp(Duration time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time + 1s - Duration(1)).count();
}

}  // namespace

Result<std::string> RuntimeImpl::CreateContainer(const std::string& sandbox_id, const runtime::ContainerSpec& spec) {
  const auto sandbox =
      TRY(Ask<PodSandboxStatusResponse>("PodSandboxStatus", PodSandboxStatusRequest{.id = sandbox_id}));
  if (!sandbox.status) return NotFound("sandbox " + sandbox_id + " not found");
  const PodSandboxConfig config = TRY(ConfigFrom(sandbox.status->annotations).Context("sandbox " + sandbox_id));
  const std::string log = config.log_directory + "/" + spec.log_path;
  TRY(runtime_.files().MakeDirectories(log.substr(0, log.rfind('/'))));
  const auto request = MakeContainerRequest(sandbox_id, config, spec, options_.cluster, limits_);
  return TRY(Ask<ContainerId>("CreateContainer", request)).id;
}

Ok RuntimeImpl::StartContainer(const std::string& id) { return Do("StartContainer", ContainerId{id}); }

Ok RuntimeImpl::StopContainer(const std::string& id, Duration grace) {
  return GoneIsFine(Do("StopContainer", StopContainerRequest{id, SecondsUp(grace)}, grace + kBeyond));
}

Ok RuntimeImpl::RemoveContainer(const std::string& id) {
  known_.erase(id);
  return GoneIsFine(Do("RemoveContainer", ContainerId{id}));
}

Result<ContainerStatus> RuntimeImpl::RawStatus(const std::string& id) {
  auto answer = TRY(Ask<ContainerStatusResponse>("ContainerStatus", ContainerStatusRequest{.id = id}));
  if (!answer.status) return NotFound("container " + id + " not found");
  return std::move(*answer.status);
}

Result<std::vector<Container>> RuntimeImpl::RawContainers(const std::string& sandbox_id) {
  ListContainersRequest request;
  request.filter.sandbox_id = sandbox_id;
  request.filter.labels = {{kClusterLabel, options_.cluster}};
  return TRY(Ask<ListContainersResponse>("ListContainers", request)).containers;
}

Result<runtime::ContainerStatus> RuntimeImpl::GetContainer(const std::string& id) {
  const ContainerStatus status = TRY(RawStatus(id));
  // Whose it is stands in lists only; it does not change.
  const auto known = known_.find(id);
  if (known != known_.end()) return StatusOf(status, known->second.sandbox_id);
  ListContainersRequest request;
  request.filter.id = id;
  const auto listed = TRY(Ask<ListContainersResponse>("ListContainers", request));
  if (listed.containers.empty()) return NotFound("container " + id + " not found");
  return known_[id] = StatusOf(status, listed.containers.front().sandbox_id);
}

/// Each container is asked about once for each state that it is in.
Result<std::vector<runtime::ContainerStatus>> RuntimeImpl::ListContainers(const std::string& sandbox_id) {
  std::vector<runtime::ContainerStatus> out;
  const std::vector<Container> listed = TRY(RawContainers(sandbox_id));
  for (const Container& container : listed) {
    const auto known = known_.find(container.id);
    if (known != known_.end() && known->second.state == StateOf(container.state)) {
      out.push_back(known->second);
      continue;
    }
    const auto status = RawStatus(container.id);
    if (status.Failed(Reason::kNotFound)) continue;  // it went meanwhile
    if (!status.ok()) return status.status();
    out.push_back(StatusOf(*status, container.sandbox_id));
    known_[container.id] = out.back();
  }
  if (!sandbox_id.empty()) return out;
  std::erase_if(known_, [&](const auto& entry) {
    return std::ranges::find(listed, entry.first, &Container::id) == listed.end();
  });
  return out;
}

Ok RuntimeImpl::UpdateContainer(const std::string& id, const runtime::CgroupResources& resources) {
  return Do("UpdateContainerResources", UpdateContainerResourcesRequest{id, ResourcesOf(resources, limits_)});
}

Ok RuntimeImpl::ReopenLog(const std::string& id) { return Do("ReopenContainerLog", ContainerId{id}); }

Result<runtime::ExecResult> RuntimeImpl::ExecSync(const std::string& id, const std::vector<std::string>& command,
                                                  Duration timeout, size_t output_max) {
  const ExecSyncRequest request{.id = id, .command = command, .timeout = SecondsUp(timeout)};
  auto answer = TRY(Ask<ExecSyncResponse>("ExecSync", request, timeout + kBeyond));
  runtime::ExecResult out{.exit_code = answer.exit_code, .output = std::move(answer.out.data)};
  out.output += answer.err.data;
  if (out.output.size() > output_max) out.output.resize(output_max);
  return out;
}

Result<std::unique_ptr<runtime::ExecSession>> RuntimeImpl::Exec(const std::string& id, const runtime::ExecSpec& spec) {
  const ExecRequest request{.id = id,
                            .command = spec.command,
                            .tty = spec.tty,
                            .stdin_open = spec.stdin_open,
                            .stdout_open = true,
                            .stderr_open = !spec.tty};
  const auto answer = TRY(Ask<StreamingUrl>("Exec", request));
  return OpenStreams(runtime_, answer.url,
                     {.stdin_open = spec.stdin_open, .stdout_open = true, .stderr_open = !spec.tty, .tty = spec.tty});
}

Result<std::unique_ptr<runtime::ExecSession>> RuntimeImpl::Attach(const std::string& id,
                                                                  const runtime::AttachSpec& spec) {
  const auto told =
      TRY(Ask<ContainerStatusResponse>("ContainerStatus", ContainerStatusRequest{.id = id, .verbose = true}));
  if (!told.status) return NotFound("container " + id + " not found");
  // Of one that has ended a runtime says that it runs until it has cleared up behind it. Who attached meanwhile would
  // see nothing; who is told goes and reads the log.
  if (const int pid = PidIn(told.info); pid > 0 && !runtime_.files().Exists("/proc/" + std::to_string(pid))) {
    return Conflict("container is in CONTAINER_EXITED state");
  }
  const bool tty = told.status->annotations.contains(kTtyAnnotation);
  const AttachRequest request{.id = id,
                              .stdin_open = spec.stdin_open,
                              .tty = tty,
                              .stdout_open = spec.stdout_open,
                              .stderr_open = spec.stderr_open && !tty};
  const auto answer = TRY(Ask<StreamingUrl>("Attach", request));
  return OpenStreams(runtime_, answer.url,
                     {.stdin_open = request.stdin_open,
                      .stdout_open = request.stdout_open,
                      .stderr_open = request.stderr_open,
                      .tty = tty});
}

Result<ContainerStats> RuntimeImpl::StatsOf(const std::string& id) {
  auto answer = TRY(Ask<ContainerStatsResponse>("ContainerStats", ContainerId{id}));
  if (!answer.stats) return NotFound("container " + id + " has no stats");
  return std::move(*answer.stats);
}

Result<runtime::CgroupUsage> RuntimeImpl::Usage(const std::string& id) {
  const ContainerStats stats = TRY(StatsOf(id));
  runtime::CgroupUsage out;
  out.cpu_ns = static_cast<int64_t>(stats.cpu.usage_core_nanoseconds.value);
  out.memory_working_set_bytes = static_cast<int64_t>(stats.memory.working_set_bytes.value);
  out.memory_bytes = static_cast<int64_t>(stats.memory.usage_bytes.value);
  return out;
}

Result<runtime::DiskUse> RuntimeImpl::Written(const std::string& id) {
  const ContainerStats stats = TRY(StatsOf(id));
  return runtime::DiskUse{.bytes = static_cast<int64_t>(stats.writable_layer.used_bytes.value),
                          .inodes = static_cast<int64_t>(stats.writable_layer.inodes_used.value)};
}

}  // namespace knarr::cri

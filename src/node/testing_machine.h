#pragma once

// For tests: a machine in memory. Containers run as long as the test lets them, exec answers what the test says, pods
// get addresses in turn, and every image is there.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "image/store.h"
#include "network/network.h"
#include "rt/sync.h"
#include "runtime/runtime.h"

namespace knarr::node {

class FakeRuntime : public runtime::Runtime {
 public:
  explicit FakeRuntime(rt::Runtime& runtime) : runtime_(runtime), changed_(runtime), events_(runtime, 1000) {}

  // ---- What the test does ----

  /// The container ends by itself.
  void End(const std::string& id, int code) {
    runtime::ContainerStatus& status = containers_.at(id);
    if (status.state != runtime::ContainerState::kRunning) return;
    status.state = runtime::ContainerState::kExited;
    status.exit_code = code;
    status.finished = runtime_.Wall();
    changed_.NotifyAll();
    (void)events_.TryPush(
        {runtime::EventType::kContainerExited, status.sandbox_id, sandboxes_.at(status.sandbox_id).pod_uid, id});
  }
  /// The sandbox's processes are gone.
  void LoseSandbox(const std::string& id) { sandboxes_.at(id).state = runtime::SandboxState::kNotReady; }
  /// The newest container of that name; "" when there is none.
  std::string Newest(const std::string& name) const {
    std::string out;
    for (const std::string& id : order_) {
      if (auto at = containers_.find(id); at != containers_.end() && at->second.name == name) out = id;
    }
    return out;
  }
  bool Runs(const std::string& id) const {
    auto at = containers_.find(id);
    return at != containers_.end() && at->second.state == runtime::ContainerState::kRunning;
  }
  const std::map<std::string, runtime::ContainerStatus>& containers() const { return containers_; }
  const std::map<std::string, runtime::SandboxStatus>& sandboxes() const { return sandboxes_; }

  std::function<Result<runtime::ExecResult>(const std::string& id)> on_exec;
  std::function<Ok(const runtime::SandboxSpec& spec)> on_run_sandbox;
  std::function<void(const runtime::ContainerSpec& spec)> on_create;
  /// Asked before a container is started or told to stop; an error is the call's.
  std::function<Ok(const std::string& id)> on_start;
  std::function<Ok(const std::string& id)> on_stop;
  std::function<Ok(const std::string& id)> on_reopen;
  std::function<void(const std::string& id)> on_started;  ///< called when it runs
  std::function<void(const std::string& id)> on_remove;   ///< called before a container is removed; may wait
  bool ignores_term = false;                              ///< containers live until their grace is over
  std::vector<std::pair<std::string, Duration>> stops;

  // ---- runtime::Runtime ----

  Result<runtime::SandboxStatus> RunSandbox(const runtime::SandboxSpec& spec) override {
    if (on_run_sandbox) TRY(on_run_sandbox(spec));
    user_namespaces[spec.pod_uid] = spec.user_namespace;
    runtime::SandboxStatus status;
    status.id = "sandbox-" + std::to_string(++number_);
    status.state = runtime::SandboxState::kReady;
    status.pod_name = spec.pod_name;
    status.pod_namespace = spec.pod_namespace;
    status.pod_uid = spec.pod_uid;
    status.attempt = spec.attempt;
    status.network_namespace = "/netns/" + status.id;
    sandboxes_[status.id] = status;
    log_directories_[status.id] = spec.log_directory;
    limits[status.id] = spec.pod_resources;
    return status;
  }
  Ok StopSandbox(const std::string& id) override {
    if (!sandboxes_.contains(id)) return {};
    for (const auto& [container, status] : std::map(containers_)) {
      if (status.sandbox_id == id) End(container, 137);
    }
    sandboxes_.at(id).state = runtime::SandboxState::kNotReady;
    return {};
  }
  Ok RemoveSandbox(const std::string& id) override {
    TRY(StopSandbox(id));
    std::erase_if(containers_, [&id](const auto& entry) { return entry.second.sandbox_id == id; });
    sandboxes_.erase(id);
    return {};
  }
  Result<std::vector<runtime::SandboxStatus>> ListSandboxes() override {
    std::vector<runtime::SandboxStatus> out;
    for (const auto& [id, status] : sandboxes_) out.push_back(status);
    return out;
  }
  Result<std::string> CreateContainer(const std::string& sandbox_id, const runtime::ContainerSpec& spec) override {
    if (!sandboxes_.contains(sandbox_id)) return NotFound("sandbox " + sandbox_id + " not found");
    if (on_create) on_create(spec);
    runtime::ContainerStatus status;
    status.id = "container-" + std::to_string(++number_);
    status.sandbox_id = sandbox_id;
    status.name = spec.name;
    status.attempt = spec.attempt;
    status.state = runtime::ContainerState::kCreated;
    status.image = spec.image;
    status.created = runtime_.Wall();
    if (!spec.log_path.empty()) status.log_path = log_directories_[sandbox_id] + "/" + spec.log_path;
    limits[status.id] = spec.resources;
    containers_[status.id] = status;
    order_.push_back(status.id);
    return status.id;
  }
  Ok StartContainer(const std::string& id) override {
    if (on_start) TRY(on_start(id));
    auto at = containers_.find(id);
    if (at == containers_.end()) return NotFound("container " + id + " not found");
    at->second.state = runtime::ContainerState::kRunning;
    at->second.started = runtime_.Wall();
    (void)events_.TryPush({runtime::EventType::kContainerStarted, at->second.sandbox_id,
                           sandboxes_.at(at->second.sandbox_id).pod_uid, id});
    if (on_started) on_started(id);
    return {};
  }
  Ok StopContainer(const std::string& id, Duration grace) override {
    stops.emplace_back(id, grace);
    if (on_stop) TRY(on_stop(id));
    if (!Runs(id)) return {};
    if (ignores_term) {
      const Ok ended = changed_.WaitUntil([&] { return !Runs(id); }, runtime_.Mono() + grace);
      if (!ended.ok()) TRY(runtime_.CheckCancelled());
    }
    if (Runs(id)) End(id, ignores_term ? 137 : 143);
    return {};
  }
  Ok RemoveContainer(const std::string& id) override {
    if (on_remove) on_remove(id);
    if (!containers_.contains(id)) return {};
    End(id, 137);
    containers_.erase(id);
    return {};
  }
  Result<runtime::ContainerStatus> GetContainer(const std::string& id) override {
    auto at = containers_.find(id);
    if (at == containers_.end()) return NotFound("container " + id + " not found");
    return at->second;
  }
  Result<std::vector<runtime::ContainerStatus>> ListContainers(const std::string& sandbox_id) override {
    std::vector<runtime::ContainerStatus> out;
    for (const auto& [id, status] : containers_) {
      if (sandbox_id.empty() || status.sandbox_id == sandbox_id) out.push_back(status);
    }
    return out;
  }
  std::map<std::string, std::optional<runtime::IdRange>> user_namespaces;  ///< by pod
  /// The limits last given, by container or sandbox; and the order in which they were.
  std::map<std::string, runtime::CgroupResources> limits;
  std::vector<std::string> updates;
  std::function<Ok(const std::string& id)> on_update;
  std::map<std::string, int64_t> memory_used;  ///< by container or sandbox
  Ok UpdateContainer(const std::string& id, const runtime::CgroupResources& resources) override {
    if (on_update) TRY(on_update(id));
    if (!Runs(id)) return Conflict("container " + id + " is not running");
    limits[id] = resources;
    updates.push_back(containers_.at(id).name);
    return {};
  }
  Ok UpdateSandbox(const std::string& id, const runtime::CgroupResources& resources) override {
    if (on_update) TRY(on_update(id));
    limits[id] = resources;
    updates.emplace_back("pod");
    return {};
  }
  Result<runtime::CgroupUsage> SandboxUsage(const std::string& id) override {
    return runtime::CgroupUsage{.memory_bytes = memory_used[id]};
  }
  Ok ReopenLog(const std::string& id) override { return on_reopen ? on_reopen(id) : Ok(); }
  Result<std::unique_ptr<runtime::ExecSession>> Exec(const std::string& /*id*/,
                                                     const runtime::ExecSpec& /*spec*/) override {
    return Forbidden("exec");
  }
  Result<std::unique_ptr<runtime::ExecSession>> Attach(const std::string& /*id*/,
                                                       const runtime::AttachSpec& /*spec*/) override {
    return Forbidden("attach");
  }
  Result<runtime::ExecResult> ExecSync(const std::string& id, const std::vector<std::string>& /*command*/,
                                       Duration /*timeout*/, size_t /*output_max*/) override {
    return on_exec ? on_exec(id) : runtime::ExecResult{};
  }
  std::map<std::string, runtime::DiskUse> written;  ///< by container
  Result<runtime::DiskUse> Written(const std::string& id) override { return written[id]; }
  Result<runtime::CgroupUsage> Usage(const std::string& id) override {
    return runtime::CgroupUsage{.memory_bytes = memory_used[id]};
  }
  Result<runtime::ContainerEvent> NextEvent() override { return events_.Pop(); }
  std::string name() const override { return "fake"; }
  std::string version() const override { return "0"; }
  runtime::RuntimeFeatures can{.recursive_read_only_mounts = true};
  runtime::RuntimeFeatures features() const override { return can; }

 private:
  rt::Runtime& runtime_;
  rt::WaitQueue changed_;
  rt::Queue<runtime::ContainerEvent> events_;
  int number_ = 0;
  std::map<std::string, runtime::SandboxStatus> sandboxes_;
  std::map<std::string, std::string> log_directories_;  // by sandbox
  std::map<std::string, runtime::ContainerStatus> containers_;
  std::vector<std::string> order_;
};

/// Knows every image.
class FakeImages : public image::Store {
 public:
  Result<image::Image> Get(std::string_view name) override {
    image::Image out;
    out.id = "sha256:" + std::string(name);
    return out;
  }
  std::vector<image::Image> images;  ///< what List tells of
  std::function<void()> on_removed;
  std::string stuck;  ///< one that can't be removed
  Result<std::vector<image::Image>> List() override { return images; }
  Result<image::Image> Pull(const image::Reference& reference, const image::PullOptions& /*options*/) override {
    return Get(reference.Canonical());
  }
  Result<std::vector<std::string>> Load(const std::string& /*path*/, const image::LoadOptions& /*options*/) override {
    return Forbidden("load");
  }
  Ok Tag(std::string_view /*source*/, const image::Reference& /*target*/) override { return Forbidden("tag"); }
  Ok Remove(std::string_view name, const std::function<bool(const std::string& id)>& in_use) override {
    const auto at = std::ranges::find(images, name, &image::Image::id);
    if (at == images.end()) return NotFound("no image");
    if (in_use(at->id) || at->id == stuck) return Conflict("in use");
    images.erase(at);
    if (on_removed) on_removed();
    return {};
  }
  Result<User> ResolveUser(const image::Image& /*image*/, std::string_view /*user*/) override { return User{}; }
};

class FakeNetwork : public network::PodNetwork {
 public:
  std::map<std::string, std::string> addresses;  ///< by sandbox
  std::function<Ok()> on_attach;
  Result<network::PodAddress> Attach(const std::string& sandbox_id, const std::string& /*netns_path*/) override {
    if (on_attach) TRY(on_attach());
    auto [at, added] = addresses.try_emplace(sandbox_id);
    if (added) at->second = "10.42.0." + std::to_string(++number_ + 1);
    return network::PodAddress{at->second, "10.42.0.1"};
  }
  std::map<std::string, std::vector<network::PortMapping>> ports;  ///< by sandbox
  Ok MapPorts(const std::string& sandbox_id, const std::vector<network::PortMapping>& mappings) override {
    ports[sandbox_id] = mappings;
    return {};
  }
  Ok Detach(const std::string& sandbox_id) override {
    ports.erase(sandbox_id);
    addresses.erase(sandbox_id);
    return {};
  }
  Ok Retain(const std::vector<std::string>& sandbox_ids) override {
    const std::set<std::string> keep(sandbox_ids.begin(), sandbox_ids.end());
    std::erase_if(addresses, [&keep](const auto& entry) { return !keep.contains(entry.first); });
    return {};
  }

 private:
  int number_ = 0;
};

}  // namespace knarr::node

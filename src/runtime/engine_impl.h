#pragma once

// The engine's inside; see engine.h. The members are spread over engine_open.cc, engine_sandbox.cc,
// engine_container.cc and engine_exec.cc.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/bundle.h"
#include "runtime/cgroup.h"
#include "runtime/engine.h"
#include "runtime/records.h"
#include "runtime/shim_client.h"

namespace knarr::runtime {

/// An exec under way.
struct ExecState {
  explicit ExecState(rt::Runtime& runtime) : exited(runtime) {}
  rt::Event exited;
  int code = 0;
  bool lost = false;              ///< the shim went away: nobody knows how it ended
  std::function<void()> on_exit;  ///< called once, before `exited` is set
  void Finish(int exit_code, bool is_lost);
};

struct ContainerEntry {
  explicit ContainerEntry(rt::Runtime& runtime) : changed(runtime) {}
  ContainerRecord record;
  std::string directory;
  ContainerState state = ContainerState::kCreated;
  bool starting = false;
  bool joins_pid = false;  ///< it sees another's processes
  bool removing = false;
  int pid = 0;
  uint64_t pid_start = 0;
  WallTime started, finished;
  int exit_code = 0;
  bool oom = false;
  bool lost = false;  ///< ended while nobody watched
  std::string start_error;
  rt::WaitQueue changed;
};

struct SandboxEntry {
  SandboxRecord record;
  std::string directory;
  ShimPids pids;
  bool made = false;  ///< RunSandbox is through: before that nobody else sees it
  bool infra_alive = false;
  bool stopping = false;  ///< the shim is told to end: its end is no news
  bool stopped = false;
  std::shared_ptr<ShimClient> client;  ///< nullptr while there is no shim
  std::map<std::string, std::shared_ptr<ContainerEntry>> containers;
  std::map<std::string, std::shared_ptr<ExecState>> execs;
  /// Nobody will tell any more how they end.
  void EndExecs();
  bool ready() const { return client != nullptr && infra_alive && !stopping && !stopped; }
};

using SandboxPtr = std::shared_ptr<SandboxEntry>;
using ContainerPtr = std::shared_ptr<ContainerEntry>;

class EngineImpl final : public Engine {
 public:
  EngineImpl(rt::Runtime& runtime, image::Store& images, EngineOptions options, Cgroups cgroups);
  ~EngineImpl() override;
  /// The rest of Open.
  Ok Start();

  Result<SandboxStatus> RunSandbox(const SandboxSpec& spec) override;
  Ok StopSandbox(const std::string& id) override;
  Ok RemoveSandbox(const std::string& id) override;
  Result<std::vector<SandboxStatus>> ListSandboxes() override;
  Ok UpdateSandbox(const std::string& id, const CgroupResources& resources) override;
  Result<CgroupUsage> SandboxUsage(const std::string& id) override;
  Result<std::string> CreateContainer(const std::string& sandbox_id, const ContainerSpec& spec) override;
  Ok StartContainer(const std::string& id) override;
  Ok StopContainer(const std::string& id, Duration grace) override;
  Ok RemoveContainer(const std::string& id) override;
  Result<ContainerStatus> GetContainer(const std::string& id) override;
  Result<std::vector<ContainerStatus>> ListContainers(const std::string& sandbox_id) override;
  Ok UpdateContainer(const std::string& id, const CgroupResources& resources) override;
  Ok ReopenLog(const std::string& id) override;
  Result<std::unique_ptr<ExecSession>> Exec(const std::string& id, const ExecSpec& spec) override;
  Result<std::unique_ptr<ExecSession>> Attach(const std::string& id, const AttachSpec& spec) override;
  Result<ExecResult> ExecSync(const std::string& id, const std::vector<std::string>& command, Duration timeout,
                              size_t output_max) override;
  Result<CgroupUsage> Usage(const std::string& id) override;
  Result<DiskUse> Written(const std::string& id) override;
  Result<ContainerEvent> NextEvent() override;
  bool UsesImage(const std::string& image_id) const override;
  std::string name() const override { return "knarr"; }
  std::string version() const override { return version_; }
  RuntimeFeatures features() const override { return features_; }

 private:
  struct Found {
    SandboxPtr sandbox;
    ContainerPtr container;
  };
  friend class Session;
  friend class AttachSession;

  // engine_open.cc
  Ok PrepareMachine();
  Ok MountLeftOverControllers();
  Ok ReadVersion();
  Ok LookForUserNamespaces();
  void RecoverSandbox(const std::string& directory, const std::vector<std::string>& mounts);
  void RemoveHalfMade(const SandboxPtr& sandbox);
  void RecoverContainers(const SandboxPtr& sandbox, const std::vector<std::string>& mounts);
  void RecoverFromFiles(ContainerEntry& container, bool same_boot);
  Ok Connect(const SandboxPtr& sandbox);
  Result<ShimClient::Reply> ListStarted(ShimClient& client);
  void OnEvent(const SandboxPtr& sandbox, const std::vector<std::string>& event);
  void OnClosed(const SandboxPtr& sandbox);
  void OnExit(const SandboxPtr& sandbox, const std::vector<std::string>& event);
  void Emit(EventType type, const SandboxEntry& sandbox, const std::string& container_id);

  // engine_sandbox.cc
  Ok PrepareSandbox(SandboxEntry& sandbox, const CgroupResources& resources);
  Ok StartShim(SandboxEntry& sandbox);
  Result<std::string> ReadReport(const OwnedFd& fd);
  Ok KillSandbox(const SandboxPtr& sandbox);
  Ok DeleteSandbox(const SandboxPtr& sandbox);
  Ok RemovePodCgroup(const SandboxPtr& sandbox);
  void CloseContainers(SandboxEntry& sandbox);
  Result<SandboxPtr> FindSandbox(const std::string& id) const;
  SandboxStatus StatusOf(const SandboxEntry& sandbox) const;

  // engine_container.cc
  Result<Found> FindContainer(const std::string& id) const;
  ContainerStatus StatusOf(const SandboxEntry& sandbox, const ContainerEntry& container) const;
  Result<int> FindPidTarget(const SandboxEntry& sandbox, const ContainerSpec& spec);
  Result<BundleSpec> MakeBundle(const SandboxEntry& sandbox, const ContainerSpec& spec, const image::Image& image);
  Ok PrepareContainer(const SandboxEntry& sandbox, const ContainerEntry& container, BundleSpec bundle,
                      const image::Image& image);
  Ok Kill(const Found& found, int signal);
  Ok KillAndWait(const Found& found);
  void FailStart(ContainerEntry& container, const std::string& message);
  Ok DeleteContainer(const SandboxPtr& sandbox, const ContainerPtr& container);
  Ok RemoveCgroup(const std::string& path);
  Ok DeleteOciState(const std::string& id);

  std::string NewId(size_t bytes);
  /// Blocking, with a result.
  Ok InPool(const std::function<Ok()>& work);

  rt::Runtime& runtime_;
  image::Store& images_;
  EngineOptions options_;
  Cgroups cgroups_;
  BundleHost host_;
  std::string boot_id_;
  std::string version_;
  RuntimeFeatures features_{.recursive_read_only_mounts = true};
  bool may_protect_ = false;  ///< may lower oom_score_adj
  bool closing_ = false;
  std::map<std::string, SandboxPtr> sandboxes_;
  std::set<std::string> removing_groups_;  // pods' groups on their way out: a new sandbox of the pod waits
  rt::WaitQueue groups_changed_;
  rt::Queue<ContainerEvent> events_;
  rt::TaskGroup group_;
};

/// Below a container's folder: where the layers of its root are for a moment, when they are mapped (runtime/id_maps.h).
inline constexpr const char* kAside = "/layers";

/// All of it to a descriptor that does not block. InternalError with `what` in front.
Ok WriteAll(rt::Runtime& runtime, int fd, std::string_view data, const std::string& what);

/// The folders below the state directory.
std::string SandboxesDirectory(const EngineOptions& options);
std::string OciDirectory(const EngineOptions& options);
std::string CgroupMountsFile(const EngineOptions& options);

}  // namespace knarr::runtime

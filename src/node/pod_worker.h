#pragma once

// The life of one pod: one fiber that runs a plain, level-triggered loop. It is woken by a change of the pod's object,
// a container's exit, a probe's result or the end of a back-off, looks at everything anew, takes the next steps and
// writes the status if it changed. Long steps (pulling and starting, stopping) run in fibers of their own, one of each
// kind at a time, so that the loop always answers.

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/core_v1.h"
#include "client/client.h"
#include "client/events.h"
#include "image/store.h"
#include "network/network.h"
#include "node/allocator.h"
#include "node/lifecycle.h"
#include "node/local_storage.h"
#include "node/pod_state.h"
#include "node/pressure.h"
#include "node/probe_counts.h"
#include "node/prober.h"
#include "node/pull_secrets.h"
#include "node/user_ranges.h"
#include "node/volumes.h"
#include "rt/sync.h"
#include "runtime/runtime.h"

namespace knarr::node {

/// What all pod workers of a node share.
struct PodEnvironment {
  rt::Runtime& runtime;
  client::Client& client;
  runtime::Runtime& containers;
  image::Store& images;
  network::PodNetwork& network;
  client::EventRecorder& events;
  std::string node_name;
  std::string node_ip;
  std::string pods_directory;  ///< "<data>/pods"
  std::string log_directory;   ///< "/var/log/pods"
  std::string cgroup_root;     ///< "/knarr"
  bool apparmor = false;       ///< the kernel has it
  const Pressures& pressures;  ///< what the node lacks now
  const bool& shutting_down;   ///< the machine is about to go down: no pod begins
  rt::WaitQueue& over;         ///< told when nothing of a pod runs any more
  ProbeCounts& probe_counts;
  rt::Mutex& asking_servers;  ///< taken while a file server is asked for a mount
  Allocator& allocator;
  UserRanges& user_ranges;
  int64_t pids_most = 0;         ///< processes of one pod; 0: as many as the machine lets
  api::ResourceList huge_pages;  ///< those the machine has
  int64_t machine_cpu_milli = 0;
  int64_t machine_memory = 0;
  int64_t allocatable_cpu_milli = 0;
  int64_t allocatable_memory = 0;
};

/// The kubelet's immediateEvictionGracePeriodSeconds.
inline constexpr Duration kEvictionGrace = 1s;

class PodWorker : private ResizeSeeker {
 public:
  /// Owns the pod from now on. `finished` is called (once, from its fiber's end) when nothing of the pod is left here.
  PodWorker(const PodEnvironment& environment, api::ObjectPtr pod, std::function<void()> finished);
  ~PodWorker() override;

  /// What the runtime has of this pod from before the agent was started. REQUIRES: before Start.
  void Adopt(std::vector<runtime::SandboxStatus> sandboxes, std::vector<runtime::ContainerStatus> containers);
  void Start();
  /// Leaves the pod running and ends the fibers: the agent stops.
  void Stop();

  /// The object changed.
  void Update(api::ObjectPtr pod);
  /// The object is gone from the API server.
  void Gone();
  /// A container or the sandbox changed state.
  void RuntimeChanged();
  /// Fails the pod and ends it at once, for this reason: "Usage of EmptyDir volume …".
  enum class EvictedFor : uint8_t { kItsOwnUse, kTheNode };
  void Evict(const std::string& message, EvictedFor why, Duration grace = kEvictionGrace);
  /// Ends the pod because its machine goes down, within this time and its own grace. It has failed then, unless its
  /// work was done.
  void EndWithNode(const std::string& message, Duration grace);
  /// Whether it has begun and nothing has ended it.
  bool active() const;
  /// Whether nothing of it runs, and nothing will.
  bool ended() const { return gone_ || over_; }
  /// Whether nothing of it runs, and its volumes are gone.
  bool over() const { return done_ || over_; }
  /// Begins to measure what its limits are about, if it has any: it is evicted if it takes more.
  void CheckStorage();
  /// What there is to measure.
  LocalStoragePlaces StoragePlaces() const;

  const api::Object& pod() const { return *pod_; }
  api::ObjectPtr object() const { return pod_; }
  bool gone() const { return gone_; }
  const PodState& state() const { return state_; }
  /// The one its containers are in now, if there is one.
  const std::optional<runtime::SandboxStatus>& sandbox() const { return sandbox_; }

 private:
  void Run();
  Ok Sync();
  Ok SyncRunning();
  Ok SyncTerminating();
  Ok SyncFailed();
  Ok SyncFinished();
  Result<bool> RestartAll();
  Ok ResetContainer(ContainerRecord& record);
  bool StopAll(Duration grace);
  void NoteDeadline();
  void Admit();
  std::optional<WallTime> Deadline() const;
  Ok RefreshContainers();
  runtime::ContainerStatus LostContainer(const ContainerRecord& record) const;
  void NoteContainer(ContainerRecord& record, const runtime::ContainerStatus& status);
  void NoteEnd(ContainerRecord& record);
  void AddLastWords(std::optional<runtime::ContainerStatus>& ended);
  void AddMissedWords();
  void KeepToldEnds();

  Ok EnsureSandbox();
  Result<runtime::SandboxSpec> MakeSandboxSpec(api::core_v1::Pod pod);
  Ok JoinSandbox();
  Ok ClearOldSandboxes();
  Result<std::string> HostnameIn(api::core_v1::Pod pod);
  Ok WriteSandboxFiles();
  void TellMissingDns();
  void StartContainers(std::vector<std::string> names);
  Ok StartOne(const std::string& name);
  Ok Launch(ContainerRecord& record, const std::string& id);
  Result<runtime::ContainerSpec> PrepareContainer(api::core_v1::Pod pod, api::core_v1::Container container,
                                                  ContainerRecord& record, const image::Image& image);
  struct ImageWanted {
    std::string name;
    std::string_view policy;
    std::string container;  // whose events tell of it; "" for the pod's own
  };
  Result<image::Image> EnsureImage(api::core_v1::Pod pod, const ImageWanted& wanted, ContainerRecord& record);
  Ok EnsureImageVolumes(api::core_v1::Pod pod, api::core_v1::Container container, ContainerRecord& record);
  Result<image::Image> PullImage(api::core_v1::Pod pod, const ImageWanted& wanted, const image::Reference& reference,
                                 ContainerRecord& record);
  Result<PullSecrets> ReadPullSecrets(api::core_v1::Pod pod);
  Status NoteNoImage(ContainerRecord& record, const ImageWanted& wanted, std::string_view event,
                     std::string_view reason, Status status);
  void TellPullBackOff();
  void NoteStartFailure(ContainerRecord& record, std::string_view reason, const Status& status);
  Ok RemoveContainer(const std::string& id);
  enum class StopOrder : uint8_t {
    kAtOnce,
    kInTurn,  ///< sidecars after the others
  };
  void StopContainer(const ContainerRecord& record, Duration grace, const std::string& message, StopOrder order);
  void BeginPreStop(const ContainerRecord& record, Duration grace);
  Ok RunPostStart(const api::Object& pod, api::core_v1::Container container, ContainerRecord& record);
  HookTarget HookOn(const api::Object& pod, api::core_v1::Container container, const std::string& id);
  Ok TearDown();
  Ok DeleteObject();

  void StartProbes(ContainerRecord& record, ProbeOrigin origin);
  void StopProbes(const std::string& name);
  void ProbeDecided(const std::string& name, ProbeKind kind, bool passed);

  // pod_resize.cc: resources that change while the pod runs
  const api::ObjectPtr& Allocated();
  void LoadResources();
  Ok SaveResources();
  void LookForResize();
  ResizeRank Rank() const override;
  bool TryResize() override;
  api::ResourceList Amounts();
  Ok ActuateResize();
  bool RestartForResize(const ResizePlan& plan);
  Result<MemoryInUse> ReadMemory(const ResizePlan& plan);
  Ok ApplyResize(const ResizePlan& plan, const Allocation& allocated, const runtime::CgroupResources& next);
  Result<runtime::CgroupResources> PodGroup(api::core_v1::Pod pod) const;
  Ok UpdatePodGroup(const runtime::CgroupResources& next);
  Ok UpdateContainers(const std::vector<ContainerUpdate>& updates, const Allocation& allocated, bool memory);
  void NoteResizeError(const std::string& message);
  void NoteActuated(api::core_v1::Pod pod, const std::string& container);

  void TakeNewer(api::ObjectPtr pod);
  void FollowSources();
  Ok KeepVolumes();
  Ok WriteStatus();
  Duration Grace() const;
  void RecordEvent(client::EventKind kind, std::string_view reason, std::string message,
                   std::string_view container = {});
  /// The pod's folder.
  std::string Directory() const;
  /// Valid until the next wait only: pod_ may be replaced then. Hold pod_ to use it longer.
  api::core_v1::Pod view() const { return api::core_v1::Pod(pod_->tree()); }

  const PodEnvironment environment_;
  api::ObjectPtr pod_;
  std::function<void()> finished_;
  PodState state_;
  PodVolumes volumes_;
  std::optional<runtime::SandboxStatus> sandbox_;
  std::vector<std::string> old_sandboxes_;
  uint32_t sandbox_attempt_ = 0;
  bool gone_ = false;
  bool refresh_ = true;    // ask the runtime before the next step
  bool starting_ = false;  // the start fiber runs
  bool over_ = false;      // finished, and all but logs and records is cleared away
  bool done_ = false;
  bool following_ = false;
  bool missing_dns_told_ = false;
  bool adopted_ = false;  // its sandbox is older than this process
  bool fields_changed_ = false;  // labels or annotations, which volumes may show
  WallTime volumes_again_{};
  std::optional<Duration> hurry_;  // the grace of an eviction, or of the machine
  api::ObjectPtr allocated_;       // the pod with its allocation as its spec
  api::ObjectPtr allocated_from_;  // and what it was made of
  bool resources_kept_ = false;    // they are in the pod's folder
  bool resources_changed_ = false;
  bool hold_again_ = false;  // what it has shows in its next status
  int64_t resize_looked_at_ = 0;  // the generation
  WallTime resize_again_{};       // not before
  bool measuring_ = false;
  MonoTime measure_after_{};
  struct StopUnderWay {
    Duration grace;  // the shortest that was asked for
    int calls = 0;
    bool hook_runs = false;  // its preStop hook
  };
  std::map<std::string, StopUnderWay> stops_;  // by container id
  std::optional<Status> stop_failed_;          // told once by the next step, which is then tried again later
  std::vector<std::string> leftovers_;         // containers found at the start that nothing refers to
  std::optional<WallTime> recheck_;
  Duration retry_{};
  std::string failure_told_;  // the last FailedMount or FailedCreatePodSandBox text, told once each
  std::string written_status_;
  std::map<std::string, Duration> pull_back_off_;  // by image
  std::map<std::string, std::unique_ptr<Prober>> probes_;
  rt::CancelScope* post_start_ = nullptr;  // of the hook that runs in the start's fiber
  rt::Event wake_;
  rt::WaitQueue turns_;      // a container has ended, or a hook
  rt::TaskGroup steps_;      // starts and stops
  rt::TaskGroup followers_;  // of the ConfigMaps and Secrets that volumes show
  rt::TaskGroup main_;
};

}  // namespace knarr::node

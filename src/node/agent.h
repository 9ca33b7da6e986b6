#pragma once

// The node agent: registers the node, keeps its lease and status, and runs the pods bound to it, one worker a pod.
// When it starts it adopts what runs already; when it stops, everything goes on running.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/node_access.h"
#include "image/store.h"
#include "net/http.h"
#include "network/network.h"
#include "node/allocator.h"
#include "node/image_collector.h"
#include "node/pod_worker.h"
#include "node/pressure.h"
#include "node/probe_counts.h"
#include "node/qos_groups.h"
#include "node/reserved.h"
#include "node/shutdown.h"
#include "node/user_ranges.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::node {

struct AgentOptions {
  std::string node_name;
  std::string node_ip;
  std::string pod_cidr = "10.42.0.0/24";
  std::string data_directory;  ///< "<data>"; pods' volumes lie in "<data>/pods"
  std::string image_directory;  ///< where the images lie; "": "<data>/images"
  std::string log_directory = "/var/log/pods";
  std::string cgroup_root = "/knarr";         ///< the engine's
  std::string container_runtime = "knarr://" KNARR_VERSION;
  std::map<std::string, std::string> labels;  ///< added to the node
  EvictionConfig eviction = DefaultEviction();
  Reserved reserved;       ///< what is not for pods
  int64_t pids_most = 0;   ///< processes of one pod; 0: as many as the machine lets
  /// Makes a control group above the pods' own and sets its limits; blocking. Empty: nobody's shares are set.
  QosGroups::SetGroup set_group;
  /// How long which pods get when the machine is about to go down, and who tells of that. Without either, nobody is.
  std::vector<ShutdownPeriod> shutdown_periods;
  std::shared_ptr<ShutdownSource> shutdown_source;
  std::string manifest_path;                  ///< a folder or file of pods that the node runs of itself; "" for none
  /// How much room there is where the folder lies; asked of the machine when empty. Blocking.
  std::function<Result<DiskSpace>(const std::string& directory)> disk_space;
};

class LogReader;
class StatsReader;
struct PodToMeasure;
class MirrorPods;
class StaticPods;

class Agent : public client::NodeAccess {
 public:
  Agent(rt::Runtime& runtime, client::Client& client, runtime::Runtime& containers, image::Store& images,
        network::PodNetwork& network, AgentOptions options);
  ~Agent() override;

  /// Registers the node (Ready) and begins to run pods. World fiber.
  Ok Start();
  /// Ends the agent's fibers; pods go on running.
  void Stop();

  rt::Runtime& runtime() override { return runtime_; }
  Result<std::unique_ptr<client::LogStream>> Logs(std::string_view ns, std::string_view pod,
                                                  const client::LogOptions& options) override;
  Result<std::unique_ptr<client::ExecStream>> Exec(std::string_view ns, std::string_view pod,
                                                   const client::ExecOptions& options) override;
  Result<std::unique_ptr<client::ExecStream>> Attach(std::string_view ns, std::string_view pod,
                                                     const client::AttachOptions& options) override;
  Result<std::unique_ptr<net::Stream>> Dial(std::string_view ns, std::string_view pod, uint16_t port) override;
  Result<std::unique_ptr<net::Stream>> DialServer() override;

 private:
  class FollowedLog;
  void PodChanged(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void StartWorker(const api::ObjectPtr& pod);
  void WorkerFinished(const std::string& uid);
  int64_t BurstableCpu() const;
  // agent_static.cc
  Ok StartStatic();
  void StopStatic();
  void StaticAdded(const api::ObjectPtr& pod);
  void StaticRemoved(const api::ObjectPtr& pod);
  void StaticEnded(const api::Object& pod);
  Ok AdoptPods();
  void RemoveOrphans(const client::Informer& pods, const std::vector<runtime::SandboxStatus>& sandboxes);
  Ok RemoveOrphan(const runtime::SandboxStatus& sandbox);
  Ok RemoveFiles(const std::string& uid);
  Ok KeepLeases();
  void RunEvents();
  // agent_keeping.cc: what the node's disk and memory are watched for
  void RunKeeping();
  Result<std::set<std::string>> ImagesInUse();
  Ok NoteImages(WallTime now);
  Ok RemoveUnusedImage(const image::Image& image);
  Result<int64_t> CollectImages(int64_t bytes);
  Ok CollectExcess();
  Ok LookAtImages();
  Ok LookAtPressure();
  Observations Observe();
  DiskSpace SpaceOf(const std::string& directory);
  void TellPressures(const Pressures::Conditions& before);
  Ok EvictOne(const Threshold& threshold, const Observations& observations);
  Result<std::vector<Candidate>> FindCandidates(Starved resource);
  Ok WaitEnded(const std::string& uid);
  // agent_shutdown.cc
  void RunShutdown();
  Ok FollowShutdowns(ShutdownSource& source);
  void SetShuttingDown(bool down);
  Ok EndPods();
  Ok EndGroup(const std::vector<std::string>& uids, Duration period);
  std::string ShutdownNotePath() const;
  void ReadShutdownNote();
  void WriteShutdownNote();
  void RecordNodeEvent(client::EventKind kind, std::string_view reason, std::string message);
  PodWorker* FindWorker(std::string_view ns, std::string_view pod);
  Result<const ContainerRecord*> PickContainer(PodWorker& worker, std::string_view container);
  /// The id of a container that runs. NotFound as the kubelet says it.
  Result<std::string> FindRunning(std::string_view ns, std::string_view pod, std::string_view container);
  // node_server.cc: the paths of the kubelet's own server
  void ServeHttp(net::Request& request, net::Response& response);
  Ok ServeContainerLog(net::Request& request, net::Response& response);
  Ok ServePods(net::Response& response) const;
  // agent_stats.cc: what it all uses
  void MakeStats();
  std::vector<PodToMeasure> PodsToMeasure() const;
  /// The paths of figures; nullopt for any other.
  std::optional<Ok> ServeStats(net::Request& request, net::Response& response);
  Result<std::string> OwnMetrics();
  std::string ConfigJson() const;
  std::string RunningPodsJson() const;

  rt::Runtime& runtime_;
  client::Client& client_;
  runtime::Runtime& containers_;
  image::Store& images_;
  network::PodNetwork& network_;
  const AgentOptions options_;
  client::InformerFactory informers_;
  client::EventRecorder events_;
  std::unique_ptr<class NodeStatus> status_;
  std::unique_ptr<Allocator> allocator_;
  UserRanges user_ranges_;
  std::unique_ptr<QosGroups> qos_groups_;
  std::unique_ptr<MirrorPods> mirrors_;
  std::unique_ptr<StaticPods> statics_;
  std::map<std::string, api::ObjectPtr> static_waiting_;  // until the one before it by that name has ended
  bool apparmor_ = false;
  ImageCollector collector_;
  Pressures pressures_;
  ProbeCounts probe_counts_;
  bool shutting_down_ = false;
  WallTime shutdown_began_{};  // the last one
  WallTime shutdown_ended_{};
  rt::WaitQueue pods_over_;  // nothing of one runs any more
  rt::Mutex asking_servers_;
  std::unique_ptr<StatsReader> stats_;
  std::map<Signal, int64_t> evictions_;  // counted
  bool collection_failed_ = false;
  std::map<std::string, std::unique_ptr<PodWorker>, std::less<>> workers_;  // by uid
  std::multimap<std::string, FollowedLog*> followed_;                       // by container id
  std::map<std::string, std::vector<runtime::SandboxStatus>> found_sandboxes_;
  std::map<std::string, std::vector<runtime::ContainerStatus>> found_containers_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::node

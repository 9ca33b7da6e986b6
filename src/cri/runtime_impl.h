#pragma once

// Inside runtime.h. The members are spread over runtime.cc (the runtime and sandboxes), containers.cc and events.cc.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cri/messages.h"
#include "cri/runtime.h"
#include "cri/specs.h"
#include "rt/sync.h"

namespace knarr::cri {

class RuntimeImpl final : public Runtime {
 public:
  RuntimeImpl(rt::Runtime& runtime, Channel& channel, RuntimeOptions options);
  ~RuntimeImpl() override;
  /// The rest of Open.
  Ok Start();

  Result<runtime::SandboxStatus> RunSandbox(const runtime::SandboxSpec& spec) override;
  Ok StopSandbox(const std::string& id) override;
  Ok RemoveSandbox(const std::string& id) override;
  Result<std::vector<runtime::SandboxStatus>> ListSandboxes() override;
  Ok UpdateSandbox(const std::string& id, const runtime::CgroupResources& resources) override;
  Result<runtime::CgroupUsage> SandboxUsage(const std::string& id) override;
  Result<std::string> CreateContainer(const std::string& sandbox_id, const runtime::ContainerSpec& spec) override;
  Ok StartContainer(const std::string& id) override;
  Ok StopContainer(const std::string& id, Duration grace) override;
  Ok RemoveContainer(const std::string& id) override;
  Result<runtime::ContainerStatus> GetContainer(const std::string& id) override;
  Result<std::vector<runtime::ContainerStatus>> ListContainers(const std::string& sandbox_id) override;
  Ok UpdateContainer(const std::string& id, const runtime::CgroupResources& resources) override;
  Ok ReopenLog(const std::string& id) override;
  Result<std::unique_ptr<runtime::ExecSession>> Exec(const std::string& id, const runtime::ExecSpec& spec) override;
  Result<std::unique_ptr<runtime::ExecSession>> Attach(const std::string& id, const runtime::AttachSpec& spec) override;
  Result<runtime::ExecResult> ExecSync(const std::string& id, const std::vector<std::string>& command, Duration timeout,
                                       size_t output_max) override;
  Result<runtime::CgroupUsage> Usage(const std::string& id) override;
  Result<runtime::DiskUse> Written(const std::string& id) override;
  Result<runtime::ContainerEvent> NextEvent() override { return events_.Pop(); }
  std::string name() const override { return name_; }
  std::string version() const override { return version_; }
  runtime::RuntimeFeatures features() const override { return features_; }
  Result<RuntimePlaces> Places() override;
  Ok WaitNetwork(Duration patience) override;

 private:
  static std::string Method(const char* name);
  template <typename Response, typename Request>
  Result<Response> Ask(const char* method, const Request& request, Duration timeout = kCallTimeout) {
    return cri::Ask<Response>(channel_, Method(method), request, timeout);
  }
  /// A call whose answer says nothing.
  template <typename Request>
  Ok Do(const char* method, const Request& request, Duration timeout = kCallTimeout) {
    Empty nothing;
    return AskInto(channel_, Method(method), Request::kMessage, &request, Empty::kMessage, &nothing, timeout);
  }
  /// What is gone already is what was wanted.
  static Ok GoneIsFine(Ok done) { return done.Failed(Reason::kNotFound) ? Ok() : done; }
  Ok WaitAnswer();
  Ok CheckDriver();
  Ok ReadFeatures();
  Result<ContainerStatus> RawStatus(const std::string& id);
  Result<std::vector<Container>> RawContainers(const std::string& sandbox_id);
  Result<std::vector<PodSandbox>> RawSandboxes();
  Result<runtime::SandboxStatus> SandboxStatusOf(const std::string& id);
  Ok RemoveHalfMade(const runtime::SandboxSpec& spec);
  Result<ContainerStats> StatsOf(const std::string& id);
  // A pod's control group
  Ok MakeGroup(const runtime::SandboxSpec& spec);
  Ok RemoveGroup(const std::string& path);
  Result<std::string> GroupOf(const std::string& sandbox_id);
  Ok InPool(const std::function<Ok()>& work);
  // events.cc
  void ListenToEvents();
  Ok Listen(const std::string& method, const std::string& request);
  void WatchStates();
  Ok LookAtStates();

  rt::Runtime& runtime_;
  Channel& channel_;
  const RuntimeOptions options_;
  Limits limits_;
  std::string name_;
  std::string version_;
  runtime::RuntimeFeatures features_;
  std::map<std::string, runtime::ContainerStatus> known_;  // as of their last change of state
  rt::Mutex groups_;                                       // one at a time changes pods' control groups
  std::map<std::string, int> making_;                      // sandboxes under way, by control group
  // What was seen last, for the events.
  struct Seen {
    std::string sandbox_id;
    int32_t state = 0;
  };
  std::map<std::string, Seen> seen_containers_;
  std::map<std::string, int32_t> seen_sandboxes_;
  std::set<std::string> ending_;  // their ends were told, but the lists do not have them yet
  bool told_ = false;             // there is a reason to look
  bool listening_ = false;        // somebody tells when there is
  std::string listen_error_;      // why it broke off the last time, as it was told
  std::string look_error_;        // "" from when it answers again on
  rt::WaitQueue turns_;
  rt::Queue<runtime::ContainerEvent> events_;
  rt::TaskGroup fibers_;
};

}  // namespace knarr::cri

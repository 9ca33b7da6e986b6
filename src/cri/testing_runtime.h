#pragma once

// For tests only: a container runtime in memory that answers CRI's calls, in virtual time.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cri/channel.h"
#include "cri/messages.h"
#include "rt/sync.h"

namespace knarr::cri {

class TestingRuntime : public Channel {
 public:
  explicit TestingRuntime(rt::Runtime& runtime) : changed(runtime), runtime_(runtime) {}

  // What it is like.
  bool gone = false;                     ///< nobody answers
  bool silent = false;                   ///< it takes questions and answers none
  bool cri_events = false;               ///< containerd from 1.7 on
  bool containerd_events = false;        ///< containerd of any version
  std::optional<int32_t> cgroup_driver;  ///< nullopt: the question is not known
  bool network_ready = true;
  std::vector<RuntimeHandler> handlers;  ///< none: it says nothing of what they can do
  Duration end_delay{};  ///< from the news of an end until the lists have it
  std::function<Ok(const std::string& method)> fails = [](const std::string&) { return Ok(); };
  std::map<std::string, std::string> answers;  ///< bytes to answer to a method, instead

  // What it has.
  std::map<std::string, PodSandboxStatus> sandboxes;
  std::map<std::string, ContainerStatus> containers;
  std::map<std::string, std::string> sandbox_of;
  std::map<std::string, CreateContainerRequest> requests;
  std::map<std::string, Image> images;
  std::vector<PullImageRequest> pulls;
  std::vector<UpdatePodSandboxResourcesRequest> updates;
  std::vector<std::string> calls;
  rt::WaitQueue changed;
  std::vector<std::string> news;  ///< encoded, for who listens
  uint64_t break_events = 0;      ///< raise it (and notify) to end what is listened to

  Result<std::string> Call(const std::string& method, std::string_view message, Duration timeout) override {
    if (silent) {
      TRY(runtime_.Sleep(timeout));
      return Status(Reason::kTimeout, "timed out");
    }
    if (gone) return Unavailable("container runtime: dial unix /x: connect: no such file or directory");
    const std::string name = method.substr(method.rfind('/') + 1);
    calls.push_back(name);
    TRY(fails(name));
    if (const auto at = answers.find(name); at != answers.end()) return at->second;
    runtime_.Yield();
    if (method.starts_with("/runtime.v1.ImageService/")) return Images(name, message);
    if (!method.starts_with("/runtime.v1.")) return Status(Reason::kMethodNotAllowed, "unknown service " + method);
    if (name.find("Container") == std::string::npos) return Sandboxes(name, message);
    return Containers(name, message);
  }

  Result<std::unique_ptr<Telling>> Listen(const std::string& method, std::string_view) override {
    const bool cri = method == "/runtime.v1.RuntimeService/GetContainerEvents";
    return std::unique_ptr<Telling>(new News(*this, cri ? cri_events : containerd_events));
  }

  void End(const std::string& id, int code) {
    EventEnvelope envelope{.ns = "k8s.io", .topic = "/tasks/exit"};
    envelope.event.value.data = Encode(TaskExit{.container_id = id, .id = id});
    news.push_back(cri_events ? Encode(ContainerEventResponse{.container_id = id, .type = 2}) : Encode(envelope));
    changed.NotifyAll();
    if (end_delay > Duration{}) (void)runtime_.Sleep(end_delay);
    ContainerStatus& status = containers.at(id);
    status.state = kContainerExited;
    status.exit_code = code;
    status.finished_at = Now();
    status.reason = code == 0 ? "Completed" : "Error";
  }

 private:
  class News : public Telling {
   public:
    News(TestingRuntime& of, bool known) : of_(of), known_(known), at_(of.news.size()), epoch_(of.break_events) {}
    Result<std::optional<std::string>> Next() override {
      if (!known_) return Status(Reason::kMethodNotAllowed, "unknown method");
      TRY(of_.changed.WaitUntil([this] { return at_ < of_.news.size() || epoch_ != of_.break_events; }));
      if (epoch_ != of_.break_events) return Unavailable("the connection ended");
      return std::optional<std::string>(of_.news[at_++]);
    }

   private:
    TestingRuntime& of_;
    bool known_;
    size_t at_;
    uint64_t epoch_;
  };

  int64_t Now() { return runtime_.Wall().time_since_epoch().count(); }

  Result<std::string> Sandboxes(const std::string& name, std::string_view message) {
    if (name == "Version") return Encode(VersionResponse{"0.1.0", "testing", "1.2.3", "v1"});
    if (name == "RuntimeConfig") {
      if (!cgroup_driver) return Status(Reason::kMethodNotAllowed, "unknown method RuntimeConfig");
      return Encode(RuntimeConfigResponse{.linux_configuration = LinuxRuntimeConfiguration{*cgroup_driver}});
    }
    if (name == "Status") {
      StatusResponse out;
      out.status.conditions = {{"RuntimeReady", true, "", ""}, {"NetworkReady", network_ready, "NoConfig", "none yet"}};
      out.handlers = handlers;
      out.info["config"] = R"({"cni":{"binDir":"/there/bin","confDir":"/there/net.d"}})";
      return Encode(out);
    }
    if (name == "UpdatePodSandboxResources") {
      updates.push_back(TRY(Decode<UpdatePodSandboxResourcesRequest>(message)));
      return std::string();
    }
    if (name == "RunPodSandbox") return RunSandbox(TRY(Decode<RunPodSandboxRequest>(message)));
    if (name == "ListPodSandbox") return ListSandboxes(TRY(Decode<ListPodSandboxRequest>(message)));
    const std::string id = TRY(Decode<SandboxId>(message)).id;
    const auto at = sandboxes.find(id);
    if (at == sandboxes.end()) return NotFound("sandbox \"" + id + "\": not found");
    if (name == "StopPodSandbox") at->second.state = kSandboxNotReady;
    if (name == "RemovePodSandbox") {
      std::erase_if(containers, [&](const auto& entry) { return sandbox_of[entry.first] == id; });
      sandboxes.erase(at);
    }
    if (name != "PodSandboxStatus") return std::string();
    PodSandboxStatusResponse out{.status = at->second};
    if (TRY(Decode<PodSandboxStatusRequest>(message)).verbose) {
      out.info["info"] = R"({"pid":77,"runtimeSpec":{"linux":{"namespaces":[{"type":"pid"},)"
                         R"({"type":"network","path":"/run/netns/x"}]}}})";
    }
    return Encode(out);
  }

  Result<std::string> RunSandbox(const RunPodSandboxRequest& request) {
    const PodSandboxConfig& config = request.config;
    const std::string id = "s" + std::to_string(++made_);
    PodSandboxStatus& status = sandboxes[id];
    status.id = id;
    status.metadata = config.metadata;
    status.created_at = Now();
    status.linux_status.namespaces.options = config.linux_config.security.namespaces;
    status.labels = config.labels;
    status.annotations = config.annotations;
    return Encode(SandboxId{id});
  }

  static bool Fits(const StringMap& labels, const StringMap& wanted) {
    return std::ranges::all_of(wanted, [&](const auto& one) {
      const auto at = labels.find(one.first);
      return at != labels.end() && at->second == one.second;
    });
  }

  Result<std::string> ListSandboxes(const ListPodSandboxRequest& request) {
    ListPodSandboxResponse out;
    for (const auto& [id, status] : sandboxes) {
      if (!Fits(status.labels, request.filter.labels)) continue;
      out.items.push_back({id, status.metadata, status.state, status.created_at, status.labels, status.annotations});
    }
    return Encode(out);
  }

  Result<std::string> ListContainers(const ListContainersRequest& request) {
    ListContainersResponse out;
    for (const auto& [id, status] : containers) {
      const std::string& sandbox = sandbox_of.at(id);
      if (!request.filter.id.empty() && request.filter.id != id) continue;
      if (!request.filter.sandbox_id.empty() && request.filter.sandbox_id != sandbox) continue;
      if (!Fits(status.labels, request.filter.labels)) continue;
      Container& one = out.containers.emplace_back();
      one.id = id;
      one.sandbox_id = sandbox;
      one.metadata = status.metadata;
      one.state = status.state;
      one.labels = status.labels;
      one.annotations = status.annotations;
    }
    return Encode(out);
  }

  Result<std::string> Create(const CreateContainerRequest& request) {
    const std::string id = "c" + std::to_string(++made_);
    ContainerStatus& status = containers[id];
    status.id = id;
    status.metadata = request.config.metadata;
    status.created_at = Now();
    status.labels = request.config.labels;
    status.annotations = request.config.annotations;
    status.log_path = request.sandbox_config.log_directory + "/" + request.config.log_path;
    sandbox_of[id] = request.sandbox_id;
    requests[id] = request;
    return Encode(ContainerId{id});
  }

  Result<std::string> Containers(const std::string& name, std::string_view message) {
    if (name == "CreateContainer") return Create(TRY(Decode<CreateContainerRequest>(message)));
    if (name == "ListContainers") return ListContainers(TRY(Decode<ListContainersRequest>(message)));
    const std::string id = TRY(Decode<ContainerId>(message)).id;
    const auto at = containers.find(id);
    if (at == containers.end()) return NotFound("container \"" + id + "\": not found");
    if (name == "ContainerStatus") return Encode(ContainerStatusResponse{.status = at->second});
    if (name == "StartContainer") {
      at->second.state = kContainerRunning;
      at->second.started_at = Now();
    }
    if (name == "StopContainer") End(id, 143);
    if (name == "RemoveContainer") containers.erase(at);
    return std::string();
  }

  Result<std::string> Images(const std::string& name, std::string_view message) {
    if (name == "ListImages") {
      ListImagesResponse out;
      for (const auto& [id, image] : images) out.images.push_back(image);
      return Encode(out);
    }
    if (name == "PullImage") {
      pulls.push_back(TRY(Decode<PullImageRequest>(message)));
      images["sha256:1"] = {.id = "sha256:1", .repo_tags = {pulls.back().image.image}, .size = 5};
      return Encode(PullImageResponse{"sha256:1"});
    }
    const ImageStatusRequest request = TRY(Decode<ImageStatusRequest>(message));
    const auto at = std::ranges::find_if(images, [&](const auto& entry) {
      return entry.first == request.image.image || std::ranges::count(entry.second.repo_tags, request.image.image) > 0;
    });
    if (name == "RemoveImage" && at != images.end()) images.erase(at);
    if (name != "ImageStatus") return std::string();
    return Encode(at == images.end() ? ImageStatusResponse() : ImageStatusResponse{.image = at->second});
  }

  rt::Runtime& runtime_;
  int made_ = 0;
};

}  // namespace knarr::cri

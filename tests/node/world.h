#pragma once

// A node agent against a real API server, on a machine in memory and in virtual time.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/coordination_v1.h"
#include "api/core_v1.h"
#include "apiserver/test_server.h"
#include "node/agent.h"
#include "node/testing_machine.h"
#include "rt/file_system.h"

namespace knarr::node {

using api::core_v1::Pod;
using apiserver::TestServer;
using client::ObjectName;

/// Whose answers to updates come late, or none at all.
class LateClient : public client::Client {
 public:
  LateClient(rt::Runtime& runtime, client::Client& to) : runtime_(runtime), to_(to) {}
  Duration late{};
  bool away = false;  ///< nobody answers
  Result<api::ObjectPtr> Get(const api::KindInfo& kind, const ObjectName& name, std::string_view sub) override {
    if (away) return Unavailable("connection refused");
    return to_.Get(kind, name, sub);
  }
  Result<client::ObjectList> List(const api::KindInfo& kind, std::string_view ns,
                                  const client::ListOptions& options) override {
    if (away) return Unavailable("connection refused");
    return to_.List(kind, ns, options);
  }
  Result<std::unique_ptr<client::WatchStream>> Watch(const api::KindInfo& kind, std::string_view ns,
                                                     const client::WatchOptions& options) override {
    if (away) return Unavailable("connection refused");
    return to_.Watch(kind, ns, options);
  }
  Result<api::ObjectPtr> Create(const api::KindInfo& kind, std::string_view ns, const doc::Value& object,
                                const client::WriteOptions& options) override {
    if (away) return Unavailable("connection refused");
    return to_.Create(kind, ns, object, options);
  }
  Result<api::ObjectPtr> CreateSub(const api::KindInfo& kind, const ObjectName& name, std::string_view sub,
                                   const doc::Value& object, const client::WriteOptions& options) override {
    if (away) return Unavailable("connection refused");
    return to_.CreateSub(kind, name, sub, object, options);
  }
  Result<api::ObjectPtr> Update(const api::KindInfo& kind, const ObjectName& name, const doc::Value& object,
                                std::string_view sub, const client::WriteOptions& options) override {
    if (away) return Unavailable("connection refused");
    Result<api::ObjectPtr> answer = to_.Update(kind, name, object, sub, options);
    if (late > Duration::zero()) TRY(runtime_.Sleep(late));
    return answer;
  }
  Result<api::ObjectPtr> Patch(const api::KindInfo& kind, const ObjectName& name, client::PatchType type,
                               std::string_view body, std::string_view sub,
                               const client::WriteOptions& options) override {
    if (away) return Unavailable("connection refused");
    return to_.Patch(kind, name, type, body, sub, options);
  }
  Result<api::ObjectPtr> Delete(const api::KindInfo& kind, const ObjectName& name,
                                const client::DeleteOptions& options) override {
    if (away) return Unavailable("connection refused");
    return to_.Delete(kind, name, options);
  }
  Ok DeleteCollection(const api::KindInfo& kind, std::string_view ns, const client::ListOptions& list,
                      const client::DeleteOptions& options) override {
    if (away) return Unavailable("connection refused");
    return to_.DeleteCollection(kind, ns, list, options);
  }

 private:
  rt::Runtime& runtime_;
  client::Client& to_;
};

class World {
 public:
  explicit World(rt::Runtime& rt) : runtime(rt), server(rt), client(rt, server.client()), containers(rt) {
    rt::FileSystem& files = runtime.files();
    MUST(files.MakeDirectories("/proc/self"));
    MUST(files.MakeDirectories("/etc"));
    MUST(files.WriteFile("/proc/self/mountinfo", ""));
    MUST(files.WriteFile("/etc/resolv.conf", "nameserver 192.0.2.53\n"));
    StartAgent();
  }
  ~World() { StopAgent(); }

  void StartAgent() {
    AgentOptions options{.node_name = "n1", .node_ip = "192.0.2.1"};
    options.data_directory = "/tmp";  // in memory; the disk's size is asked of the real one
    options.log_directory = "/logs";
    options.manifest_path = manifests;
    options.pids_most = 1000;
    options.shutdown_periods = shutdown_periods;
    options.shutdown_source = shutdown_source;
    options.set_group = [this](const std::string& path, const runtime::CgroupResources& resources) {
      groups[path] = resources;
      return Ok();
    };
    options.disk_space = [this](const std::string&) { return disk; };
    agent = std::make_unique<Agent>(runtime, client, containers, images, network, options);
    const Ok started = agent->Start();
    EXPECT_TRUE(started.ok()) << started.status().ToString();
  }
  void StopAgent() {
    if (agent != nullptr) agent->Stop();
    agent.reset();
  }

  /// Without a token of its service account: no controller publishes the certificates that would be beside it.
  void Create(const std::string& name, const std::string& spec) {
    const std::string head = R"("},"spec":{"nodeName":"n1","automountServiceAccountToken":false,)";
    const auto made = server.Create("Pod", R"({"metadata":{"name":")" + name + head + spec + "}}");
    ASSERT_TRUE(made.ok()) << made.status().ToString();
  }
  void Delete(const std::string& name) {
    const auto gone = server.client().Delete(api::core_v1::PodInfo(), {"default", name});
    ASSERT_TRUE(gone.ok()) << gone.status().ToString();
  }
  /// nullptr when there is none.
  api::ObjectPtr Find(const std::string& name) {
    auto got = server.client().Get(api::core_v1::PodInfo(), {"default", name});
    return got.ok() ? *got : nullptr;
  }
  bool Ready(const std::string& name) {
    const api::ObjectPtr pod = Find(name);
    if (pod == nullptr) return false;
    for (auto condition : Pod(pod->tree()).status().conditions()) {
      if (condition.type() == "Ready") return condition.status() == "True";
    }
    return false;
  }
  std::string Phase(const std::string& name) {
    const api::ObjectPtr pod = Find(name);
    return pod == nullptr ? "" : std::string(Pod(pod->tree()).status().phase());
  }
  int Restarts(const std::string& name) {
    const api::ObjectPtr pod = Find(name);
    if (pod == nullptr) return -1;
    const auto statuses = Pod(pod->tree()).status().container_statuses();
    return statuses.empty() ? -1 : statuses[0].restart_count();
  }
  int Events(const std::string& reason) {
    int count = 0;
    const auto listed = MUST(server.client().List(api::core_v1::EventInfo(), ""));
    for (const api::ObjectPtr& event : listed.items) count += event->tree().At("reason").AsString() == reason ? 1 : 0;
    return count;
  }
  /// What an event of that reason says.
  std::string Message(const std::string& reason) {
    const auto listed = MUST(server.client().List(api::core_v1::EventInfo(), ""));
    for (const api::ObjectPtr& event : listed.items) {
      if (event->tree().At("reason").AsString() == reason) return std::string(event->tree().At("message").AsString());
    }
    return "";
  }
  /// Waits until it is so; how long that took.
  Duration Until(const char* what, const std::function<bool()>& check, Duration most = 120s) {
    const MonoTime begin = runtime.Mono();
    while (!check()) {
      EXPECT_LT(runtime.Mono() - begin, most) << what;
      if (runtime.Mono() - begin >= most) break;
      (void)runtime.Sleep(50ms);
    }
    return runtime.Mono() - begin;
  }
  /// The pod and all that belonged to it.
  void ExpectGone(const std::string& name) {
    const auto empty = [&](const char* folder) { return MUST(runtime.files().List(folder)).empty(); };
    Until("pod gone", [&] {
      return Find(name) == nullptr && containers.sandboxes().empty() && empty("/tmp/pods") && empty("/logs");
    });
    EXPECT_TRUE(containers.containers().empty());
    EXPECT_TRUE(network.addresses.empty());
  }
  void Sleep(Duration duration) { EXPECT_TRUE(runtime.Sleep(duration).ok()); }

  rt::Runtime& runtime;
  TestServer server;
  LateClient client;
  FakeRuntime containers;
  FakeImages images;
  FakeNetwork network;
  DiskSpace disk{.capacity = 1000000, .available = 900000, .inodes = 1000, .inodes_free = 900};
  std::map<std::string, runtime::CgroupResources> groups;  ///< those above the pods'
  std::vector<ShutdownPeriod> shutdown_periods;
  std::shared_ptr<ShutdownSource> shutdown_source;
  std::string manifests;                                   ///< the folder of static pods; "" for none
  std::unique_ptr<Agent> agent;
};

inline void In(const std::function<void(World& world)>& body) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    apiserver::InSim(
        [&](rt::Runtime& runtime) {
          World world(runtime);
          body(world);
        },
        seed);
  }
}

inline const std::string kOne = R"("containers":[{"name":"a","image":"i:1"}])";

}  // namespace knarr::node

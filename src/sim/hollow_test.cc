// Hollow nodes with the API server, controllers and scheduler: what kwok's users rely on.

#include <gtest/gtest.h>

#include "api/apps_v1.h"
#include "api/coordination_v1.h"
#include "api/core_v1.h"
#include "hollow/nodes.h"
#include "sim/testing_world.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using client::ObjectName;

/// A cluster with a fleet of hollow nodes, as a server's.
class World : public TestWorld {
 public:
  explicit World(rt::Runtime& runtime) : TestWorld(runtime), informers_(runtime, client()) {}
  ~World() {
    if (nodes_ != nullptr) StopNodes();
  }
  void StartNodes(int count, std::string_view cycles = "") {
    nodes_ = std::make_unique<hollow::Nodes>(
        runtime(), client(), informers_,
        hollow::Options{.count = count, .cycles = MUST(hollow::LifeCycles::Parse(cycles))});
    informers_.Start();
    nodes_->Start();
    MUST(nodes_->WaitRegistered());
  }
  void StopNodes() {
    nodes_->Stop();
    informers_.Stop();
    nodes_.reset();
  }
  hollow::Nodes& nodes() { return *nodes_; }

  void MakePod(const std::string& name, const std::string& spec = "", const std::string& metadata = "") {
    EXPECT_TRUE(Eventually([&] {
      return Get(api::core_v1::ServiceAccountInfo(), {"default", "default"}) != nullptr;
    }));
    Create(api::core_v1::PodInfo(), "default",
           R"({"metadata":{"name":")" + name + "\"" + metadata + R"(},"spec":{)" + spec +
               R"("containers":[{"name":"c","image":"i"}]}})");
  }
  ObjectPtr Pod(const std::string& name) { return Get(api::core_v1::PodInfo(), {"default", name}); }
  std::string Phase(const std::string& name) {
    const ObjectPtr pod = Pod(name);
    return pod == nullptr ? "gone" : std::string(pod->tree().Get("status", "phase").AsString());
  }
  std::string Ready(const api::Object& object) {
    for (const doc::Value& condition : object.tree().Get("status", "conditions").items()) {
      if (condition.At("type").AsString() == "Ready") return std::string(condition.At("status").AsString());
    }
    return "";
  }

 private:
  client::InformerFactory informers_;
  std::unique_ptr<hollow::Nodes> nodes_;
};

void InWorld(const std::function<void(World&)>& body) { InWorldOf<World>(body); }

TEST(HollowNodes, RegisterAndStayReady) {
  InWorld([](World& world) {
    world.StartNodes(5, "nodes:\n- {name: big, capacity: {cpu: 64}, labels: {zone: a}}");
    const ObjectPtr node = world.Get(api::core_v1::NodeInfo(), {"", "big-3"});
    ASSERT_NE(node, nullptr);
    EXPECT_EQ(world.Ready(*node), "True");
    EXPECT_EQ(node->tree().Get("status", "allocatable", "cpu").AsString(), "64");
    EXPECT_EQ(node->tree().Get("metadata", "labels", "zone").AsString(), "a");
    MUST(world.runtime().Sleep(10min));
    const client::ObjectList nodes = MUST(world.client().List(api::core_v1::NodeInfo(), ""));
    ASSERT_EQ(nodes.items.size(), 5U);
    for (const ObjectPtr& each : nodes.items) EXPECT_EQ(world.Ready(*each), "True");
    const ObjectPtr lease = world.Get(api::coordination_v1::LeaseInfo(), {"kube-node-lease", "big-3"});
    ASSERT_NE(lease, nullptr);
    EXPECT_EQ(lease->tree().Get("spec", "holderIdentity").AsString(), "big-3");
  });
}

TEST(HollowNodes, RunPods) {
  InWorld([](World& world) {
    world.StartNodes(3);
    for (int i = 0; i < 30; ++i) world.MakePod("p" + std::to_string(i));
    std::set<std::string> addresses;
    for (int i = 0; i < 30; ++i) {
      const std::string name = "p" + std::to_string(i);
      ASSERT_TRUE(world.Eventually([&] { return world.Phase(name) == "Running"; })) << name;
      const ObjectPtr pod = world.Pod(name);
      EXPECT_EQ(world.Ready(*pod), "True");
      addresses.emplace(pod->tree().Get("status", "podIP").AsString());
      const doc::Value& container = pod->tree().Get("status", "containerStatuses")[0];
      EXPECT_TRUE(container.At("ready").AsBool());
      EXPECT_FALSE(container.Get("state", "running", "startedAt").AsString().empty());
    }
    EXPECT_EQ(addresses.size(), 30U);
    EXPECT_FALSE(addresses.contains(""));
  });
}

TEST(HollowNodes, EndPodsWithinTheirGrace) {
  InWorld([](World& world) {
    world.StartNodes(1, "pods:\n- {stop: 20s}");
    world.MakePod("patient");
    world.MakePod("held", "", R"(,"finalizers":["example.com/hold"])");
    ASSERT_TRUE(world.Eventually([&] { return world.Phase("patient") == "Running"; }));
    ASSERT_TRUE(world.Eventually([&] { return world.Phase("held") == "Running"; }));
    const auto& pods = api::core_v1::PodInfo();
    MUST(world.client().Delete(pods, {"default", "patient"}));
    MUST(world.client().Delete(pods, {"default", "held"}));
    MUST(world.runtime().Sleep(10s));
    ASSERT_NE(world.Pod("patient"), nullptr);
    EXPECT_TRUE(world.Pod("patient")->deleting());
    ASSERT_TRUE(world.Eventually([&] { return world.Pod("patient") == nullptr; }));
    // Its finalizer holds the object; nothing of it runs.
    ASSERT_TRUE(world.Eventually([&] { return world.Phase("held") == "Succeeded"; }));
    MUST(world.client().Patch(pods, {"default", "held"}, client::PatchType::kMerge,
                              R"({"metadata":{"finalizers":null}})"));
    EXPECT_TRUE(world.Eventually([&] { return world.Pod("held") == nullptr; }));
  });
}

TEST(HollowNodes, TakeOverWhatRuns) {
  InWorld([](World& world) {
    world.StartNodes(2);
    world.MakePod("p");
    ASSERT_TRUE(world.Eventually([&] { return world.Phase("p") == "Running"; }));
    const std::string before = world.Pod("p")->json();
    world.StopNodes();
    client::InformerFactory informers(world.runtime(), world.client());
    hollow::Nodes again(world.runtime(), world.client(), informers, {.count = 2, .cycles = {}});
    informers.Start();
    again.Start();
    MUST(world.runtime().Sleep(30s));
    EXPECT_EQ(world.Pod("p")->json(), before);
    again.Stop();
    informers.Stop();
  });
}

TEST(HollowNodes, DieAndComeBack) {
  InWorld([](World& world) {
    world.StartNodes(1, "nodes:\n- {lives: 60s, gone: 5m}");
    const ObjectName name{"", "hollow-0"};
    MUST(world.runtime().Sleep(150s));
    EXPECT_EQ(world.Ready(*world.Get(api::core_v1::NodeInfo(), name)), "Unknown");
    MUST(world.runtime().Sleep(230s));
    EXPECT_EQ(world.Ready(*world.Get(api::core_v1::NodeInfo(), name)), "True");
  });
}

TEST(HollowNodes, GoWithTheirObject) {
  InWorld([](World& world) {
    world.StartNodes(2);
    MUST(world.client().Delete(api::core_v1::NodeInfo(), {"", "hollow-1"}));
    MUST(world.runtime().Sleep(5min));
    EXPECT_EQ(world.Get(api::core_v1::NodeInfo(), {"", "hollow-1"}), nullptr);
    EXPECT_NE(world.Get(api::core_v1::NodeInfo(), {"", "hollow-0"}), nullptr);
  });
}

TEST(HollowNodes, SayThatTheyHaveNoContainers) {
  InWorld([](World& world) {
    world.StartNodes(1);
    const auto logs = world.nodes().Logs("default", "p", {});
    ASSERT_FALSE(logs.ok());
    EXPECT_EQ(logs.status().message(),
              "pod default/p is on a simulated node: its containers do not exist, and have no logs");
    EXPECT_FALSE(world.nodes().Exec("default", "p", {}).ok());
  });
}

}  // namespace
}  // namespace knarr::sim

// The pod garbage collector, with the API server it writes to and nodes that no agent cares for.

#include <gtest/gtest.h>

#include "api/core_v1.h"
#include "controller/pod_garbage.h"
#include "sim/testing_world.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using client::ObjectName;

const ObjectName kPod{"default", "p"};

class World : public TestWorld {
 public:
  explicit World(rt::Runtime& runtime) : TestWorld(runtime) {
    Create(api::core_v1::NodeInfo(), "", R"({"metadata":{"name":"n"}})");
    Wait(5s);  // the namespace's service account
  }

  void Wait(Duration time) { MUST(runtime().Sleep(time)); }
  /// With a finalizer it can be looked at when it has been removed.
  void CreatePod(std::string_view node, bool held) {
    const std::string finalizers = held ? R"(,"finalizers":["example.com/held"])" : "";
    const std::string on = node.empty() ? R"("schedulerName":"nobody")" : R"("nodeName":")" + std::string(node) + "\"";
    Create(api::core_v1::PodInfo(), "default",
           R"({"metadata":{"name":"p")" + finalizers + R"(},"spec":{"containers":[{"name":"c","image":"i"}],)" + on +
               "}}");
  }
  ObjectPtr Pod() { return Get(api::core_v1::PodInfo(), kPod); }
  void PatchNode(std::string_view patch) {
    MUST(client().Patch(api::core_v1::NodeInfo(), {"", "n"}, client::PatchType::kStrategicMerge, patch));
  }
};

void InWorld(const std::function<void(World&)>& body) { InWorldOf<World>(body); }

TEST(PodGarbage, OrphansGoWhenTheirNodeStaysAway) {
  InWorld([](World& world) {
    world.CreatePod("n", true);
    world.Wait(1s);
    MUST(world.client().Delete(api::core_v1::NodeInfo(), {"", "n"}, {}));
    world.Wait(35s);
    ASSERT_NE(world.Pod(), nullptr);
    EXPECT_FALSE(world.Pod()->deleting());
    world.Wait(10s);
    ASSERT_NE(world.Pod(), nullptr);
    EXPECT_TRUE(world.Pod()->deleting());
    const doc::Value& pod = world.Pod()->tree();
    EXPECT_EQ(pod.Get("metadata", "deletionGracePeriodSeconds").AsInt(-1), 0);
    EXPECT_EQ(pod.Get("status", "phase").AsString(), "Failed");
    const doc::Value* condition = nullptr;
    for (const doc::Value& each : pod.Get("status", "conditions").items()) {
      if (each.At("type").AsString() == "DisruptionTarget") condition = &each;
    }
    ASSERT_NE(condition, nullptr);
    EXPECT_EQ(condition->At("reason").AsString(), "DeletionByPodGC");
    EXPECT_EQ(condition->At("message").AsString(), "PodGC: node no longer exists");
    EXPECT_EQ(condition->At("status").AsString(), "True");
    EXPECT_FALSE(condition->At("lastTransitionTime").is_null());
  });
}

TEST(PodGarbage, ANodeThatIsOnlyLateKeepsItsPods) {
  InWorld([](World& world) {
    world.CreatePod("late", false);
    world.Wait(30s);
    world.Create(api::core_v1::NodeInfo(), "", R"({"metadata":{"name":"late"}})");
    world.Wait(30s);
    ASSERT_NE(world.Pod(), nullptr);
    EXPECT_FALSE(world.Pod()->deleting());
    MUST(world.client().Delete(api::core_v1::NodeInfo(), {"", "late"}, {}));
    world.Wait(30s);
    EXPECT_NE(world.Pod(), nullptr);
    world.Wait(15s);
    EXPECT_EQ(world.Pod(), nullptr);
  });
}

TEST(PodGarbage, WhoHasNoNodeFails) {
  InWorld([](World& world) {
    world.CreatePod("", true);
    MUST(world.client().Delete(api::core_v1::PodInfo(), kPod, {}));
    world.Wait(1s);
    ASSERT_NE(world.Pod(), nullptr);
    EXPECT_EQ(world.Pod()->tree().Get("status", "phase").AsString(), "Failed");
    EXPECT_EQ(world.Pod()->tree().Get("status", "observedGeneration").AsInt(),
              world.Pod()->tree().Get("metadata", "generation").AsInt());
  });
}

TEST(PodGarbage, NodesThatAreGivenUpLetGo) {
  InWorld([](World& world) {
    world.CreatePod("n", false);
    MUST(world.client().Delete(api::core_v1::PodInfo(), kPod, {}));
    world.Wait(45s);
    ASSERT_NE(world.Pod(), nullptr);  // nobody has ended it
    world.PatchNode(R"({"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service","effect":"NoExecute"}]}})");
    world.Wait(1s);
    EXPECT_EQ(world.Pod(), nullptr);
  });
}

TEST(PodGarbage, EvictedPodsAndOldOnesGoFirst) {
  const auto pod = [](std::string_view name, std::string_view made, std::string_view reason = "") {
    doc::Document object = MUST(doc::ParseJson(
        R"({"metadata":{"name":")" + std::string(name) + R"(","creationTimestamp":")" + std::string(made) +
        R"("},"status":{"phase":"Failed","reason":")" + std::string(reason) + "\"}}"));
    return api::Object::FromDocument(std::move(object));
  };
  const ObjectPtr old = pod("b", "2024-01-01T00:00:00Z");
  const ObjectPtr evicted = pod("c", "2024-01-03T00:00:00Z", "Evicted");
  const ObjectPtr young = pod("a", "2024-01-02T00:00:00Z");
  const ObjectPtr same = pod("c", "2024-01-02T00:00:00Z");
  EXPECT_TRUE(controller::GoesFirst(*evicted, *old));
  EXPECT_FALSE(controller::GoesFirst(*old, *evicted));
  EXPECT_TRUE(controller::GoesFirst(*old, *young));
  EXPECT_TRUE(controller::GoesFirst(*young, *same));
  EXPECT_FALSE(controller::GoesFirst(*same, *young));
}

}  // namespace
}  // namespace knarr::sim

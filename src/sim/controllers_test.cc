// Controllers that once did harm, with the API server they write to.

#include <gtest/gtest.h>

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/rbac_v1.h"
#include "sim/testing_world.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;
using client::ObjectName;

class World : public TestWorld {
 public:
  using TestWorld::TestWorld;
  ObjectPtr Map(const std::string& name, const std::string& owners = "", std::string_view ns = "default") {
    return Create(api::core_v1::ConfigMapInfo(), ns,
                  R"({"metadata":{"name":")" + name + R"(","ownerReferences":[)" + owners + "]}}");
  }
  void WaitForAccount() {
    const auto& kind = api::core_v1::ServiceAccountInfo();
    ASSERT_TRUE(Eventually([&] { return Get(kind, {"default", "default"}) != nullptr; }));
  }
};

void InWorld(const std::function<void(World&)>& body, uint64_t seed = 1) { InWorldOf<World>(body, seed); }

std::string Owner(const api::Object& owner) {
  return R"({"apiVersion":"v1","kind":"ConfigMap","blockOwnerDeletion":true,"name":")" + std::string(owner.name()) +
         R"(","uid":")" + std::string(owner.uid()) + R"("})";
}

TEST(NamespaceController, LeavesTheNextOneOfTheNameAlone) {
  const auto& namespaces = api::core_v1::NamespaceInfo();
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    InWorld(
        [&](World& world) {
          world.Create(namespaces, "", R"({"metadata":{"name":"one"}})");
          world.Map("first", "", "one");
          // Whoever acts on the controllers' copy acts on one that is up to ten seconds old.
          const FaultPlan late{.late = 1000};
          world.cluster().SetFaults(&late);
          MUST(world.client().Delete(namespaces, {"", "one"}));
          ASSERT_TRUE(world.Eventually([&] { return world.Get(namespaces, {"", "one"}) == nullptr; }));
          world.Create(namespaces, "", R"({"metadata":{"name":"one"}})");
          const ObjectPtr second = world.Map("second", "", "one");
          MUST(world.runtime().Sleep(60s));
          const ObjectPtr found = world.Get(api::core_v1::ConfigMapInfo(), {"one", "second"});
          ASSERT_NE(found, nullptr) << seed;
          EXPECT_EQ(found->uid(), second->uid());
          const ObjectPtr next = world.Get(namespaces, {"", "one"});
          EXPECT_EQ(doc::ToJson(next->tree().Get("spec", "finalizers")), R"(["kubernetes"])") << seed;
        },
        seed);
  }
}

TEST(GarbageCollector, QuotesWhatOwnersAreCalled) {
  const auto& maps = api::core_v1::ConfigMapInfo();
  InWorld([&](World& world) {
    const ObjectPtr owner = world.Map("owner");
    const std::string uid = R"(x\"}],\"labels\":{\"added\":\"yes\"},\"y\":[{\"z\":\"w)";
    world.Map("dependent",
              Owner(*owner) + R"(,{"apiVersion":"v1","kind":"ConfigMap","name":"ghost","uid":")" + uid + R"("})");
    const auto owners = [&] {
      return world.Get(maps, {"default", "dependent"})->tree().Get("metadata", "ownerReferences").size();
    };
    EXPECT_TRUE(world.Eventually([&] { return owners() == 1; }));
    EXPECT_TRUE(world.Get(maps, {"default", "dependent"})->tree().Get("metadata", "labels").is_null());
  });
}

TEST(GarbageCollector, CirclesComeApart) {
  const auto& maps = api::core_v1::ConfigMapInfo();
  InWorld([&](World& world) {
    const ObjectPtr first = world.Map("first");
    const ObjectPtr second = world.Map("second", Owner(*first));
    MUST(world.client().Patch(maps, {"default", "first"}, client::PatchType::kMerge,
                              R"({"metadata":{"ownerReferences":[)" + Owner(*second) + "]}}"));
    MUST(world.runtime().Sleep(5s));
    MUST(world.client().Delete(maps, {"default", "first"}, {.propagation = client::Propagation::kForeground}));
    const auto there = [&](const char* name) { return world.Get(maps, {"default", name}) != nullptr; };
    EXPECT_TRUE(world.Eventually([&] { return !there("first") && !there("second"); }));
  });
}

TEST(ResourceQuotas, AreCountedAgainWithoutAChange) {
  InWorld([](World& world) {
    world.WaitForAccount();
    world.Create(api::core_v1::NodeInfo(), "", R"({"metadata":{"name":"n1"}})");
    const auto& quotas = api::core_v1::ResourceQuotaInfo();
    world.Create(quotas, "default", R"({"metadata":{"name":"q"},"spec":{"hard":{"pods":"5"}}})");
    const auto used = [&] {
      return std::string(world.Get(quotas, {"default", "q"})->tree().Get("status", "used", "pods").AsString());
    };
    ASSERT_TRUE(world.Eventually([&] { return used() == "0"; }));
    const auto pod = [&](const std::string& name, const std::string& spec) {
      world.Create(api::core_v1::PodInfo(), "default",
                   R"({"metadata":{"name":")" + name + R"("},"spec":{)" + spec +
                       R"("containers":[{"name":"c","image":"i"}]}})");
    };
    pod("stuck", R"("nodeName":"n1",)");
    pod("short", R"("nodeSelector":{"no":"where"},)");
    MUST(world.client().Delete(api::core_v1::PodInfo(), {"default", "short"}));
    ASSERT_TRUE(world.Eventually([&] { return used() == "1"; }));
    // Nobody ends it; once its time is over it counts no more, and nothing tells that.
    MUST(world.client().Delete(api::core_v1::PodInfo(), {"default", "stuck"}));
    MUST(world.runtime().Sleep(10s));
    EXPECT_EQ(used(), "1");
    MUST(world.runtime().Sleep(6min));
    EXPECT_EQ(used(), "0");
  });
}

TEST(ReplicaSets, SayWhatFailed) {
  const auto& sets = api::apps_v1::ReplicaSetInfo();
  InWorld([&](World& world) {
    world.WaitForAccount();
    world.Create(sets, "default", R"({"metadata":{"name":"r"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},
        "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
    const auto status = [&](auto... path) {
      return doc::ToJson(world.Get(sets, {"default", "r"})->tree().Get("status", path...));
    };
    ASSERT_TRUE(world.Eventually([&] { return status("replicas") == "2"; }));
    MUST(world.client().Patch(api::rbac_v1::ClusterRoleInfo(), {"", "system:controller:replicaset-controller"},
                              client::PatchType::kMerge,
                              R"({"rules":[{"verbs":["get","list","watch","update","patch","create"],
                                  "apiGroups":["*"],"resources":["*"]}]})"));
    MUST(world.client().Patch(sets, {"default", "r"}, client::PatchType::kMerge, R"({"spec":{"replicas":1}})"));
    EXPECT_TRUE(world.Eventually(
        [&] { return status("conditions").find(R"("reason":"FailedDelete")") != std::string::npos; }))
        << status("conditions");
  });
}

TEST(EventRecorder, CutsBetweenCharacters) {
  InWorld([](World& world) {
    client::EventRecorder events(world.runtime(), world.client(), "tester");
    const std::string start(1023, 'a');
    events.Record({.api_version = "v1", .kind = "Pod", .ns = "default", .name = "p"}, client::EventKind::kNormal,
                  "Long", start + "\xc3\xa9");
    events.Stop();
    const client::ObjectList list =
        MUST(world.client().List(api::core_v1::EventInfo(), "default", {.field_selector = "reason=Long"}));
    ASSERT_EQ(list.items.size(), 1U);
    EXPECT_EQ(list.items[0]->tree().At("message").AsString(), start);
  });
}

}  // namespace
}  // namespace knarr::sim

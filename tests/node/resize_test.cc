// Resources of pods that run: resized in place.

#include <algorithm>

#include "world.h"

namespace knarr::node {
namespace {

constexpr int64_t kMi = 1 << 20;

std::string One(const std::string& name, const std::string& cpu, const std::string& memory,
                const std::string& more = "") {
  const std::string amounts = R"({"cpu":")" + cpu + R"(","memory":")" + memory + "\"}";
  return R"({"name":")" + name + R"(","image":"i:1","resources":{"requests":)" + amounts + R"(,"limits":)" + amounts +
         "}" + more + "}";
}

std::string Containers(const std::string& containers) { return R"("containers":[)" + containers + "]"; }

Result<api::ObjectPtr> Patch(World& world, const std::string& pod, const std::string& spec) {
  return world.server.client().Patch(api::core_v1::PodInfo(), {"default", pod}, client::PatchType::kStrategicMerge,
                                     R"({"spec":{)" + spec + "}}", "resize");
}

void Resize(World& world, const std::string& pod, const std::string& spec) {
  const auto patched = Patch(world, pod, spec);
  ASSERT_TRUE(patched.ok()) << patched.status().ToString();
}

/// "Deferred@2", "@3", "" when there is none.
std::string ConditionOf(World& world, const std::string& pod, std::string_view type) {
  const api::ObjectPtr object = world.Find(pod);
  if (object == nullptr) return "";
  for (const auto condition : Pod(object->tree()).status().conditions()) {
    if (condition.type() != type) continue;
    EXPECT_EQ(condition.status(), "True");
    return std::string(condition.reason()) + "@" + std::to_string(condition.observed_generation());
  }
  return "";
}

/// No condition, and what is in force is what was asked for.
bool Done(World& world, const std::string& name) {
  const api::ObjectPtr pod = world.Find(name);
  if (pod == nullptr || !ConditionOf(world, name, "PodResizePending").empty() ||
      !ConditionOf(world, name, "PodResizeInProgress").empty()) {
    return false;
  }
  const doc::Value& statuses = pod->tree().Get("status", "containerStatuses");
  const doc::Value& containers = pod->tree().Get("spec", "containers");
  for (size_t i = 0; i < containers.size(); ++i) {
    if (!statuses[i].At("resources").Equals(containers[i].At("resources"))) return false;
    if (!statuses[i].At("allocatedResources").Equals(containers[i].Get("resources", "requests"))) return false;
  }
  return pod->tree().Get("status", "observedGeneration").AsInt() == pod->tree().Get("metadata", "generation").AsInt();
}

const runtime::CgroupResources& LimitsOf(World& world, const std::string& container) {
  return world.containers.limits.at(world.containers.Newest(container));
}
const runtime::CgroupResources& PodLimitsOf(World& world) {
  return world.containers.limits.at(world.containers.sandboxes().begin()->first);
}

TEST(Resize, ChangesWhatRunsInOrder) {
  In([](World& world) {
    world.Create("web", Containers(One("a", "100m", "100Mi") + "," + One("b", "100m", "100Mi")));
    world.Until("ready", [&] { return world.Ready("web") && Done(world, "web"); });
    EXPECT_EQ(PodLimitsOf(world).memory_limit, 200 * kMi);
    const std::string id = world.containers.Newest("a");
    world.containers.updates.clear();
    Resize(world, "web", Containers(One("a", "300m", "300Mi") + "," + One("b", "50m", "50Mi")));
    world.Until("resized", [&] { return Done(world, "web"); }, 5s);
    EXPECT_EQ(world.containers.updates, (std::vector<std::string>{"pod", "b", "a", "pod", "b", "a"}));
    EXPECT_EQ(world.containers.Newest("a"), id);
    EXPECT_EQ(world.Restarts("web"), 0);
    EXPECT_EQ(LimitsOf(world, "a").memory_limit, 300 * kMi);
    EXPECT_EQ(LimitsOf(world, "a").cpu_quota_us, 30000);
    EXPECT_EQ(LimitsOf(world, "b").cpu_shares, 51);
    EXPECT_EQ(PodLimitsOf(world).memory_limit, 350 * kMi);
    EXPECT_EQ(PodLimitsOf(world).cpu_quota_us, 35000);
    EXPECT_EQ(world.Events("ResizeStarted"), 1);
    EXPECT_EQ(world.Events("ResizeCompleted"), 1);
    world.containers.updates.clear();
    Resize(world, "web", Containers(One("a", "50m", "50Mi") + "," + One("b", "50m", "50Mi")));
    world.Until("smaller", [&] { return Done(world, "web"); }, 5s);
    EXPECT_EQ(world.containers.updates, (std::vector<std::string>{"a", "pod", "a", "pod"}));
    EXPECT_EQ(PodLimitsOf(world).memory_limit, 100 * kMi);
    EXPECT_TRUE(world.Message("ResizeCompleted").starts_with(R"(Pod resize completed: {"containers":[{"name":"a",)"));
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Resize, StartsAgainWhereThePolicySaysSo) {
  In([](World& world) {
    const std::string policy = R"(,"resizePolicy":[{"resourceName":"cpu","restartPolicy":"NotRequired"},
        {"resourceName":"memory","restartPolicy":"RestartContainer"}])";
    world.Create("web", R"("restartPolicy":"OnFailure",)" + Containers(One("a", "100m", "100Mi", policy)));
    world.Until("ready", [&] { return world.Ready("web"); });
    Resize(world, "web", Containers(One("a", "200m", "100Mi")));
    world.Until("cpu", [&] { return Done(world, "web"); }, 5s);
    EXPECT_EQ(world.Restarts("web"), 0);
    Resize(world, "web", Containers(One("a", "200m", "200Mi")));
    world.Until("memory", [&] { return Done(world, "web") && world.Ready("web"); }, 5s);
    EXPECT_EQ(world.Restarts("web"), 1);
    EXPECT_EQ(world.Message("Killing"), "Container a resize requires restart");
    EXPECT_EQ(LimitsOf(world, "a").memory_limit, 200 * kMi);
    EXPECT_EQ(PodLimitsOf(world).memory_limit, 200 * kMi);
    // No crash back-off comes of that.
    Resize(world, "web", Containers(One("a", "200m", "300Mi")));
    world.Until("again", [&] { return Done(world, "web") && world.Ready("web"); }, 5s);
    EXPECT_EQ(world.Restarts("web"), 2);
    EXPECT_EQ(world.Events("BackOff"), 0);
  });
}

TEST(Resize, WaitsForRoom) {
  In([](World& world) {
    // However many CPUs this machine has: one pod holds all but a little.
    const auto node = MUST(world.server.client().Get(api::core_v1::NodeInfo(), {"", "n1"}));
    const int64_t cpus = api::core_v1::Node(node->tree()).status().allocatable().Find("cpu")->front() - '0';
    const std::string most = std::to_string(cpus * 1000 - 300) + "m";
    world.Create("large", Containers(One("a", most, "1Mi")));
    world.Create("small", Containers(One("b", "100m", "1Mi")));
    world.Until("ready", [&] { return world.Ready("large") && world.Ready("small"); });
    Resize(world, "small", Containers(One("b", "500m", "1Mi")));
    world.Until("deferred", [&] { return ConditionOf(world, "small", "PodResizePending") == "Deferred@2"; }, 5s);
    EXPECT_EQ(LimitsOf(world, "b").cpu_quota_us, 10000);
    EXPECT_EQ(world.Events("ResizeDeferred"), 1);
    EXPECT_TRUE(world.Message("ResizeDeferred").starts_with(R"(Pod resize OutOfcpu: {"containers":[)"));
    const api::ObjectPtr waits = world.Find("small");
    const doc::Value& status = waits->tree().Get("status", "containerStatuses")[0];
    EXPECT_EQ(status.Get("allocatedResources", "cpu").AsString(), "100m");
    EXPECT_EQ(status.Get("resources", "limits", "cpu").AsString(), "100m");
    // A new agent knows what was set aside, and waits on.
    world.StopAgent();
    world.StartAgent();
    world.Sleep(10s);
    EXPECT_EQ(ConditionOf(world, "small", "PodResizePending"), "Deferred@2");
    EXPECT_EQ(world.Events("ResizeDeferred"), 1);
    EXPECT_EQ(LimitsOf(world, "b").cpu_quota_us, 10000);
    world.Create("third", Containers(One("c", "250m", "1Mi")));
    world.Until("no room", [&] { return world.Phase("third") == "Failed"; });
    EXPECT_EQ(world.Events("OutOfcpu"), 1);
    // Room comes when the other becomes smaller.
    Resize(world, "large", Containers(One("a", "100m", "1Mi")));
    world.Until("resized", [&] { return Done(world, "small") && Done(world, "large"); }, 5s);
    EXPECT_EQ(LimitsOf(world, "b").cpu_quota_us, 50000);
    world.Delete("large");
    world.Delete("small");
    world.Delete("third");
    world.ExpectGone("small");
  });
}

TEST(Resize, ComesWhenAnotherPodGoes) {
  In([](World& world) {
    const auto node = MUST(world.server.client().Get(api::core_v1::NodeInfo(), {"", "n1"}));
    const int64_t cpus = api::core_v1::Node(node->tree()).status().allocatable().Find("cpu")->front() - '0';
    world.Create("large", Containers(One("a", std::to_string(cpus * 1000 - 300) + "m", "1Mi")));
    world.Create("small", Containers(One("b", "100m", "1Mi")));
    world.Until("ready", [&] { return world.Ready("large") && world.Ready("small"); });
    Resize(world, "small", Containers(One("b", "500m", "1Mi")));
    world.Until("deferred", [&] { return !ConditionOf(world, "small", "PodResizePending").empty(); });
    // Given up: nothing is pending any more.
    Resize(world, "small", Containers(One("b", "100m", "1Mi")));
    world.Until("given up", [&] { return ConditionOf(world, "small", "PodResizePending").empty(); }, 5s);
    Resize(world, "small", Containers(One("b", "600m", "1Mi")));
    world.Until("deferred", [&] { return ConditionOf(world, "small", "PodResizePending") == "Deferred@4"; });
    world.Delete("large");
    world.Until("resized", [&] { return Done(world, "small"); }, 5s);
    EXPECT_EQ(LimitsOf(world, "b").cpu_quota_us, 60000);
  });
}

TEST(Resize, DoesNotTakeMemoryThatIsInUse) {
  In([](World& world) {
    world.Create("web", Containers(One("a", "100m", "100Mi")));
    world.Until("ready", [&] { return world.Ready("web"); });
    const std::string id = world.containers.Newest("a");
    const std::string sandbox = world.containers.sandboxes().begin()->first;
    world.containers.memory_used = {{id, 80 * kMi}, {sandbox, 81 * kMi}};
    Resize(world, "web", Containers(One("a", "100m", "60Mi")));
    world.Until("refused", [&] { return ConditionOf(world, "web", "PodResizeInProgress") == "Error@2"; }, 5s);
    EXPECT_EQ(LimitsOf(world, "a").memory_limit, 100 * kMi);
    world.Until("told", [&] { return world.Events("ResizeError") == 1; });
    world.Sleep(60s);
    EXPECT_EQ(world.Events("ResizeError"), 1);
    world.containers.memory_used = {{id, 10 * kMi}, {sandbox, 10 * kMi}};
    world.Until("done", [&] { return Done(world, "web"); }, 15s);
    EXPECT_EQ(LimitsOf(world, "a").memory_limit, 60 * kMi);
    EXPECT_EQ(PodLimitsOf(world).memory_limit, 60 * kMi);
  });
}

TEST(Resize, IsFinishedByTheNextAgent) {
  In([](World& world) {
    world.Create("web", Containers(One("a", "100m", "100Mi") + "," + One("b", "100m", "100Mi")));
    world.Until("ready", [&] { return world.Ready("web"); });
    bool broken = true;
    world.containers.on_update = [&](const std::string& id) -> Ok {
      return broken && id == world.containers.Newest("b") ? Ok(Internal("no such group")) : Ok();
    };
    Resize(world, "web", Containers(One("a", "200m", "200Mi") + "," + One("b", "200m", "200Mi")));
    world.Until("stuck", [&] { return ConditionOf(world, "web", "PodResizeInProgress") == "Error@2"; });
    EXPECT_EQ(LimitsOf(world, "a").memory_limit, 200 * kMi);
    world.StopAgent();
    broken = false;
    // Meanwhile, somebody asks for more.
    Resize(world, "web", Containers(One("a", "200m", "200Mi") + "," + One("b", "300m", "200Mi")));
    world.containers.updates.clear();
    world.StartAgent();
    world.Until("done", [&] { return Done(world, "web"); }, 15s);
    // Its memory, which it has, and its CPU: the agent before might have been in the middle of that.
    EXPECT_EQ(std::ranges::count(world.containers.updates, "a"), 2);
    EXPECT_EQ(LimitsOf(world, "b").memory_limit, 200 * kMi);
    EXPECT_EQ(LimitsOf(world, "b").cpu_quota_us, 30000);
    EXPECT_EQ(world.Restarts("web"), 0);
  });
}

/// A group may have been given a part of it before the kernel said no: who takes the wish back has what he had.
TEST(Resize, TakenBackAfterItFailedHalfWay) {
  for (const bool agent_goes : {false, true}) {
    In([&](World& world) {
      world.Create("web", Containers(One("a", "100m", "100Mi")));
      world.Until("ready", [&] { return world.Ready("web"); });
      bool broken = true;
      world.containers.on_update = [&](const std::string& id) -> Ok {
        return broken && id == world.containers.Newest("a") ? Ok(Internal("no room for that")) : Ok();
      };
      Resize(world, "web", Containers(One("a", "200m", "200Mi")));
      world.Until("stuck", [&] { return ConditionOf(world, "web", "PodResizeInProgress") == "Error@2"; });
      if (agent_goes) world.StopAgent();
      broken = false;
      world.containers.updates.clear();
      Resize(world, "web", Containers(One("a", "100m", "100Mi")));
      if (agent_goes) world.StartAgent();
      world.Until("as before", [&] { return Done(world, "web"); }, 15s);
      EXPECT_GE(std::ranges::count(world.containers.updates, "a"), 1);
      EXPECT_GE(std::ranges::count(world.containers.updates, "pod"), 1);
      EXPECT_EQ(LimitsOf(world, "a").cpu_quota_us, 10000);
      EXPECT_EQ(PodLimitsOf(world).memory_limit, 100 * kMi);
      EXPECT_EQ(world.Restarts("web"), 0);
    });
  }
}

TEST(Resize, OfAPodsGroupTakenBackAfterItFailedHalfWay) {
  In([](World& world) {
    world.Create("web", Containers(One("a", "100m", "100Mi")));
    world.Until("ready", [&] { return world.Ready("web"); });
    const std::string sandbox = world.containers.sandboxes().begin()->first;
    bool broken = true;
    world.containers.on_update = [&](const std::string& id) -> Ok {
      return broken && id == sandbox ? Ok(Internal("no room for that")) : Ok();
    };
    Resize(world, "web", Containers(One("a", "100m", "200Mi")));
    world.Until("stuck", [&] { return ConditionOf(world, "web", "PodResizeInProgress") == "Error@2"; });
    broken = false;
    world.containers.updates.clear();
    Resize(world, "web", Containers(One("a", "100m", "100Mi")));
    world.Until("as before", [&] { return Done(world, "web"); }, 15s);
    EXPECT_GE(std::ranges::count(world.containers.updates, "pod"), 1);
    EXPECT_EQ(PodLimitsOf(world).memory_limit, 100 * kMi);
  });
}

TEST(Resize, AnAgentThatWasAwayFindsWhatWasAskedMeanwhile) {
  In([](World& world) {
    world.Create("web", Containers(One("a", "100m", "100Mi")));
    world.Until("ready", [&] { return world.Ready("web"); });
    world.StopAgent();
    Resize(world, "web", Containers(One("a", "200m", "200Mi")));
    world.StartAgent();
    world.Until("done", [&] { return Done(world, "web"); }, 15s);
    EXPECT_EQ(LimitsOf(world, "a").memory_limit, 200 * kMi);
    EXPECT_EQ(world.Restarts("web"), 0);
    // What is made anew is made as it is by now.
    world.containers.End(world.containers.Newest("a"), 1);
    world.Until("again", [&] { return world.Restarts("web") == 1 && world.Ready("web"); });
    EXPECT_EQ(LimitsOf(world, "a").memory_limit, 200 * kMi);
    EXPECT_TRUE(Done(world, "web"));
  });
}

TEST(Resize, OfAPodThatIsNotUpYet) {
  In([](World& world) {
    world.Create("web", R"("initContainers":[{"name":"i","image":"i:1"}],)" + Containers(One("a", "100m", "100Mi")));
    world.Until("init runs", [&] { return world.containers.Runs(world.containers.Newest("i")); });
    Resize(world, "web", Containers(One("a", "200m", "200Mi")));
    world.Until("allocated", [&] { return world.Events("ResizeCompleted") == 1; }, 5s);
    world.containers.End(world.containers.Newest("i"), 0);
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_TRUE(Done(world, "web"));
    EXPECT_EQ(LimitsOf(world, "a").memory_limit, 200 * kMi);
    EXPECT_EQ(PodLimitsOf(world).memory_limit, 0);  // the init container has no limit
  });
}

TEST(Resize, OfTheBudgetOfAPod) {
  In([](World& world) {
    const auto budget = [](const char* cpu) {
      return std::string(R"("resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"cpu":")") + cpu +
             R"(","memory":"64Mi"}})";
    };
    world.Create("web", budget("200m") + "," + Containers(R"({"name":"a","image":"i:1"})"));
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_EQ(LimitsOf(world, "a").cpu_quota_us, 20000);
    EXPECT_EQ(PodLimitsOf(world).cpu_quota_us, 20000);
    Resize(world, "web", budget("400m"));
    world.Until("done", [&] { return world.Events("ResizeCompleted") == 1; }, 5s);
    EXPECT_EQ(LimitsOf(world, "a").cpu_quota_us, 40000);
    EXPECT_EQ(PodLimitsOf(world).cpu_quota_us, 40000);
    world.Until("told", [&] {
      return world.Find("web")->tree().Get("status", "resources", "limits", "cpu").AsString() == "400m";
    });
    EXPECT_EQ(world.Find("web")->tree().Get("status", "allocatedResources", "cpu").AsString(), "100m");
  });
}

TEST(QosGroups, ShareTheCpuAsTheirPodsAskForIt) {
  In([](World& world) {
    const auto shares = [&](const char* level) { return world.groups[std::string("/knarr") + level].cpu_shares; };
    world.Until("levels", [&] { return shares("/besteffort") == 2 && shares("/burstable") == 2; }, 5s);
    EXPECT_GE(shares(""), 1024);
    EXPECT_EQ(world.groups["/knarr"].memory_limit, 0);
    const auto burstable = [](const char* cpu) {
      return Containers(R"({"name":"a","image":"i:1","resources":{"requests":{"cpu":")" + std::string(cpu) + "\"}}}");
    };
    world.Create("one", burstable("100m"));
    world.Create("two", burstable("200m"));
    world.Create("guaranteed", Containers(One("a", "100m", "1Mi")));
    world.Until("both count", [&] { return shares("/burstable") == 307; }, 5s);
    EXPECT_EQ(PodLimitsOf(world).pids_limit, 1000);
    Resize(world, "one", burstable("150m"));
    world.Until("more", [&] { return shares("/burstable") == 358; }, 5s);
    world.Delete("two");
    world.Until("less", [&] { return shares("/burstable") == 153; }, 60s);
    world.Until("the pod has its processes' limit still", [&] { return Done(world, "one"); });
    for (const auto& [id, sandbox] : world.containers.sandboxes()) {
      EXPECT_EQ(world.containers.limits.at(id).pids_limit, 1000);
    }
  });
}

}  // namespace
}  // namespace knarr::node

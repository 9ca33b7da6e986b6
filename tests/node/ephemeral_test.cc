// Containers that are added to a running pod, to look at the others.

#include <algorithm>

#include "world.h"

namespace knarr::node {
namespace {

/// Adds one through the API, as `kubectl debug` does.
void AddDebugger(World& world, const std::string& pod, const std::string& name, const std::string& more = "") {
  const std::string head = R"({"spec":{"ephemeralContainers":[{"name":")" + name;
  const std::string patch = head + R"(","image":"d:1")" + more + "}]}}";
  const auto patched = world.server.client().Patch(api::core_v1::PodInfo(), {"default", pod},
                                                   client::PatchType::kStrategicMerge, patch, "ephemeralcontainers");
  ASSERT_TRUE(patched.ok()) << patched.status().ToString();
}

/// "running", "waiting:Reason", "terminated:code", "none"
std::string StateOf(World& world, const std::string& pod, const std::string& name) {
  const api::ObjectPtr object = world.Find(pod);
  if (object == nullptr) return "gone";
  for (const auto status : Pod(object->tree()).status().ephemeral_container_statuses()) {
    if (status.name() != name) continue;
    EXPECT_FALSE(status.ready());
    EXPECT_EQ(status.restart_count(), 0);
    EXPECT_FALSE(status.started());
    if (status.state().running()) return "running";
    if (const auto end = status.state().terminated()) return "terminated:" + std::to_string(end.exit_code());
    return "waiting:" + std::string(status.state().waiting().reason());
  }
  return "none";
}

TEST(EphemeralContainers, RunOnceBesideTheOthers) {
  In([](World& world) {
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    AddDebugger(world, "web", "look");
    world.Until("it runs", [&] { return StateOf(world, "web", "look") == "running"; }, 5s);
    EXPECT_TRUE(world.Ready("web"));
    AddDebugger(world, "web", "again");
    world.Until("the second runs", [&] { return StateOf(world, "web", "again") == "running"; }, 5s);
    const std::string first = world.containers.Newest("look");
    world.containers.End(first, 3);
    world.Until("it has ended", [&] { return StateOf(world, "web", "look") == "terminated:3"; });
    world.Sleep(20min);
    EXPECT_EQ(world.containers.Newest("look"), first);
    EXPECT_EQ(world.Phase("web"), "Running");
    EXPECT_TRUE(world.Ready("web"));
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(EphemeralContainers, SeeTheProcessesOfTheirTarget) {
  In([](World& world) {
    std::map<std::string, std::string> targets;
    world.containers.on_create = [&](const runtime::ContainerSpec& spec) { targets[spec.name] = spec.pid_target; };
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    AddDebugger(world, "web", "look", R"(,"targetContainerName":"a")");
    world.Until("it runs", [&] { return StateOf(world, "web", "look") == "running"; });
    EXPECT_EQ(targets.at("look"), world.containers.Newest("a"));
    EXPECT_EQ(targets.at("a"), "");
    EXPECT_EQ(world.Events("Failed"), 0);
  });
}

TEST(EphemeralContainers, DoNotKeepAPodAliveAndEndWithIt) {
  In([](World& world) {
    world.Create("job", R"("restartPolicy":"Never",)" + kOne);
    world.Until("ready", [&] { return world.Ready("job"); });
    AddDebugger(world, "job", "look");
    world.Until("it runs", [&] { return StateOf(world, "job", "look") == "running"; });
    world.containers.End(world.containers.Newest("a"), 0);
    world.Until("done", [&] { return world.Phase("job") == "Succeeded"; });
    world.Until("it was stopped", [&] { return StateOf(world, "job", "look") == "terminated:143"; });
    world.Delete("job");
    world.ExpectGone("job");
  });
}

TEST(EphemeralContainers, LookAtAPodThatDoesNotGetUp) {
  In([](World& world) {
    world.Create("web", R"("initContainers":[{"name":"i","image":"i:1"}],)" + kOne);
    world.Until("init runs", [&] { return world.containers.Runs(world.containers.Newest("i")); });
    AddDebugger(world, "web", "look");
    world.Until("it runs", [&] { return StateOf(world, "web", "look") == "running"; }, 5s);
    EXPECT_EQ(world.Phase("web"), "Pending");
    world.containers.End(world.containers.Newest("i"), 0);
    world.Until("ready", [&] { return world.Ready("web"); });
  });
}

TEST(EphemeralContainers, AreNotStartedAgainByANewAgent) {
  In([](World& world) {
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    AddDebugger(world, "web", "runs");
    AddDebugger(world, "web", "ended");
    AddDebugger(world, "web", "lost");
    for (const char* name : {"runs", "ended", "lost"}) {
      world.Until("it runs", [&] { return StateOf(world, "web", name) == "running"; });
    }
    world.containers.End(world.containers.Newest("ended"), 0);
    world.Until("ended", [&] { return StateOf(world, "web", "ended") == "terminated:0"; });
    const std::string runs = world.containers.Newest("runs");
    const std::string ended = world.containers.Newest("ended");
    world.StopAgent();
    ASSERT_TRUE(world.containers.RemoveContainer(world.containers.Newest("lost")).ok());
    AddDebugger(world, "web", "meanwhile");
    world.StartAgent();
    world.Until("the new one runs", [&] { return StateOf(world, "web", "meanwhile") == "running"; });
    world.Until("the end is told", [&] { return StateOf(world, "web", "lost") == "terminated:137"; });
    world.Sleep(20min);
    EXPECT_EQ(world.containers.Newest("runs"), runs);
    EXPECT_EQ(world.containers.Newest("ended"), ended);
    EXPECT_EQ(world.containers.Newest("lost"), "");
    EXPECT_EQ(StateOf(world, "web", "runs"), "running");
    EXPECT_EQ(StateOf(world, "web", "ended"), "terminated:0");
    EXPECT_EQ(world.Restarts("web"), 0);
  });
}

TEST(EphemeralContainers, TellWhatTheyMiss) {
  In([](World& world) {
    world.Create("web", R"("restartPolicy":"Always",)" + kOne);
    world.containers.on_start = [&](const std::string&) -> Ok { return Internal("no"); };
    world.Until("it fails", [&] { return world.Events("Failed") > 0; });
    // Its target never ran.
    AddDebugger(world, "web", "look", R"(,"targetContainerName":"a")");
    world.Until("told", [&] { return StateOf(world, "web", "look") == "waiting:CreateContainerConfigError"; });
    const auto events = MUST(world.server.client().List(api::core_v1::EventInfo(), ""));
    EXPECT_TRUE(std::ranges::any_of(events.items, [](const api::ObjectPtr& event) {
      return event->tree().At("message").AsString() == "Error: unable to find target container a" &&
             event->tree().Get("involvedObject", "fieldPath").AsString() == "spec.ephemeralContainers{look}";
    }));
  });
}

}  // namespace
}  // namespace knarr::node

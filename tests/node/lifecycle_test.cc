// What pods ask for besides that their containers run: hooks, sidecars, restart rules, last words; and that an agent
// which comes anew in the middle of it goes on.

#include "world.h"

namespace knarr::node {
namespace {

/// A member of a container's status.
doc::Document StatusOf(World& world, const std::string& pod, const std::string& container) {
  const api::ObjectPtr object = world.Find(pod);
  if (object == nullptr) return {};
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    for (const doc::Value& status : object->tree().Get("status", list).items()) {
      if (status.At("name").AsString() == container) return doc::Document::Copy(status);
    }
  }
  return {};
}

bool RunsNow(World& world, const std::string& name) { return world.containers.Runs(world.containers.Newest(name)); }

TEST(Lifecycle, NothingIsReadyBeforePostStartIsDone) {
  In([](World& world) {
    bool hook_done = false;
    world.containers.on_exec = [&](const std::string&) -> Result<runtime::ExecResult> {
      TRY(world.runtime.Sleep(20s));
      hook_done = true;
      return runtime::ExecResult{};
    };
    world.Create("web", R"("containers":[
        {"name":"a","image":"i:1","lifecycle":{"postStart":{"exec":{"command":["x"]}}}},{"name":"b","image":"i:1"}])");
    world.Until("a runs", [&] { return RunsNow(world, "a"); });
    world.Sleep(10s);
    EXPECT_EQ(world.Phase("web"), "Pending");
    const doc::Document status = StatusOf(world, "web", "a");
    EXPECT_EQ(status.root.Get("state", "waiting", "reason").AsString(), "ContainerCreating");
    EXPECT_FALSE(status.root.At("started").AsBool());
    EXPECT_EQ(world.containers.Newest("b"), "");
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_TRUE(hook_done);
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Lifecycle, PostStartThatFailsKillsTheContainer) {
  In([](World& world) {
    world.containers.on_exec = [&](const std::string& id) -> Result<runtime::ExecResult> {
      const bool first = world.containers.containers().at(id).attempt == 0;
      return runtime::ExecResult{.exit_code = first ? 3 : 0, .output = first ? "no" : ""};
    };
    world.Create("web", R"("containers":[
        {"name":"a","image":"i:1","lifecycle":{"postStart":{"exec":{"command":["sh","-c","x"]}}}}])");
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_EQ(world.Restarts("web"), 1);
    EXPECT_EQ(world.Message("FailedPostStartHook"), "PostStartHook failed");
    EXPECT_EQ(world.Message("Killing"), "FailedPostStartHook");
    world.Delete("web");
    world.ExpectGone("web");
    world.containers.on_exec = [](const std::string&) { return runtime::ExecResult{.exit_code = 3, .output = "no"}; };
    world.Create("bad", R"("restartPolicy":"Never","containers":[
        {"name":"a","image":"i:1","lifecycle":{"postStart":{"exec":{"command":["sh","-c","x"]}}}}])");
    world.Until("failed", [&] { return world.Phase("bad") == "Failed"; });
  });
}

TEST(Lifecycle, APostStartHookThatHangsEndsWithItsContainer) {
  In([](World& world) {
    bool hangs = true;
    world.containers.on_exec = [&](const std::string&) -> Result<runtime::ExecResult> {
      if (hangs) TRY(world.runtime.Sleep(std::chrono::hours(24)));
      return runtime::ExecResult{};
    };
    const std::string spec =
        R"("containers":[{"name":"a","image":"i:1","lifecycle":{"postStart":{"exec":{"command":["x"]}}}}])";
    world.Create("web", spec);
    world.Until("a runs", [&] { return RunsNow(world, "a"); });
    world.Sleep(1s);
    hangs = false;
    world.containers.End(world.containers.Newest("a"), 1);
    world.Until("again", [&] { return world.Restarts("web") == 1 && world.Ready("web"); });
    world.Delete("web");
    world.ExpectGone("web");
    hangs = true;
    world.Create("web", spec);
    world.Until("a runs", [&] { return RunsNow(world, "a"); });
    world.Delete("web");
    EXPECT_LT(world.Until("gone", [&] { return world.Find("web") == nullptr; }), 35s);
    world.ExpectGone("web");
  });
}

TEST(Lifecycle, PreStopComesBeforeTheSignalAndIsPartOfTheGrace) {
  In([](World& world) {
    world.containers.on_exec = [&](const std::string&) -> Result<runtime::ExecResult> {
      TRY(world.runtime.Sleep(7s));
      return runtime::ExecResult{};
    };
    world.Create("web", R"("terminationGracePeriodSeconds":20,"containers":[
        {"name":"a","image":"i:1","lifecycle":{"preStop":{"exec":{"command":["x"]}}}}])");
    world.Until("ready", [&] { return world.Ready("web"); });
    world.Delete("web");
    world.Sleep(6s);
    EXPECT_TRUE(world.containers.stops.empty());
    world.ExpectGone("web");
    ASSERT_EQ(world.containers.stops.size(), 1U);
    EXPECT_NEAR(static_cast<double>(world.containers.stops[0].second / 1ms), 13000, 200);
    EXPECT_EQ(world.Events("FailedPreStopHook"), 0);
  });
}

TEST(Lifecycle, PreStopThatHangsEndsWithTheGraceAndTwoSeconds) {
  In([](World& world) {
    world.containers.on_exec = [&](const std::string& id) -> Result<runtime::ExecResult> {
      while (world.containers.Runs(id)) TRY(world.runtime.Sleep(10ms));
      return runtime::ExecResult{.exit_code = 137, .output = {}};
    };
    world.Create("web", R"("terminationGracePeriodSeconds":5,"containers":[
        {"name":"a","image":"i:1","lifecycle":{"preStop":{"exec":{"command":["x"]}}}}])");
    world.Until("ready", [&] { return world.Ready("web"); });
    world.Delete("web");
    world.ExpectGone("web");
    ASSERT_EQ(world.containers.stops.size(), 1U);
    EXPECT_EQ(world.containers.stops[0].second, 2s);
  });
}

TEST(Lifecycle, AHookThatFailsIsTold) {
  In([](World& world) {
    world.containers.on_exec = [](const std::string&) { return runtime::ExecResult{.exit_code = 1, .output = "s"}; };
    world.Create("web", R"("containers":[
        {"name":"a","image":"i:1","lifecycle":{"preStop":{"exec":{"command":["x"]}}}}])");
    world.Until("ready", [&] { return world.Ready("web"); });
    world.Delete("web");
    world.ExpectGone("web");
    EXPECT_EQ(world.Message("FailedPreStopHook"), "PreStopHook failed");
  });
}

TEST(Lifecycle, SleepIsCutShortByAShorterGraceAndByTheEnd) {
  In([](World& world) {
    const std::string spec = R"("terminationGracePeriodSeconds":100,"containers":[
        {"name":"a","image":"i:1","lifecycle":{"preStop":{"sleep":{"seconds":50}}}}])";
    world.Create("hurried", spec);
    world.Until("ready", [&] { return world.Ready("hurried"); });
    world.Delete("hurried");
    world.Sleep(2s);
    const client::DeleteOptions options{.grace_seconds = 4};
    ASSERT_TRUE(world.server.client().Delete(api::core_v1::PodInfo(), {"default", "hurried"}, options).ok());
    EXPECT_LT(world.Until("gone", [&] { return world.Find("hurried") == nullptr; }), 8s);
    world.Create("ends", spec);
    world.Until("ready", [&] { return world.Ready("ends"); });
    world.Delete("ends");
    world.Sleep(2s);
    world.containers.End(world.containers.Newest("a"), 0);
    EXPECT_LT(world.Until("gone", [&] { return world.Find("ends") == nullptr; }), 2s);
    world.ExpectGone("ends");
  });
}

TEST(Lifecycle, AnAgentThatComesAnewRunsThePreStopHook) {
  In([](World& world) {
    int hooks = 0;
    world.containers.on_exec = [&](const std::string&) -> Result<runtime::ExecResult> {
      ++hooks;
      TRY(world.runtime.Sleep(10s));
      return runtime::ExecResult{};
    };
    world.Create("web", R"("containers":[
        {"name":"a","image":"i:1","lifecycle":{"preStop":{"exec":{"command":["x"]}}}}])");
    world.Until("ready", [&] { return world.Ready("web"); });
    world.Delete("web");
    world.Sleep(5s);
    world.StopAgent();
    EXPECT_TRUE(RunsNow(world, "a"));
    world.StartAgent();
    world.ExpectGone("web");
    EXPECT_EQ(hooks, 2);
  });
}

const std::string kSidecars = R"("restartPolicy":"Never","initContainers":[
    {"name":"s1","image":"i:1","restartPolicy":"Always","startupProbe":{"periodSeconds":1,"exec":{"command":["x"]}}},
    {"name":"once","image":"i:1"},
    {"name":"s2","image":"i:1","restartPolicy":"Always"}],"containers":[{"name":"a","image":"i:1"}])";

/// Lets the pod come up as far as that it is Ready.
void BringUp(World& world) {
  world.Until("once runs", [&] { return RunsNow(world, "once"); });
  world.containers.End(world.containers.Newest("once"), 0);
  world.Until("ready", [&] { return world.Ready("job"); });
}

TEST(Sidecars, EachWaitsForTheOneBefore) {
  In([](World& world) {
    bool up = false;
    world.containers.on_exec = [&](const std::string&) {
      return runtime::ExecResult{.exit_code = up ? 0 : 1, .output = {}};
    };
    world.Create("job", kSidecars);
    world.Until("s1 runs", [&] { return RunsNow(world, "s1"); });
    world.Sleep(2s);
    EXPECT_EQ(world.containers.Newest("once"), "");
    up = true;
    world.Until("once runs", [&] { return RunsNow(world, "once"); });
    EXPECT_EQ(world.containers.Newest("s2"), "");
    EXPECT_EQ(world.Phase("job"), "Pending");
    // One that ends while others come up is started again.
    world.containers.End(world.containers.Newest("s1"), 0);
    world.Until("s1 again", [&] { return RunsNow(world, "s1"); });
    BringUp(world);
    EXPECT_EQ(world.Phase("job"), "Running");
    const doc::Document s2 = StatusOf(world, "job", "s2");
    EXPECT_TRUE(s2.root.At("ready").AsBool());
    EXPECT_TRUE(s2.root.At("started").AsBool());
    EXPECT_TRUE(StatusOf(world, "job", "once").root.At("ready").AsBool());
  });
}

TEST(Sidecars, DoNotKeepAPodAliveAndEndInReverse) {
  In([](World& world) {
    world.Create("job", kSidecars);
    BringUp(world);
    world.containers.End(world.containers.Newest("s2"), 1);
    world.Until("s2 again", [&] { return RunsNow(world, "s2"); });
    world.containers.stops.clear();
    const std::string s1 = world.containers.Newest("s1");
    const std::string s2 = world.containers.Newest("s2");
    world.containers.End(world.containers.Newest("a"), 0);
    world.Until("over", [&] { return world.Phase("job") == "Succeeded"; });
    ASSERT_EQ(world.containers.stops.size(), 2U);
    EXPECT_EQ(world.containers.stops[0].first, s2);
    EXPECT_EQ(world.containers.stops[1].first, s1);
    EXPECT_EQ(StatusOf(world, "job", "s1").root.Get("state", "terminated", "exitCode").AsInt(), 143);
    world.Delete("job");
    world.ExpectGone("job");
  });
}

TEST(Sidecars, WaitForTheOthersButNotBeyondTheGrace) {
  In([](World& world) {
    world.containers.ignores_term = true;
    world.Create("job", R"("terminationGracePeriodSeconds":10,)" + kSidecars);
    BringUp(world);
    world.containers.stops.clear();
    world.Delete("job");
    world.ExpectGone("job");
    ASSERT_EQ(world.containers.stops.size(), 3U);
    EXPECT_EQ(world.containers.stops[0].second, 10s);
    EXPECT_EQ(world.containers.stops[1].second, 2s);
    EXPECT_EQ(world.containers.stops[2].second, 2s);
  });
}

TEST(Sidecars, AnAgentThatComesAnewKeepsThemAndTheirOrder) {
  In([](World& world) {
    world.Create("job", kSidecars);
    BringUp(world);
    world.StopAgent();
    world.containers.End(world.containers.Newest("s1"), 1);
    world.containers.End(world.containers.Newest("a"), 0);
    world.StartAgent();
    world.Until("over", [&] { return world.Phase("job") == "Succeeded"; });
    EXPECT_EQ(world.containers.containers().at(world.containers.Newest("s1")).attempt, 0U);
    EXPECT_FALSE(RunsNow(world, "s2"));
  });
}

TEST(RestartRules, DecideByTheExitCode) {
  In([](World& world) {
    world.Create("web", R"("restartPolicy":"Never","containers":[{"name":"a","image":"i:1","restartPolicy":"Never",
        "restartPolicyRules":[{"action":"Restart","exitCodes":{"operator":"In","values":[42]}}]}])");
    world.Until("ready", [&] { return world.Ready("web"); });
    world.containers.End(world.containers.Newest("a"), 42);
    world.Until("again", [&] { return world.Restarts("web") == 1 && world.Ready("web"); });
    world.containers.End(world.containers.Newest("a"), 1);
    world.Until("over", [&] { return world.Phase("web") == "Failed"; });
  });
}

TEST(RestartRules, OneEndMayTakeAllOthersWithIt) {
  In([](World& world) {
    const std::string spec = R"("restartPolicy":"Never","initContainers":[{"name":"once","image":"i:1"}],
        "containers":[{"name":"a","image":"i:1","restartPolicy":"Never","restartPolicyRules":[
        {"action":"RestartAllContainers","exitCodes":{"operator":"In","values":[88]}}]},{"name":"b","image":"i:1"}])";
    world.Create("web", spec);
    const auto come_up = [&](uint32_t attempt) {
      world.Until("once runs", [&] {
        const std::string id = world.containers.Newest("once");
        return world.containers.Runs(id) && world.containers.containers().at(id).attempt == attempt;
      });
      world.containers.End(world.containers.Newest("once"), 0);
      world.Until("ready", [&] { return world.Ready("web"); });
    };
    come_up(0);
    const std::string first_b = world.containers.Newest("b");
    world.containers.End(world.containers.Newest("a"), 88);
    come_up(1);
    EXPECT_FALSE(world.containers.containers().contains(first_b));
    for (const char* name : {"a", "b", "once"}) {
      EXPECT_EQ(StatusOf(world, "web", name).root.At("restartCount").AsInt(), 1) << name;
    }
    EXPECT_EQ(StatusOf(world, "web", "a").root.Get("lastState", "terminated", "exitCode").AsInt(), 88);
    EXPECT_EQ(StatusOf(world, "web", "b").root.Get("lastState", "terminated", "reason").AsString(),
              "RestartingAllContainers");
    // An agent that comes anew in the middle of it.
    world.containers.on_stop = [&](const std::string&) -> Ok { return world.runtime.Sleep(5s); };
    world.containers.End(world.containers.Newest("a"), 88);
    world.Sleep(1s);
    world.StopAgent();
    world.containers.on_stop = nullptr;
    world.StartAgent();
    come_up(2);
    EXPECT_EQ(StatusOf(world, "web", "b").root.At("restartCount").AsInt(), 2);
    world.containers.End(world.containers.Newest("a"), 1);
    world.containers.End(world.containers.Newest("b"), 0);
    world.Until("over", [&] { return world.Phase("web") == "Failed"; });
  });
}

TEST(LastWords, AreTakenFromTheFileOrTheLog) {
  In([](World& world) {
    world.Create("web", R"("restartPolicy":"Never","containers":[{"name":"a","image":"i:1"},
        {"name":"b","image":"i:1","terminationMessagePolicy":"FallbackToLogsOnError"}])");
    world.Until("ready", [&] { return world.Ready("web"); });
    const std::string folder = "/tmp/pods/" + std::string(world.Find("web")->uid()) + "/containers/";
    rt::FileSystem& files = world.runtime.files();
    EXPECT_EQ(MUST(files.Stat(folder + "a/0")).mode, 0666U);
    MUST(files.WriteFile(folder + "a/0", std::string(5000, 'x') + "end"));
    const std::string log = world.containers.containers().at(world.containers.Newest("b")).log_path;
    MUST(files.MakeDirectories(log.substr(0, log.rfind('/'))));
    MUST(files.WriteFile(log, "2026-11-21T10:00:00.1Z stdout F one\n2026-11-21T10:00:00.2Z stderr F two\n"));
    world.containers.End(world.containers.Newest("a"), 0);
    // Also when nobody was there to see the end.
    world.StopAgent();
    world.containers.End(world.containers.Newest("b"), 1);
    world.StartAgent();
    world.Until("over", [&] { return world.Phase("web") == "Failed"; });
    const auto message = [&](const char* name) {
      return std::string(StatusOf(world, "web", name).root.Get("state", "terminated", "message").AsString());
    };
    EXPECT_EQ(message("a"), std::string(4093, 'x') + "end");
    EXPECT_EQ(message("b"), "one\ntwo\n");
  });
}

TEST(Admission, WhatTheNodeDoesNotRunFails) {
  In([](World& world) {
    world.Create("sys", R"("securityContext":{"sysctls":[{"name":"kernel.msgmax","value":"1"}]},)" + kOne);
    world.Until("over", [&] { return world.Phase("sys") == "Failed"; });
    const api::ObjectPtr pod = world.Find("sys");
    EXPECT_EQ(pod->tree().Get("status", "reason").AsString(), "SysctlForbidden");
    EXPECT_EQ(pod->tree().Get("status", "message").AsString(),
              "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted");
    world.Until("told", [&] { return world.Events("SysctlForbidden") == 1; }, 5s);
    EXPECT_EQ(world.Message("SysctlForbidden"), "forbidden sysctl: \"kernel.msgmax\" not allowlisted");
    EXPECT_TRUE(pod->tree().Get("status", "containerStatuses").items().empty());
    EXPECT_TRUE(world.containers.sandboxes().empty());
    // An agent that comes anew has nothing to add.
    world.StopAgent();
    world.StartAgent();
    world.Sleep(5s);
    EXPECT_EQ(world.Find("sys")->resource_version(), pod->resource_version());
    world.Delete("sys");
    world.ExpectGone("sys");
  });
}

TEST(Keeping, WhoWritesMoreThanItsLimitIsEvicted) {
  In([](World& world) {
    world.Create("web", R"("containers":[{"name":"a","image":"i:1","resources":
        {"limits":{"ephemeral-storage":"1Mi"}}}])");
    world.Create("other", kOne);
    world.Until("ready", [&] { return world.Ready("web") && world.Ready("other"); });
    const api::ObjectPtr web = world.Find("web");
    for (const auto& [id, container] : world.containers.containers()) {
      const auto& sandbox = world.containers.sandboxes().at(container.sandbox_id);
      if (sandbox.pod_name == "web") world.containers.written[id] = {.bytes = 2 << 20, .inodes = 1};
    }
    world.Until("evicted", [&] { return world.Phase("web") == "Failed"; }, 15s);
    EXPECT_EQ(world.Find("web")->tree().Get("status", "reason").AsString(), "Evicted");
    EXPECT_EQ(world.Message("Evicted"),
              "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ");
    ASSERT_EQ(world.containers.stops.size(), 1U);
    EXPECT_EQ(world.containers.stops[0].second, 2s);
    world.Sleep(30s);
    EXPECT_TRUE(world.Ready("other"));
  });
}

image::Image Named(const char* id) {
  image::Image out;
  out.id = id;
  out.size = 1000;
  return out;
}

TEST(Keeping, NoImageGoesThatIsUsedOrMayBeInAMoment) {
  In([](World& world) {
    world.StopAgent();
    world.images.images = {Named("sha256:shown"), Named("sha256:sticks"), Named("sha256:unused"), Named("sha256:i:1")};
    world.images.stuck = "sha256:sticks";
    world.StartAgent();
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    // What a volume shows is known by what was mounted: its name may mean another by now.
    const std::string folder = "/tmp/pods/" + std::string(world.Find("web")->uid()) + "/volumes/image";
    MUST(world.runtime.files().MakeDirectories(folder));
    MUST(world.runtime.files().WriteFile(folder + "/v.id", "sha256:shown"));
    world.images.images.push_back(Named("sha256:fresh"));
    const auto there = [&] {
      std::string out;
      for (const image::Image& image : world.images.images) out += image.id.substr(7) + " ";
      return out;
    };
    world.images.on_removed = [&] { world.disk.available = 160000; };
    world.disk.available = 100000;
    world.Until("one went", [&] { return world.images.images.size() < 5; });
    world.Sleep(30s);
    EXPECT_EQ(there(), "shown sticks i:1 fresh ");
    EXPECT_TRUE(world.Ready("web"));
    MUST(world.runtime.files().RemoveAll(folder));
    world.disk.available = 140000;
    world.Until("more went", [&] { return there() == "sticks i:1 fresh "; }, 15s);
    // One that sticks does not keep pods from being evicted.
    world.disk.available = 100000;
    world.Until("evicted", [&] { return world.Phase("web") == "Failed"; }, 25s);
  });
}

TEST(Keeping, AFullDiskCostsImagesFirstAndThenPods) {
  In([](World& world) {
    world.StopAgent();
    world.images.images = {Named("sha256:unused"), Named("sha256:i:1")};
    world.StartAgent();
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    const auto condition = [&](std::string_view type) {
      const auto node = MUST(world.server.client().Get(api::core_v1::NodeInfo(), {"", "n1"}));
      for (const auto one : api::core_v1::Node(node->tree()).status().conditions()) {
        if (one.type() == type) return std::string(one.status()) + " " + std::string(one.reason());
      }
      return std::string();
    };
    EXPECT_EQ(condition("DiskPressure"), "False KubeletHasNoDiskPressure");
    // The images go, and that is enough.
    world.images.on_removed = [&] { world.disk.available = 900000; };
    world.disk.available = 100000;
    world.Until("images removed", [&] { return world.images.images.size() == 1; });
    EXPECT_EQ(world.images.images[0].id, "sha256:i:1");
    world.Sleep(30s);
    EXPECT_TRUE(world.Ready("web"));
    EXPECT_EQ(condition("DiskPressure"), "True KubeletHasDiskPressure");
    world.disk.available = 100000;
    world.Until("evicted", [&] { return world.Phase("web") == "Failed"; });
    const api::ObjectPtr web = world.Find("web");
    EXPECT_EQ(web->tree().Get("status", "message").AsString().substr(0, 54),
              "The node was low on resource: ephemeral-storage. Thres");
    bool target = false;
    for (const auto one : Pod(web->tree()).status().conditions()) {
      target |= one.type() == "DisruptionTarget" && one.reason() == "TerminationByKubelet";
    }
    EXPECT_TRUE(target);
    world.Create("late", kOne);
    world.Until("refused", [&] { return world.Phase("late") == "Failed"; });
    EXPECT_EQ(world.Find("late")->tree().Get("status", "message").AsString(),
              "Pod was rejected: The node had condition: [DiskPressure]. ");
    world.disk.available = 900000;
    world.Sleep(6min);
    EXPECT_EQ(condition("DiskPressure"), "False KubeletHasNoDiskPressure");
  });
}

TEST(HostPorts, AreMappedAndStayWhenAnAgentComesAnew) {
  In([](World& world) {
    // A port of an init container may be that of another one; it leads nowhere.
    world.Create("web", R"("initContainers":[{"name":"s","image":"i:1","restartPolicy":"Always",
        "ports":[{"containerPort":81,"hostPort":8080}]}],
        "containers":[{"name":"a","image":"i:1","ports":[{"containerPort":80,"hostPort":8080},
        {"containerPort":53,"hostPort":5353,"protocol":"UDP","hostIP":"192.0.2.1"},{"containerPort":90}]}])");
    world.Until("ready", [&] { return world.Ready("web"); });
    ASSERT_EQ(world.network.ports.size(), 1U);
    const auto& ports = world.network.ports.begin()->second;
    ASSERT_EQ(ports.size(), 2U);
    EXPECT_EQ(ports[0].host_port, 8080);
    EXPECT_EQ(ports[0].pod_port, 80);
    EXPECT_EQ(ports[1].protocol, "UDP");
    EXPECT_EQ(ports[1].host_ip, "192.0.2.1");
    world.StopAgent();
    world.StartAgent();
    world.Delete("web");
    world.ExpectGone("web");
    EXPECT_TRUE(world.network.ports.empty());
  });
}

}  // namespace
}  // namespace knarr::node

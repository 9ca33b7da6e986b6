// The node agent against a real API server, on a machine in memory and in virtual time: pods' lives, and what must not
// be left behind when something fails in the middle of them.

#include "world.h"

namespace knarr::node {
namespace {

TEST(Agent, RunsAPodAndLeavesNothing) {
  In([](World& world) {
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); }, 5s);
    EXPECT_EQ(world.network.addresses.size(), 1U);
    EXPECT_EQ(world.Message("Created"), "Container created");
    EXPECT_EQ(world.Message("Started"), "Container started");
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, AContainerThatStartsWhileThePodGoesIsStoppedToo) {
  In([](World& world) {
    world.containers.on_start = [&](const std::string& id) -> Ok {
      if (world.containers.containers().at(id).name == "slow") TRY(world.runtime.Sleep(5s));
      return {};
    };
    world.Create("web", R"("containers":[{"name":"quick","image":"i:1"},{"name":"slow","image":"i:1"}])");
    world.Until("one runs", [&] { return world.containers.Runs(world.containers.Newest("quick")); });
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, AStopThatFailsIsTriedAgain) {
  In([](World& world) {
    int failures = 3;
    world.containers.on_stop = [&](const std::string&) -> Ok {
      return failures-- > 0 ? Ok(Internal("the shim is busy")) : Ok();
    };
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    world.Delete("web");
    world.ExpectGone("web");
    EXPECT_EQ(world.containers.stops.size(), 4U);
  });
}

TEST(Agent, AShorterGraceHurries) {
  In([](World& world) {
    world.containers.ignores_term = true;
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    world.Delete("web");
    world.Sleep(1s);
    client::DeleteOptions options{.grace_seconds = 5};
    ASSERT_TRUE(world.server.client().Delete(api::core_v1::PodInfo(), {"default", "web"}, options).ok());
    EXPECT_LT(world.Until("gone", [&] { return world.Find("web") == nullptr; }), 7s);
    world.ExpectGone("web");
  });
}

TEST(Agent, ALostSandboxIsReplaced) {
  In([](World& world) {
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    const std::string first = world.containers.sandboxes().begin()->first;
    const std::string address = world.network.addresses.at(first);
    world.containers.LoseSandbox(first);
    world.containers.End(world.containers.Newest("a"), 137);
    world.Until("again", [&] { return world.Restarts("web") == 1 && world.Ready("web"); });
    EXPECT_FALSE(world.network.addresses.contains(first));
    EXPECT_EQ(world.Events("SandboxChanged"), 1);
    // The container of before is kept for its log and its end; the one before that goes.
    for (int restarts = 2; restarts <= 4; ++restarts) {
      for (const auto& [id, sandbox] : std::map(world.containers.sandboxes())) world.containers.LoseSandbox(id);
      world.containers.End(world.containers.Newest("a"), 137);
      world.Until("again", [&] { return world.Restarts("web") == restarts && world.Ready("web"); }, 400s);
      EXPECT_LE(world.containers.sandboxes().size(), 3U);
      EXPECT_EQ(world.network.addresses.size(), 1U);
    }
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, SandboxesThatGetNoAddressAreNotKept) {
  In([](World& world) {
    int failures = 4;
    world.network.on_attach = [&]() -> Ok { return failures-- > 0 ? Ok(Unavailable("no address is free")) : Ok(); };
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_EQ(world.containers.sandboxes().size(), 1U);
    EXPECT_EQ(world.Events("FailedCreatePodSandBox"), 1);
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, AStartThatCannotBeTriedIsTriedAgain) {
  In([](World& world) {
    int failures = 2;
    world.containers.on_start = [&](const std::string&) -> Ok {
      return failures-- > 0 ? Ok(Unavailable("the shim is gone")) : Ok();
    };
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_EQ(world.Restarts("web"), 0);
    EXPECT_EQ(world.containers.containers().size(), 1U);
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, AContainerThatWasMadeButNotStartedIsNoRestart) {
  In([](World& world) {
    bool slow = true;
    world.containers.on_start = [&](const std::string&) -> Ok { return slow ? world.runtime.Sleep(1h) : Ok(); };
    world.Create("web", kOne);
    world.Until("made", [&] { return world.containers.containers().size() == 1; });
    world.StopAgent();
    slow = false;
    world.StartAgent();
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_EQ(world.Restarts("web"), 0);
    world.Until("only one is kept", [&] { return world.containers.containers().size() == 1; });
    const std::string uid(world.Find("web")->uid());
    EXPECT_TRUE(world.runtime.files().Exists("/tmp/pods/" + uid + "/containers/a/0")) << "the last words' file is its";
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, APodThatWasClearedAwayByAKilledAgentIsRemoved) {
  const char* const specs[] = {
      R"("initContainers":[{"name":"i","image":"i:1"}],"containers":[{"name":"a","image":"i:1"}])",
      R"("restartPolicy":"Never","containers":[{"name":"i","image":"i:1"},{"name":"a","image":"i:1"}])"};
  for (const char* spec : specs) {
    In([&](World& world) {
      world.Create("web", spec);
      world.Until("begun", [&] { return world.containers.Runs(world.containers.Newest("i")); });
      world.containers.End(world.containers.Newest("i"), 3 * (spec == specs[1]));
      world.Until("told", [&] {
        const auto status = Pod(world.Find("web")->tree()).status();
        const auto all = spec == specs[0] ? status.init_container_statuses() : status.container_statuses();
        return !all.empty() && bool(all[0].state().terminated()) && world.containers.Runs(world.containers.Newest("a"));
      });
      // It can't tell any more how it goes on.
      world.client.away = true;
      world.Delete("web");
      world.Until("cleared away", [&] { return world.containers.sandboxes().empty(); });
      world.StopAgent();
      world.client.away = false;
      world.StartAgent();
      world.ExpectGone("web");
    });
  }
}

TEST(Agent, AContainerThatEndsAtOnceBacksOffToo) {
  In([](World& world) {
    // It has ended before anybody looks.
    world.containers.on_started = [&](const std::string& id) { world.containers.End(id, 1); };
    world.Create("web", kOne);
    world.Until("second start", [&] { return world.Restarts("web") == 1; });
    world.Until("event", [&] { return world.Events("BackOff") == 1; }, 5s);
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, AnUnhealthyContainerIsKilledAlsoWhenThatFailsFirst) {
  In([](World& world) {
    int failures = 1;
    world.containers.on_stop = [&](const std::string&) -> Ok { return failures-- > 0 ? Ok(Internal("busy")) : Ok(); };
    world.containers.on_exec = [&](const std::string& id) -> Result<runtime::ExecResult> {
      const bool first = world.containers.containers().at(id).attempt == 0;
      return runtime::ExecResult{.exit_code = first ? 1 : 0, .output = ""};
    };
    world.Create("web", R"("containers":[{"name":"a","image":"i:1","livenessProbe":{"periodSeconds":5,
        "failureThreshold":2,"terminationGracePeriodSeconds":4,"exec":{"command":["x"]}}}])");
    world.Until("restarted", [&] { return world.Restarts("web") == 1 && world.Ready("web"); });
    ASSERT_EQ(world.containers.stops.size(), 2U);
    EXPECT_EQ(world.containers.stops[1].second, 4s);
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, APodThatIsActiveForTooLongFails) {
  In([](World& world) {
    world.Create("web", R"("activeDeadlineSeconds":30,)" + kOne);
    world.Create("done", R"("activeDeadlineSeconds":30,"restartPolicy":"Never",)" + kOne);
    world.Until("ready", [&] { return world.Ready("web") && world.Ready("done"); }, 5s);
    for (const auto& [id, container] : std::map(world.containers.containers())) {
      if (world.containers.sandboxes().at(container.sandbox_id).pod_name == "done") world.containers.End(id, 0);
    }
    world.Sleep(20s);
    EXPECT_EQ(world.Phase("web"), "Running");
    world.Until("failed", [&] { return world.Phase("web") == "Failed" && world.network.addresses.empty(); }, 20s);
    const auto is_failed = [&] {
      const api::ObjectPtr pod = world.Find("web");
      const auto status = Pod(pod->tree()).status();
      EXPECT_EQ(status.phase(), "Failed");
      EXPECT_EQ(status.reason(), "DeadlineExceeded");
      EXPECT_EQ(status.message(), "Pod was active on the node longer than the specified deadline");
      EXPECT_TRUE(status.container_statuses()[0].state().has_terminated());
      EXPECT_EQ(world.containers.containers().size(), 2U);
    };
    world.Sleep(60s);
    is_failed();
    EXPECT_EQ(world.Phase("done"), "Succeeded");
    world.StopAgent();
    world.StartAgent();
    world.Sleep(60s);
    is_failed();
    world.Delete("done");
    world.Delete("web");
    world.ExpectGone("web");
  });
}

// The watch may bring the deletion before the answer to a status written just before it.
TEST(Agent, ADeletionIsNotLostBehindAStatus) {
  In([](World& world) {
    world.client.late = 2s;
    world.Create("web", kOne);
    world.Until("running", [&] { return world.Phase("web") == "Running"; }, 20s);
    // Its answer is still on the way.
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, LogsAreKeptWithinBounds) {
  In([](World& world) {
    rt::FileSystem& files = world.runtime.files();
    const auto write = [&](const std::string& id, size_t size) {
      const std::string path = world.containers.containers().at(id).log_path;
      MUST(files.MakeDirectories(path.substr(0, path.rfind('/'))));
      MUST(files.WriteFile(path, std::string(size, 'x')));
    };
    const auto names = [&] {
      std::vector<std::string> out;
      const std::string pod = "/logs/" + MUST(files.List("/logs"))[0].name;
      for (const auto& entry : MUST(files.List(pod + "/a"))) out.push_back(entry.name);
      return out;
    };
    world.containers.on_started = [&](const std::string& id) { write(id, 10 << 20); };
    int refusals = 1;
    world.containers.on_reopen = [&](const std::string& id) -> Ok {
      if (refusals-- > 0) return Internal("busy");
      write(id, 0);
      return {};
    };
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); }, 5s);
    world.Sleep(30s);
    EXPECT_EQ(names(), std::vector<std::string>{"0.log"}) << "it is not beyond the bound yet";
    write(world.containers.Newest("a"), (10 << 20) + 1);
    world.Sleep(10s);
    EXPECT_EQ(names(), std::vector<std::string>{"0.log"}) << "it goes on where it was when it can't be reopened";
    for (int i = 0; i < 7; ++i) {
      world.Sleep(10s);
      EXPECT_EQ(names().size(), std::min<size_t>(5, static_cast<size_t>(i) + 2));
      write(world.containers.Newest("a"), (10 << 20) + 1);
    }
    // Of containers that are gone, that of the last one is kept.
    for (int i = 1; i <= 3; ++i) {
      world.containers.End(world.containers.Newest("a"), 1);
      world.Until("again", [&] { return world.Restarts("web") == i; }, 400s);
    }
    world.Sleep(1s);
    EXPECT_EQ(names(), (std::vector<std::string>{"2.log", "3.log"}));
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, PodsAskTheServersBehindTheHostsStub) {
  In([](World& world) {
    rt::FileSystem& files = world.runtime.files();
    MUST(files.WriteFile("/etc/resolv.conf", "nameserver 127.0.0.53\n"));
    MUST(files.MakeDirectories("/run/systemd/resolve"));
    MUST(files.WriteFile("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.54\n"));
    world.Create("web", kOne);
    world.Create("host", R"("hostNetwork":true,)" + kOne);
    world.Until("ready", [&] { return world.Ready("web") && world.Ready("host"); }, 5s);
    const auto resolv = [&](const std::string& pod) {
      return MUST(files.ReadFile("/tmp/pods/" + std::string(world.Find(pod)->uid()) + "/resolv.conf"));
    };
    EXPECT_EQ(resolv("web"), "nameserver 192.0.2.54\n");
    EXPECT_EQ(resolv("host"), "nameserver 127.0.0.53\n");
    world.Delete("host");
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, WhoMustNotBeRootIsNotStartedAsRoot) {
  In([](World& world) {
    world.Create("web", R"("securityContext":{"runAsNonRoot":true},)" + kOne);
    const auto waits = [&] {
      const api::ObjectPtr pod = world.Find("web");
      const auto statuses = Pod(pod->tree()).status().container_statuses();
      return !statuses.empty() && statuses[0].state().waiting().reason() == "CreateContainerConfigError";
    };
    world.Until("told", waits, 10s);
    world.Sleep(30s);
    EXPECT_TRUE(world.containers.containers().empty());
    world.Delete("web");
    world.ExpectGone("web");
  });
}

// The start fiber and the pod's loop may both want a restarted container's probes.
TEST(Agent, ProbesOfAContainerThatIsStartedAgainAndAgain) {
  In([](World& world) {
    world.containers.on_exec = [&](const std::string&) -> Result<runtime::ExecResult> {
      for (int i = 0; i < 20; ++i) world.runtime.Yield();
      return runtime::ExecResult{.exit_code = 0, .output = ""};
    };
    world.containers.on_remove = [&](const std::string&) { world.Sleep(20ms); };
    world.Create("web", R"("containers":[{"name":"a","image":"i:1","readinessProbe":{"periodSeconds":1,
        "exec":{"command":["x"]}},"livenessProbe":{"periodSeconds":1,"exec":{"command":["x"]}}}])");
    for (int i = 1; i <= 6; ++i) {
      world.Until("ready", [&] { return world.Ready("web"); }, 400s);
      world.containers.End(world.containers.Newest("a"), 1);
      world.Until("again", [&] { return world.Restarts("web") == i; }, 400s);
    }
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, AFinishedPodGivesItsAddressBack) {
  In([](World& world) {
    world.Create("job", R"("restartPolicy":"Never",)" + kOne);
    world.Until("runs", [&] { return world.Phase("job") == "Running"; });
    world.containers.End(world.containers.Newest("a"), 0);
    world.Until("over", [&] { return world.Phase("job") == "Succeeded" && world.network.addresses.empty(); });
    world.Sleep(60s);
    EXPECT_EQ(world.Events("SandboxChanged"), 0);
    EXPECT_EQ(world.containers.containers().size(), 1U);  // its log may be asked for
    world.Delete("job");
    world.ExpectGone("job");
  });
}

TEST(Agent, StopsWhilePodsGo) {
  In([](World& world) {
    for (int i = 0; i < 10; ++i) world.Create("p" + std::to_string(i), kOne);
    world.Until("ready", [&] { return world.Ready("p9"); });
    for (int i = 0; i < 10; ++i) world.Delete("p" + std::to_string(i));
    (void)world.runtime.Sleep(Duration(world.runtime.Random() % 20'000'000));
    world.StopAgent();
    world.StartAgent();
    world.ExpectGone("p0");
  });
}

TEST(Agent, FindsWhatHappenedWhileItWasAway) {
  In([](World& world) {
    world.Create("stays", kOne);
    world.Create("goes", kOne);
    world.Until("ready", [&] { return world.Ready("stays") && world.Ready("goes"); });
    MUST(world.runtime.files().MakeDirectories("/logs/default_goes_" + std::string(world.Find("goes")->uid())));
    const std::string id = world.containers.Newest("a");
    world.StopAgent();
    world.network.addresses["sandbox-of-nobody"] = "10.42.0.99";
    client::DeleteOptions force{.grace_seconds = 0};
    ASSERT_TRUE(world.server.client().Delete(api::core_v1::PodInfo(), {"default", "goes"}, force).ok());
    world.StartAgent();
    world.Until("orphan gone", [&] { return world.containers.sandboxes().size() == 1; });
    world.Until("address free", [&] { return world.network.addresses.size() == 1; });
    world.Until("logs gone", [&] { return MUST(world.runtime.files().List("/logs")).empty(); });
    EXPECT_TRUE(world.Ready("stays"));
    EXPECT_EQ(world.Restarts("stays"), 0);
    const api::ObjectPtr stays = world.Find("stays");
    for (auto condition : Pod(stays->tree()).status().conditions()) EXPECT_EQ(condition.status(), "True");
    EXPECT_EQ(MUST(world.runtime.files().List("/tmp/pods")).size(), 1U);
    world.Delete("stays");
    world.ExpectGone("stays");
  });
}

TEST(Agent, ASandboxThatWasHalfMadeIsFinished) {
  In([](World& world) {
    bool slow = true;
    world.network.on_attach = [&]() -> Ok { return slow ? world.runtime.Sleep(1h) : Ok(); };
    world.Create("web", kOne);
    world.Until("sandbox", [&] { return world.containers.sandboxes().size() == 1; });
    world.StopAgent();
    slow = false;
    world.StartAgent();
    world.Until("ready", [&] { return world.Ready("web"); });
    EXPECT_EQ(world.containers.sandboxes().size(), 1U);
    EXPECT_EQ(world.network.addresses.size(), 1U);
    const api::ObjectPtr web = world.Find("web");
    const auto status = Pod(web->tree()).status();
    EXPECT_EQ(status.pod_ip(), world.network.addresses.begin()->second);
    for (auto condition : status.conditions()) EXPECT_EQ(condition.status(), "True") << condition.type();
    world.Delete("web");
    world.ExpectGone("web");
  });
}

TEST(Agent, KeepsWhatOthersWriteIntoTheNodesStatus) {
  In([](World& world) {
    const api::KindInfo& nodes = TestServer::Kind("Node");
    const auto changed = client::UpdateWithRetry(world.runtime, world.server.client(), nodes, {"", "n1"}, "status",
                                                 [](doc::Document& document) {
                                                   api::core_v1::NodeEdit node(document);
                                                   node.status().put_capacity("example.com/gpu", "2");
                                                   auto condition = node.status().add_conditions();
                                                   condition.set_type("NetworkUnavailable");
                                                   condition.set_status("False");
                                                   return true;
                                                 });
    ASSERT_TRUE(changed.ok()) << changed.status().ToString();
    world.StopAgent();
    world.StartAgent();
    const auto node = MUST(world.server.client().Get(nodes, {"", "n1"}));
    const auto status = api::core_v1::Node(node->tree()).status();
    EXPECT_EQ(status.capacity().Find("example.com/gpu").value_or(""), "2");
    EXPECT_EQ(status.capacity().Find("pods").value_or(""), "110");
    EXPECT_EQ(status.conditions().size(), 5U);
    EXPECT_EQ(status.addresses().size(), 2U);
    // Its lease goes with it.
    const auto lease = MUST(world.server.client().Get(api::coordination_v1::LeaseInfo(), {"kube-node-lease", "n1"}));
    const doc::Value& owner = lease->tree().Get("metadata", "ownerReferences")[0];
    EXPECT_EQ(owner.At("kind").AsString(), "Node");
    EXPECT_EQ(owner.At("uid").AsString(), node->uid());
  });
}

}  // namespace
}  // namespace knarr::node

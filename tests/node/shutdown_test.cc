// The machine is about to go down: pods end in order and in time, none begins, and the shutdown waits for that.

#include "node/shutdown.h"

#include <deque>

#include "world.h"

namespace knarr::node {
namespace {

class FakeSource : public ShutdownSource {
 public:
  explicit FakeSource(rt::Runtime& runtime) : runtime_(runtime), news_(runtime) {}
  void Tell(bool down) {
    told_.push_back(down);
    news_.NotifyAll();
  }
  void Break() {
    broken_ = true;
    news_.NotifyAll();
  }
  Ok Begin(Duration delay) override {
    ++begins;
    if (failures-- > 0) return Unavailable("nobody is there");
    broken_ = false;
    asked = delay;
    return Hold();
  }
  Result<bool> Next() override {
    TRY(news_.WaitUntil([this] { return broken_ || !told_.empty(); }));
    if (broken_) return Unavailable("the bus closed the connection");
    const bool out = told_.front();
    told_.pop_front();
    return out;
  }
  Ok Hold() override {
    held = true;
    return {};
  }
  void Release() override {
    held = false;
    released = runtime_.Mono();
  }
  bool held = false;
  int begins = 0;
  int failures = 0;
  Duration asked{};
  MonoTime released{};

 private:
  rt::Runtime& runtime_;
  rt::WaitQueue news_;
  std::deque<bool> told_;
  bool broken_ = false;
};

/// With 20 s for all pods and 10 s more for critical ones.
std::shared_ptr<FakeSource> Watch(World& world) {
  auto source = std::make_shared<FakeSource>(world.runtime);
  world.StopAgent();
  world.shutdown_periods = {{0, 20}, {2000000000, 10}};
  world.shutdown_source = source;
  world.StartAgent();
  world.Until("held", [&] { return source->held; });
  EXPECT_EQ(source->asked, 30s);
  return source;
}

std::string NodeReady(World& world) {
  const auto node = MUST(world.server.client().Get(api::core_v1::NodeInfo(), {"", "n1"}));
  for (const auto condition : api::core_v1::Node(node->tree()).status().conditions()) {
    if (condition.type() != "Ready") continue;
    return std::string(condition.status()) + " " + std::string(condition.reason()) + ": " +
           std::string(condition.message());
  }
  return "";
}

std::string WhyOver(World& world, const std::string& name) {
  const api::ObjectPtr object = world.Find(name);
  if (object == nullptr) return "gone";
  const Pod pod(object->tree());
  std::string out = std::string(pod.status().phase()) + " " + std::string(pod.status().reason()) + ": " +
                    std::string(pod.status().message());
  for (const auto condition : pod.status().conditions()) {
    if (condition.type() != "DisruptionTarget") continue;
    out += " " + std::string(condition.reason()) + ": " + std::string(condition.message());
  }
  return out;
}

constexpr const char* kEnded =
    "Failed Terminated: Pod was terminated in response to imminent node shutdown. TerminationByKubelet: Pod was "
    "terminated in response to imminent node shutdown.";

TEST(Shutdown, PodsEndInOrder) {
  In([](World& world) {
    const auto source = Watch(world);
    world.containers.ignores_term = true;
    world.Create("web", kOne);
    world.Create("quick", R"("terminationGracePeriodSeconds":5,)" + kOne);
    world.Create("critical", R"("priorityClassName":"system-node-critical",)" + kOne);
    for (const char* name : {"web", "quick", "critical"}) {
      world.Until(name, [&] { return world.Ready(name); });
    }
    const std::string web = world.containers.Newest("a");
    const MonoTime begin = world.runtime.Mono();
    source->Tell(true);
    world.Until("not ready", [&] { return NodeReady(world) == "False KubeletNotReady: node is shutting down"; }, 2s);
    EXPECT_EQ(world.Message("Shutdown"), "Shutdown manager detected shutdown event");
    EXPECT_EQ(world.Message("NodeNotReady"), "Node n1 status is now: NodeNotReady");
    // While it runs it is what it was.
    EXPECT_EQ(world.Phase("web"), "Running");
    world.Until("quick", [&] { return world.Phase("quick") == "Failed"; }, 8s);
    EXPECT_TRUE(world.Ready("critical"));
    world.Until("web", [&] { return world.Phase("web") == "Failed"; }, 20s);
    world.Until("critical", [&] { return world.Phase("critical") == "Failed"; }, 15s);
    world.Until("released", [&] { return !source->held; }, 5s);
    EXPECT_GE(source->released - begin, 30s);
    EXPECT_LE(source->released - begin, 35s);
    for (const char* name : {"web", "quick", "critical"}) EXPECT_EQ(WhyOver(world, name), kEnded) << name;
    std::map<std::string, Duration> graces;
    for (const auto& [id, grace] : world.containers.stops) graces[id] = grace;
    EXPECT_EQ(graces.size(), 3U);
    const std::string note = MUST(world.runtime.files().ReadFile("/tmp/graceful_node_shutdown_state"));
    EXPECT_EQ(note.find("0001-01-01"), std::string::npos) << note;
  });
}

TEST(Shutdown, DoesNotWaitForWhoDoesNotEnd) {
  In([](World& world) {
    const auto source = Watch(world);
    world.containers.on_stop = [&](const std::string&) { return world.runtime.Sleep(10min); };
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    source->Tell(true);
    EXPECT_LE(world.Until("released", [&] { return !source->held; }), 21s);
  });
}

TEST(Shutdown, WhoseWorkIsDoneHasNotFailed) {
  In([](World& world) {
    const auto source = Watch(world);
    world.Create("job", R"("restartPolicy":"Never",)" + kOne);
    world.Create("done", R"("restartPolicy":"Never","containers":[{"name":"d","image":"i:1"}])");
    world.Until("ready", [&] { return world.Ready("job") && world.Ready("done"); });
    world.containers.End(world.containers.Newest("d"), 0);
    world.Until("done", [&] { return world.Phase("done") == "Succeeded"; });
    world.containers.on_stop = [&](const std::string& id) {
      world.containers.End(id, 0);
      return Ok();
    };
    source->Tell(true);
    world.Until("released", [&] { return !source->held; });
    EXPECT_TRUE(WhyOver(world, "job").starts_with("Succeeded Terminated: Pod was terminated"));
    EXPECT_EQ(WhyOver(world, "done"), "Succeeded : ");
  });
}

TEST(Shutdown, NoPodBeginsUntilItIsCancelled) {
  In([](World& world) {
    const auto source = Watch(world);
    source->Tell(true);
    world.Until("released", [&] { return !source->held; });
    world.Create("late", kOne);
    world.Until("refused", [&] { return world.Phase("late") == "Failed"; });
    EXPECT_EQ(WhyOver(world, "late"),
              "Failed NodeShutdown: Pod was rejected: Pod was rejected as the node is shutting down.");
    EXPECT_EQ(world.Message("NodeShutdown"), "Pod was rejected as the node is shutting down.");
    source->Tell(false);
    world.Until("held again", [&] { return source->held; });
    world.Until("ready", [&] { return NodeReady(world) == "True KubeletReady: kubelet is posting ready status"; }, 2s);
    EXPECT_EQ(world.Events("Shutdown"), 2);
    world.Create("web", kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
  });
}

TEST(Shutdown, ADeletedPodIsHurried) {
  In([](World& world) {
    const auto source = Watch(world);
    world.containers.ignores_term = true;
    world.Create("web", R"("terminationGracePeriodSeconds":600,)" + kOne);
    world.Until("ready", [&] { return world.Ready("web"); });
    world.Delete("web");
    world.Sleep(2s);
    source->Tell(true);
    EXPECT_LE(world.Until("gone", [&] { return world.Find("web") == nullptr; }), 22s);
    world.Until("released", [&] { return !source->held; });
    world.ExpectGone("web");
  });
}

TEST(Shutdown, IsWatchedForAgain) {
  In([](World& world) {
    const auto source = Watch(world);
    source->Tell(true);
    world.Until("not ready", [&] { return NodeReady(world).starts_with("False"); });
    source->failures = 3;
    source->Break();
    world.Until("again", [&] { return source->begins == 5; });
    world.Until("ready", [&] { return NodeReady(world).starts_with("True"); });
    EXPECT_TRUE(source->held);
  });
}

}  // namespace
}  // namespace knarr::node

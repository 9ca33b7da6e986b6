#include "cri/runtime.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "base/strings.h"
#include "cri/images.h"
#include "cri/specs.h"
#include "cri/testing_runtime.h"
#include "rt/file_system.h"
#include "rt/sim.h"

namespace knarr::cri {
namespace {

using runtime::EventType;

struct World {
  rt::Runtime& rt;
  TestingRuntime& other;
  Runtime& containers;
};

void RunSim(const std::function<void(rt::Runtime&)>& body) {
  auto runtime = rt::SimRuntime::Create({.seed = 1});
  runtime->Run([&] { body(*runtime); });
}

void WithRuntime(const std::function<void(World)>& body, const std::function<void(TestingRuntime&)>& like = nullptr) {
  RunSim([&](rt::Runtime& rt) {
    TestingRuntime other(rt);
    if (like != nullptr) like(other);
    auto containers = Runtime::Open(rt, other, {.cluster = "mine", .cgroups = {}, .cgroup_root = ""});
    ASSERT_TRUE(containers.ok()) << containers.status().ToString();
    body({rt, other, **containers});
  });
}

runtime::SandboxSpec PodSpec() {
  runtime::SandboxSpec spec{.pod_name = "web", .pod_namespace = "default", .pod_uid = "u1", .attempt = 2};
  spec.hostname = "web";
  spec.log_directory = "/logs/web";
  spec.cgroup_parent = "/knarr/podu1";
  spec.labels = {{"io.kubernetes.pod.name", "web"}};
  spec.sysctls = {{"net.ipv4.ip_forward", "1"}};
  return spec;
}

runtime::ContainerSpec WebSpec() {
  runtime::ContainerSpec spec{.name = "c", .attempt = 3, .image = "sha256:9"};
  spec.environment = {"A=1", "B=x=y", "C="};
  spec.log_path = "c/3.log";
  spec.stop_signal = "SIGINT";
  spec.resources = {.cpu_shares = 512, .cpu_quota_us = 50000, .memory_limit = 1 << 20};
  spec.oom_score_adjust = 900;
  spec.security.add_capabilities = {"NET_ADMIN"};
  spec.security.run_as_user = 0;
  return spec;
}

TEST(CriSpecs, ASandboxSaysItAllAgain) {
  runtime::SandboxSpec spec = PodSpec();
  spec.network = runtime::NamespaceMode::kNode;
  spec.pid_per_container = true;
  spec.privileged = true;
  const PodSandboxConfig config = MakeSandboxConfig(spec, "mine", {});
  EXPECT_EQ(config.labels.at(kClusterLabel), "mine");
  EXPECT_EQ(config.linux_config.cgroup_parent, "/knarr/podu1");
  EXPECT_EQ(config.linux_config.security.namespaces.network, kNamespaceNode);
  EXPECT_EQ(config.hostname, "") << "the node's own";
  EXPECT_EQ(MakeSandboxConfig(PodSpec(), "mine", {}).hostname, "web");
  EXPECT_EQ(config.linux_config.security.namespaces.pid, kNamespaceContainer);
  EXPECT_EQ(config.linux_config.security.namespaces.ipc, kNamespacePod);
  EXPECT_EQ(config.linux_config.security.seccomp->type, kProfileRuntimeDefault);
  PodSandboxConfig again = MUST(ConfigFrom(config.annotations));
  EXPECT_FALSE(again.annotations.contains(kConfigAnnotation)) << "it does not contain itself";
  again.annotations = config.annotations;
  EXPECT_EQ(Encode(again), Encode(config));
  EXPECT_FALSE(ConfigFrom({}).ok());
  EXPECT_FALSE(ConfigFrom({{kConfigAnnotation, "%"}}).ok());
  EXPECT_FALSE(ConfigFrom({{kConfigAnnotation, Base64Encode("\x01")}}).ok());
}

TEST(CriRuntime, TellsWhatItsHandlerCanDo) {
  struct Case {
    std::vector<RuntimeHandler> handlers;
    bool read_only, users;
  };
  const Case cases[] = {{{}, false, false},  // an old one does not say
                        {{{"kata", {true, true}}}, false, false},
                        {{{"kata", {false, false}}, {"", {true, false}}}, true, false},
                        {{{"", {true, true}}}, true, true}};
  for (const Case& one : cases) {
    WithRuntime(
        [&](const World& world) {
          EXPECT_EQ(world.containers.features().recursive_read_only_mounts, one.read_only);
          EXPECT_EQ(world.containers.features().user_namespaces, one.users);
        },
        [&](TestingRuntime& other) { other.handlers = one.handlers; });
  }
}

struct PidCase {
  bool per_container;
  runtime::NamespaceMode pid;
  std::string target;
  int32_t want;
};

TEST(CriSpecs, ProcessNamespaces) {
  using runtime::NamespaceMode;
  const PidCase cases[] = {{true, NamespaceMode::kNode, "", kNamespaceContainer},
                           {false, NamespaceMode::kNode, "", kNamespaceNode},
                           {false, NamespaceMode::kPod, "", kNamespacePod},
                           {true, NamespaceMode::kNode, "c7", kNamespaceTarget}};
  for (const PidCase& one : cases) {
    runtime::SandboxSpec sandbox = PodSpec();
    sandbox.pid_per_container = one.per_container;
    sandbox.pid = one.pid;
    runtime::ContainerSpec container = WebSpec();
    container.pid_target = one.target;
    const auto request = MakeContainerRequest("s", MakeSandboxConfig(sandbox, "m", {}), container, "m", {});
    const NamespaceOption& option = request.config.linux_config.security.namespaces;
    EXPECT_EQ(option.pid, one.want);
    EXPECT_EQ(option.target_id, one.target);
  }
}

TEST(CriSpecs, AContainerIsAskedForAsTheKubeletDoes) {
  const PodSandboxConfig sandbox = MakeSandboxConfig(PodSpec(), "mine", {});
  const auto request = MakeContainerRequest("s", sandbox, WebSpec(), "mine", {.swap = true});
  const ContainerConfig& config = request.config;
  EXPECT_EQ(config.image.image, "sha256:9");
  ASSERT_EQ(config.environment.size(), 3U);
  EXPECT_EQ(config.environment[1].key + "|" + config.environment[1].value.data, "B|x=y");
  EXPECT_EQ(config.environment[2].value.data, "");
  EXPECT_EQ(config.annotations.at("io.kubernetes.container.restartCount"), "3");
  EXPECT_EQ(config.stop_signal, 10);
  const LinuxContainerResources& resources = config.linux_config.resources;
  EXPECT_EQ(resources.cpu_quota, 50000);
  EXPECT_EQ(resources.cpu_period, 100000);
  EXPECT_EQ(resources.memory_swap_limit, 1 << 20);
  EXPECT_EQ(resources.oom_score_adj, 900);
  const LinuxContainerSecurityContext& security = config.linux_config.security;
  EXPECT_EQ(security.run_as_user, 0);
  EXPECT_FALSE(security.run_as_group.has_value());
  EXPECT_EQ(security.seccomp->type, kProfileUnconfined);
  EXPECT_FALSE(security.apparmor.has_value());
  EXPECT_EQ(std::ranges::count(security.masked_paths, "/proc/kcore"), 1);
  EXPECT_EQ(std::ranges::count(security.read_only_paths, "/proc/sys"), 1);

  runtime::ContainerSpec bare = WebSpec();
  bare.security.unmasked_proc = true;
  bare.security.image_groups = false;
  bare.security.seccomp = runtime::SeccompMode::kLocalhost;
  bare.security.seccomp_file = "/p/x.json";
  bare.resources = {};
  const auto other = MakeContainerRequest("s", sandbox, bare, "mine", {}).config.linux_config;
  EXPECT_TRUE(other.security.masked_paths.empty());
  EXPECT_EQ(other.security.supplemental_groups_policy, kGroupsStrict);
  EXPECT_EQ(other.security.seccomp->localhost_ref, "/p/x.json");
  EXPECT_EQ(other.resources.cpu_period, 0) << "no quota needs no period";
}

// crun can't write a quota of -1 to control groups of version 1.
TEST(CriSpecs, ALimitThatIsNotThereIsLeftOut) {
  const LinuxContainerResources none = ResourcesOf({.cpu_shares = 2}, {.swap = true});
  EXPECT_EQ(Encode(none), Encode(LinuxContainerResources{.cpu_shares = 2}));
  EXPECT_EQ(ResourcesOf({.memory_limit = 7}, {.swap = false}).memory_swap_limit, 0);
  EXPECT_EQ(ResourcesOf({.memory_limit = 7}, {.swap = true}).memory_swap_limit, 7);
}

TEST(CriRuntime, APodFromBeginningToEnd) {
  WithRuntime([](World w) {
    const runtime::SandboxStatus sandbox = MUST(w.containers.RunSandbox(PodSpec()));
    EXPECT_EQ(sandbox.network_namespace, "/run/netns/x");
    EXPECT_EQ(sandbox.infra_pid, 77);
    EXPECT_EQ(sandbox.pod_uid, "u1");
    const std::string id = MUST(w.containers.CreateContainer(sandbox.id, WebSpec()));
    EXPECT_EQ(w.other.requests.at(id).sandbox_config.linux_config.cgroup_parent, "/knarr/podu1");
    EXPECT_EQ(MUST(w.containers.GetContainer(id)).state, runtime::ContainerState::kCreated);
    ASSERT_TRUE(w.containers.StartContainer(id).ok());
    const auto running = MUST(w.containers.ListContainers(sandbox.id));
    ASSERT_EQ(running.size(), 1U);
    EXPECT_EQ(running[0].state, runtime::ContainerState::kRunning);
    EXPECT_EQ(running[0].image, "sha256:9");
    EXPECT_EQ(running[0].sandbox_id, sandbox.id);
    EXPECT_EQ(running[0].attempt, 3U);
    EXPECT_EQ(running[0].log_path, "/logs/web/c/3.log");
    ASSERT_TRUE(w.containers.StopContainer(id, 1500ms).ok());
    const auto ended = MUST(w.containers.GetContainer(id));
    EXPECT_EQ(ended.state, runtime::ContainerState::kExited);
    EXPECT_EQ(ended.exit_code, 143);
    EXPECT_TRUE(w.containers.RemoveContainer(id).ok());
    EXPECT_TRUE(w.containers.RemoveContainer(id).ok()) << "it is gone already";
    EXPECT_TRUE(w.containers.StopSandbox(sandbox.id).ok());
    EXPECT_EQ(MUST(w.containers.ListSandboxes()).at(0).state, runtime::SandboxState::kNotReady);
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(w.containers.RemoveSandbox(sandbox.id).ok());
      EXPECT_TRUE(w.containers.StopSandbox(sandbox.id).ok());
    }
    EXPECT_TRUE(w.other.sandboxes.empty());
  });
}

TEST(CriRuntime, NobodyAttachesToWhatHasEnded) {
  RunSim([](rt::Runtime& rt) {
    TestingRuntime other(rt);
    const auto containers = MUST(Runtime::Open(rt, other, {.cluster = "mine"}));
    const std::string sandbox = MUST(containers->RunSandbox(PodSpec())).id;
    const std::string id = MUST(containers->CreateContainer(sandbox, WebSpec()));
    ASSERT_TRUE(containers->StartContainer(id).ok());
    const auto attached = [&] {
      other.calls.clear();
      return containers->Attach(id, {}).status().message();
    };
    // It still says that it runs.
    other.answers["ContainerStatus"] = Encode(
        ContainerStatusResponse{.status = other.containers.at(id), .info = {{"info", R"({"pid":4242})"}}});
    EXPECT_EQ(attached(), "container is in CONTAINER_EXITED state");
    EXPECT_EQ(std::ranges::count(other.calls, "Attach"), 0);
    MUST(rt.files().MakeDirectories("/proc/4242"));
    EXPECT_NE(attached(), "container is in CONTAINER_EXITED state");
    EXPECT_EQ(std::ranges::count(other.calls, "Attach"), 1);
  });
}

TEST(CriRuntime, WhatIsThereIsFoundAndOthersAreLeftAlone) {
  RunSim([](rt::Runtime& rt) {
    TestingRuntime other(rt);
    std::string id;
    {
      auto first = MUST(Runtime::Open(rt, other, {.cluster = "mine"}));
      const std::string made = MUST(first->RunSandbox(PodSpec())).id;
      id = MUST(first->CreateContainer(made, WebSpec()));
      ASSERT_TRUE(first->StartContainer(id).ok());
    }
    auto second = MUST(Runtime::Open(rt, other, {.cluster = "mine"}));
    ASSERT_EQ(MUST(second->ListSandboxes()).size(), 1U);
    EXPECT_EQ(MUST(second->ListContainers()).at(0).id, id);
    const std::string sandbox = MUST(second->ListSandboxes()).at(0).id;
    EXPECT_TRUE(second->CreateContainer(sandbox, WebSpec()).ok()) << "the sandbox says how";
    auto stranger = MUST(Runtime::Open(rt, other, {.cluster = "theirs"}));
    EXPECT_TRUE(MUST(stranger->ListSandboxes()).empty());
    EXPECT_TRUE(MUST(stranger->ListContainers()).empty());
    ASSERT_TRUE(RemoveEverything(rt, *stranger, {.cluster = "theirs"}).ok());
    EXPECT_EQ(other.sandboxes.size(), 1U);
    ASSERT_TRUE(RemoveEverything(rt, *second, {.cluster = "mine"}).ok());
    EXPECT_TRUE(other.sandboxes.empty());
  });
}

TEST(CriRuntime, EachContainerIsAskedAboutOncePerState) {
  WithRuntime([](World w) {
    const std::string sandbox = MUST(w.containers.RunSandbox(PodSpec())).id;
    const std::string id = MUST(w.containers.CreateContainer(sandbox, WebSpec()));
    ASSERT_TRUE(w.containers.StartContainer(id).ok());
    MUST(w.containers.ListContainers());
    const auto asked = [&] { return std::ranges::count(w.other.calls, "ContainerStatus"); };
    const auto before = asked();
    MUST(w.containers.ListContainers());
    EXPECT_EQ(asked(), before);
    w.other.End(id, 9);
    EXPECT_EQ(MUST(w.containers.ListContainers()).at(0).exit_code, 9);
    EXPECT_EQ(asked(), before + 1);
  });
}

struct EventCase {
  const char* name;
  bool cri;
  bool containerd;
  Duration delay;
  Duration most;
};

TEST(CriRuntime, EndsAreHeardOf) {
  const EventCase cases[] = {{"CRI's events", true, false, 0ms, 1ms},
                             {"containerd's events", false, true, 0ms, 1ms},
                             {"told before it is listed", false, true, 30ms, 150ms},
                             {"nobody tells", false, false, 0ms, 1s}};
  for (const EventCase& one : cases) {
    WithRuntime(
        [&](World w) {
          const std::string sandbox = MUST(w.containers.RunSandbox(PodSpec())).id;
          const std::string id = MUST(w.containers.CreateContainer(sandbox, WebSpec()));
          ASSERT_TRUE(w.containers.StartContainer(id).ok());
          MUST(w.rt.Sleep(11s));  // it is seen running
          EXPECT_EQ(MUST(w.containers.NextEvent()).type, EventType::kContainerStarted) << one.name;
          const MonoTime begin = w.rt.Mono();
          w.other.End(id, 1);
          const runtime::ContainerEvent event = MUST(w.containers.NextEvent());
          EXPECT_EQ(event.type, EventType::kContainerExited) << one.name;
          EXPECT_EQ(event.container_id, id);
          EXPECT_EQ(event.pod_uid, "u1");
          EXPECT_LE(w.rt.Mono() - begin, one.most) << one.name;
          w.other.sandboxes.at(sandbox).state = kSandboxNotReady;
          EXPECT_EQ(MUST(w.containers.NextEvent()).type, EventType::kSandboxExited) << one.name;
        },
        [&](TestingRuntime& other) {
          other.cri_events = one.cri;
          other.containerd_events = one.containerd;
          other.end_delay = one.delay;
        });
  }
}

TEST(CriRuntime, AnEndRightBehindAStartIsSeenSoon) {
  WithRuntime(
      [](World w) {
        const std::string sandbox = MUST(w.containers.RunSandbox(PodSpec())).id;
        MUST(w.rt.Sleep(11s));
        const std::string id = MUST(w.containers.CreateContainer(sandbox, WebSpec()));
        ASSERT_TRUE(w.containers.StartContainer(id).ok());
        const MonoTime begin = w.rt.Mono();
        w.other.End(id, 1);  // before anybody has seen it run
        while (MUST(w.containers.NextEvent()).type != EventType::kContainerExited) {
        }
        EXPECT_LE(w.rt.Mono() - begin, 150ms);
      },
      [](TestingRuntime& other) {
        other.containerd_events = true;
        other.end_delay = 30ms;
      });
}

TEST(CriRuntime, EventsThatBreakOffMissNothing) {
  WithRuntime(
      [](World w) {
        const std::string sandbox = MUST(w.containers.RunSandbox(PodSpec())).id;
        const std::string id = MUST(w.containers.CreateContainer(sandbox, WebSpec()));
        ASSERT_TRUE(w.containers.StartContainer(id).ok());
        MUST(w.rt.Sleep(11s));
        MUST(w.containers.NextEvent());
        const MonoTime begin = w.rt.Mono();
        w.other.break_events++;
        w.other.changed.NotifyAll();
        w.rt.Yield();
        w.other.containers.at(id).state = kContainerExited;  // nobody was told
        EXPECT_EQ(MUST(w.containers.NextEvent()).type, EventType::kContainerExited);
        EXPECT_LE(w.rt.Mono() - begin, 2s);
      },
      [](TestingRuntime& other) { other.cri_events = true; });
}

TEST(CriRuntime, WhatIsNotThereYetIsWaitedFor) {
  RunSim([](rt::Runtime& rt) {
    TestingRuntime other(rt);
    other.gone = true;
    rt::TaskGroup group(rt, "test");
    group.Spawn("comes", [&] {
      MUST(rt.Sleep(5s));
      other.gone = false;
    });
    auto opened = Runtime::Open(rt, other, {.cluster = "mine"});
    EXPECT_TRUE(opened.ok());
    EXPECT_EQ((*opened)->name() + " " + (*opened)->version(), "testing 1.2.3");
    group.Join();
    other.gone = true;
    const auto late = Runtime::Open(rt, other, {.cluster = "mine", .patience = 1s});
    EXPECT_TRUE(late.Failed(Reason::kServiceUnavailable));
    other.gone = false;
    other.silent = true;
    const MonoTime begin = rt.Mono();
    const auto silent = Runtime::Open(rt, other, {.cluster = "mine", .patience = 3s});
    ASSERT_TRUE(silent.Failed(Reason::kServiceUnavailable));
    EXPECT_EQ(silent.status().message(), "container runtime: it takes connections, but says nothing");
    EXPECT_LE(rt.Mono() - begin, 4s);
    other.silent = false;
    other.network_ready = false;
    const Ok network = (*opened)->WaitNetwork(1s);
    ASSERT_FALSE(network.ok());
    EXPECT_EQ(network.status().message(), "container runtime: NetworkReady is false: NoConfig: none yet");
    other.network_ready = true;
    EXPECT_TRUE((*opened)->WaitNetwork(0s).ok());
    const RuntimePlaces places = MUST((*opened)->Places());
    EXPECT_EQ(places.cni_configs + " " + places.cni_plugins, "/there/net.d /there/bin");
    other.cgroup_driver = kDriverSystemd;
    EXPECT_TRUE(Runtime::Open(rt, other, {.cluster = "mine"}).Failed(Reason::kServiceUnavailable));
    other.cgroup_driver = kDriverCgroupfs;
    EXPECT_TRUE(Runtime::Open(rt, other, {.cluster = "mine"}).ok());
  });
}

TEST(CriRuntime, HostileAnswersAreErrors) {
  WithRuntime([](World w) {
    const std::string sandbox = MUST(w.containers.RunSandbox(PodSpec())).id;
    const std::string id = MUST(w.containers.CreateContainer(sandbox, WebSpec()));
    for (const char* method : {"ListContainers", "ListPodSandbox", "PodSandboxStatus", "ContainerStatus",
                               "RunPodSandbox", "CreateContainer", "Status", "ContainerStats", "ExecSync", "Exec"}) {
      w.other.answers[method] = std::string("\x0a\xff\xff", 3);
    }
    EXPECT_FALSE(w.containers.ListContainers("").ok());
    EXPECT_FALSE(w.containers.ListSandboxes().ok());
    EXPECT_FALSE(w.containers.RunSandbox(PodSpec()).ok());
    EXPECT_FALSE(w.containers.CreateContainer(sandbox, WebSpec()).ok());
    EXPECT_FALSE(w.containers.GetContainer(id).ok());
    EXPECT_FALSE(w.containers.Usage(id).ok());
    EXPECT_FALSE(w.containers.Written(id).ok());
    EXPECT_FALSE(w.containers.ExecSync(id, {"x"}, 1s, 10).ok());
    EXPECT_FALSE(w.containers.Exec(id, {}).ok());
    EXPECT_FALSE(w.containers.Places().ok());
    // Whole messages that lack what they are for.
    for (auto& [method, answer] : w.other.answers) answer.clear();
    EXPECT_TRUE(w.containers.GetContainer(id).Failed(Reason::kNotFound));
    EXPECT_TRUE(w.containers.Usage(id).Failed(Reason::kNotFound));
    EXPECT_TRUE(w.containers.CreateContainer(sandbox, WebSpec()).Failed(Reason::kNotFound));
    EXPECT_FALSE(w.containers.Exec(id, {}).ok()) << "no URL";
    EXPECT_EQ(MUST(w.containers.Places()).cni_configs, "/etc/cni/net.d");
    // States that CRI does not know.
    w.other.answers.clear();
    w.other.containers.at(id).state = 17;
    EXPECT_EQ(MUST(w.containers.GetContainer(id)).state, runtime::ContainerState::kExited);
    EXPECT_EQ(MUST(w.containers.GetContainer(id)).exit_code, 255);
  });
}

struct RefusalCase {
  Ok answer;
  std::string error;  ///< "": the limits are written
};

TEST(CriRuntime, LimitsOfAPodAreToldAndWritten) {
  namespace fs = std::filesystem;
  const fs::path root = fs::path(::testing::TempDir()) / "knarr-cri-groups";
  const fs::path group = root / "knarr" / "podu1";
  fs::remove_all(root);
  fs::create_directories(group);
  const auto write = [](const fs::path& path, const std::string& text) { std::ofstream(path) << text; };
  const auto limit = [&] {
    std::ifstream file(group / "memory.max");
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  write(root / "cgroup.controllers", "cpu memory pids\n");
  for (const fs::path& one : {root, root / "knarr", group}) write(one / "cgroup.subtree_control", "");
  for (const char* file : {"cpu.weight", "cpu.max", "memory.max", "pids.max"}) write(group / file, "");
  const RefusalCase cases[] = {
      {{}, ""},
      {Status(Reason::kMethodNotAllowed, "unknown method"), ""},
      {Status(Reason::kUnknown, "not implemented yet"), ""},  // containerd 2.2
      {Status(Reason::kUnknown, "a plugin refuses"), "update sandbox s1: a plugin refuses"},
      {Unavailable("it went"), "update sandbox s1: it went"},
  };
  RunSim([&](rt::Runtime& rt) {
    TestingRuntime other(rt);
    auto cgroups = MUST(runtime::Cgroups::Detect("41 30 0:31 / " + root.string() + " rw - cgroup2 cgroup2 rw\n"));
    const auto containers = MUST(Runtime::Open(rt, other, {.cluster = "mine", .cgroups = cgroups}));
    runtime::SandboxSpec spec = PodSpec();
    spec.pod_resources = {.cpu_shares = 100, .memory_limit = 1 << 20};
    const std::string id = MUST(containers->RunSandbox(spec)).id;
    const auto config = MUST(ConfigFrom(other.sandboxes.at(id).annotations));
    EXPECT_EQ(config.linux_config.resources.memory_limit, 1 << 20);
    for (const RefusalCase& one : cases) {
      write(group / "memory.max", "before");
      other.fails = [&](const std::string& name) { return name == "UpdatePodSandboxResources" ? one.answer : Ok(); };
      const Ok done = containers->UpdateSandbox(id, {.cpu_shares = 200, .memory_limit = 2 << 20});
      EXPECT_EQ(done.ok() ? "" : done.status().message(), one.error);
      EXPECT_EQ(limit(), one.error.empty() ? "2097152" : "before");
    }
    EXPECT_EQ(other.updates.size(), 1U);
    EXPECT_EQ(other.updates.front().id, id);
    EXPECT_EQ(other.updates.front().resources.memory_limit, 2 << 20);
    EXPECT_TRUE(containers->UpdateSandbox("none", {}).Failed(Reason::kServiceUnavailable));
    write(group / "cpu.stat", "usage_usec 5\n");
    write(group / "memory.current", "7\n");
    EXPECT_EQ(MUST(containers->SandboxUsage(id)).memory_bytes, 7);
  });
  fs::remove_all(root);
}

TEST(CriRuntime, UsageAndCommands) {
  WithRuntime([](World w) {
    const std::string sandbox = MUST(w.containers.RunSandbox(PodSpec())).id;
    const std::string id = MUST(w.containers.CreateContainer(sandbox, WebSpec()));
    ContainerStats stats;
    stats.cpu.usage_core_nanoseconds.value = 5;
    stats.memory = {.working_set_bytes = {6}, .usage_bytes = {7}};
    stats.writable_layer = {.used_bytes = {8}, .inodes_used = {9}};
    w.other.answers["ContainerStats"] = Encode(ContainerStatsResponse{.stats = stats});
    const runtime::CgroupUsage usage = MUST(w.containers.Usage(id));
    EXPECT_EQ(usage.cpu_ns, 5);
    EXPECT_EQ(usage.memory_working_set_bytes, 6);
    EXPECT_EQ(usage.memory_bytes, 7);
    EXPECT_EQ(MUST(w.containers.Written(id)).bytes, 8);
    EXPECT_EQ(MUST(w.containers.Written(id)).inodes, 9);
    w.other.answers["ExecSync"] = Encode(ExecSyncResponse{{"out"}, {"err"}, 3});
    const runtime::ExecResult result = MUST(w.containers.ExecSync(id, {"x"}, 1500ms, 5));
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_EQ(result.output, "outer");
  });
}

TEST(CriImages, AreTheRuntimes) {
  RunSim([](rt::Runtime& rt) {
    TestingRuntime other(rt);
    const auto images = MakeImages(other);
    EXPECT_TRUE(images->Get("busybox").Failed(Reason::kNotFound));
    const auto reference = MUST(image::Reference::Parse("registry.example:5000/a/b:1"));
    image::PullOptions options;
    options.username = "me";
    options.password = "secret";
    const image::Image pulled = MUST(images->Pull(reference, options));
    EXPECT_EQ(pulled.id, "sha256:1");
    EXPECT_EQ(pulled.names, (std::vector<std::string>{"registry.example:5000/a/b:1"}));
    ASSERT_TRUE(other.pulls.at(0).auth.has_value());
    EXPECT_EQ(other.pulls.at(0).auth->username + ":" + other.pulls.at(0).auth->password, "me:secret");
    MUST(images->Pull(reference, {}));
    EXPECT_FALSE(other.pulls.at(1).auth.has_value());
    EXPECT_EQ(MUST(images->List()).size(), 1U);
    other.images.at("sha256:1").uid = 7;
    EXPECT_EQ(MUST(images->Get("sha256:1")).config.user, "7");
    const auto used = [](const std::string&) { return true; };
    const auto unused = [](const std::string&) { return false; };
    EXPECT_TRUE(images->Remove("sha256:1", used).Failed(Reason::kConflict));
    EXPECT_TRUE(images->Remove(pulled.names[0], unused).ok());
    EXPECT_TRUE(images->Remove(pulled.names[0], unused).ok()) << "gone with its other names";
    EXPECT_TRUE(MUST(images->List()).empty());
    EXPECT_TRUE(images->Load("x").Failed(Reason::kMethodNotAllowed));
    other.answers["PullImage"] = "\xff";
    EXPECT_FALSE(images->Pull(reference, {}).ok());
  });
}

struct LayersCase {
  const char* name;
  SnapshotMount mount;
  std::string want;  ///< "" for an error
};

TEST(CriImages, TheDiskTheyLieOnIsTold) {
  RunSim([](rt::Runtime& rt) {
    TestingRuntime other(rt);
    EXPECT_EQ(MUST(ImageFolder(other)), "");
    FilesystemUsage relative;
    relative.filesystem.mountpoint = "x";
    FilesystemUsage usage;
    usage.filesystem.mountpoint = "/var/lib/containerd";
    other.answers["ImageFsInfo"] = Encode(ImageFsInfoResponse{{relative, usage}});
    EXPECT_EQ(MUST(ImageFolder(other)), "/var/lib/containerd");
    other.gone = true;
    EXPECT_TRUE(ImageFolder(other).Failed(Reason::kServiceUnavailable));
  });
}

TEST(CriImages, FilesLieInContainerdsFolders) {
  const LayersCase cases[] = {{"one layer", {"bind", "/a/fs", {"ro", "rbind"}}, "/a/fs"},
                              {"several", {"overlay", "overlay", {"index=off", "lowerdir=/c:/b:/a"}}, "/a /b /c"},
                              {"no folders", {"overlay", "overlay", {"index=off"}}, ""},
                              {"a device", {"ext4", "/dev/x", {"ro"}}, ""},
                              {"no path", {"bind", "a", {}}, ""}};
  RunSim([&](rt::Runtime& rt) {
    TestingRuntime other(rt);
    const auto images = MakeImages(other);
    const image::Image image{.id = "sha256:1"};
    EXPECT_TRUE(images->Layers(image).Failed(Reason::kMethodNotAllowed)) << "nothing is said of it";
    ImageStatusResponse verbose{.image = Image{.id = "sha256:1"}};
    verbose.info["info"] = R"({"chainID":"sha256:c"})";
    other.answers["ImageStatus"] = Encode(verbose);
    EXPECT_TRUE(images->Layers(image).Failed(Reason::kMethodNotAllowed)) << "it is no containerd";
    other.answers["Remove"] = "";
    for (const LayersCase& one : cases) {
      other.answers["View"] = Encode(ViewSnapshotResponse{.mounts = {one.mount}});
      const auto layers = images->Layers(image);
      EXPECT_EQ(layers.ok() ? Join(*layers, " ") : "", one.want) << one.name;
    }
    other.answers["View"] = "";
    EXPECT_FALSE(images->Layers(image).ok());
    verbose.info["info"] = "{";
    other.answers["ImageStatus"] = Encode(verbose);
    EXPECT_FALSE(images->Layers(image).ok());
  });
}

TEST(CriChannel, Endpoints) {
  EXPECT_EQ(MUST(ParseEndpoint("unix:///run/x.sock")).unix_path, "/run/x.sock");
  EXPECT_EQ(MUST(ParseEndpoint("/run/x.sock")).unix_path, "/run/x.sock");
  for (const char* bad : {"", "/", "unix://", "unix://x", "tcp://127.0.0.1:1", "x.sock"}) {
    EXPECT_FALSE(ParseEndpoint(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace knarr::cri

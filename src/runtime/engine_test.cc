// The engine on the real kernel: containers of busybox by crun. Every test ends with a look for leaks.

#include "runtime/engine.h"

#include <algorithm>

#include "runtime/cgroup.h"
#include "runtime/engine_fixture.h"

namespace knarr::runtime {
namespace {

namespace fs = std::filesystem;

TEST_F(EngineTest, RunsAContainerToItsEnd) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    EXPECT_TRUE(engine->version().find("crun") != std::string::npos) << engine->version();
    ContainerSpec spec =
        Shell("echo hello; hostname; echo $FROM_IMAGE $OWN $HOSTNAME; echo oops >&2; printf half; exit 3");
    spec.environment = {"OWN=mine"};
    const auto status = RunToEnd(runtime, *engine, spec, Pod());
    EXPECT_EQ(status.exit_code, 3);
    EXPECT_EQ(status.reason, "Error");
    EXPECT_EQ(status.name, "main");
    EXPECT_GT(status.started, status.created);
    EXPECT_GE(status.finished, status.started);
    EXPECT_EQ(status.log_path, directory_ + "/logs/web/main/0.log");
    const std::string output = Output();
    EXPECT_NE(output.find("hello\nweb\nyes mine web\n"), std::string::npos) << output;
    EXPECT_NE(Log().find(" stderr F oops\n"), std::string::npos) << Log();
    EXPECT_NE(Log().find(" stdout P half\n"), std::string::npos) << Log();
    // The events, in order.
    const auto first = engine->NextEvent();
    const auto second = engine->NextEvent();
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_TRUE(first->type == EventType::kContainerStarted || first->type == EventType::kContainerExited);
    EXPECT_EQ(second->pod_uid, "web-uid");
    EXPECT_EQ(second->container_id, status.id);
  });
}

TEST_F(EngineTest, SandboxHasNamespacesOfItsOwn) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok()) << sandbox.status().ToString();
    EXPECT_EQ(sandbox->state, SandboxState::kReady);
    ASSERT_GT(sandbox->infra_pid, 0);
    const auto link = [&](const std::string& pid, const char* name) {
      return runtime.files().ReadLink("/proc/" + pid + "/ns/" + name).value_or("");
    };
    const std::string infra = std::to_string(sandbox->infra_pid);
    for (const char* name : {"net", "ipc", "uts"}) EXPECT_NE(link(infra, name), link("self", name)) << name;
    EXPECT_EQ(link(infra, "pid"), link("self", "pid"));
    EXPECT_TRUE(runtime.files().Exists(sandbox->network_namespace));
    // Both containers share them, and /dev/shm; each has a PID namespace of its own.
    const std::string script = "for n in net ipc uts; do ls -l /proc/self/ns/$n | grep -o '[a-z]*:.[0-9]*'; done; ";
    RunIn(runtime, *engine, sandbox->id, Shell(script + "echo shared > /dev/shm/f; echo $$", "a"));
    RunIn(runtime, *engine, sandbox->id, Shell(script + "cat /dev/shm/f; echo $$", "b"));
    const std::string a = Output("web", "a");
    const std::string b = Output("web", "b");
    EXPECT_EQ(ReplaceAll(a, "\n1\n", "\nshared\n1\n"), b);
    EXPECT_NE(a.find(link(infra, "net").substr(0, 14)), std::string::npos) << a;
    // lo is up.
    RunIn(runtime, *engine, sandbox->id, Shell("cat /sys/class/net/lo/flags", "c"));
    EXPECT_EQ(Output("web", "c"), "0x9\n");
  });
}

TEST_F(EngineTest, HostNamespacesAndSharedPids) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    SandboxSpec host = Pod("host");
    host.network = NamespaceMode::kNode;
    host.ipc = NamespaceMode::kNode;
    host.pid_per_container = false;
    const auto status = RunToEnd(runtime, *engine, Shell("echo $$; ls /sys/class/net | wc -l"), host);
    const auto lines = Lines(Output("host"));
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_NE(lines[0], "1");
    EXPECT_EQ(status.exit_code, 0);
    SandboxSpec shared = Pod("shared");
    shared.pid_per_container = false;
    shared.pid = NamespaceMode::kPod;
    const auto sandbox = engine->RunSandbox(shared);
    ASSERT_TRUE(sandbox.ok()) << sandbox.status().ToString();
    // What the first process leaves behind ends with its container, though the namespace goes on.
    const auto left = RunIn(runtime, *engine, sandbox->id, Shell("sleep 1000 & echo $$", "a"));
    EXPECT_EQ(left.exit_code, 0);
    RunIn(runtime, *engine, sandbox->id, Shell("ps | grep -c 'sleep 100[0]'; cat /proc/1/comm", "b"));
    EXPECT_EQ(Output("shared", "b"), "0\nknarr-pause\n");
    // The infra process shows nothing of the machine.
    RunIn(runtime, *engine, sandbox->id, Shell("ls /proc/1/root/ 2>&1 | grep -c etc", "c"));
    EXPECT_EQ(Output("shared", "c"), "0\n");
  });
}

TEST_F(EngineTest, StartErrorsAreKubernetesOwn) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    struct Case {
      const char* command;
      const char* expected;
    };
    const Case cases[] = {
        {"nope", "exec: \"nope\": executable file not found in $PATH"},
        {"/nope", "exec: \"/nope\": stat /nope: no such file or directory"},
        {"/etc/plain", "exec: \"/etc/plain\": permission denied"},
        {"/etc", "exec: \"/etc\": permission denied"},
    };
    for (const Case& c : cases) {
      ContainerSpec spec = Shell("");
      spec.command = {c.command};
      const auto id = engine->CreateContainer(sandbox->id, spec);
      ASSERT_TRUE(id.ok());
      const Ok started = engine->StartContainer(*id);
      ASSERT_FALSE(started.ok());
      EXPECT_EQ(started.status().message(),
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: crun create "
                "failed: unable to start container process: error during container init: " +
                    std::string(c.expected) + ": unknown");
      const auto status = engine->GetContainer(*id);
      ASSERT_TRUE(status.ok());
      EXPECT_EQ(status->state, ContainerState::kExited);
      EXPECT_EQ(status->reason, "StartError");
      EXPECT_EQ(status->exit_code, 128);
      EXPECT_EQ(status->message, started.status().message());
      EXPECT_TRUE(engine->RemoveContainer(*id).ok());
    }
    ContainerSpec empty = Shell("");
    empty.command = {""};
    const auto refused = engine->CreateContainer(sandbox->id, empty);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().message(), "create container main: no command specified");
    // A working directory that is not there is made.
    ContainerSpec elsewhere = Shell("cat /proc/self/cgroup | wc -l; ls -d /made/here");
    elsewhere.working_directory = "/made/here";
    EXPECT_EQ(RunIn(runtime, *engine, sandbox->id, elsewhere).exit_code, 0) << Output();
  });
}

TEST_F(EngineTest, StopsWithGraceThenKills) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    const auto gentle = Started(*engine, sandbox->id, Shell("trap 'exit 7' TERM; sleep 1000 & wait", "gentle"));
    const auto stubborn = Started(*engine, sandbox->id, Shell("trap '' TERM; sleep 1000", "stubborn"));
    ContainerSpec own = Shell("trap 'exit 8' USR1; sleep 1000 & wait", "own");
    own.stop_signal = "SIGUSR1";
    const auto own_signal = Started(*engine, sandbox->id, own);
    // The traps are set a moment after the start.
    ASSERT_TRUE(runtime.Sleep(100ms).ok());
    EXPECT_TRUE(engine->StopContainer(gentle, 10s).ok());
    EXPECT_EQ(engine->GetContainer(gentle)->exit_code, 7);
    EXPECT_TRUE(engine->StopContainer(own_signal, 10s).ok());
    EXPECT_EQ(engine->GetContainer(own_signal)->exit_code, 8);
    const MonoTime before = runtime.Mono();
    EXPECT_TRUE(engine->StopContainer(stubborn, 200ms).ok());
    EXPECT_GE(runtime.Mono() - before, 200ms);
    EXPECT_EQ(engine->GetContainer(stubborn)->exit_code, 137);
    EXPECT_TRUE(engine->StopContainer(stubborn, 1s).ok());
    EXPECT_TRUE(engine->RemoveContainer(stubborn).ok());
    EXPECT_TRUE(engine->GetContainer(stubborn).Failed(Reason::kNotFound));
    EXPECT_TRUE(engine->RemoveContainer(stubborn).ok());
    EXPECT_TRUE(engine->StopSandbox(sandbox->id).ok());
    EXPECT_TRUE(engine->StopSandbox(sandbox->id).ok());
    EXPECT_EQ(engine->ListSandboxes()->at(0).state, SandboxState::kNotReady);
    EXPECT_TRUE(engine->RemoveSandbox(sandbox->id).ok());
    EXPECT_TRUE(engine->RemoveSandbox(sandbox->id).ok());
    EXPECT_TRUE(engine->ListSandboxes()->empty());
    EXPECT_TRUE(fs::is_empty(options_.state_directory + "/sandboxes"));
    EXPECT_TRUE(fs::is_empty(options_.state_directory + "/oci"));
  });
}

TEST_F(EngineTest, MemoryLimitKills) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    ContainerSpec spec = Shell("x=a; while true; do x=$x$x; done");
    spec.resources.memory_limit = 16 << 20;
    spec.resources.cpu_shares = 512;
    spec.resources.cpu_quota_us = 50000;
    const auto status = RunToEnd(runtime, *engine, spec, Pod());
    EXPECT_EQ(status.exit_code, 137);
    EXPECT_EQ(status.reason, "OOMKilled");
  });
}

TEST_F(EngineTest, LimitsUsageAndUpdate) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto cgroups = Cgroups::Detect();
    ASSERT_TRUE(cgroups.ok());
    SandboxSpec pod = Pod();
    pod.pod_resources.memory_limit = 64 << 20;
    pod.pod_resources.cpu_shares = 2048;
    const auto sandbox = engine->RunSandbox(pod);
    ASSERT_TRUE(sandbox.ok());
    ContainerSpec spec = Shell("dd if=/dev/zero of=/dev/null bs=1M count=500 2>/dev/null; sleep 1000");
    spec.resources.memory_limit = 32 << 20;
    spec.resources.pids_limit = 50;
    const auto id = Started(*engine, sandbox->id, spec);
    ASSERT_TRUE(runtime.Sleep(300ms).ok());
    const auto usage = engine->Usage(id);
    ASSERT_TRUE(usage.ok()) << usage.status().ToString();
    EXPECT_GT(usage->cpu_ns, 1000000);
    EXPECT_GT(usage->memory_bytes, 100000);
    EXPECT_LE(usage->memory_working_set_bytes, usage->memory_bytes);
    CgroupResources more;
    more.memory_limit = 48 << 20;
    more.cpu_shares = 100;
    const Ok updated = engine->UpdateContainer(id, more);
    EXPECT_TRUE(updated.ok()) << updated.status().ToString();
    if (!cgroups->v2()) {
      const std::string path = "/sys/fs/cgroup/memory" + pod.cgroup_parent;
      const auto read = [](const std::string& file) {
        return std::string(TrimSpace(kernel::ReadFile(file).value_or("")));
      };
      EXPECT_EQ(read(path + "/memory.limit_in_bytes"), std::to_string(64 << 20));
      EXPECT_EQ(read(path + "/" + id + "/memory.limit_in_bytes"), std::to_string(48 << 20));
      EXPECT_EQ(read("/sys/fs/cgroup/cpu" + pod.cgroup_parent + "/" + id + "/cpu.shares"), "100");
      EXPECT_EQ(read("/sys/fs/cgroup/pids" + pod.cgroup_parent + "/" + id + "/pids.max"), "max");
    }
  });
}

TEST_F(EngineTest, SecurityAndMounts) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    ContainerSpec user =
        Shell("id -u; id -g; id -G; echo x > /dev/stdout; touch /root/f 2>&1 | grep -o denied", "user");
    user.security.run_as_user = 1000;
    user.security.run_as_group = 3000;
    user.security.supplemental_groups = {4000};
    user.security.no_new_privileges = true;
    RunIn(runtime, *engine, sandbox->id, user);
    EXPECT_EQ(Output("web", "user"), "1000\n3000\n3000 4000\nx\ndenied\n");
    ContainerSpec fixed = Shell("touch /f 2>&1 | grep -o 'Read-only'; grep CapEff /proc/self/status", "fixed");
    fixed.security.read_only_root = true;
    fixed.security.drop_capabilities = {"ALL"};
    fixed.security.add_capabilities = {"NET_ADMIN"};
    RunIn(runtime, *engine, sandbox->id, fixed);
    EXPECT_EQ(Output("web", "fixed"), "Read-only\nCapEff:\t0000000000001000\n");
    ContainerSpec plain = Shell(
        "grep CapEff /proc/self/status; echo 1 2>/dev/null > /proc/sys/vm/swappiness || echo ro; ls /sys/firmware | wc "
        "-l",
        "plain");
    RunIn(runtime, *engine, sandbox->id, plain);
    EXPECT_EQ(Output("web", "plain"), "CapEff:\t00000000a80425fb\nro\n0\n");
    ContainerSpec privileged =
        Shell("test -b /dev/vda -o -c /dev/kmsg && echo devices; mount -t tmpfs t /tmp && echo mounted", "privileged");
    privileged.security.privileged = true;
    RunIn(runtime, *engine, sandbox->id, privileged);
    EXPECT_EQ(Output("web", "privileged"), "devices\nmounted\n");

    fs::create_directories(directory_ + "/volume");
    std::ofstream(directory_ + "/volume/f") << "from the host\n";
    ContainerSpec mounts =
        Shell("cat /data/f; touch /ro/x 2>&1 | grep -o 'Read-only'; touch /data/new; cat /etc/hostname; ls /data/deep",
              "mounts");
    mounts.mounts = {{directory_ + "/made-by-engine", "/data/deep", false},
                     {directory_ + "/volume", "/data", false},
                     {directory_ + "/volume", "/ro", true}};
    RunIn(runtime, *engine, sandbox->id, mounts);
    EXPECT_EQ(Output("web", "mounts"), "from the host\nRead-only\nweb\n");
    EXPECT_TRUE(fs::exists(directory_ + "/volume/new"));
  });
}

TEST_F(EngineTest, ManyLayers) {
  store_ = std::make_unique<DirectoryStore>(MakeBusyboxImage(directory_ + "/image", 120));
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    RunToEnd(runtime, *engine, Shell("ls /file-* | wc -l; cat /file-119"), Pod());
    EXPECT_EQ(Output(), "119\n119");
  });
}

TEST_F(EngineTest, Terminal) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    ContainerSpec spec = Shell("tty; echo $TERM; exit 4");
    spec.tty = true;
    const auto status = RunToEnd(runtime, *engine, spec, Pod());
    EXPECT_EQ(status.exit_code, 4);
    EXPECT_EQ(ReplaceAll(Output(), "\r", ""), "/dev/pts/0\nxterm\n");
  });
}

TEST_F(EngineTest, LogsAreCompleteAndReopened) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    EXPECT_EQ(RunIn(runtime, *engine, sandbox->id, Shell("seq 1 100000", "many")).exit_code, 0);
    const std::string many = Output("web", "many");
    EXPECT_EQ(std::ranges::count(many, '\n'), 100000);
    EXPECT_TRUE(many.starts_with("1\n2\n3\n"));
    EXPECT_TRUE(many.ends_with("99999\n100000\n"));
    const auto id = Started(*engine, sandbox->id,
                            Shell("echo one; while ! test -e /go; do sleep 0.01; done; echo two; sleep 1000"));
    while (Output() != "one\n") ASSERT_TRUE(runtime.Sleep(5ms).ok());
    const std::string path = engine->GetContainer(id)->log_path;
    fs::rename(path, path + ".1");
    EXPECT_TRUE(engine->ReopenLog(id).ok());
    const auto go = engine->ExecSync(id, {"touch", "/go"}, 10s);
    ASSERT_TRUE(go.ok()) << go.status().ToString();
    while (Output() != "two\n") ASSERT_TRUE(runtime.Sleep(5ms).ok());
  });
}

}  // namespace
}  // namespace knarr::runtime

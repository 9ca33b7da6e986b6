// Execs, and what outlives the engine and the shim.

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "runtime/engine_fixture.h"
#include "runtime/records.h"
#include "runtime/shim/message.h"

namespace knarr::runtime {
namespace {

using EngineExecTest = EngineTest;
using EngineRecoveryTest = EngineTest;

// All output of a session by stream, and its exit code.
struct Outcome {
  std::string out;
  std::string err;
  int code = -1;
};
Outcome Finish(ExecSession& session) {
  Outcome outcome;
  for (;;) {
    const auto chunk = session.Read();
    EXPECT_TRUE(chunk.ok());
    if (!chunk.ok() || chunk->data.empty()) break;
    (chunk->fd == 1 ? outcome.out : outcome.err) += chunk->data;
  }
  outcome.code = session.Wait().value_or(-1);
  return outcome;
}

TEST_F(EngineExecTest, SyncGivesOutputAndCode) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    ContainerSpec spec = Shell("sleep 1000");
    spec.environment = {"OWN=mine"};
    spec.working_directory = "/tmp";
    const auto id = Started(*engine, sandbox->id, spec);
    const auto result = engine->ExecSync(id, {"sh", "-c", "echo out; echo err >&2; echo $OWN; pwd; cat; exit 5"}, 10s);
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_EQ(result->exit_code, 5);
    EXPECT_EQ(result->output, "out\nerr\nmine\n/tmp\n");
    const auto big = engine->ExecSync(id, {"sh", "-c", "seq 1 100000"}, 10s, 1000);
    ASSERT_TRUE(big.ok());
    EXPECT_EQ(big->output.size(), 1000U);
    EXPECT_EQ(big->exit_code, 0);
    // A child that keeps the pipe open does not keep us.
    const auto left = engine->ExecSync(id, {"sh", "-c", "sleep 500 & echo started"}, 10s);
    ASSERT_TRUE(left.ok()) << left.status().ToString();
    EXPECT_EQ(left->output, "started\n");
    const MonoTime before = runtime.Mono();
    const auto slow = engine->ExecSync(id, {"sleep", "77"}, 150ms);
    EXPECT_TRUE(slow.Failed(Reason::kTimeout));
    EXPECT_LT(runtime.Mono() - before, 3s);
    EXPECT_EQ(slow.status().message(),
              "failed to exec in container: timeout 150ms exceeded: context deadline exceeded");
    const auto killed = engine->ExecSync(id, {"sh", "-c", "ps | grep -c 'slee[p] 77'"}, 10s);
    EXPECT_EQ(killed->output, "0\n");
    EXPECT_EQ(engine->ExecSync(id, {"sh", "-c", "kill -9 $$"}, 10s)->exit_code, 137);
    EXPECT_TRUE(engine->StopContainer(id, 0s).ok());
    EXPECT_TRUE(engine->ExecSync(id, {"true"}, 1s).Failed(Reason::kConflict));
  });
}

TEST_F(EngineExecTest, ErrorsAreKubernetesOwn) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    const auto id = Started(*engine, sandbox->id, Shell("sleep 1000"));
    const auto missing = engine->Exec(id, {{"x"}, false, false});
    ASSERT_FALSE(missing.ok());
    EXPECT_TRUE(missing.status().message().ends_with(
        "OCI runtime exec failed: exec failed: unable to start container process: exec: \"x\": executable file not "
        "found in $PATH: unknown"))
        << missing.status().message();
    const auto denied = engine->ExecSync(id, {"/etc/plain"}, 5s);
    ASSERT_FALSE(denied.ok());
    EXPECT_NE(denied.status().message().find("exec: \"/etc/plain\": permission denied: unknown"), std::string::npos);
  });
}

TEST_F(EngineExecTest, StreamsApart) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    const auto id = Started(*engine, sandbox->id, Shell("sleep 1000"));
    auto session = engine->Exec(id, {{"sh", "-c", "echo err >&2; cat; exit 2"}, true, false});
    ASSERT_TRUE(session.ok()) << session.status().ToString();
    const std::string data(200000, 'x');
    rt::TaskGroup group(runtime, "writer");
    group.Spawn("write", [&] {
      EXPECT_TRUE((*session)->WriteStdin(data).ok());
      (*session)->CloseStdin();
    });
    const Outcome outcome = Finish(**session);
    group.Join();
    EXPECT_EQ(outcome.out, data);
    EXPECT_EQ(outcome.err, "err\n");
    EXPECT_EQ(outcome.code, 2);
    // Leaving early ends the process.
    auto left = engine->Exec(id, {{"sleep", "88"}, true, false});
    ASSERT_TRUE(left.ok());
    left->reset();
    MonoTime until = runtime.Mono() + 5s;
    std::string count;
    while (count != "0\n" && runtime.Mono() < until) {
      count = engine->ExecSync(id, {"sh", "-c", "ps | grep -c 'slee[p] 88'"}, 10s)->output;
    }
    EXPECT_EQ(count, "0\n");
  });
}

TEST_F(EngineExecTest, Terminal) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    const auto id = Started(*engine, sandbox->id, Shell("sleep 1000"));
    auto session = engine->Exec(id, {{"sh"}, true, true});
    ASSERT_TRUE(session.ok()) << session.status().ToString();
    EXPECT_TRUE((*session)->Resize(132, 43).ok());
    EXPECT_TRUE((*session)->WriteStdin("stty size; tty; echo $TERM; exit 6\n").ok());
    const Outcome outcome = Finish(**session);
    EXPECT_NE(outcome.out.find("43 132"), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("/dev/pts/"), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("xterm"), std::string::npos) << outcome.out;
    EXPECT_EQ(outcome.code, 6);
  });
}

class EngineKilledTest : public EngineTest {
 protected:
  // What a first engine leaves behind that is killed as it stands.
  struct Left {
    std::string sandbox, running, ended, created, failed;
  };

  // In a process of its own.
  void MakeAndDie(int report) {
    RunOnFiber([&](rt::Runtime& runtime) {
      const auto engine = Open(runtime);
      const auto sandbox = engine->RunSandbox(Pod());
      std::string ids = sandbox->id + "\n";
      ids += Started(*engine, sandbox->id,
                     Shell("echo one; while ! test -e /go; do sleep 0.01; done; echo two; exit 9", "running")) +
             "\n";
      ids += RunIn(runtime, *engine, sandbox->id, Shell("exit 4", "ended")).id + "\n";
      ids += *engine->CreateContainer(sandbox->id, Shell("echo late", "created")) + "\n";
      ContainerSpec bad = Shell("", "failed");
      bad.command = {"nope"};
      const auto bad_id = engine->CreateContainer(sandbox->id, bad);
      (void)engine->StartContainer(*bad_id);
      ids += *bad_id + "\n";
      // Half-made things, one of them with the group of a pod that lives.
      const std::string twin = options_.state_directory + "/sandboxes/" + std::string(64, 'a');
      std::filesystem::create_directories(twin);
      std::filesystem::copy_file(options_.state_directory + "/sandboxes/" + sandbox->id + "/sandbox.json",
                                 twin + "/sandbox.json");
      std::filesystem::create_directories(options_.state_directory + "/sandboxes/half");
      std::filesystem::create_directories(options_.state_directory + "/sandboxes/" + sandbox->id +
                                          "/halfcontainer/upper");
      EXPECT_EQ(write(report, ids.data(), ids.size()), static_cast<ssize_t>(ids.size()));
      kill(getpid(), SIGKILL);
    });
  }

  Left RunAndKill() {
    int report[2];
    EXPECT_EQ(pipe(report), 0);
    const pid_t child = fork();
    if (child == 0) {
      MakeAndDie(report[1]);
      _exit(1);
    }
    close(report[1]);
    std::string ids;
    char data[1024];
    for (ssize_t got; (got = read(report[0], data, sizeof(data))) > 0;) ids.append(data, static_cast<size_t>(got));
    close(report[0]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    const auto lines = Lines(ids);
    EXPECT_EQ(lines.size(), 5U);
    if (lines.size() != 5) return {};
    return {std::string(lines[0]), std::string(lines[1]), std::string(lines[2]), std::string(lines[3]),
            std::string(lines[4])};
  }
};

TEST_F(EngineKilledTest, ANewEngineFindsEverything) {
  const auto [sandbox_id, running, ended, created, failed] = RunAndKill();
  int pid = 0;
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    EXPECT_FALSE(std::filesystem::exists(options_.state_directory + "/sandboxes/half"));
    EXPECT_FALSE(std::filesystem::exists(options_.state_directory + "/sandboxes/" + std::string(64, 'a')));
    EXPECT_FALSE(std::filesystem::exists(options_.state_directory + "/sandboxes/" + sandbox_id + "/halfcontainer"));
    const auto sandboxes = engine->ListSandboxes();
    ASSERT_EQ(sandboxes->size(), 1U);
    EXPECT_EQ(sandboxes->at(0).id, sandbox_id);
    EXPECT_EQ(sandboxes->at(0).state, SandboxState::kReady);
    EXPECT_EQ(sandboxes->at(0).pod_uid, "web-uid");
    EXPECT_EQ(engine->ListContainers(sandbox_id)->size(), 4U);
    EXPECT_EQ(engine->GetContainer(running)->state, ContainerState::kRunning);
    EXPECT_GT(engine->GetContainer(running)->pid, 0);
    pid = engine->GetContainer(running)->pid;
    EXPECT_EQ(engine->GetContainer(ended)->state, ContainerState::kExited);
    EXPECT_EQ(engine->GetContainer(ended)->exit_code, 4);
    EXPECT_GT(engine->GetContainer(ended)->finished, engine->GetContainer(ended)->created);
    EXPECT_EQ(engine->GetContainer(created)->state, ContainerState::kCreated);
    EXPECT_EQ(engine->GetContainer(failed)->reason, "StartError");
    EXPECT_NE(engine->GetContainer(failed)->message.find("executable file not found"), std::string::npos);
    EXPECT_TRUE(engine->StartContainer(created).ok());
    EXPECT_EQ(WaitExit(runtime, *engine, created).exit_code, 0);
    EXPECT_EQ(Output("web", "created"), "late\n");
  });
  // While no engine is there, the container goes on, is logged, and its end is recorded.
  EXPECT_EQ(kill(pid, 0), 0);
  const std::string go = options_.state_directory + "/sandboxes/" + sandbox_id + "/" + running + "/rootfs/go";
  std::ofstream(go).close();
  for (int i = 0; i < 500 && kill(pid, 0) == 0; i++) usleep(10000);
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto now = engine->GetContainer(running);
    ASSERT_TRUE(now.ok());
    EXPECT_EQ(now->state, ContainerState::kExited);
    EXPECT_EQ(now->exit_code, 9);
    EXPECT_EQ(Output("web", "running"), "one\ntwo\n");
    EXPECT_TRUE(engine->RemoveSandbox(sandbox_id).ok());
  });
}

// The engine dies while the OCI runtime is at work: the container is there for the next one, and no second is made.
TEST_F(EngineRecoveryTest, AStartUnderWayIsTakenOver) {
  options_.oci_runtime = directory_ + "/slow";
  std::ofstream(options_.oci_runtime) << "#!/bin/sh\n"
                                         "case \"$*\" in *--version*) ;; *) sleep 0.7 ;; esac\n"
                                         "exec crun \"$@\"\n";
  std::filesystem::permissions(options_.oci_runtime, std::filesystem::perms::owner_all);
  const std::string made = directory_ + "/made";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    RunOnFiber([&](rt::Runtime& runtime) {
      const auto engine = Open(runtime);
      const auto sandbox = engine->RunSandbox(Pod());
      const auto id = engine->CreateContainer(sandbox->id, Shell("sleep 1000"));
      std::ofstream(made + ".new") << *id;
      std::filesystem::rename(made + ".new", made);
      (void)engine->StartContainer(*id);  // the end comes before its answer
      (void)runtime.Sleep(20s);
    });
    _exit(0);
  }
  for (int i = 0; i < 2000 && !std::filesystem::exists(made); ++i) usleep(10'000);
  usleep(200'000);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  std::string id;
  std::ifstream(made) >> id;
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto status = engine->GetContainer(id);
    ASSERT_TRUE(status.ok()) << status.status().ToString();
    EXPECT_EQ(status->state, ContainerState::kRunning);
    EXPECT_NE(status->started, WallTime{});
    EXPECT_TRUE(engine->StartContainer(id).Failed(Reason::kConflict));
  });
}

// Who asks for something and is gone at once: while the shim forks, its child has the connection, too.
TEST_F(EngineRecoveryTest, TheShimOutlivesClientsThatVanish) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    const auto id = Started(*engine, sandbox->id, Shell("sleep 1000"));
    const std::string directory = options_.state_directory + "/sandboxes/" + sandbox->id;
    for (int i = 0; i < 300; ++i) {
      const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
      struct sockaddr_un address = {};
      address.sun_family = AF_UNIX;
      const int folder = open(directory.c_str(), O_PATH | O_CLOEXEC);
      const std::string path = "/proc/self/fd/" + std::to_string(folder) + "/shim.sock";
      path.copy(address.sun_path, sizeof address.sun_path - 1);
      ASSERT_EQ(connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0)
          << i << ": " << strerror(errno);
      shim::MessageBuilder message;
      message.Add("1").Add("exec").Add("gone").Add(id.c_str()).Add("-");
      ASSERT_EQ(send(fd, message.data(), message.size(), MSG_NOSIGNAL), static_cast<ssize_t>(message.size()));
      close(fd);
      close(folder);
      ASSERT_TRUE(runtime.Sleep(i % 10 == 0 ? 20ms : 0ms).ok());
    }
    EXPECT_EQ(engine->ListSandboxes()->at(0).state, SandboxState::kReady);
    EXPECT_EQ(engine->GetContainer(id)->state, ContainerState::kRunning);
    EXPECT_TRUE(engine->StopContainer(id, 0s).ok());
  });
}

TEST_F(EngineRecoveryTest, TheShimsDeathEndsTheSandbox) {
  RunOnFiber([&](rt::Runtime& runtime) {
    auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    const auto id = Started(*engine, sandbox->id, Shell("sleep 1000"));
    const int pid = engine->GetContainer(id)->pid;
    ASSERT_TRUE(engine->NextEvent().ok());
    const auto pids = ParseShimPids(
        kernel::ReadFile(options_.state_directory + "/sandboxes/" + sandbox->id + "/shim.pid").value_or(""));
    ASSERT_TRUE(pids.ok());
    ASSERT_EQ(kill(pids->shim, SIGKILL), 0);
    const auto event = engine->NextEvent();
    ASSERT_TRUE(event.ok());
    EXPECT_EQ(event->type, EventType::kSandboxExited);
    EXPECT_EQ(event->sandbox_id, sandbox->id);
    EXPECT_EQ(engine->ListSandboxes()->at(0).state, SandboxState::kNotReady);
    EXPECT_EQ(engine->GetContainer(id)->state, ContainerState::kRunning);
    EXPECT_TRUE(engine->CreateContainer(sandbox->id, Shell("true", "more")).Failed(Reason::kConflict));
    // Also for an engine that comes later.
    engine.reset();
    engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    EXPECT_EQ(engine->ListSandboxes()->at(0).state, SandboxState::kNotReady);
    EXPECT_EQ(engine->GetContainer(id)->state, ContainerState::kRunning);
    EXPECT_TRUE(engine->StopContainer(id, 0s).ok());
    EXPECT_EQ(engine->GetContainer(id)->state, ContainerState::kExited);
    const MonoTime until = runtime.Mono() + 5s;
    while (kernel::Exists("/proc/" + std::to_string(pid) + "/ns/net") && runtime.Mono() < until)
      (void)runtime.Sleep(10ms);
    EXPECT_TRUE(engine->RemoveSandbox(sandbox->id).ok());
    EXPECT_TRUE(engine->ListSandboxes()->empty());
  });
}

TEST_F(EngineRecoveryTest, TheInfraProcessDeathIsAnEvent) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    ASSERT_EQ(kill(sandbox->infra_pid, SIGKILL), 0);
    const auto event = engine->NextEvent();
    ASSERT_TRUE(event.ok());
    EXPECT_EQ(event->type, EventType::kSandboxExited);
    EXPECT_EQ(engine->ListSandboxes()->at(0).state, SandboxState::kNotReady);
    EXPECT_TRUE(engine->RemoveSandbox(sandbox->id).ok());
  });
}

// On a full disk an exit is recorded all the same, in what the start set aside; and everything can be removed.
TEST_F(EngineRecoveryTest, AFullDisk) {
  const std::string small = directory_ + "/small";
  std::filesystem::create_directories(small);
  ASSERT_TRUE(kernel::Mount("tmpfs", small, "tmpfs", 0, "size=4m").ok());
  options_.state_directory = small + "/run";
  RunOnFiber([&](rt::Runtime& runtime) {
    auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok()) << sandbox.status().ToString();
    const auto id = Started(*engine, sandbox->id, Shell("sleep 0.3; exit 6"));
    std::ofstream fill(small + "/fill");
    for (int i = 0; i < 5000 && fill.good(); i++) fill << std::string(1024, 'x') << std::flush;
    EXPECT_FALSE(fill.good());
    EXPECT_EQ(WaitExit(runtime, *engine, id).exit_code, 6);
    EXPECT_FALSE(engine->RunSandbox(Pod("more")).ok());
    EXPECT_EQ(engine->ListSandboxes()->size(), 1U);
    const auto pids = ParseShimPids(
        kernel::ReadFile(options_.state_directory + "/sandboxes/" + sandbox->id + "/shim.pid").value_or(""));
    ASSERT_TRUE(pids.ok());
    engine.reset();
    kill(pids->shim, SIGKILL);
    engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    EXPECT_EQ(engine->GetContainer(id)->exit_code, 6);
    const Ok removed = engine->RemoveSandbox(sandbox->id);
    EXPECT_TRUE(removed.ok()) << removed.status().ToString();
  });
  RunOnFiber([&](rt::Runtime& runtime) { EXPECT_TRUE(RemoveEverything(runtime, options_).ok()); });
  EXPECT_TRUE(kernel::Unmount(small).ok());
}

// A pod whose sandbox is made anew while the old one is still being removed keeps its group.
TEST_F(EngineRecoveryTest, ANewSandboxOfTheSamePod) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    std::string old = engine->RunSandbox(Pod())->id;
    for (int i = 0; i < 5; i++) {
      rt::TaskGroup group(runtime, "removal");
      group.Spawn("remove", [&] { EXPECT_TRUE(engine->RemoveSandbox(old).ok()); });
      runtime.Yield();
      if (i % 2 == 0) (void)runtime.Sleep(std::chrono::milliseconds(i * 3));
      const auto fresh = engine->RunSandbox(Pod());
      ASSERT_TRUE(fresh.ok()) << fresh.status().ToString();
      const auto id = Started(*engine, fresh->id, Shell("sleep 1000"));
      group.Join();
      EXPECT_EQ(engine->GetContainer(id)->state, ContainerState::kRunning);
      EXPECT_TRUE(engine->Usage(id).ok());
      old = fresh->id;
    }
  });
}

// Not the shim's, which is protected from the OOM killer.
TEST_F(EngineExecTest, HasTheContainersOomScore) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    const auto sandbox = engine->RunSandbox(Pod());
    ASSERT_TRUE(sandbox.ok());
    const std::string pids =
        MUST(kernel::ReadFile(options_.state_directory + "/sandboxes/" + sandbox->id + "/shim.pid"));
    const int shim = MUST(ParseShimPids(pids)).shim;
    ASSERT_TRUE(kernel::WriteFile("/proc/" + std::to_string(shim) + "/oom_score_adj", "500").ok());
    ContainerSpec spec = Shell("cat /proc/self/oom_score_adj; sleep 1000");
    spec.oom_score_adjust = 700;
    const auto id = Started(*engine, sandbox->id, spec);
    const auto result = engine->ExecSync(id, {"cat", "/proc/self/oom_score_adj"}, 10s);
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_EQ(result->output, "700\n");
    EXPECT_EQ(Output(), "700\n");
  });
}

// However close the end of the shim's connection and that of the sandbox come together.
TEST_F(EngineExecTest, EndsWithItsSandbox) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    for (int i = 0; i < 5; i++) {
      const auto sandbox = engine->RunSandbox(Pod());
      ASSERT_TRUE(sandbox.ok()) << sandbox.status().ToString();
      const auto id = Started(*engine, sandbox->id, Shell("sleep 1000"));
      auto session = engine->Exec(id, {{"sleep", "66"}, false, false});
      ASSERT_TRUE(session.ok()) << session.status().ToString();
      if (i == 4) kill(static_cast<int>(engine->GetContainer(id)->pid), SIGSTOP);
      EXPECT_TRUE(engine->RemoveSandbox(sandbox->id).ok());
      const rt::CancelScope scope(runtime, 10s);
      EXPECT_FALSE((*session)->Wait().Failed(Reason::kTimeout));
    }
  });
}

// The kernel lists mounts by their real paths.
TEST_F(EngineRecoveryTest, AStateFolderBehindALink) {
  std::filesystem::create_directory(directory_ + "/real");
  std::filesystem::create_directory_symlink(directory_ + "/real", directory_ + "/link");
  options_.state_directory = directory_ + "/link/run";
  RunOnFiber([&](rt::Runtime& runtime) {
    std::string id;
    {
      const auto engine = Open(runtime);
      ASSERT_NE(engine, nullptr);
      const auto sandbox = engine->RunSandbox(Pod());
      ASSERT_TRUE(sandbox.ok()) << sandbox.status().ToString();
      id = MUST(engine->CreateContainer(sandbox->id, Shell("echo here")));
    }
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    ASSERT_TRUE(engine->GetContainer(id).ok()) << "it was made whole, and must not be taken for half made";
    EXPECT_TRUE(engine->StartContainer(id).ok());
    EXPECT_EQ(WaitExit(runtime, *engine, id).exit_code, 0);
  });
}

TEST_F(EngineRecoveryTest, ManyAtOnce) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    rt::TaskGroup group(runtime, "pods");
    int done = 0;
    for (int i = 0; i < 30; i++) {
      group.Spawn("pod", [&, i] {
        const std::string name = "p" + std::to_string(i);
        const auto status = RunToEnd(runtime, *engine, Shell("hostname; exit " + std::to_string(i)), Pod(name));
        EXPECT_EQ(status.exit_code, i);
        EXPECT_EQ(Output(name), name + "\n");
        done++;
      });
    }
    group.Join();
    EXPECT_EQ(done, 30);
    const auto sandboxes = engine->ListSandboxes();
    rt::TaskGroup removal(runtime, "removal");
    for (const SandboxStatus& sandbox : *sandboxes) {
      removal.Spawn("remove", [&] {
        const Ok removed = engine->RemoveSandbox(sandbox.id);
        EXPECT_TRUE(removed.ok()) << removed.status().ToString();
      });
    }
    removal.Join();
    EXPECT_TRUE(engine->ListSandboxes()->empty());
    for (const char* hierarchy : {"memory", "pids", "cpu"}) {
      EXPECT_TRUE(kernel::List("/sys/fs/cgroup/" + std::string(hierarchy) + group_ + "/besteffort/podp0").empty());
    }
  });
}

}  // namespace
}  // namespace knarr::runtime

#include "rt/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "rt/real.h"
#include "rt/sync.h"

namespace knarr::rt {
namespace {

void InReal(const std::function<void(RealRuntime& runtime)>& body) {
  const auto runtime = RealRuntime::Create({}, BlockingPool::Create(4));
  runtime->Run([&] { body(*runtime); });
}

ProcessSpec Shell(std::string script) { return {.argv = {"sh", "-c", std::move(script)}}; }

TEST(ProcessTest, CapturesOutputAndStatus) {
  InReal([](RealRuntime& runtime) {
    const Output output = MUST(runtime.processes().Run(Shell("cat; echo err >&2; exit 3"), "input"));
    EXPECT_EQ(output.out, "input");
    EXPECT_EQ(output.err, "err\n");
    EXPECT_EQ(output.status.code, 3);
    EXPECT_EQ(output.status.ToString(), "exit status 3");
    EXPECT_FALSE(output.status.ok());
    const Output killed = MUST(runtime.processes().Run(Shell("kill -9 $$")));
    EXPECT_EQ(killed.status.signal, SIGKILL);
    EXPECT_EQ(killed.status.ToString(), "signal: Killed");
    EXPECT_TRUE(MUST(runtime.processes().Run({.argv = {"true"}})).status.ok());
  });
}

TEST(ProcessTest, LargeStreamsAndLimits) {
  InReal([](RealRuntime& runtime) {
    const std::string input(3 << 20, 'x');
    const Output output = MUST(runtime.processes().Run({.argv = {"cat"}}, input, 8 << 20));
    EXPECT_EQ(output.out, input);
    const Output cut = MUST(runtime.processes().Run({.argv = {"cat"}}, input, 1000));
    EXPECT_EQ(cut.out.size(), 1000U);
    // A process that does not read its input is no error.
    EXPECT_TRUE(MUST(runtime.processes().Run({.argv = {"true"}}, input)).status.ok());
  });
}

TEST(ProcessTest, SaysWhyItCannotStart) {
  InReal([](RealRuntime& runtime) {
    const Result<Output> missing = runtime.processes().Run({.argv = {"/nonexistent/program"}});
    ASSERT_TRUE(missing.Failed(Reason::kNotFound));
    EXPECT_EQ(missing.status().message(), "start /nonexistent/program: No such file or directory");
    EXPECT_TRUE(runtime.processes().Run({.argv = {"/etc/passwd"}}).Failed(Reason::kForbidden));
    EXPECT_TRUE(runtime.processes().Run({}).Failed(Reason::kBadRequest));
    ProcessSpec spec = Shell("pwd");
    spec.directory = "/nonexistent";
    EXPECT_FALSE(runtime.processes().Run(spec).ok());
    spec.directory = "/proc";
    EXPECT_EQ(MUST(runtime.processes().Run(spec)).out, "/proc\n");
  });
}

TEST(ProcessTest, EnvironmentAndDescriptors) {
  InReal([](RealRuntime& runtime) {
    ProcessSpec spec = Shell("echo $A-$HOME");
    spec.environment = {"A=1"};
    spec.inherit_environment = false;
    EXPECT_EQ(MUST(runtime.processes().Run(spec)).out, "1-\n");
    spec.inherit_environment = true;
    EXPECT_NE(MUST(runtime.processes().Run(spec)).out, "1-\n");

    int ends[2];
    ASSERT_EQ(pipe(ends), 0);  // not close-on-exec, as a careless library would
    ASSERT_EQ(write(ends[1], "hey", 3), 3);
    close(ends[1]);
    ProcessSpec passing = Shell("cat <&5; ls /proc/self/fd | wc -l");
    passing.pass_fds = {{ends[0], 5}};
    // 0, 1, 2, 5 and the one that lists.
    EXPECT_EQ(MUST(runtime.processes().Run(passing)).out, "hey5\n");
    close(ends[0]);
  });
}

TEST(ProcessTest, SignalsAreReset) {
  InReal([](RealRuntime& runtime) {
    const std::string status = MUST(runtime.processes().Run({.argv = {"cat", "/proc/self/status"}})).out;
    const auto mask = [&](std::string_view name) {
      return std::stoull(status.substr(status.find(name) + name.size()), nullptr, 16);
    };
    EXPECT_EQ(mask("\nSigBlk:\t"), 0U);
    // SIGPIPE, which we ignore, too. The C library leaves its own two (32 and 33) ignored.
    EXPECT_EQ(mask("\nSigIgn:\t") & ~0x180000000ULL, 0U);
  });
}

TEST(ProcessTest, StartKillWait) {
  InReal([](RealRuntime& runtime) {
    ProcessSpec spec = {.argv = {"sleep", "100"}};
    spec.new_session = true;
    const std::unique_ptr<Process> process = MUST(runtime.processes().Start(spec));
    EXPECT_EQ(getsid(process->pid()), process->pid());
    {
      const CancelScope scope(runtime, 5ms);
      EXPECT_TRUE(process->Wait().Failed(Reason::kTimeout));
    }
    TaskGroup group(runtime, "group");
    Ok foreign = Internal("none");
    group.Spawn("foreign", [&] { foreign = runtime.processes().WaitForeign(process->pid()); });
    EXPECT_TRUE(runtime.Sleep(5ms).ok());
    EXPECT_TRUE(process->Kill(SIGTERM).ok());
    EXPECT_EQ(MUST(process->Wait()).signal, SIGTERM);
    EXPECT_EQ(MUST(process->Wait()).signal, SIGTERM);
    EXPECT_TRUE(process->Kill(SIGTERM).Failed(Reason::kNotFound));
    group.Join();
    EXPECT_TRUE(foreign.ok());
    EXPECT_TRUE(runtime.processes().WaitForeign(process->pid()).Failed(Reason::kNotFound));
  });
}

TEST(ProcessTest, CancelledRunKills) {
  InReal([](RealRuntime& runtime) {
    const MonoTime start = runtime.Mono();
    {
      const CancelScope scope(runtime, 10ms);
      EXPECT_TRUE(runtime.processes().Run({.argv = {"sleep", "100"}}).Failed(Reason::kTimeout));
    }
    EXPECT_LT(runtime.Mono() - start, 10s);
  });
}

// A grandchild that holds the pipes does not hold up the result.
TEST(ProcessTest, GrandchildDoesNotHoldTheOutput) {
  InReal([](RealRuntime& runtime) {
    const MonoTime start = runtime.Mono();
    const Output output = MUST(runtime.processes().Run(Shell("sleep 30 & echo done")));
    EXPECT_EQ(output.out, "done\n");
    EXPECT_LT(runtime.Mono() - start, 20s);
  });
}

// A child that is still running does not keep the runtime, and is reaped when nobody waits.
TEST(ProcessTest, WhoWritesWithoutEndDoesNotKeepTheLoop) {
  InReal([](RealRuntime& runtime) {
    int turns = 0;
    TaskGroup others(runtime, "others");
    others.Spawn("counts", [&] {
      while (runtime.Sleep(1ms).ok()) ++turns;
    });
    // `yes` goes on when its shell has ended, until nobody holds the other end of its pipe.
    const Output output = MUST(runtime.processes().Run(Shell("yes & sleep 0.2"), {}, 100));
    EXPECT_TRUE(output.status.ok());
    EXPECT_EQ(output.out.size(), 100U);
    EXPECT_GT(turns, 10);
    others.StopAndJoin();
  });
}

TEST(ProcessTest, DroppedProcessIsReaped) {
  InReal([](RealRuntime& runtime) {
    int pid = 0;
    {
      const std::unique_ptr<Process> process = MUST(runtime.processes().Start(Shell("sleep 0.02")));
      pid = process->pid();
    }
    for (int i = 0; i < 1000 && kill(pid, 0) == 0; ++i) EXPECT_TRUE(runtime.Sleep(5ms).ok());
    EXPECT_NE(kill(pid, 0), 0);
  });
}

TEST(ProcessTest, ManyAtOnce) {
  InReal([](RealRuntime& runtime) {
    TaskGroup group(runtime, "group");
    int fine = 0;
    for (int i = 0; i < 50; ++i) {
      group.Spawn("run", [&, i] {
        const Result<Output> output = runtime.processes().Run(Shell("echo " + std::to_string(i)));
        fine += output.ok() && output->out == std::to_string(i) + "\n" ? 1 : 0;
      });
    }
    group.Join();
    EXPECT_EQ(fine, 50);
  });
}

}  // namespace
}  // namespace knarr::rt

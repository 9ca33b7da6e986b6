// Attaching to what runs in containers.

#include <algorithm>

#include "runtime/engine_fixture.h"

namespace knarr::runtime {
namespace {

class EngineAttachTest : public EngineTest {
 protected:
  // An engine, and a container that waits for what the test does.
  void With(const ContainerSpec& spec, const std::function<void(rt::Runtime&, Engine&, const std::string&)>& body) {
    RunOnFiber([&](rt::Runtime& runtime) {
      const auto engine = Open(runtime);
      ASSERT_NE(engine, nullptr);
      const auto sandbox = engine->RunSandbox(Pod());
      ASSERT_TRUE(sandbox.ok());
      const std::string id = Started(*engine, sandbox->id, spec);
      body(runtime, *engine, id);
    });
  }
  static std::string ReadUntil(ExecSession& session, std::string_view end, int fd = 1) {
    std::string out;
    while (out.find(end) == std::string::npos) {
      const auto chunk = session.Read();
      EXPECT_TRUE(chunk.ok());
      if (!chunk.ok() || chunk->data.empty()) break;
      if (chunk->fd == fd) out += chunk->data;
    }
    return out;
  }
};

TEST_F(EngineAttachTest, InputOnceEndsWithTheFirst) {
  ContainerSpec spec = Shell("cat; echo done >&2; exit 3");
  spec.stdin_open = spec.stdin_once = true;
  With(spec, [&](rt::Runtime& runtime, Engine& engine, const std::string& id) {
    auto first = engine.Attach(id, {.stdin_open = true, .stdin_once = true});
    auto second = engine.Attach(id, {.stderr_open = false});
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_TRUE((*first)->WriteStdin("hello\n").ok());
    EXPECT_EQ(ReadUntil(**first, "hello\n"), "hello\n");
    EXPECT_FALSE((*second)->WriteStdin("nothing").ok()) << "it did not ask for the input";
    (*first)->CloseStdin();
    EXPECT_EQ(ReadUntil(**first, "done\n", 2), "done\n");
    EXPECT_EQ(ReadUntil(**first, "more"), "") << "the end";
    EXPECT_EQ((*first)->Wait().value_or(-1), 0);
    EXPECT_EQ(ReadUntil(**second, "more"), "hello\n");
    EXPECT_EQ(WaitExit(runtime, engine, id).exit_code, 3);
    EXPECT_EQ(Output(), "hello\ndone\n") << "the log has it as well";
    EXPECT_FALSE(engine.Attach(id, {}).ok()) << "it runs no more";
  });
}

TEST_F(EngineAttachTest, InputGoesOnForTheNext) {
  ContainerSpec spec = Shell("while read line; do echo got $line; done");
  spec.stdin_open = true;
  With(spec, [&](rt::Runtime&, Engine& engine, const std::string& id) {
    for (const std::string word : {"one", "two"}) {
      auto session = engine.Attach(id, {.stdin_open = true});
      ASSERT_TRUE(session.ok());
      EXPECT_TRUE((*session)->WriteStdin(word + "\n").ok());
      EXPECT_EQ(ReadUntil(**session, "\n"), "got " + word + "\n");
      (*session)->CloseStdin();
      EXPECT_EQ(ReadUntil(**session, "more"), "") << "who is through is detached";
    }
    EXPECT_EQ(engine.GetContainer(id)->state, ContainerState::kRunning);
  });
}

TEST_F(EngineAttachTest, Terminal) {
  ContainerSpec spec = Shell("read line; echo $line; stty size; exit 4");
  spec.stdin_open = spec.stdin_once = spec.tty = true;
  With(spec, [&](rt::Runtime& runtime, Engine& engine, const std::string& id) {
    auto session = engine.Attach(id, {.stdin_open = true, .stdin_once = true});
    ASSERT_TRUE(session.ok());
    EXPECT_TRUE((*session)->Resize(132, 43).ok());
    EXPECT_TRUE((*session)->WriteStdin("typed\n").ok());
    const std::string screen = ReadUntil(**session, "43 132");
    EXPECT_NE(screen.find("typed"), std::string::npos) << screen;
    EXPECT_NE(screen.find("43 132"), std::string::npos) << screen;
    EXPECT_EQ(WaitExit(runtime, engine, id).exit_code, 4);
  });
}

// Nothing is lost on the way to a slow reader, nor in the log; who leaves does not hold the container up.
TEST_F(EngineAttachTest, SlowReadersHoldTheContainerUp) {
  With(Shell("read x < /dev/null; sleep 0.3; seq 1 100000; echo end"),
       [&](rt::Runtime& runtime, Engine& engine, const std::string& id) {
         auto slow = engine.Attach(id, {});
         auto leaves = engine.Attach(id, {});
         ASSERT_TRUE(slow.ok() && leaves.ok());
         EXPECT_NE(ReadUntil(**leaves, "1\n"), "");
         leaves->reset();
         EXPECT_TRUE(runtime.Sleep(300ms).ok());
         EXPECT_EQ(engine.GetContainer(id)->state, ContainerState::kRunning) << "its output is not taken";
         const std::string all = ReadUntil(**slow, "end\n");
         EXPECT_EQ(std::ranges::count(all, '\n'), 100001);
         EXPECT_TRUE(all.ends_with("99999\n100000\nend\n"));
         EXPECT_EQ(ReadUntil(**slow, "more"), "");
         EXPECT_EQ(WaitExit(runtime, engine, id).exit_code, 0);
         EXPECT_EQ(Output(), all);
       });
}

}  // namespace
}  // namespace knarr::runtime

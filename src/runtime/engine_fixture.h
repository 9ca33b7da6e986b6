#pragma once

// What every test of the engine begins and ends with: a state folder, an image, and at the end nothing left.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/strings.h"
#include "rt/file_system.h"
#include "runtime/engine_test_support.h"
#include "runtime/kernel.h"

namespace knarr::runtime {

class EngineTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = EngineTestsMissing(); !missing.empty()) GTEST_SKIP() << missing;
    char path[] = "/tmp/knarr-engine-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
    group_ = "/" + directory_.substr(directory_.rfind('/') + 1);
    store_ = std::make_unique<DirectoryStore>(MakeBusyboxImage(directory_ + "/image"));
    options_ = {directory_ + "/run", BuiltShim(), "crun", group_};
  }
  void TearDown() override {
    if (directory_.empty()) return;
    RunOnFiber([&](rt::Runtime& runtime) {
      const Ok removed = RemoveEverything(runtime, options_);
      EXPECT_TRUE(removed.ok()) << removed.status().ToString();
      // A process that was killed is seen until its parent has reaped it.
      const MonoTime until = runtime.Mono() + 5s;
      while (!FindLeaks(directory_, group_).empty() && runtime.Mono() < until) (void)runtime.Sleep(10ms);
      EXPECT_EQ(FindLeaks(directory_, group_), "");
    });
    EXPECT_FALSE(std::filesystem::exists(options_.state_directory));
    std::filesystem::remove_all(directory_);
  }

  std::unique_ptr<Engine> Open(rt::Runtime& runtime) {
    auto engine = Engine::Open(runtime, *store_, options_);
    EXPECT_TRUE(engine.ok()) << engine.status().ToString();
    return engine.ok() ? std::move(*engine) : nullptr;
  }
  SandboxSpec Pod(const std::string& name = "web") {
    SandboxSpec spec;
    spec.pod_name = name;
    spec.pod_namespace = "default";
    spec.pod_uid = name + "-uid";
    spec.hostname = name;
    spec.log_directory = directory_ + "/logs/" + name;
    spec.cgroup_parent = group_ + "/besteffort/pod" + name;
    return spec;
  }
  ContainerSpec Shell(const std::string& script, const std::string& name = "main") {
    ContainerSpec spec;
    spec.name = name;
    spec.image = store_->image().id;
    spec.command = {"sh", "-c", script};
    spec.log_path = name + "/0.log";
    return spec;
  }
  std::string Log(const std::string& pod = "web", const std::string& name = "main") {
    std::ifstream in(directory_ + "/logs/" + pod + "/" + name + "/0.log");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // The log's text without times, streams and tags.
  std::string Output(const std::string& pod = "web", const std::string& name = "main") {
    std::string out;
    const std::string log = Log(pod, name);
    for (const std::string_view line : Lines(log)) {
      const auto parts = Split(line, ' ');
      EXPECT_GE(parts.size(), 4U) << line;
      const size_t header = parts[0].size() + parts[1].size() + parts[2].size() + 3;
      out += std::string(line.substr(header)) + (parts[2] == "F" ? "\n" : "");
    }
    return out;
  }
  static ContainerStatus WaitExit(rt::Runtime& runtime, Engine& engine, const std::string& id) {
    const MonoTime until = runtime.Mono() + 20s;
    for (;;) {
      const auto status = engine.GetContainer(id);
      EXPECT_TRUE(status.ok());
      if (!status.ok()) return {};
      if (status->state == ContainerState::kExited) return *status;
      if (runtime.Mono() > until) {
        ADD_FAILURE() << "container " << id << " did not end";
        return *status;
      }
      EXPECT_TRUE(runtime.Sleep(1ms).ok());
    }
  }
  // A sandbox, and a container that has ended.
  ContainerStatus RunToEnd(rt::Runtime& runtime, Engine& engine, const ContainerSpec& spec, const SandboxSpec& pod) {
    const auto sandbox = engine.RunSandbox(pod);
    EXPECT_TRUE(sandbox.ok()) << sandbox.status().ToString();
    if (!sandbox.ok()) return {};
    return RunIn(runtime, engine, sandbox->id, spec);
  }
  static ContainerStatus RunIn(rt::Runtime& runtime, Engine& engine, const std::string& sandbox,
                               const ContainerSpec& spec) {
    const auto id = engine.CreateContainer(sandbox, spec);
    EXPECT_TRUE(id.ok()) << id.status().ToString();
    if (!id.ok()) return {};
    const Ok started = engine.StartContainer(*id);
    EXPECT_TRUE(started.ok()) << started.status().ToString();
    return WaitExit(runtime, engine, *id);
  }
  static std::string Started(Engine& engine, const std::string& sandbox, const ContainerSpec& spec) {
    const auto id = engine.CreateContainer(sandbox, spec);
    EXPECT_TRUE(id.ok()) << id.status().ToString();
    if (!id.ok()) return "";
    const Ok started = engine.StartContainer(*id);
    EXPECT_TRUE(started.ok()) << started.status().ToString();
    return *id;
  }

  std::string directory_;
  std::string group_;
  std::unique_ptr<DirectoryStore> store_;
  EngineOptions options_;
};

}  // namespace knarr::runtime

// knarr docker on a store of its own.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "cli/invocation.h"
#include "image/manifest.h"
#include "image/testing_tar.h"
#include "rt/real.h"

namespace knarr::cli {
namespace {

/// A docker-save archive of one layer.
std::string Archive() {
  const std::string layer = image::TestTar().File("a", "text").Finish();
  const std::string config = R"({"architecture":")" + std::string(image::HostArchitecture()) +
                             R"(","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[")" +
                             image::DigestOf(layer) + R"("]}})";
  image::TestTar tar;
  tar.File("c.json", config).File("layer.tar", layer);
  tar.File("manifest.json", R"([{"Config":"c.json","RepoTags":["app:1"],"Layers":["layer.tar"]}])");
  return tar.Finish();
}

class DockerTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/knarr-docker-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    folder_ = path;
    std::ofstream(folder_ + "/app.tar") << Archive();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// What a command prints, on a terminal or not, in a store of its own.
  std::string Run(std::vector<std::string> words, bool terminal) {
    MemoryConsole console;
    console.terminal = terminal;
    auto runtime = rt::RealRuntime::Create({.name = "test"}, rt::BlockingPool::Create(2));
    runtime->Run([&] {
      const int code = RunDocker({*runtime, console, std::move(words), [](std::string_view) { return std::nullopt; }},
                                 folder_ + "/data" + std::to_string(stores_++));
      EXPECT_EQ(code, 0) << console.err;
    });
    return console.out;
  }

  std::string folder_;
  int stores_ = 0;
};

TEST_F(DockerTest, LoadShowsLayersOnATerminalUnlessQuiet) {
  const std::string archive = folder_ + "/app.tar";
  EXPECT_EQ(Run({"load", "-i", archive}, false), "Loaded image: app:1\n");
  EXPECT_EQ(Run({"load", "-i", archive, "--quiet"}, true), "Loaded image: app:1\n");
  EXPECT_EQ(Run({"load", "-q", "-i", archive}, true), "Loaded image: app:1\n");
  const std::string shown = Run({"load", "-i", archive}, true);
  EXPECT_NE(shown.find(": Loading layer [==================================================>]  2.05kB/2.05kB\n"
                       "Loaded image: app:1\n"),
            std::string::npos)
      << shown;
  EXPECT_EQ(shown.find(':'), 12U) << shown;
}

}  // namespace
}  // namespace knarr::cli

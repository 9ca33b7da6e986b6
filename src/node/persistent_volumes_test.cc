#include "node/persistent_volumes.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include "doc/json.h"
#include "rt/file_system.h"
#include "rt/sim.h"

namespace knarr::node {
namespace {

TEST(PersistentVolumesTest, MountOptionsAreFlagsOrTheFileSystemsOwn) {
  struct Case {
    std::vector<std::string> options;
    uint64_t flags;
    const char* data;
  };
  const Case cases[] = {
      {{}, 0, ""},
      {{"ro", "noexec"}, MS_RDONLY | MS_NOEXEC, ""},
      {{"ro,nosuid", "nfsvers=4.1"}, MS_RDONLY | MS_NOSUID, "nfsvers=4.1"},
      {{"hard", "ro", "timeo=5,,retrans=2", "rw"}, 0, "hard,timeo=5,retrans=2"},
      {{"defaults", "relatime", "bind"}, MS_RELATIME, ""},
  };
  for (const Case& c : cases) {
    const MountOptions parsed = ParseMountOptions(c.options);
    EXPECT_EQ(parsed.flags, c.flags);
    EXPECT_EQ(parsed.data, c.data);
  }
}

TEST(PersistentVolumesTest, HostPathsAreWhatTheirTypeSays) {
  const auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    rt::FileSystem& files = runtime->files();
    MUST(files.MakeDirectories("/there"));
    MUST(files.WriteFile("/file", ""));
    const auto show = [&](const char* path, const char* type) -> std::string {
      const doc::Document source = MUST(
          doc::ParseJson(std::string(R"({"path":")") + path + R"(","type":")" + type + "\"}"));
      const auto shown = ShowHostPath(*runtime, api::core_v1::HostPathVolumeSource(source.root));
      return shown.ok() ? *shown : shown.status().message();
    };
    EXPECT_EQ(show("/there", ""), "/there");
    EXPECT_EQ(show("/new", ""), "/new");
    EXPECT_TRUE(files.Exists("/new"));
    EXPECT_EQ(show("/made/below", "DirectoryOrCreate"), "/made/below");
    EXPECT_TRUE(files.Exists("/made/below"));
    EXPECT_EQ(show("/empty", "FileOrCreate"), "/empty");
    EXPECT_TRUE(files.Exists("/empty"));
    EXPECT_EQ(show("/there", "File"), "hostPath type check failed: /there is not a file");
    EXPECT_EQ(show("/file", "Directory"), "hostPath type check failed: /file is not a directory");
    EXPECT_EQ(show("/absent", "Socket"), "hostPath type check failed: /absent is not a socket file");
    EXPECT_EQ(show("/file", "BlockDevice"), "hostPath type check failed: /file is not a block device");
    EXPECT_EQ(show("/file", "Odd"), "Odd is an invalid volume type");
  });
}

TEST(PersistentVolumesTest, NfsSaysWhatWasTried) {
  const auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    const doc::Document source =
        MUST(doc::ParseJson(R"({"server":"files.example.com","path":"/export","readOnly":true})"));
    const Ok mounted = MountNfs(*runtime, api::core_v1::NFSVolumeSource(source.root), {"nfsvers=4.1"},
                                {.target = "/pods/x/data", .node_name = "n", .group = {}});
    ASSERT_FALSE(mounted.ok());
    EXPECT_EQ(mounted.status().message(),
              "mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs -o ro,nfsvers=4.1 "
              "files.example.com:/export /pods/x/data\nOutput: /sbin/mount.nfs is not installed, and without it a "
              "server must be named by its address");
  });
}

}  // namespace
}  // namespace knarr::node

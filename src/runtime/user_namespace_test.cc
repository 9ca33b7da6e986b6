// Pods with a user namespace of their own, on the real kernel: who owns what, seen from both sides.

#include <sys/mount.h>
#include <sys/stat.h>

#include "runtime/engine.h"
#include "runtime/engine_fixture.h"
#include "runtime/engine_impl.h"
#include "runtime/id_maps.h"

namespace knarr::runtime {
namespace {

namespace fs = std::filesystem;

constexpr IdRange kIds = {7 * 65536, 65536};

struct stat Look(const std::string& path) {
  struct stat out = {};
  EXPECT_EQ(lstat(path.c_str(), &out), 0) << path;
  return out;
}

class UserNamespaceTest : public EngineTest {
 protected:
  /// nullptr, and the test is skipped, where the kernel can't do it.
  std::unique_ptr<Engine> OpenOrSkip(rt::Runtime& runtime) {
    auto engine = Open(runtime);
    if (engine != nullptr && engine->features().user_namespaces) return engine;
    skipped_ = true;
    return nullptr;
  }
  SandboxSpec OwnUsers(const std::string& name = "web") {
    SandboxSpec spec = Pod(name);
    spec.user_namespace = kIds;
    return spec;
  }
  std::string Volume(const std::string& name) {
    const std::string path = directory_ + "/" + name;
    fs::create_directories(path);
    std::ofstream(path + "/theirs") << "v\n";
    EXPECT_EQ(chown((path + "/theirs").c_str(), 1234, 5678), 0);
    return path;
  }
  bool skipped_ = false;
};

TEST_F(UserNamespaceTest, EachSideSeesItsOwnOwners) {
  const std::string volume = Volume("volume");
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = OpenOrSkip(runtime);
    if (engine == nullptr) return;
    SandboxSpec pod = OwnUsers();
    pod.sysctls = {{"net.ipv4.tcp_fin_timeout", "17"}};
    const auto sandbox = engine->RunSandbox(pod);
    ASSERT_TRUE(sandbox.ok()) << sandbox.status().ToString();
    ContainerSpec spec = Shell(
        "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; stat -c '%n %u %g' /v/theirs /bin /v; echo x > /v/mine;"
        "echo y > /root/own; echo z > /dev/shm/z; stat -c '%u' /v/mine /root/own /dev/shm/z; echo again >> /dev/stdout;"
        "cat /proc/sys/net/ipv4/tcp_fin_timeout; hostname; cat /etc/hostname; mount -t tmpfs t /tmp && echo mounted;"
        "cat /proc/self/oom_score_adj; touch /started; sleep 100");
    spec.security.add_capabilities = {"SYS_ADMIN"};
    spec.oom_score_adjust = 321;
    spec.mounts = {{volume, "/v"}};
    const std::string id = Started(*engine, sandbox->id, spec);
    const std::string upper = directory_ + "/run/sandboxes/" + sandbox->id + "/" + id + "/upper";
    for (int i = 0; i < 500 && !fs::exists(upper + "/started"); i++) EXPECT_TRUE(runtime.Sleep(10ms).ok());
    EXPECT_EQ(Output(),
              " 0 458752 65536\n 0 458752 65536\n/v/theirs 1234 5678\n/bin 0 0\n/v 0 0\n0\n0\n0\nagain\n17\nweb\nweb\n"
              "mounted\n321\n");
    // What it wrote into a volume belongs to root on the disk; what only its own root file system has, to nobody here.
    EXPECT_EQ(Look(volume + "/mine").st_uid, 0U);
    EXPECT_EQ(Look(volume + "/theirs").st_uid, 1234U);
    EXPECT_EQ(Look(upper + "/root/own").st_uid, kIds.first);
    const auto status = engine->GetContainer(id);
    EXPECT_EQ(Look("/proc/" + std::to_string(status->pid)).st_uid, kIds.first);
    EXPECT_EQ(status->user->uid, 0);
    // A command of it, whose output can be opened by its name, too.
    const auto ran = engine->ExecSync(id, {"sh", "-c", "id -u; echo by-name >> /dev/stdout; cat /v/mine"}, 10s);
    ASSERT_TRUE(ran.ok()) << ran.status().ToString();
    EXPECT_EQ(ran->output, "0\nby-name\nx\n");
    EXPECT_EQ(Look("/dev/null").st_uid, 0U) << "the machine's own";
  });
  if (skipped_) GTEST_SKIP() << "no user namespaces here";
}

TEST_F(UserNamespaceTest, UsersGroupsTerminalsAndDevices) {
  const std::string volume = Volume("volume");
  fs::permissions(volume, fs::perms::all);
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = OpenOrSkip(runtime);
    if (engine == nullptr) return;
    SandboxSpec pod = OwnUsers();
    pod.pid_per_container = false;
    pod.pid = NamespaceMode::kPod;
    const auto sandbox = engine->RunSandbox(pod);
    ASSERT_TRUE(sandbox.ok()) << sandbox.status().ToString();
    ContainerSpec user = Shell("id -u; id -g; id -G; cat /v/theirs; echo x > /v/mine; stat -c '%u %g' /v/mine", "user");
    user.security.run_as_user = 1000;
    user.security.run_as_group = 3000;
    user.security.supplemental_groups = {5678};
    user.mounts = {{volume, "/v"}};
    EXPECT_EQ(RunIn(runtime, *engine, sandbox->id, user).exit_code, 0) << Output("web", "user");
    EXPECT_EQ(Output("web", "user"), "1000\n3000\n3000 5678\nv\n1000 3000\n");
    EXPECT_EQ(Look(volume + "/mine").st_uid, 1000U);
    ContainerSpec terminal = Shell("tty; ps | grep -c paus[e]", "terminal");
    terminal.tty = true;
    EXPECT_EQ(RunIn(runtime, *engine, sandbox->id, terminal).exit_code, 0);
    EXPECT_EQ(ReplaceAll(Output("web", "terminal"), "\r", ""), "/dev/pts/0\n1\n");
    ContainerSpec privileged = Shell("echo x > /dev/null && echo works; id -u", "privileged");
    privileged.security.privileged = true;
    EXPECT_EQ(RunIn(runtime, *engine, sandbox->id, privileged).exit_code, 0);
    EXPECT_EQ(Output("web", "privileged"), "works\n0\n");
    ContainerSpec beyond = Shell("true", "beyond");
    beyond.security.run_as_user = 70000;
    const auto id = engine->CreateContainer(sandbox->id, beyond);
    ASSERT_TRUE(id.ok());
    EXPECT_FALSE(engine->StartContainer(*id).ok()) << "an id that it does not have";
    EXPECT_EQ(Look("/dev/null").st_uid, 0U);
  });
  if (skipped_) GTEST_SKIP() << "no user namespaces here";
}

TEST_F(UserNamespaceTest, MountsBelowVolumesAndThoseThatCantBeMapped) {
  const std::string volume = Volume("volume");
  fs::create_directories(volume + "/sub");
  fs::create_directories(directory_ + "/other");
  ASSERT_EQ(mount("t", (volume + "/sub").c_str(), "tmpfs", 0, "size=64k"), 0);
  std::ofstream(volume + "/sub/below") << "b\n";
  fs::create_directory_symlink(volume, directory_ + "/link");
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = OpenOrSkip(runtime);
    if (engine == nullptr) return;
    const auto sandbox = engine->RunSandbox(OwnUsers());
    ASSERT_TRUE(sandbox.ok()) << sandbox.status().ToString();
    ContainerSpec spec = Shell("cat /v/theirs /v/sub/below; echo x > /r/x || echo x > /r/sub/x || echo read-only");
    spec.mounts = {{directory_ + "/link", "/v"}, {volume, "/r", true, MountPropagation::kPrivate, true}};
    EXPECT_EQ(RunIn(runtime, *engine, sandbox->id, spec).exit_code, 0);
    EXPECT_NE(Output().find("v\nb\n"), std::string::npos) << Output();
    EXPECT_NE(Output().find("read-only\n"), std::string::npos) << Output();
    // An overlay is one that can't be.
    const Ok mounted = kernel::MountOverlay({directory_ + "/image/layer-0", volume}, "", "", directory_ + "/other");
    ASSERT_TRUE(mounted.ok()) << mounted.status().ToString();
    ContainerSpec refused = Shell("true", "refused");
    refused.mounts = {{directory_ + "/other", "/o"}};
    const auto id = engine->CreateContainer(sandbox->id, refused);
    ASSERT_TRUE(id.ok()) << id.status().ToString();
    const Ok started = engine->StartContainer(*id);
    EXPECT_NE(started.status().message().find("failed to set MOUNT_ATTR_IDMAP on " + directory_ +
                                              "/other: invalid argument (maybe the filesystem used doesn't support "
                                              "idmap mounts on this kernel?)"),
              std::string::npos)
        << started.status().ToString();
    refused.mounts[0].ids_are_mapped = true;
    EXPECT_EQ(RunIn(runtime, *engine, sandbox->id, refused).exit_code, 0);
    EXPECT_TRUE(kernel::Unmount(directory_ + "/other").ok());
  });
  EXPECT_EQ(umount2((volume + "/sub").c_str(), MNT_DETACH), 0);
  if (skipped_) GTEST_SKIP() << "no user namespaces here";
}

TEST_F(UserNamespaceTest, ALaterEngineFindsItAndWhatWasHalfMade) {
  RunOnFiber([&](rt::Runtime& runtime) {
    std::string id, sandbox_id;
    {
      const auto engine = OpenOrSkip(runtime);
      if (engine == nullptr) return;
      const auto sandbox = engine->RunSandbox(OwnUsers());
      ASSERT_TRUE(sandbox.ok()) << sandbox.status().ToString();
      sandbox_id = sandbox->id;
      id = Started(*engine, sandbox_id, Shell("sleep 100"));
    }
    // Killed while it mounted the layers of another's root: they must not be removed with the folder.
    const std::string half = directory_ + "/run/sandboxes/" + sandbox_id + "/" + std::string(64, 'e');
    fs::create_directories(half + kAside);
    ASSERT_EQ(mount((directory_ + "/image").c_str(), (half + kAside).c_str(), nullptr, MS_BIND, nullptr), 0);
    // And just after it had mounted that of this one.
    const std::string aside = directory_ + "/run/sandboxes/" + sandbox_id + "/" + id + kAside;
    fs::create_directories(aside);
    ASSERT_EQ(mount((directory_ + "/image").c_str(), aside.c_str(), nullptr, MS_BIND, nullptr), 0);
    const auto engine = Open(runtime);
    ASSERT_NE(engine, nullptr);
    EXPECT_FALSE(fs::exists(half));
    EXPECT_TRUE(fs::exists(directory_ + "/image/layer-0/bin/busybox"));
    const auto ran = engine->ExecSync(id, {"cat", "/proc/self/uid_map"}, 10s);
    ASSERT_TRUE(ran.ok()) << ran.status().ToString();
    EXPECT_NE(ran->output.find("458752"), std::string::npos);
    const Ok removed = engine->RemoveContainer(id);
    EXPECT_TRUE(removed.ok()) << removed.status().ToString();
    EXPECT_TRUE(fs::exists(directory_ + "/image/layer-0/bin/busybox"));
    // And makes another in it.
    EXPECT_EQ(RunIn(runtime, *engine, sandbox_id, Shell("grep -q 458752 /proc/self/uid_map", "b")).exit_code, 0);
  });
  if (skipped_) GTEST_SKIP() << "no user namespaces here";
}

TEST_F(UserNamespaceTest, OnlyWhereItCanBeDone) {
  RunOnFiber([&](rt::Runtime& runtime) {
    const auto engine = OpenOrSkip(runtime);
    if (engine == nullptr) return;
    SandboxSpec bad = OwnUsers();
    bad.user_namespace = IdRange{4294901760, 65536};  // the last is no id
    const auto failed = engine->RunSandbox(bad);
    EXPECT_NE(failed.status().message().find("map the ids 0 4294901760 65536"), std::string::npos)
        << failed.status().ToString();
    EXPECT_TRUE(engine->ListSandboxes()->empty());
  });
  if (skipped_) GTEST_SKIP() << "no user namespaces here";
}

TEST(MountsInside, AreThoseBelow) {
  const auto mounts = kernel::ParseMountInfo(
      "1 0 8:1 / / rw - ext4 d rw\n2 1 8:2 / /a rw - ext4 d rw\n3 2 8:3 / /a/b rw - ext4 d rw\n"
      "4 1 8:4 / /ab rw - ext4 d rw\n");
  EXPECT_EQ(kernel::MountsInside(mounts, "/a"), (std::vector<std::string>{"/a/b"}));
  EXPECT_EQ(kernel::MountsInside(mounts, "/"), (std::vector<std::string>{"/a", "/a/b", "/ab"}));
  EXPECT_TRUE(kernel::MountsInside(mounts, "/c").empty());
}

}  // namespace
}  // namespace knarr::runtime

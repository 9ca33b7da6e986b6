// config.json against golden files in tests/golden/runtime; UPDATE_GOLDEN=1 rewrites them.

#include "runtime/bundle.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <map>

#include "doc/json.h"
#include "runtime/capabilities.h"
#include "runtime/seccomp.h"

namespace knarr::runtime {
namespace {

constexpr uint64_t kAllCapabilities = (uint64_t{1} << 41) - 1;

void ExpectGolden(const std::string& name, const Result<std::string>& json) {
  ASSERT_TRUE(json.ok()) << json.status().ToString();
  const auto parsed = doc::ParseJson(*json);
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  const std::string pretty = doc::ToPrettyJson(parsed->root, 2) + "\n";
  const std::string path = std::string(KNARR_SOURCE_DIR) + "/tests/golden/runtime/" + name + ".json";
  if (getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(path) << pretty;
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), pretty) << path;
}

class BundleTest : public testing::Test {
 protected:
  void SetUp() override {
    image_.entrypoint = {"/entry"};
    image_.command = {"default"};
    image_.environment = {"PATH=/image/bin", "A=image", "B=image"};
    image_.working_directory = "/work";
    spec_.container = &container_;
    spec_.image = &image_;
    spec_.sandbox.hostname = "web-0";
    spec_.sandbox.infra_pid = 4321;
    spec_.sandbox.shm_path = "/state/shm";
    spec_.host.capability_mask = kAllCapabilities;
    spec_.root_path = "/state/rootfs";
    spec_.cgroup_path = "/knarr/besteffort/pod1/c1";
    spec_.extra_mounts = {{"/state/hostname", "/etc/hostname", false}};
  }
  ContainerSpec container_;
  image::ImageConfig image_;
  BundleSpec spec_;
};

TEST_F(BundleTest, Confined) {
  container_.mounts = {{"/host/a", "/a", true, MountPropagation::kPrivate, true},
                       {"/host/b", "/b", false, MountPropagation::kHostToContainer},
                       {"/host/c", "/c", false, MountPropagation::kBidirectional}};
  container_.security.unmasked_proc = true;
  container_.security.apparmor_profile = "own";
  spec_.seccomp = R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]})";
  ExpectGolden("confined", MakeConfig(spec_));
  spec_.seccomp = "[]";
  EXPECT_TRUE(MakeConfig(spec_).Failed(Reason::kBadRequest));
}

TEST_F(BundleTest, UserNamespace) {
  container_.mounts = {{"/host/a", "/a"}, {"/host/b", "/b"}};
  container_.mounts[1].ids_are_mapped = true;
  spec_.sandbox.user_namespace = IdRange{131072, 65536};
  spec_.root_path = "rootfs";
  ExpectGolden("user_namespace", MakeConfig(spec_));
}

TEST(DefaultSeccomp, GrantsWhatTheCapabilitiesAre) {
  const auto names = [](const std::string& json) {
    std::map<std::string, int> out;
    const doc::Document profile = MUST(doc::ParseJson(json));
    EXPECT_EQ(profile.root.At("defaultAction").AsString(), "SCMP_ACT_ERRNO");
    for (const doc::Value& call : profile.root.At("syscalls").items()) {
      const bool allowed = call.At("action").AsString() == "SCMP_ACT_ALLOW";
      for (const doc::Value& name : call.At("names").items()) out[std::string(name.AsString())] += allowed ? 1 : -1;
    }
    return out;
  };
  const auto usual = names(DefaultSeccomp({}, {}, kAllCapabilities));
  EXPECT_EQ(usual.at("read"), 1);
  EXPECT_EQ(usual.at("chroot"), 1);
  EXPECT_EQ(usual.at("clone3"), -1);
  EXPECT_EQ(usual.at("personality"), 5);
  for (const char* name : {"mount", "unshare", "bpf", "reboot", "keyctl", "io_uring_setup", "userfaultfd"}) {
    EXPECT_FALSE(usual.contains(name)) << name;
  }
  const auto admin = names(DefaultSeccomp({"SYS_ADMIN"}, {}, kAllCapabilities));
  EXPECT_EQ(admin.at("mount"), 1);
  EXPECT_EQ(admin.at("clone3"), 1);
  EXPECT_FALSE(usual.contains("pidfd_getfd"));
  EXPECT_TRUE(names(DefaultSeccomp({"SYS_PTRACE"}, {}, kAllCapabilities)).contains("pidfd_getfd"));
  EXPECT_FALSE(names(DefaultSeccomp({}, {"ALL"}, kAllCapabilities)).contains("chroot"));
}

TEST_F(BundleTest, Plain) { ExpectGolden("plain", MakeConfig(spec_)); }

TEST_F(BundleTest, Everything) {
  container_.command = {"/own", "-x"};
  container_.working_directory = "/elsewhere";
  container_.environment = {"A=own", "C=<&>"};
  container_.mounts = {{"/host/deep", "/data/deep/", true},
                       {"/host/data", "/data", false},
                       {"/own/hostname", "/etc/hostname", false},
                       {"/own/shm", "/dev/shm", false}};
  container_.resources = {512, 50000, 100000, 64 << 20, 100};
  container_.security.read_only_root = true;
  container_.security.no_new_privileges = true;
  container_.security.add_capabilities = {"NET_ADMIN"};
  container_.security.drop_capabilities = {"ALL"};
  container_.oom_score_adjust = -997;
  container_.tty = true;
  spec_.user = {1000, 2000, {3000, 4000}, "/home/u"};
  spec_.host.swap_limit = true;
  ExpectGolden("everything", MakeConfig(spec_));
}

TEST_F(BundleTest, PrivilegedOnTheNodesNamespacesWithV2) {
  container_.security.privileged = true;
  container_.resources.cpu_shares = 2048;
  container_.oom_score_adjust = -999;
  spec_.sandbox.network = NamespaceMode::kNode;
  spec_.sandbox.ipc = NamespaceMode::kNode;
  spec_.sandbox.shm_path = "/dev/shm";
  spec_.sandbox.pid_per_container = false;
  spec_.host.cgroup_v2 = true;
  spec_.host.oom_score_min = 0;
  spec_.host.capability_mask = 0xff;
  spec_.devices = {{"/dev/kmsg", 'c', 1, 11, 0644, 0, 4}};
  ExpectGolden("privileged_v2", MakeConfig(spec_));
}

TEST_F(BundleTest, SharedPidNamespaceWithV2) {
  spec_.sandbox.pid_per_container = false;
  spec_.sandbox.pid = NamespaceMode::kPod;
  spec_.host.cgroup_v2 = true;
  ExpectGolden("shared_pid_v2", MakeConfig(spec_));
}

TEST_F(BundleTest, HugePages) {
  container_.resources.huge_pages = {{"2MB", 4 << 20}};
  const std::string config = MUST(MakeConfig(spec_));
  const doc::Document parsed = MUST(doc::ParseJson(config));
  EXPECT_EQ(doc::ToJson(parsed.root.Get("linux", "resources", "hugepageLimits")),
            R"([{"pageSize":"2MB","limit":4194304}])");
}

TEST_F(BundleTest, ADeviceOfItsOwn) {
  spec_.devices = {{"/dev/xvda", 'b', 7, 3, 0660, 0, 6, "rwm"}, {"/dev/kmsg", 'c', 1, 11, 0644, 0, 4, ""}};
  const std::string config = MUST(MakeConfig(spec_));
  const doc::Document parsed = MUST(doc::ParseJson(config));
  EXPECT_EQ(doc::ToJson(parsed.root.Get("linux", "resources", "devices")),
            R"([{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":7,"minor":3,"access":"rwm"}])");
  EXPECT_EQ(doc::ToJson(parsed.root.Get("linux", "devices").items()[0]),
            R"({"path":"/dev/xvda","type":"b","major":7,"minor":3,"fileMode":432,"uid":0,"gid":6})");
}

TEST_F(BundleTest, SeesAnothersProcesses) {
  spec_.sandbox.pid_target = 77;
  const auto config = MakeConfig(spec_);
  ASSERT_TRUE(config.ok());
  const doc::Document parsed = MUST(doc::ParseJson(*config));
  const doc::Value& first = parsed.root.Get("linux", "namespaces").items()[0];
  EXPECT_EQ(first.At("type").AsString(), "pid");
  EXPECT_EQ(first.At("path").AsString(), "/proc/77/ns/pid");
}

TEST_F(BundleTest, CommandAndArgs) {
  using Words = std::vector<std::string>;
  struct Case {
    Words entrypoint, image_command, command, args, expected;
  };
  const Case cases[] = {
      {{"e"}, {"c"}, {}, {}, {"e", "c"}},
      {{"e"}, {"c"}, {}, {"a"}, {"e", "a"}},
      {{"e"}, {"c"}, {"x"}, {}, {"x"}},
      {{"e"}, {"c"}, {"x"}, {"a"}, {"x", "a"}},
      {{}, {"c"}, {}, {}, {"c"}},
      {{}, {"c"}, {}, {"a"}, {"a"}},
      {{}, {}, {}, {}, {}},
  };
  for (const Case& c : cases) {
    image_.entrypoint = c.entrypoint;
    image_.command = c.image_command;
    container_.command = c.command;
    container_.args = c.args;
    const auto config = MakeConfig(spec_);
    if (c.expected.empty()) {
      EXPECT_EQ(config.status().message(), "no command specified");
      continue;
    }
    ASSERT_TRUE(config.ok());
    const auto parsed = doc::ParseJson(*config);
    ASSERT_TRUE(parsed.ok());
    Words args;
    for (const doc::Value& arg : parsed->root.Get("process", "args").items()) args.emplace_back(arg.AsString());
    EXPECT_EQ(args, c.expected);
  }
}

TEST_F(BundleTest, ExecProcess) {
  container_.security.drop_capabilities = {"ALL"};
  const auto config = MakeConfig(spec_);
  ASSERT_TRUE(config.ok());
  ExpectGolden("exec", MakeExecProcess(*config, {"sh", "-c", "\"x\" <y>"}, true));
  EXPECT_FALSE(MakeExecProcess("{}", {"sh"}, false).ok());
  EXPECT_FALSE(MakeExecProcess("{\"process\":[]}", {"sh"}, false).ok());
  EXPECT_FALSE(MakeExecProcess("nonsense", {"sh"}, false).ok());
}

TEST(Capabilities, AddAndDrop) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(ContainerCapabilities({}, {}, kAllCapabilities).size(), 14U);
  EXPECT_EQ(ContainerCapabilities({"CAP_SYS_TIME"}, {"all"}, kAllCapabilities), Names{"CAP_SYS_TIME"});
  EXPECT_EQ(ContainerCapabilities({"ALL"}, {}, kAllCapabilities).size(), 41U);
  EXPECT_EQ(ContainerCapabilities({"ALL"}, {"chown"}, kAllCapabilities).size(), 40U);
  EXPECT_EQ(ContainerCapabilities({"ALL"}, {}, 0b11), (Names{"CAP_CHOWN", "CAP_DAC_OVERRIDE"}));
  EXPECT_EQ(ContainerCapabilities({"NO_SUCH"}, {"ALL"}, kAllCapabilities), Names{});
  EXPECT_EQ(ContainerCapabilities({"SYS_TIME", "KILL"}, {"ALL", "SYS_TIME"}, kAllCapabilities), Names{"CAP_KILL"});
  EXPECT_EQ(CapabilityNumber("CAP_SYS_ADMIN"), 21);
  EXPECT_EQ(CapabilityNumber("CAP_CHECKPOINT_RESTORE"), 40);
}

}  // namespace
}  // namespace knarr::runtime

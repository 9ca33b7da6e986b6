// Control groups of every kind, against trees of plain files. (The engine's tests use the machine's own.)

#include "runtime/cgroup.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/strings.h"
#include "runtime/kernel.h"

namespace knarr::runtime {
namespace {

namespace fs = std::filesystem;

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/knarr-cgroup-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    root_ = path;
  }
  void TearDown() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string Read(const std::string& path) const { return kernel::ReadFile(root_ + path).value_or("(absent)"); }
  // What the kernel makes in a new group.
  void MakeGroup(const std::string& directory, std::initializer_list<const char*> files) const {
    for (const char* file : files) Write(directory + "/" + file, "");
  }
  std::string V1Mount(const std::string& name) const {
    return "40 30 0:30 / " + root_ + "/" + name + " rw,relatime shared:9 - cgroup cgroup rw," + name + "\n";
  }
  std::string V2Mount(const std::string& name) const {
    return "41 30 0:31 / " + root_ + "/" + name + " rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";
  }
  Cgroups V2() {
    Write("/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n");
    Write("/cgroup.subtree_control", "memory\n");
    for (const char* group : {"/knarr", "/knarr/pod1"}) {
      Write(std::string(group) + "/cgroup.controllers", "cpu memory pids\n");
      MakeGroup(group, {"cgroup.subtree_control", "cpu.weight", "cpu.max", "memory.max", "pids.max", "cgroup.procs"});
    }
    auto cgroups = Cgroups::Detect("41 30 0:31 / " + root_ + " rw - cgroup2 cgroup2 rw\n");
    EXPECT_TRUE(cgroups.ok()) << cgroups.status().ToString();
    return *cgroups;
  }
  Cgroups Hybrid() {
    std::string info = V2Mount("unified");
    for (const char* name : {"cpu", "cpuacct", "memory", "pids", "freezer"}) {
      fs::create_directories(root_ + "/" + name);
      info += V1Mount(name);
    }
    Write("/unified/cgroup.controllers", "hugetlb misc\n");
    auto cgroups = Cgroups::Detect(info);
    EXPECT_TRUE(cgroups.ok()) << cgroups.status().ToString();
    return *cgroups;
  }

  std::string root_;
};

TEST_F(CgroupTest, HugePagesAreLimitedWhereTheKernelHasThem) {
  CgroupResources limits;
  limits.huge_pages = {{"2MB", 4 << 20}, {"1GB", 0}};
  const Cgroups v2 = V2();
  MakeGroup("/knarr/pod1", {"hugetlb.2MB.max"});
  ASSERT_TRUE(v2.SetLimits("/knarr/pod1", limits, CgroupWrite::kFresh).ok());
  EXPECT_EQ(Read("/knarr/pod1/hugetlb.2MB.max"), "4194304");
  EXPECT_EQ(Read("/knarr/pod1/hugetlb.1GB.max"), "(absent)");
  limits.huge_pages["1GB"] = 1 << 30;
  EXPECT_TRUE(v2.SetLimits("/knarr/pod1", limits, CgroupWrite::kFresh).Failed(Reason::kServiceUnavailable));
}

TEST_F(CgroupTest, HugePagesOfV1) {
  std::string info;
  for (const char* name : {"cpu", "cpuacct", "memory", "pids", "hugetlb"}) {
    fs::create_directories(root_ + "/" + name);
    info += V1Mount(name);
  }
  const Cgroups v1 = MUST(Cgroups::Detect(info));
  ASSERT_TRUE(v1.Create("/knarr/pod1").ok());
  MakeGroup("/hugetlb/knarr/pod1", {"hugetlb.2MB.limit_in_bytes"});
  CgroupResources limits;
  limits.huge_pages = {{"2MB", 0}};
  ASSERT_TRUE(v1.SetLimits("/knarr/pod1", limits, CgroupWrite::kFresh).ok());
  EXPECT_EQ(Read("/hugetlb/knarr/pod1/hugetlb.2MB.limit_in_bytes"), "0");
}

TEST(CpuWeight, AsRuncHasIt) {
  const std::map<int64_t, uint64_t> cases = {{0, 1},         {2, 1},          {3, 2},         {10, 4},
                                             {100, 17},      {512, 59},       {1024, 100},    {2048, 174},
                                             {102400, 4429}, {262144, 10000}, {999999, 10000}};
  for (const auto& [shares, weight] : cases) EXPECT_EQ(CpuWeight(shares), weight) << shares;
}

TEST_F(CgroupTest, DetectsModes) {
  EXPECT_EQ(V2().mode(), CgroupMode::kV2);
  EXPECT_EQ(Hybrid().mode(), CgroupMode::kHybrid);
  std::string v1 = "24 1 0:5 / /proc rw - proc proc rw\n";
  for (const char* name : {"memory", "cpu,cpuacct", "name=systemd"}) {
    v1 += "40 30 0:30 / /c/" + std::string(name) + " rw - cgroup cgroup rw,xattr," + name + "\n";
  }
  const auto only = Cgroups::Detect(v1);
  ASSERT_TRUE(only.ok()) << only.status().ToString();
  EXPECT_EQ(only->mode(), CgroupMode::kV1);
  EXPECT_EQ(only->hierarchies().size(), 3U);
  EXPECT_EQ(only->ProcessesFile("/a"), "/c/memory/a/cgroup.procs");
  EXPECT_EQ(only->Description(), "v1: memory cpu,cpuacct name=systemd");
}

TEST_F(CgroupTest, SaysWhatIsMissing) {
  const auto none = Cgroups::Detect("24 1 0:5 / /proc rw - proc proc rw\nbroken line\n");
  EXPECT_TRUE(none.Failed(Reason::kServiceUnavailable));
  const auto no_memory = Cgroups::Detect(V1Mount("cpu") + V1Mount("cpuacct"));
  ASSERT_FALSE(no_memory.ok());
  EXPECT_EQ(no_memory.status().message(), "the kernel offers no control group controller for: memory");
  Write("/unified/cgroup.controllers", "cpu pids\n");
  const auto v2 = Cgroups::Detect(V2Mount("unified"));
  ASSERT_FALSE(v2.ok());
  EXPECT_EQ(v2.status().message(), "the kernel offers no control group controller for: memory");
}

TEST_F(CgroupTest, V2HandsControllersDown) {
  const Cgroups cgroups = V2();
  ASSERT_TRUE(cgroups.Create("/knarr/pod1").ok());
  // (A plain file keeps the words of the last write; the kernel would add them up.)
  EXPECT_EQ(Read("/cgroup.subtree_control"), "+cpu +pids +cpuset +io +hugetlb");
  EXPECT_EQ(Read("/knarr/cgroup.subtree_control"), "+cpu +memory +pids");
  EXPECT_EQ(Read("/knarr/pod1/cgroup.subtree_control"), "+cpu +memory +pids");
}

TEST_F(CgroupTest, V2LimitsAndUsage) {
  const Cgroups cgroups = V2();
  CgroupResources limits;
  limits.cpu_shares = 512;
  limits.cpu_quota_us = 150000;
  limits.memory_limit = 64 << 20;
  ASSERT_TRUE(cgroups.SetLimits("/knarr/pod1", limits, CgroupWrite::kFresh).ok());
  EXPECT_EQ(Read("/knarr/pod1/cpu.weight"), "59");
  EXPECT_EQ(Read("/knarr/pod1/cpu.max"), "150000 100000");
  EXPECT_EQ(Read("/knarr/pod1/memory.max"), "67108864");
  EXPECT_EQ(Read("/knarr/pod1/pids.max"), "");
  for (const char* file : {"cpu.weight", "cpu.max", "memory.max", "pids.max"})
    Write(std::string("/knarr/pod1/") + file, "");
  ASSERT_TRUE(cgroups.SetLimits("/knarr/pod1", {}, CgroupWrite::kUpdate).ok());
  EXPECT_EQ(Read("/knarr/pod1/cpu.weight"), "100");
  EXPECT_EQ(Read("/knarr/pod1/cpu.max"), "max 100000");
  EXPECT_EQ(Read("/knarr/pod1/memory.max"), "max");
  EXPECT_EQ(Read("/knarr/pod1/pids.max"), "max");

  Write("/knarr/pod1/cpu.stat", "usage_usec 1234\nuser_usec 1000\n");
  Write("/knarr/pod1/memory.current", "5000\n");
  Write("/knarr/pod1/memory.stat", "anon 1\ninactive_file 2000\n");
  const auto usage = cgroups.Usage("/knarr/pod1");
  ASSERT_TRUE(usage.ok());
  EXPECT_EQ(usage->cpu_ns, 1234000);
  EXPECT_EQ(usage->memory_bytes, 5000);
  EXPECT_EQ(usage->memory_working_set_bytes, 3000);
  EXPECT_FALSE(cgroups.Usage("/knarr/absent").ok());

  Write("/knarr/pod1/memory.events", "low 0\nmax 3\noom 1\noom_kill 2\n");
  EXPECT_EQ(cgroups.OomKills("/knarr/pod1"), 2);
  EXPECT_EQ(cgroups.OomFile("/a"), root_ + "/a/memory.events");
  Write("/knarr/pod1/cgroup.kill", "");
  MakeGroup("/knarr/pod1/c", {"cpu.max"});
  cgroups.KillAll("/knarr/pod1");
  // Who is killed is not held back.
  EXPECT_EQ(Read("/knarr/pod1/cpu.max").substr(0, 3), "max");
  EXPECT_EQ(Read("/knarr/pod1/c/cpu.max"), "max");
  EXPECT_EQ(Read("/knarr/pod1/cgroup.kill"), "1");
  EXPECT_TRUE(cgroups.Empty("/knarr/pod1"));
  EXPECT_TRUE(cgroups.LeftOver().empty());
}

TEST_F(CgroupTest, HybridLimitsAndUsage) {
  const Cgroups cgroups = Hybrid();
  EXPECT_EQ(Join(cgroups.LeftOver(), " "), "hugetlb misc");
  ASSERT_TRUE(cgroups.Create("/knarr/pod1").ok());
  for (const char* name : {"cpu", "cpuacct", "memory", "pids"}) {
    EXPECT_TRUE(fs::is_directory(root_ + "/" + name + "/knarr/pod1")) << name;
  }
  EXPECT_FALSE(fs::exists(root_ + "/unified/knarr"));
  MakeGroup("/cpu/knarr/pod1", {"cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us"});
  MakeGroup("/memory/knarr/pod1", {"memory.limit_in_bytes"});
  MakeGroup("/pids/knarr/pod1", {"pids.max"});
  CgroupResources limits;
  limits.cpu_shares = 512;
  limits.cpu_quota_us = 150000;
  limits.memory_limit = 64 << 20;
  limits.pids_limit = 99;
  ASSERT_TRUE(cgroups.SetLimits("/knarr/pod1", limits, CgroupWrite::kFresh).ok());
  EXPECT_EQ(Read("/cpu/knarr/pod1/cpu.shares"), "512");
  EXPECT_EQ(Read("/cpu/knarr/pod1/cpu.cfs_period_us"), "100000");
  EXPECT_EQ(Read("/cpu/knarr/pod1/cpu.cfs_quota_us"), "150000");
  EXPECT_EQ(Read("/memory/knarr/pod1/memory.limit_in_bytes"), "67108864");
  EXPECT_EQ(Read("/pids/knarr/pod1/pids.max"), "99");

  Write("/cpuacct/knarr/pod1/cpuacct.usage", "777\n");
  Write("/memory/knarr/pod1/memory.usage_in_bytes", "5000\n");
  Write("/memory/knarr/pod1/memory.stat", "inactive_file 1\ntotal_inactive_file 6000\n");
  const auto usage = cgroups.Usage("/knarr/pod1");
  ASSERT_TRUE(usage.ok());
  EXPECT_EQ(usage->cpu_ns, 777);
  EXPECT_EQ(usage->memory_working_set_bytes, 0);
  Write("/memory/knarr/pod1/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  EXPECT_EQ(cgroups.OomKills("/knarr/pod1"), 1);
  Write("/freezer/knarr/pod1/freezer.state", "");
  Write("/cpu/knarr/pod1/cpu.cfs_quota_us", "");
  MakeGroup("/cpu/knarr/pod1/c", {"cpu.cfs_quota_us"});
  cgroups.KillAll("/knarr/pod1");
  EXPECT_EQ(Read("/cpu/knarr/pod1/cpu.cfs_quota_us"), "-1");
  EXPECT_EQ(Read("/cpu/knarr/pod1/c/cpu.cfs_quota_us"), "-1");
  EXPECT_EQ(Read("/freezer/knarr/pod1/freezer.state").substr(0, 6), "THAWED");
}

TEST_F(CgroupTest, V2TellsAll) {
  const Cgroups cgroups = V2();
  const std::string group = "/knarr/pod1/";
  const std::pair<const char*, const char*> files[] = {
      {"cpu.stat", "usage_usec 3\nuser_usec 2\nsystem_usec 1\nnr_periods 9\nnr_throttled 8\nthrottled_usec 7\n"},
      {"cpu.max", "50000 100000\n"},
      {"cpu.weight", "100\n"},
      {"memory.current", "5000\n"},
      {"memory.max", "max\n"},
      {"memory.peak", "6000\n"},
      {"memory.stat", "anon 1\nfile 2\nkernel 3\nfile_mapped 4\ninactive_file 2000\nactive_file 6\npgfault 7\n"},
      {"memory.events", "low 0\nmax 11\noom_kill 2\n"},
      {"memory.swap.current", "12\n"},
      {"memory.swap.max", "100\n"},
      {"pids.current", "5\n"},
      {"pids.max", "max\n"},
      {"cgroup.procs", "1\n2\n"},
      {"io.stat", "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\nrubbish\n"},
      {"cpu.pressure",
       "some avg10=1.50 avg60=0.25 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"},
  };
  for (const auto& [file, text] : files) Write(group + file, text);
  const auto stats = cgroups.Stats("/knarr/pod1");
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->cpu_ns, 3000);
  EXPECT_EQ(stats->cpu_user_ns, 2000);
  EXPECT_EQ(stats->throttled_ns, 7000);
  EXPECT_EQ(stats->cpu_quota_us, 50000);
  EXPECT_EQ(CpuWeight(stats->cpu_shares), 100U);
  EXPECT_EQ(stats->memory_working_set_bytes, 3000);
  EXPECT_FALSE(stats->memory_limit);
  EXPECT_EQ(stats->memory_most_bytes, 6000);
  EXPECT_EQ(stats->limit_hits, 11);
  EXPECT_EQ(stats->swap_bytes, 12);
  EXPECT_EQ(stats->swap_limit, 100);
  EXPECT_EQ(stats->oom_kills, 2);
  EXPECT_EQ(stats->processes, 2);
  EXPECT_FALSE(stats->threads_limit);
  ASSERT_EQ(stats->devices.size(), 1U);
  EXPECT_EQ(stats->devices[0].minor, 16U);
  EXPECT_EQ(stats->devices[0].writes, 4);
  ASSERT_TRUE(stats->cpu_pressure);
  EXPECT_EQ(stats->cpu_pressure->some.avg10, 1.5);
  EXPECT_EQ(stats->cpu_pressure->some.total_ns, 42000);
  EXPECT_EQ(stats->cpu_pressure->full.total_ns, 1000);
  EXPECT_FALSE(stats->io_pressure);
  EXPECT_TRUE(cgroups.Stats("/knarr/gone").Failed(Reason::kNotFound));
}

TEST_F(CgroupTest, HybridTellsAll) {
  const Cgroups cgroups = Hybrid();
  ASSERT_TRUE(cgroups.Create("/knarr/pod1").ok());
  const std::pair<const char*, const char*> files[] = {
      {"cpuacct/knarr/pod1/cpuacct.usage", "777\n"},
      {"cpuacct/knarr/pod1/cpuacct.stat", "user 3\nsystem 2\n"},
      {"cpu/knarr/pod1/cpu.shares", "512\n"},
      {"cpu/knarr/pod1/cpu.cfs_quota_us", "-1\n"},
      {"cpu/knarr/pod1/cpu.stat", "nr_periods 1\nnr_throttled 2\nthrottled_time 3\n"},
      {"memory/knarr/pod1/memory.usage_in_bytes", "5000\n"},
      {"memory/knarr/pod1/memory.limit_in_bytes", "9223372036854771712\n"},
      {"memory/knarr/pod1/memory.stat", "rss 1\ntotal_rss 20\ntotal_cache 30\ntotal_inactive_file 1000\n"},
      {"pids/knarr/pod1/pids.current", "5\n"},
      {"pids/knarr/pod1/pids.max", "99\n"},
      {"pids/knarr/pod1/cgroup.procs", "1\n"},
  };
  for (const auto& [file, text] : files) Write(std::string("/") + file, text);
  const auto stats = cgroups.Stats("/knarr/pod1");
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->cpu_ns, 777);
  EXPECT_EQ(stats->cpu_user_ns, 30'000'000);
  EXPECT_EQ(stats->cpu_shares, 512);
  EXPECT_EQ(stats->cpu_quota_us, 0);
  EXPECT_EQ(stats->throttled_ns, 3);
  EXPECT_EQ(stats->memory_working_set_bytes, 4000);
  EXPECT_EQ(stats->rss_bytes, 20);
  EXPECT_FALSE(stats->memory_limit);
  EXPECT_FALSE(stats->swap_bytes);
  EXPECT_EQ(stats->threads_limit, 99);
  EXPECT_EQ(stats->processes, 1);
  EXPECT_FALSE(stats->cpu_pressure);
}

TEST_F(CgroupTest, RemovesWholeTreesAndSaysWhatIsInUse) {
  const Cgroups cgroups = Hybrid();
  for (const char* name : {"cpu", "memory", "unified"})
    fs::create_directories(root_ + "/" + name + "/knarr/pod1/c/deep");
  ASSERT_TRUE(cgroups.Remove("/knarr/pod1").ok());
  EXPECT_FALSE(fs::exists(root_ + "/memory/knarr/pod1"));
  EXPECT_TRUE(fs::exists(root_ + "/memory/knarr"));
  EXPECT_TRUE(cgroups.Remove("/knarr/pod1").ok());
  Write("/memory/knarr/pod2/file", "in the way, as a process would be");
  EXPECT_TRUE(cgroups.Remove("/knarr/pod2").Failed(Reason::kConflict));
}

}  // namespace
}  // namespace knarr::runtime

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "doc/json.h"
#include "node/image_collector.h"
#include "node/local_storage.h"
#include "node/pressure.h"
#include "runtime/disk_usage.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

constexpr WallTime kNow{std::chrono::hours(24 * 365 * 50)};
constexpr MonoTime kThen{std::chrono::hours(1)};

image::Image Named(std::string id, int64_t size) {
  image::Image out;
  out.id = std::move(id);
  out.size = size;
  return out;
}

TEST(ImageCollector, TakesWhatWasUsedLongestAgo) {
  ImageCollector collector;
  const std::vector<image::Image> images = {Named("old", 10), Named("used", 10), Named("now", 10),
                                            Named("never", 10)};
  collector.Look(images, {"used", "now"}, kNow);
  collector.Look(images, {"now"}, kNow + 1min);
  std::vector<image::Image> more = images;
  more.push_back(Named("fresh", 10));
  collector.Look(more, {"now"}, kNow + 5min);
  using Ids = std::vector<std::string>;
  EXPECT_EQ(collector.Pick(5, kNow + 5min), (Ids{"never"}));
  EXPECT_EQ(collector.Pick(15, kNow + 5min), (Ids{"never", "old"}));
  EXPECT_EQ(collector.Pick(1000, kNow + 5min), (Ids{"never", "old", "used"}));
  EXPECT_EQ(collector.Pick(1000, kNow + 7min), (Ids{"never", "old", "fresh", "used"}));
  EXPECT_TRUE(collector.Pick(1000, kNow + 1min).empty());
}

TEST(ImageCollector, FreesDownToTheLowMark) {
  EXPECT_EQ(ImageCollector::Excess({.capacity = 1000, .available = 160}), 0);
  EXPECT_EQ(ImageCollector::Excess({.capacity = 1000, .available = 150}), 50);
  EXPECT_EQ(ImageCollector::Excess({.capacity = 1000, .available = 0}), 200);
  EXPECT_EQ(ImageCollector::Excess({}), 0);
}

TEST(LocalStorage, EvictsWhoTakesMore) {
  const doc::Document document = MUST(doc::ParseJson(R"({"spec":{"volumes":[
      {"name":"v","emptyDir":{"sizeLimit":"1Mi"}},{"name":"w","emptyDir":{}},
      {"name":"m","emptyDir":{"medium":"Memory"}}],
      "containers":[{"name":"a","resources":{"limits":{"ephemeral-storage":"2Mi"}}},
                    {"name":"b","resources":{"limits":{"ephemeral-storage":"4Mi"}}}]}})"));
  const Pod pod(document.root);
  EXPECT_TRUE(LimitsLocalStorage(pod));
  const doc::Document plain = MUST(doc::ParseJson(R"({"spec":{"volumes":[{"name":"v","emptyDir":{}}]}})"));
  EXPECT_FALSE(LimitsLocalStorage(Pod(plain.root)));
  constexpr int64_t kMi = 1 << 20;
  struct Case {
    LocalStorageUsage usage;
    const char* message;
  };
  const Case cases[] = {
      {{{{"v", {kMi}}}, {{"a", {2 * kMi}}}}, ""},
      {{{{"v", {kMi + 1}}}, {}}, R"(Usage of EmptyDir volume "v" exceeds the limit "1Mi". )"},
      {{{{"w", {6 * kMi + 1}}}, {}}, "Pod ephemeral local storage usage exceeds the total limit of containers 6Mi. "},
      {{{{"m", {60 * kMi}}}, {}}, ""},
      {{{}, {{"a", {2 * kMi + 1}}}}, R"(Container a exceeded its local ephemeral storage limit "2Mi". )"},
      {{{}, {{"b", {2 * kMi + 1}}}}, ""},
  };
  for (const Case& c : cases) EXPECT_EQ(LocalStorageExcess(pod, c.usage).value_or(""), c.message);
}

TEST(LocalStorage, OfTheDiskIsWhatIsNotInMemory) {
  const doc::Document document = MUST(doc::ParseJson(R"({"spec":{"volumes":[{"name":"v","emptyDir":{}},
      {"name":"m","emptyDir":{"medium":"Memory"}},{"name":"h","hostPath":{"path":"/"}}]}})"));
  const runtime::DiskUse used = UsedOfDisk(
      Pod(document.root), {.empty_dirs = {{"v", {100, 1}}, {"m", {1000, 10}}}, .containers = {{"a", {7, 3}}}});
  EXPECT_EQ(used.bytes, 107);
  EXPECT_EQ(used.inodes, 4);
}

TEST(DiskUsage, CountsWhatLiesThereOnce) {
  std::string name = "/tmp/node-usage-XXXXXX";
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  std::filesystem::create_directories(name + "/a/b");
  std::ofstream(name + "/a/b/file") << std::string(1 << 20, 'x');
  const runtime::DiskUse before = runtime::DiskUsage(name);
  EXPECT_GE(before.bytes, 1 << 20);
  EXPECT_LT(before.bytes, 2 << 20);
  EXPECT_EQ(before.inodes, 4);
  std::filesystem::create_hard_link(name + "/a/b/file", name + "/a/link");
  std::filesystem::create_symlink("/usr", name + "/usr");
  EXPECT_LT(runtime::DiskUsage(name).bytes, before.bytes + (64 << 10));
  EXPECT_EQ(runtime::DiskUsage(name).inodes, 5);  // the link, but not what it leads to
  std::filesystem::remove_all(name);
  EXPECT_EQ(runtime::DiskUsage(name).inodes, 0);
}

EvictionConfig Parsed(const EvictionFlags& flags) {
  auto config = ParseEviction(flags);
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *config : EvictionConfig();
}

TEST(Eviction, FlagsAreTheKubelets) {
  EXPECT_EQ(Parsed({}).thresholds.size(), 5U);
  const EvictionConfig config = Parsed({.hard = "nodefs.available<1Gi, memory.available<5%,pid.available<0%",
                                        .soft = "memory.available<300Mi",
                                        .soft_grace = "memory.available=1m30s",
                                        .reclaim = "memory.available=100Mi,nodefs.available=1%"});
  ASSERT_EQ(config.thresholds.size(), 3U);
  EXPECT_EQ(SignalName(config.thresholds[0].signal), "memory.available");
  EXPECT_EQ(config.thresholds[0].value.ToString(), "5%");
  EXPECT_EQ(config.thresholds[0].value.Of(1000), 50);
  EXPECT_EQ(config.thresholds[1].grace, 90s);
  EXPECT_EQ(config.thresholds[1].reclaim->ToString(), "100Mi");
  EXPECT_EQ(config.thresholds[2].value.ToString(), "1Gi");
  struct Bad {
    EvictionFlags flags;
    const char* message;
  };
  const Bad bad[] = {
      {{.hard = "memory.available"},
       R"(invalid argument "memory.available" for "--eviction-hard" flag: malformed pair, expect string<string)"},
      {{.hard = "memory.free<1"}, "unsupported eviction signal memory.free"},
      {{.hard = "memory.available<-5%"}, "eviction percentage threshold memory.available must be >= 0%: -5%"},
      {{.hard = "memory.available<101%"}, "eviction percentage threshold memory.available must be <= 100%: 101%"},
      {{.hard = "memory.available<0"}, "eviction threshold memory.available must be positive: 0"},
      {{.soft = "memory.available<1Gi"},
       "grace period must be specified for the soft eviction threshold memory.available"},
      {{.soft_grace = "memory.available=-1s"},
       "invalid eviction grace period specified: -1s, must be a positive value"},
      {{.soft_grace = "memory.available<1s"},
       R"(invalid argument "memory.available<1s" for "--eviction-soft-grace-period" flag: malformed pair, expect )"
       "string=string"},
      {{.reclaim = "memory.available=0%"},
       "eviction percentage minimum reclaim memory.available must be positive: 0%"},
      {{.reclaim = "memory.available=-1"}, "negative eviction minimum reclaim specified for memory.available"},
  };
  for (const Bad& b : bad) {
    const auto parsed = ParseEviction(b.flags);
    ASSERT_FALSE(parsed.ok()) << b.message;
    EXPECT_EQ(parsed.status().message(), b.message);
  }
}

constexpr int64_t kMi = 1 << 20;

TEST(Eviction, SoftThresholdsWaitAndReclaimHolds) {
  Pressures pressures(Parsed({.hard = "nodefs.available<10%",
                              .soft = "memory.available<300Mi",
                              .soft_grace = "memory.available=30s",
                              .reclaim = "memory.available=100Mi"}));
  const auto seen = [](int64_t memory, int64_t disk) {
    return Observations{{Signal::kMemoryAvailable, {memory * kMi, 1000 * kMi}},
                        {Signal::kNodeFsAvailable, {disk, 100}}};
  };
  EXPECT_TRUE(pressures.Look(seen(500, 50), kThen).empty());
  EXPECT_FALSE(pressures.memory());
  // Met, but not for long enough: the node says so, and nobody has to go.
  EXPECT_TRUE(pressures.Look(seen(200, 50), kThen + 10s).empty());
  EXPECT_TRUE(pressures.memory());
  // Not met in between: it counts from the start.
  EXPECT_TRUE(pressures.Look(seen(350, 50), kThen + 20s).empty());
  EXPECT_TRUE(pressures.Look(seen(200, 50), kThen + 30s).empty());
  EXPECT_TRUE(pressures.Look(seen(200, 50), kThen + 50s).empty());
  ASSERT_EQ(pressures.Look(seen(200, 5), kThen + 60s).size(), 2U);
  // More than the threshold, but not as much as is to be reclaimed.
  auto due = pressures.Look(seen(350, 50), kThen + 70s);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].signal, Signal::kMemoryAvailable);
  EXPECT_TRUE(pressures.Look(seen(450, 50), kThen + 80s).empty());
  EXPECT_TRUE(pressures.memory());
  EXPECT_TRUE(pressures.disk());
  EXPECT_TRUE(pressures.Look(seen(450, 50), kThen + 60s + 5min).empty());
  EXPECT_TRUE(pressures.memory());
  EXPECT_FALSE(pressures.disk());
  EXPECT_TRUE(pressures.Look(seen(450, 50), kThen + 70s + 5min).empty());
  EXPECT_FALSE(pressures.memory());
}

TEST(Pressure, TheWordsForIt) {
  const Observations observations = {{Signal::kMemoryAvailable, {50 * kMi, 1000 * kMi}},
                                     {Signal::kNodeFsInodesFree, {5000, 1 << 20}},
                                     {Signal::kPidAvailable, {10, 32768}}};
  const EvictionConfig config =
      Parsed({.hard = "memory.available<100Mi,nodefs.inodesFree<25%,nodefs.available<10%,pid.available<1k"});
  // What was not seen is not met.
  const auto met = ThresholdsMet(config.thresholds, observations, false);
  ASSERT_EQ(met.size(), 3U);
  EXPECT_EQ(Describe(met[1], observations).threshold, "256Ki");
  EXPECT_EQ(Describe(met[1], observations).available, "5k");
  EXPECT_EQ(ResourceName(ResourceOf(met[1].signal)), "inodes");
  EXPECT_EQ(Describe(met[2], observations).threshold, "1k");
  EXPECT_EQ(ResourceName(ResourceOf(met[2].signal)), "pids");
  const Candidate candidate{
      .uid = "u",
      .containers = {{.name = "a", .used = 3 << 20, .requested_text = "1Mi", .requested = 1 << 20},
                     {.name = "b", .used = 1, .requested_text = "5", .requested = 5}}};
  EXPECT_EQ(EvictionMessage(Describe(met[0], observations), candidate),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container a was using "
            "3Mi, request is 1Mi, has larger consumption of memory. ");
}

TEST(Pressure, RanksByExcessThenPriorityThenUse) {
  std::vector<Candidate> candidates = {{.uid = "within", .priority = 0, .used = 9, .requested = 10},
                                       {.uid = "important", .priority = 100, .used = 99, .requested = 0},
                                       {.uid = "little", .priority = 0, .used = 11, .requested = 10},
                                       {.uid = "much", .priority = 0, .used = 30, .requested = 10},
                                       {.uid = "unknown", .priority = 1000, .measured = false}};
  const auto order = [&](Starved resource) {
    Rank(candidates, resource);
    std::string out;
    for (const Candidate& candidate : candidates) out += candidate.uid + " ";
    return out;
  };
  EXPECT_EQ(order(Starved::kMemory), "unknown much little important within ");
  EXPECT_EQ(order(Starved::kPids), "unknown much little within important ");
}

TEST(Pressure, RefusesWhoMayNotBeginNow) {
  const EvictionFlags flags{.hard = "memory.available<1,nodefs.available<1,pid.available<1"};
  const auto under = [&](std::initializer_list<Signal> signals) {
    Observations observations;
    for (const Signal signal : signals) observations[signal] = {0, 100};
    auto out = std::make_unique<Pressures>(Parsed(flags));
    (void)out->Look(observations, kThen);  // its conditions count
    return out;
  };
  const auto memory = under({Signal::kMemoryAvailable});
  const auto both = under({Signal::kMemoryAvailable, Signal::kNodeFsAvailable});
  const auto pids = under({Signal::kPidAvailable});
  struct Case {
    const char* spec;
    const char* by_memory;
    const char* by_both;
  };
  const char* both_text = "The node had condition: [MemoryPressure DiskPressure]. ";
  const Case cases[] = {
      {R"({"containers":[{"name":"a"}]})", "The node had condition: [MemoryPressure]. ", both_text},
      {R"({"containers":[{"name":"a","resources":{"requests":{"memory":"1Mi"}}}]})", "", both_text},
      {R"({"containers":[{"name":"a"}],
           "tolerations":[{"key":"node.kubernetes.io/memory-pressure","operator":"Exists"}]})",
       "", both_text},
      {R"({"containers":[{"name":"a"}],"priority":2000000000})", "", ""},
  };
  for (const Case& c : cases) {
    const doc::Document pod = MUST(doc::ParseJson(std::string(R"({"spec":)") + c.spec + "}"));
    EXPECT_EQ(RefusedByPressure(Pod(pod.root), *memory).value_or(""), c.by_memory);
    EXPECT_EQ(RefusedByPressure(Pod(pod.root), *both).value_or(""), c.by_both);
    EXPECT_FALSE(RefusedByPressure(Pod(pod.root), Pressures()));
    const bool critical = *c.by_both == '\0';
    EXPECT_EQ(RefusedByPressure(Pod(pod.root), *pids).value_or(""),
              critical ? "" : "The node had condition: [PIDPressure]. ");
  }
}

}  // namespace
}  // namespace knarr::node

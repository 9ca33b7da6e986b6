#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "doc/json.h"
#include "node/image_collector.h"
#include "node/local_storage.h"
#include "node/pressure.h"
#include "runtime/disk_usage.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

constexpr WallTime kNow{std::chrono::hours(24 * 365 * 50)};

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

TEST(Pressure, ThresholdsAndTheWordsForThem) {
  EXPECT_TRUE(ThresholdsMet({}).empty());
  const DiskSpace plenty{.capacity = 1 << 30, .available = 1 << 29, .inodes = 1000, .inodes_free = 500};
  EXPECT_TRUE(ThresholdsMet({.memory_available = 200 << 20, .disk = plenty}).empty());
  DiskSpace little = plenty;
  little.available = 100 << 20;
  little.inodes_free = 10;
  const auto met = ThresholdsMet({.memory_available = 50 << 20, .disk = little});
  ASSERT_EQ(met.size(), 3U);
  EXPECT_EQ(ResourceName(met[1].resource), "ephemeral-storage");
  EXPECT_EQ(met[1].available, "100Mi");
  EXPECT_EQ(met[2].threshold, "50");
  const Candidate candidate{
      .uid = "u",
      .containers = {{.name = "a", .used = 3 << 20, .requested_text = "1Mi", .requested = 1 << 20},
                     {.name = "b", .used = 1, .requested_text = "5", .requested = 5}}};
  EXPECT_EQ(EvictionMessage(met[0], candidate),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container a was using "
            "3Mi, request is 1Mi, has larger consumption of memory. ");
}

TEST(Pressure, LastsFiveMinutes) {
  Pressures pressures;
  const std::vector<ThresholdMet> met = {{Starved::kMemory, "100Mi", "1Mi"}};
  pressures.Look(met, kNow);
  EXPECT_TRUE(pressures.memory());
  EXPECT_FALSE(pressures.disk());
  pressures.Look({}, kNow + 4min);
  EXPECT_TRUE(pressures.memory());
  pressures.Look({}, kNow + 5min);
  EXPECT_FALSE(pressures.memory());
}

TEST(Pressure, RanksByExcessThenPriorityThenUse) {
  std::vector<Candidate> candidates = {{.uid = "within", .priority = 0, .used = 9, .requested = 10},
                                       {.uid = "important", .priority = 100, .used = 99, .requested = 0},
                                       {.uid = "little", .priority = 0, .used = 11, .requested = 10},
                                       {.uid = "much", .priority = 0, .used = 30, .requested = 10}};
  Rank(candidates);
  std::string order;
  for (const Candidate& candidate : candidates) order += candidate.uid + " ";
  EXPECT_EQ(order, "much little important within ");
}

TEST(Pressure, RefusesWhoMayNotBeginNow) {
  Pressures memory;
  memory.Look({{Starved::kMemory, "", ""}}, kNow);
  Pressures both;
  both.Look({{Starved::kMemory, "", ""}, {Starved::kInodes, "", ""}}, kNow);
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
    EXPECT_EQ(RefusedByPressure(Pod(pod.root), memory).value_or(""), c.by_memory);
    EXPECT_EQ(RefusedByPressure(Pod(pod.root), both).value_or(""), c.by_both);
    EXPECT_FALSE(RefusedByPressure(Pod(pod.root), {}));
  }
}

}  // namespace
}  // namespace knarr::node

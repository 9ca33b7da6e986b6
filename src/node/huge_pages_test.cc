#include "node/huge_pages.h"

#include <gtest/gtest.h>

#include "doc/json.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

TEST(HugePages, NamesOfSizes) {
  constexpr int64_t kMi = 1 << 20;
  EXPECT_EQ(HugePageSize("hugepages-2Mi"), 2 * kMi);
  EXPECT_EQ(HugePageSize("hugepages-1Gi"), 1024 * kMi);
  for (const char* bad : {"cpu", "hugepages-", "hugepages-x", "hugepages-0", "hugepages--2Mi"}) {
    EXPECT_FALSE(HugePageSize(bad)) << bad;
  }
  EXPECT_EQ(HugePageResource(2 * kMi), "hugepages-2Mi");
  EXPECT_EQ(HugePageName(2 * kMi), "2MB");
  EXPECT_EQ(HugePageName(1024 * kMi), "1GB");
  EXPECT_EQ(HugePageName(64 << 10), "64KB");
}

TEST(HugePages, WhatIsNotAskedForIsNotGiven) {
  const auto list = [](std::string_view json) { return api::ReadResources(MUST(doc::ParseJson(json)).root); };
  const auto limits = HugePageLimits(list(R"({"cpu":"1","hugepages-2Mi":"4Mi"})"),
                                     list(R"({"hugepages-2Mi":"0","hugepages-1Gi":"0","cpu":"2"})"));
  EXPECT_EQ(limits, (std::map<std::string, int64_t>{{"2MB", 4 << 20}, {"1GB", 0}}));
}

TEST(HugePages, MediumOfAVolume) {
  const auto medium = [](const char* name, const char* requests) -> std::string {
    const doc::Document pod =
        MUST(doc::ParseJson(std::string(R"({"spec":{"volumes":[{"name":"v","emptyDir":{"medium":")") + name +
                            R"("}}],"containers":[{"name":"a","resources":{"requests":)" + requests + "}}]}}"));
    const auto size = HugePageMedium(Pod(pod.root), Pod(pod.root).spec().volumes()[0].empty_dir());
    if (!size.ok()) return size.status().message();
    return *size ? std::to_string(**size) : "none";
  };
  EXPECT_EQ(medium("", "{}"), "none");
  EXPECT_EQ(medium("Memory", "{}"), "none");
  EXPECT_EQ(medium("HugePages", R"({"hugepages-2Mi":"4Mi"})"), "2097152");
  EXPECT_EQ(medium("HugePages-1Gi", R"({"hugepages-2Mi":"4Mi","hugepages-1Gi":"1Gi"})"), "1073741824");
  EXPECT_EQ(medium("HugePages", R"({"hugepages-2Mi":"4Mi","hugepages-1Gi":"1Gi"})"),
            "medium: HugePages can't be used if container requests multiple huge page sizes");
  for (const char* without : {"HugePages", "HugePages-2Mi"}) {
    EXPECT_EQ(medium(without, R"({"cpu":"1"})"),
              std::string("medium ") + without +
                  ": hugePages storage requested, but there is no resource request for huge pages");
  }
}

}  // namespace
}  // namespace knarr::node

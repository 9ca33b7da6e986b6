#include "cri/specs.h"

#include <gtest/gtest.h>

#include <vector>

namespace knarr::cri {
namespace {

TEST(CriSpecs, HugePagesAreLimitedBySize) {
  const LinuxContainerResources some = ResourcesOf({.huge_pages = {{"1GB", 0}, {"2MB", 4 << 20}}}, {});
  ASSERT_EQ(some.hugepage_limits.size(), 2U);
  EXPECT_EQ(some.hugepage_limits[0].page_size, "1GB");
  EXPECT_EQ(some.hugepage_limits[0].limit, 0U);
  EXPECT_EQ(some.hugepage_limits[1].limit, uint64_t{4} << 20);
}

TEST(CriSpecs, WhoRunsIsSaidWhereTheRuntimeDoes) {
  ContainerStatus status{.id = "c1", .state = kContainerRunning};
  EXPECT_FALSE(StatusOf(status, "s1").user.has_value());
  status.user.linux_user = LinuxContainerUser{.uid = 1000, .gid = 3, .groups = {3, 4}};
  const auto user = StatusOf(status, "s1").user;
  ASSERT_TRUE(user.has_value());
  EXPECT_EQ(user->uid, 1000);
  EXPECT_EQ(user->gid, 3);
  EXPECT_EQ(user->groups, (std::vector<int64_t>{3, 4}));
}

}  // namespace
}  // namespace knarr::cri

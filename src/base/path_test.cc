#include "base/path.h"

#include <gtest/gtest.h>

namespace knarr {
namespace {

TEST(Path, Clean) {
  EXPECT_EQ(CleanPath("/a//b/./../c/"), "/a/c");
  EXPECT_EQ(CleanPath("/../.."), "/");
  EXPECT_EQ(CleanPath("../a"), "../a");
  EXPECT_EQ(CleanPath("a/.."), ".");
  EXPECT_EQ(CleanPath(""), ".");
}

TEST(Path, JoinAndSplit) {
  EXPECT_EQ(JoinPaths("/a/", "/b/"), "/a/b");
  EXPECT_EQ(JoinPaths("", "b/"), "b");
  EXPECT_EQ(JoinPaths("", ""), "");
  EXPECT_EQ(DirName("/a/b"), "/a");
  EXPECT_EQ(DirName("/a"), "/");
  EXPECT_EQ(DirName("a"), ".");
  EXPECT_EQ(DirName("a/b/"), "a/b");
  EXPECT_EQ(BaseName("/a/b/"), "b");
  EXPECT_EQ(BaseName("/"), "/");
  EXPECT_EQ(BaseName(""), ".");
}

}  // namespace
}  // namespace knarr

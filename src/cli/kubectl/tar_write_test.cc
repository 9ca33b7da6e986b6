#include "cli/kubectl/tar_write.h"

#include <gtest/gtest.h>

#include "cli/kubectl/pod_streams.h"

namespace knarr::cli {
namespace {

TEST(TarWrite, ReadsBack) {
  std::vector<image::TarEntry> entries(5);
  entries[0] = {.path = "a/b", .size = 700, .mode = 0741, .uid = 1000, .gid = 7, .mtime_seconds = 1735689600};
  entries[1] = {.path = std::string(300, 'n') + "/end", .size = 0, .mode = 0644};
  entries[2] = {.type = image::TarType::kSymlink, .path = "link", .link = std::string(200, 't')};
  entries[3] = {.type = image::TarType::kDirectory, .path = "empty", .mode = 0755};
  entries[4] = {.path = "big ids", .size = 512, .uid = 3'000'000, .gid = 4'000'000'000U};
  std::string archive;
  for (const image::TarEntry& entry : entries) {
    archive += TarHeader(entry);
    archive += std::string(static_cast<size_t>(entry.size), 'd') + TarPadding(entry.size);
    EXPECT_EQ(archive.size() % 512, 0U);
  }
  archive += TarEnd();
  const auto source = image::MemorySource(archive);
  image::TarReader reader(*source);
  for (const image::TarEntry& wanted : entries) {
    const auto got = MUST(reader.Next());
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(got->path, wanted.path);
    EXPECT_EQ(got->link, wanted.link);
    EXPECT_EQ(got->type, wanted.type);
    EXPECT_EQ(got->size, wanted.size);
    EXPECT_EQ(got->mode, wanted.mode);
    EXPECT_EQ(got->uid, wanted.uid);
    EXPECT_EQ(got->gid, wanted.gid);
    EXPECT_EQ(got->mtime_seconds, wanted.mtime_seconds);
  }
  EXPECT_FALSE(MUST(reader.Next()).has_value());
}

TEST(DetachKeys, AsTheyAreTyped) {
  EXPECT_EQ(MUST(ParseDetachKeys("ctrl-p,ctrl-q")), "\x10\x11");
  EXPECT_EQ(MUST(ParseDetachKeys("a,ctrl-@,ctrl-_")), std::string("a\0\x1f", 3));
  EXPECT_EQ(MUST(ParseDetachKeys("")), "");
  EXPECT_FALSE(ParseDetachKeys("ctrl-,x").ok());
  EXPECT_FALSE(ParseDetachKeys("alt-x").ok());
}

}  // namespace
}  // namespace knarr::cli

// The real and the in-memory file system do the same.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "rt/file_system.h"
#include "rt/memory_files.h"
#include "rt/owned_fd.h"
#include "rt/test_worlds.h"

namespace knarr::rt {
namespace {

class FilesTest : public WorldTest {
 protected:
  /// With an empty directory to work in.
  void InDirectory(const std::function<void(FileSystem& files, const std::string& directory)>& body) {
    In([&](Runtime& runtime) {
      std::string directory = "/work";
      if (GetParam() == World::kReal) {
        char name[] = "/tmp/knarr-files-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        directory = name;
      } else {
        ASSERT_TRUE(runtime.files().MakeDirectories(directory).ok());
      }
      body(runtime.files(), directory);
      EXPECT_TRUE(runtime.files().RemoveAll(directory).ok());
      EXPECT_FALSE(runtime.files().Exists(directory));
    });
  }
};
INSTANTIATE_WORLDS(FilesTest);

TEST_P(FilesTest, ReadsWhatWasWritten) {
  InDirectory([](FileSystem& files, const std::string& directory) {
    const std::string path = directory + "/a";
    EXPECT_TRUE(files.ReadFile(path).Failed(Reason::kNotFound));
    EXPECT_TRUE(files.WriteFile(path, "hello").ok());
    EXPECT_EQ(*files.ReadFile(path), "hello");
    EXPECT_TRUE(files.WriteFile(path, "x").ok());
    EXPECT_EQ(*files.ReadFile(path), "x");
    EXPECT_TRUE(files.ReadFile(path, 0).Failed(Reason::kRequestEntityTooLarge));
    EXPECT_EQ(*files.ReadFile(path, 1), "x");
    EXPECT_TRUE(files.WriteFileAtomic(path, std::string(100000, 'y'), 0640).ok());
    EXPECT_EQ(files.ReadFile(path)->size(), 100000U);
    EXPECT_EQ(files.Stat(path)->mode, 0640U);
    EXPECT_EQ(files.List(directory)->size(), 1U);
    EXPECT_FALSE(files.ReadFile(directory).ok());
  });
}

TEST_P(FilesTest, OpenFiles) {
  InDirectory([](FileSystem& files, const std::string& directory) {
    const std::string path = directory + "/log";
    EXPECT_TRUE(files.Open(path, OpenMode::kRead).Failed(Reason::kNotFound));
    {
      const auto file = MUST(files.Open(path, OpenMode::kCreateNew));
      EXPECT_TRUE(file->Append("0123456789").ok());
      EXPECT_TRUE(file->WriteAt(3, "abc").ok());
      EXPECT_TRUE(file->Append("X").ok());
      EXPECT_TRUE(file->Sync().ok());
      EXPECT_EQ(*file->ReadAt(2, 5), "2abc6");
      EXPECT_EQ(*file->ReadAt(9, 100), "9X");
      EXPECT_EQ(*file->ReadAt(50, 1), "");
      EXPECT_EQ(*file->Size(), 11);
      EXPECT_TRUE(file->Truncate(4).ok());
      EXPECT_TRUE(file->WriteAt(6, "z").ok());
      EXPECT_EQ(*files.ReadFile(path), std::string("012a\0\0z", 7));
    }
    EXPECT_TRUE(files.Open(path, OpenMode::kCreateNew).Failed(Reason::kAlreadyExists));
    EXPECT_TRUE(files.Open(path, OpenMode::kCreate).ok());
    const auto reader = MUST(files.Open(path, OpenMode::kRead));
    EXPECT_FALSE(reader->Append("no").ok());
    // A removed file can be read as long as it is open.
    EXPECT_TRUE(files.Remove(path).ok());
    EXPECT_EQ(reader->ReadAt(0, 4)->size(), 4U);
    EXPECT_TRUE(files.Remove(path).ok());
  });
}

TEST_P(FilesTest, Directories) {
  InDirectory([](FileSystem& files, const std::string& directory) {
    const std::string deep = directory + "/a/b/c";
    EXPECT_TRUE(files.MakeDirectories(deep, 0750).ok());
    EXPECT_TRUE(files.MakeDirectories(deep).ok());
    EXPECT_EQ(files.Stat(deep)->mode, 0750U);
    EXPECT_EQ(files.Stat(deep)->type, FileType::kDirectory);
    EXPECT_TRUE(files.WriteFile(deep + "/f", "").ok());
    EXPECT_FALSE(files.MakeDirectories(deep + "/f").ok());
    EXPECT_FALSE(files.MakeDirectories(deep + "/f/g").ok());
    EXPECT_FALSE(files.Remove(deep).ok());
    const auto entries = MUST(files.List(deep));
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].name, "f");
    EXPECT_EQ(entries[0].type, FileType::kFile);
    EXPECT_TRUE(files.Rename(directory + "/a", directory + "/z").ok());
    EXPECT_TRUE(files.Exists(directory + "/z/b/c/f"));
    EXPECT_FALSE(files.Rename(directory + "/z", directory + "/z/b/y").ok());
    EXPECT_TRUE(files.Rename(directory + "/none", directory + "/x").Failed(Reason::kNotFound));
    EXPECT_TRUE(files.SyncDirectory(directory).ok());
    EXPECT_TRUE(files.RemoveAll(directory + "/z").ok());
    EXPECT_TRUE(files.RemoveAll(directory + "/z").ok());
    EXPECT_TRUE(files.List(directory)->empty());
    EXPECT_TRUE(files.List(directory + "/none").Failed(Reason::kNotFound));
  });
}

TEST_P(FilesTest, Links) {
  InDirectory([](FileSystem& files, const std::string& directory) {
    EXPECT_TRUE(files.MakeDirectories(directory + "/real").ok());
    EXPECT_TRUE(files.WriteFile(directory + "/real/f", "data").ok());
    EXPECT_TRUE(files.Symlink("real", directory + "/link").ok());
    EXPECT_FALSE(files.Symlink("real", directory + "/link").ok());
    EXPECT_EQ(*files.ReadFile(directory + "/link/f"), "data");
    EXPECT_EQ(*files.ReadFile(directory + "/link/../real/./f"), "data");
    EXPECT_EQ(*files.ReadLink(directory + "/link"), "real");
    EXPECT_FALSE(files.ReadLink(directory + "/real").ok());
    EXPECT_EQ(files.LinkStat(directory + "/link")->type, FileType::kSymlink);
    EXPECT_EQ(files.Stat(directory + "/link")->type, FileType::kDirectory);
    EXPECT_TRUE(files.Symlink(directory + "/loop", directory + "/loop").ok());
    EXPECT_FALSE(files.ReadFile(directory + "/loop").ok());
    // The link goes, what it points to stays.
    EXPECT_TRUE(files.RemoveAll(directory + "/link").ok());
    EXPECT_EQ(*files.ReadFile(directory + "/real/f"), "data");
    EXPECT_TRUE(files.Chmod(directory + "/real/f", 0400).ok());
    EXPECT_EQ(files.Stat(directory + "/real/f")->mode, 0400U);
  });
}

// A container can make such a tree in its volume; neither a path nor a stack is as long.
TEST_P(FilesTest, RemovesATreeOfAnyDepth) {
  if (GetParam() != World::kReal) GTEST_SKIP() << "the one in memory has no bound";
  InDirectory([](FileSystem& files, const std::string& directory) {
    OwnedFd at(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at.ok());
    for (int depth = 0; depth < 5000; ++depth) {
      ASSERT_EQ(mkdirat(at.get(), "down", 0700), 0);
      ASSERT_EQ(mkdirat(at.get(), "beside", 0700), 0);
      at = OwnedFd(openat(at.get(), "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      ASSERT_TRUE(at.ok());
    }
    at.Reset();
    EXPECT_TRUE(files.RemoveAll(directory + "/down").ok());
    EXPECT_EQ(files.List(directory)->size(), 1U);
  });
}

// Also not into one of the same file system, which has the same device number.
TEST_P(FilesTest, RemovesNothingOfAnotherMount) {
  if (GetParam() != World::kReal) GTEST_SKIP() << "the one in memory has no mounts";
  InDirectory([](FileSystem& files, const std::string& directory) {
    const std::string outside = directory + "/outside";
    const std::string mounted = directory + "/tree/mounted";
    EXPECT_TRUE(files.MakeDirectories(outside).ok());
    EXPECT_TRUE(files.MakeDirectories(mounted).ok());
    EXPECT_TRUE(files.WriteFile(outside + "/kept", "kept").ok());
    if (mount(outside.c_str(), mounted.c_str(), nullptr, MS_BIND, nullptr) != 0) GTEST_SKIP() << "may not mount";
    const Ok removed = files.RemoveAll(directory + "/tree");
    EXPECT_EQ(umount2(mounted.c_str(), MNT_DETACH), 0);
    EXPECT_FALSE(removed.ok());
    EXPECT_EQ(*files.ReadFile(outside + "/kept"), "kept");
  });
}

TEST(MemoryFilesTest, CrashKeepsWhatWasSynced) {
  const auto runtime = SimRuntime::Create({});
  const auto files = MakeMemoryFileSystem(*runtime);
  runtime->Run([&] {
    EXPECT_TRUE(files->MakeDirectories("/d/lost").ok());
    EXPECT_TRUE(files->SyncDirectory("/").ok());
    const auto log = MUST(files->Open("/d/log", OpenMode::kCreate));
    EXPECT_TRUE(log->Append("one").ok());
    EXPECT_TRUE(log->Sync().ok());
    EXPECT_TRUE(files->WriteFile("/d/unsynced", "x").ok());
    EXPECT_TRUE(files->WriteFileAtomic("/d/atomic", "whole").ok());
    EXPECT_TRUE(files->Rename("/d/log", "/d/renamed").ok());
    EXPECT_TRUE(files->SyncDirectory("/d").ok());
    EXPECT_TRUE(log->Append("two").ok());
    EXPECT_TRUE(files->WriteFile("/d/late", "x").ok());
    files->Crash();
    EXPECT_FALSE(log->Append("three").ok());
    EXPECT_FALSE(log->ReadAt(0, 1).ok());
    EXPECT_EQ(*files->ReadFile("/d/renamed"), "one");
    EXPECT_EQ(*files->ReadFile("/d/atomic"), "whole");
    EXPECT_EQ(*files->ReadFile("/d/unsynced"), "");  // its name was synced, its bytes were not
    EXPECT_FALSE(files->Exists("/d/log"));
    EXPECT_FALSE(files->Exists("/d/late"));
    EXPECT_EQ(files->bytes(), 8U);
  });
}

}  // namespace
}  // namespace knarr::rt

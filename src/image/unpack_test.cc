#include "image/unpack.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "image/testing_tar.h"
#include "image/user.h"

namespace knarr::image {
namespace {

class Unpack : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    std::string name = "/tmp/image-unpack-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    top_ = name;
    std::filesystem::create_directory(top_ + "/root");
    std::ofstream(top_ + "/outside") << "untouched";
  }
  void TearDown() override { std::filesystem::remove_all(top_); }

  Result<UnpackResult> Run(const TestTar& tar, UnpackLimits limits = {}) {
    const std::string bytes = tar.Finish();
    const auto source = MemorySource(bytes);
    return UnpackLayer(*source, top_ + "/root", limits);
  }
  std::string Path(const std::string& name) const { return top_ + "/root/" + name; }
  struct stat Stat(const std::string& name) const {
    struct stat info{};
    EXPECT_EQ(lstat(Path(name).c_str(), &info), 0) << name;
    return info;
  }
  std::string Text(const std::string& name) const {
    std::ifstream file(Path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool Exists(const std::string& name) const {
    struct stat info{};
    return lstat(Path(name).c_str(), &info) == 0;
  }
  std::string Attribute(const std::string& name, const char* key) const {
    std::array<char, 64> value;
    const ssize_t size = lgetxattr(Path(name).c_str(), key, value.data(), value.size());
    return size < 0 ? "" : std::string(value.data(), static_cast<size_t>(size));
  }
  std::string top_;
};

TEST_F(Unpack, KeepsWhatFilesAre) {
  TestTar tar;
  tar.Directory("./", 0750)
      .Directory("d", 01777)
      .Add({.path = "d/f", .data = "hello", .mode = 04755, .uid = 12, .gid = 34, .mtime = 1600000000})
      .HardLink("d/h", "d/f")
      .Symlink("d/l", "/etc/passwd")
      .Add({.path = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3})
      .Add({.path = "pipe", .type = '6', .mode = 0600})
      .Add({.path = "cap",
            .mode = 0755,
            .pax = {{"SCHILY.xattr.security.capability", std::string("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)},
                    {"SCHILY.xattr.trusted.overlay.redirect", "/etc"}}})
      .File("deep/er/still", "x");
  const auto result = Run(tar);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->bytes, 6);
  EXPECT_EQ(Stat("").st_mode & 07777, 0750u);
  EXPECT_EQ(Stat("d").st_mode & 07777, 01777u);
  EXPECT_EQ(Stat("d").st_mtim.tv_sec, 1700000000);
  const struct stat file = Stat("d/f");
  EXPECT_EQ(file.st_mode & 07777, 04755u);
  EXPECT_EQ(file.st_uid, 12u);
  EXPECT_EQ(file.st_gid, 34u);
  EXPECT_EQ(file.st_mtim.tv_sec, 1600000000);
  EXPECT_EQ(Stat("d/h").st_ino, file.st_ino);
  EXPECT_EQ(std::filesystem::read_symlink(Path("d/l")), "/etc/passwd");
  EXPECT_EQ(Stat("null").st_rdev, makedev(1, 3));
  EXPECT_TRUE(S_ISFIFO(Stat("pipe").st_mode));
  EXPECT_EQ(Attribute("cap", "security.capability").size(), 20u);
  EXPECT_EQ(Attribute("cap", "trusted.overlay.redirect"), "");
  EXPECT_EQ(Text("deep/er/still"), "x");
}

// Directories that only their files speak of are there for everybody, however narrow our own umask is.
TEST_F(Unpack, ImpliedDirectoriesHaveTheirMode) {
  const mode_t before = umask(0077);
  const auto unpacked = Run(TestTar().File("usr/bin/tool", "x", 0755));
  umask(before);
  ASSERT_TRUE(unpacked.ok()) << unpacked.status().message();
  EXPECT_EQ(Stat("usr").st_mode & 07777, 0755U);
  EXPECT_EQ(Stat("usr/bin").st_mode & 07777, 0755U);
  EXPECT_EQ(Stat("usr/bin/tool").st_mode & 07777, 0755U);
}

TEST_F(Unpack, TurnsWhiteoutsIntoOverlayfsForm) {
  TestTar tar;
  tar.File("gone/.wh.file", "").File("opaque/.wh..wh..opq", "").File("opaque/new", "n").File(".wh..wh.plnk", "");
  tar.Directory("replaced").File("replaced/inner", "i").File(".wh.replaced", "");  // after: hides only what is below
  tar.File(".wh.first", "").Directory("first").File("first/inner", "j");           // before
  const auto result = Run(tar);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_TRUE(S_ISCHR(Stat("gone/file").st_mode));
  EXPECT_EQ(Stat("gone/file").st_rdev, makedev(0, 0));
  EXPECT_EQ(Attribute("opaque", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(Text("opaque/new"), "n");
  EXPECT_FALSE(Exists(".wh..wh.plnk"));
  EXPECT_FALSE(Exists("plnk"));
  EXPECT_EQ(Attribute("replaced", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(Text("replaced/inner"), "i");
  EXPECT_EQ(Attribute("first", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(Text("first/inner"), "j");
}

TEST_F(Unpack, LaterEntriesReplaceEarlierOnes) {
  TestTar tar;
  tar.File("a", "1").File("a", "22").Directory("b").File("b/x", "1").Symlink("b", "a").File("c", "1").Directory("c");
  tar.Directory("d").File("d/keep", "k").Directory("d", 0700);
  const auto result = Run(tar);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(Text("a"), "22");
  EXPECT_TRUE(S_ISLNK(Stat("b").st_mode));
  EXPECT_TRUE(S_ISDIR(Stat("c").st_mode));
  EXPECT_EQ(Text("d/keep"), "k");
  EXPECT_EQ(Stat("d").st_mode & 07777, 0700u);
}

// Whatever the archive tries, the file outside stays as it was and nothing appears beside the root.
TEST_F(Unpack, StaysInside) {
  const auto one = [](const TestEntry& entry) {
    TestTar tar;
    tar.Add(entry);
    return tar;
  };
  const std::string up = "../outside";
  std::vector<TestTar> tars = {
      one({.path = "../outside", .data = "evil"}),
      one({.path = "a/../../outside", .data = "evil"}),
      one({.path = "/../outside", .data = "evil"}),
      one({.path = "hard", .type = '1', .link = "../outside"}),
      one({.path = "..", .type = '5'}),
      one({.path = ".wh...", .data = ""}),
      one({.path = ".wh..", .data = ""}),
      one({.path = "x/.wh.", .data = ""}),
      one({.path = ".", .data = "a file as root"}),
  };
  TestTar tar;
  tar.Symlink("up", "../..").File("up/outside", "evil");
  tars.push_back(tar);
  tar = {};
  tar.Symlink("up", top_).File("up/outside", "evil");
  tars.push_back(tar);
  tar = {};
  tar.Symlink("f", top_ + "/outside").File("f", "evil");
  tars.push_back(tar);
  tar = {};
  tar.Symlink("f", top_ + "/outside").HardLink("g", "f").File("g", "evil");
  tars.push_back(tar);
  tar = {};
  tar.Symlink("up", "..").HardLink("g", "up/outside").File("g", "evil");
  tars.push_back(tar);
  tar = {};
  tar.Symlink("up", "..").File("up/.wh.outside", "");
  tars.push_back(tar);
  tar = {};
  tar.Symlink("dir", "/proc/self/cwd").Directory("dir", 0700).File("dir/x", "evil");
  tars.push_back(tar);
  tar = {};
  tar.Symlink("loop", "loop").File("loop/x", "evil");
  tars.push_back(tar);
  for (size_t i = 0; i < tars.size(); ++i) {
    (void)Run(tars[i]).ok();
    std::ifstream file(top_ + "/outside");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(text, "untouched") << i;
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(top_)) count += entry.exists() ? 1 : 0;
    EXPECT_EQ(count, 2u) << i;
    std::filesystem::remove_all(top_ + "/root");
    std::filesystem::create_directory(top_ + "/root");
  }
}

TEST_F(Unpack, RefusesWhatLeadsOutOrIsTooMuch) {
  TestTar out;
  out.File("../x", "");
  EXPECT_EQ(Run(out).status().message(), "unpack \"../x\": path \"../x\" leads out of the root directory");
  TestTar name;
  name.Add({.path = "a", .pax = {{"path", std::string(256, 'a')}}});
  EXPECT_FALSE(Run(name).ok());
  TestTar many;
  many.File("a", "1").File("b", "1").File("c", "1");
  EXPECT_FALSE(Run(many, {.entries = 2}).ok());
  EXPECT_FALSE(Run(many, {.bytes = 2}).ok());
  TestTar dangling;
  dangling.HardLink("a", "not/there");
  EXPECT_TRUE(Run(dangling).Failed(Reason::kNotFound));
}

TEST_F(Unpack, ReadsThroughLayers) {
  const auto layer = [&](const std::string& name, const TestTar& tar) {
    const std::string path = top_ + "/" + name;
    std::filesystem::create_directory(path);
    const std::string bytes = tar.Finish();
    const auto source = MemorySource(bytes);
    EXPECT_TRUE(UnpackLayer(*source, path).ok());
    return path;
  };
  TestTar low;
  low.File("etc/passwd", "low").File("etc/group", "groups").File("data/real", "R").File("hidden/x", "h");
  TestTar middle;
  middle.File("etc/passwd", "middle").Symlink("link", "/data/real").Symlink("up", "../../data/../link");
  middle.Symlink("loop", "loop").Symlink("out", "../../../../etc/hostname");
  TestTar high;
  high.File("etc/.wh.group", "")
      .File("hidden/.wh..wh..opq", "")
      .Add({.path = "dev", .type = '3', .major = 1, .minor = 5});
  const std::vector<std::string> layers = {layer("l0", low), layer("l1", middle), layer("l2", high)};
  const auto read = [&](const char* path) { return ReadMergedFile(layers, path, 1000); };
  EXPECT_EQ(*read("/etc/passwd"), "middle");
  EXPECT_EQ(*read("/etc/group"), "");
  EXPECT_EQ(*read("/hidden/x"), "");
  EXPECT_EQ(*read("/link"), "R");
  EXPECT_EQ(*read("/up"), "R");
  EXPECT_EQ(*read("/out"), "");
  EXPECT_TRUE(read("/etc").Failed(Reason::kBadRequest));
  EXPECT_EQ(*read("/nothing/at/all"), "");
  EXPECT_FALSE(read("/loop").ok());
  EXPECT_FALSE(read("/dev").ok());
  EXPECT_FALSE(ReadMergedFile(layers, "/etc/passwd", 3).ok());
}

TEST(ResolveUser, FollowsPasswdAndGroup) {
  const std::string_view passwd =
      "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:w:/var/www:/bin/false\n1000:x:5:6::/five:\nbroken\nbad:x:a:b::/:\n";
  const std::string_view group = "root:x:0:\nweb:x:34:\nlog:x:4:web,other\nextra:x:99:web\nhuge:x:99999999999:web\n";
  struct Case {
    const char* text;
    uint32_t uid, gid;
    std::vector<uint32_t> groups;
    const char* home;
  };
  const Case cases[] = {
      {"", 0, 0, {}, "/root"},
      {"web", 33, 34, {4, 99}, "/var/www"},
      {"33", 33, 34, {4, 99}, "/var/www"},
      {"web:log", 33, 4, {}, "/var/www"},
      {"web:7", 33, 7, {}, "/var/www"},
      {"4242", 4242, 0, {}, "/"},
      {"4242:web", 4242, 34, {}, "/"},
      {"1000", 5, 6, {}, "/five"},
      {"0:0", 0, 0, {}, "/root"},
  };
  for (const Case& test : cases) {
    const auto user = ResolveUserIn(test.text, passwd, group);
    ASSERT_TRUE(user.ok()) << test.text << user.status().message();
    EXPECT_EQ(user->uid, test.uid) << test.text;
    EXPECT_EQ(user->gid, test.gid) << test.text;
    EXPECT_EQ(user->groups, test.groups) << test.text;
    EXPECT_EQ(user->home, test.home) << test.text;
  }
  EXPECT_EQ(ResolveUserIn("nosuch", passwd, group).status().message(),
            "unable to find user nosuch: no matching entries in passwd file");
  EXPECT_EQ(ResolveUserIn("web:nosuch", passwd, group).status().message(),
            "unable to find group nosuch: no matching entries in group file");
  EXPECT_FALSE(ResolveUserIn("-1", passwd, group).ok());
  EXPECT_FALSE(ResolveUserIn("4294967296", passwd, group).ok());
}

}  // namespace
}  // namespace knarr::image

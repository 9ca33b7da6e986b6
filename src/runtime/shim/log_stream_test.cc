#include "runtime/shim/log_stream.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace knarr::shim {
namespace {

constexpr int64_t kNow = 1795255200123456789;
const std::string kTime = "2026-11-21T10:00:00.123456789Z";

class LogStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/knarr-log-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
    path_ = directory_ + "/0.log";
    ASSERT_EQ(file_.Open(path_.c_str()), 0);
    stream_.Start(&file_, "stdout");
  }
  void TearDown() override {
    stream_.Finish(kNow);
    file_.Close();
    std::filesystem::remove_all(directory_);
  }
  void Feed(const std::string& data) { stream_.Feed(data.data(), data.size(), kNow); }
  std::string Text() const {
    std::ifstream in(path_);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::string Line(const std::string& text, char tag = 'F') {
    return kTime + " stdout " + tag + " " + text + "\n";
  }

  std::string directory_;
  std::string path_;
  LogFile file_;
  LogStream stream_;
};

TEST(LogTime, Formats) {
  struct Case {
    int64_t ns;
    const char* text;
  };
  const Case cases[] = {
      {0, "1970-01-01T00:00:00.000000000Z"},
      {kNow, "2026-11-21T10:00:00.123456789Z"},
      {951782400000000001, "2000-02-29T00:00:00.000000001Z"},
      {1709251199999999999, "2024-02-29T23:59:59.999999999Z"},
      {4107542400000000000, "2100-03-01T00:00:00.000000000Z"},
  };
  for (const Case& c : cases) {
    char out[31];
    FormatLogTime(c.ns, out);
    EXPECT_STREQ(out, c.text);
  }
}

TEST_F(LogStreamTest, WholeLines) {
  Feed("one\n\nthree\n");
  EXPECT_EQ(Text(), Line("one") + Line("") + Line("three"));
}

TEST_F(LogStreamTest, LinesInPieces) {
  Feed("he");
  EXPECT_EQ(Text(), "");
  Feed("llo");
  Feed("\nnext\nla");
  EXPECT_EQ(Text(), Line("hello") + Line("next"));
  stream_.Finish(kNow);
  EXPECT_EQ(Text(), Line("hello") + Line("next") + Line("la", 'P'));
}

TEST_F(LogStreamTest, LongLinesAreCutInPartialOnes) {
  const std::string piece(kLineMax, 'x');
  Feed(piece + piece + "end\n");
  EXPECT_EQ(Text(), Line(piece, 'P') + Line(piece, 'P') + Line("end"));
}

TEST_F(LogStreamTest, ALineOfJustTheBoundIsWhole) {
  const std::string piece(kLineMax, 'x');
  Feed(piece);
  Feed("\n");
  EXPECT_EQ(Text(), Line(piece));
  Feed(piece);
  Feed("y\n");
  EXPECT_EQ(Text(), Line(piece) + Line(piece, 'P') + Line("y"));
}

// However the bytes come, what was written is what is read back.
TEST_F(LogStreamTest, AnyCutGivesTheSameText) {
  std::string input;
  uint32_t state = 12345;
  const auto next = [&] { return state = state * 1664525 + 1013904223; };
  for (int i = 0; i < 300; i++) {
    input += std::string(next() % (i % 50 == 0 ? 40000 : 200), static_cast<char>('a' + i % 26));
    input += '\n';
  }
  for (size_t at = 0; at < input.size();) {
    const size_t size = std::min<size_t>(1 + next() % (next() % 5 == 0 ? 32768 : 500), input.size() - at);
    Feed(input.substr(at, size));
    at += size;
  }
  std::string output;
  std::ifstream in(path_);
  for (std::string line; std::getline(in, line);) {
    ASSERT_TRUE(line.starts_with(kTime + " stdout ")) << line.substr(0, 80);
    ASSERT_LE(line.size(), kLineMax + 40);
    output += line.substr(kTime.size() + 10);
    if (line[kTime.size() + 8] == 'F') output += '\n';
  }
  EXPECT_EQ(output, input);
}

// A disk that is full loses lines, but never half of one, and goes on when there is room.
TEST_F(LogStreamTest, SurvivesAFullDisk) {
  if (geteuid() != 0) GTEST_SKIP() << "not root";
  const std::string mounted = directory_ + "/small";
  std::filesystem::create_directory(mounted);
  ASSERT_EQ(mount("tmpfs", mounted.c_str(), "tmpfs", 0, "size=64k"), 0);
  const std::string path = mounted + "/0.log";
  LogFile file;
  ASSERT_EQ(file.Open(path.c_str()), 0);
  LogStream stream;
  stream.Start(&file, "stdout");
  const std::string line = std::string(999, 'x') + "\n";
  for (int i = 0; i < 200; i++) stream.Feed(line.data(), line.size(), kNow);
  EXPECT_GT(file.lost_bytes(), 100000U);
  const auto size = std::filesystem::file_size(path);
  EXPECT_EQ(size % (kTime.size() + 10 + line.size()), 0U);
  EXPECT_GT(size, 30000U);
  EXPECT_EQ(truncate(path.c_str(), 0), 0);
  stream.Feed("again\n", 6, kNow);
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), Line("again"));
  in.close();
  stream.Finish(kNow);
  file.Close();
  EXPECT_EQ(umount(mounted.c_str()), 0);
}

// A flood leaves memory as it was.
TEST_F(LogStreamTest, AFloodHoldsNoMemory) {
  LogFile nowhere;  // keeps nothing
  ASSERT_EQ(nowhere.Open(""), 0);
  LogStream stream;
  stream.Start(&nowhere, "stderr");
  const std::string data(32768, 'x');
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  for (int i = 0; i < 10000; i++) stream.Feed(data.data(), data.size(), kNow);
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 1024);
  stream.Finish(kNow);
}

}  // namespace
}  // namespace knarr::shim

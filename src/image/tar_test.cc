#include "image/tar.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "image/testing_tar.h"

namespace knarr::image {
namespace {

std::string Gzip(std::string_view bytes) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

Result<std::string> Drain(std::string_view bytes, ExpansionLimit limit = {}) {
  const auto source = TRY(Decompress(MemorySource(bytes), limit));
  std::string out;
  std::string piece(1000, '\0');
  while (true) {
    const size_t got = TRY(source->Read(piece.data(), piece.size()));
    if (got == 0) return out;
    out.append(piece, 0, got);
  }
}

TEST(ByteSource, Decompresses) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i * 7919);
  for (const std::string& packed : {text, Gzip(text), Zstd(text), Gzip("") + Gzip(text), Zstd(text) + Zstd("")}) {
    const auto out = Drain(packed);
    ASSERT_TRUE(out.ok()) << out.status().message();
    EXPECT_EQ(out->size(), text.size());
    EXPECT_EQ(*out, text);
  }
  EXPECT_EQ(*Drain(""), "");
  EXPECT_EQ(*Drain("ab"), "ab");
  EXPECT_EQ(*Drain(Gzip(text) + std::string(700, '\0')), text);
}

TEST(ByteSource, RefusesDamage) {
  const std::string text(100000, 'x');
  for (const std::string& packed : {Gzip(text), Zstd(text)}) {
    EXPECT_TRUE(Drain(packed.substr(0, packed.size() - 3)).Failed(Reason::kBadRequest));
  }
  std::string varied;
  for (int i = 0; i < 10000; ++i) varied += std::to_string(i * 7919);
  std::string bent = Gzip(varied);
  bent[bent.size() / 2] ^= 0x55;
  EXPECT_FALSE(Drain(bent).ok());
  EXPECT_FALSE(Drain("\x28\xb5\x2f\xfd\xff\xff\xff").ok());
}

TEST(ByteSource, RefusesBombs) {
  const std::string zeros(64 << 20, '\0');
  const ExpansionLimit limit{.least = 1 << 20, .ratio = 200};
  const auto out = Drain(Gzip(zeros), limit);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.status().message(), "compressed data grows beyond 200 times its size");
  EXPECT_FALSE(Drain(Zstd(zeros), limit).ok());
}

struct Read {
  std::vector<TarEntry> entries;
  std::vector<std::string> data;
};

Result<Read> ReadAll(std::string_view bytes) {
  const auto source = MemorySource(bytes);
  TarReader tar(*source);
  Read out;
  while (auto entry = TRY(tar.Next())) {
    std::string data;
    std::string piece(300, '\0');
    // Every second file is left unread, to be passed over.
    while (out.entries.size() % 2 == 0) {
      const size_t got = TRY(tar.Read(piece.data(), piece.size()));
      if (got == 0) break;
      data.append(piece, 0, got);
    }
    out.entries.push_back(std::move(*entry));
    out.data.push_back(std::move(data));
  }
  return out;
}

TEST(Tar, Reads) {
  const std::string long_name = std::string(150, 'n') + "/" + std::string(150, 'm');
  TestTar tar;
  tar.File("a", std::string(1000, 'A'))
      .File("skipped", std::string(513, 'B'))
      .Add({.path = "short",
            .data = "x",
            .pax = {{"path", long_name},
                    {"uid", "70000000"},
                    {"mtime", "1700000001.5"},
                    {"SCHILY.xattr.user.k", std::string("v\0w", 3)}}})
      .Directory("d/", 01777)
      .Symlink("l", "/abs/target")
      .HardLink("h", "a")
      .Add({.path = "dev", .type = '3', .mode = 0666, .major = 1, .minor = 3})
      .Add({.path = "fifo", .type = '6'})
      .Add({.path = "v7dir/", .type = '0'});
  const auto read = ReadAll(tar.Finish());
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_EQ(read->entries.size(), 9u);
  const auto& e = read->entries;
  EXPECT_EQ(read->data[0], std::string(1000, 'A'));
  EXPECT_EQ(e[1].path, "skipped");
  EXPECT_EQ(e[2].path, long_name);
  EXPECT_EQ(e[2].uid, 70000000u);
  EXPECT_EQ(e[2].mtime_seconds, 1700000001);
  EXPECT_EQ(e[2].mtime_nanoseconds, 500000000);
  ASSERT_EQ(e[2].xattrs.size(), 1u);
  EXPECT_EQ(e[2].xattrs[0].second, std::string("v\0w", 3));
  EXPECT_EQ(e[3].type, TarType::kDirectory);
  EXPECT_EQ(e[3].mode, 01777u);
  EXPECT_EQ(e[4].link, "/abs/target");
  EXPECT_EQ(e[5].type, TarType::kHardLink);
  EXPECT_EQ(e[6].device_minor, 3u);
  EXPECT_EQ(e[7].type, TarType::kFifo);
  EXPECT_EQ(e[8].type, TarType::kDirectory);
}

TEST(Tar, ReadsGnuLongNames) {
  const std::string name(300, 'g');
  TestTar tar;
  tar.Add({.path = "././@LongLink", .type = 'L', .data = name + std::string(1, '\0')}).File("cut", "data");
  const auto read = ReadAll(tar.Finish());
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->entries.size(), 1u);
  EXPECT_EQ(read->entries[0].path, name);
  EXPECT_EQ(read->data[0], "data");
}

TEST(Tar, EndsWithoutEndMark) {
  TestTar tar;
  tar.File("a", "x");
  const auto read = ReadAll(tar.unfinished());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->entries.size(), 1u);
}

TEST(Tar, RefusesDamage) {
  TestTar tar;
  tar.File("a", std::string(2000, 'A'));
  std::string bytes = tar.Finish();
  EXPECT_FALSE(ReadAll(bytes.substr(0, 700)).ok());
  EXPECT_FALSE(ReadAll(bytes.substr(0, 300)).ok());
  std::string bent = bytes;
  bent[3] = 'z';
  EXPECT_TRUE(ReadAll(bent).Failed(Reason::kBadRequest));

  const TestEntry bad[] = {
      {.path = "", .data = "x"},
      {.path = "sparse", .type = 'S'},
      {.path = "multi", .type = 'M'},
      {.path = "a", .pax = {{"size", "-1"}}},
      {.path = "a", .pax = {{"size", "99999999999999999999"}}},
      {.path = "a", .pax = {{"size", "99999999999999999"}}},
      {.path = "a", .pax = {{"uid", "-5"}}},
      {.path = "a", .pax = {{"path", std::string("x\0y", 3)}}},
      {.path = "a", .pax = {{"path", std::string(5000, 'p')}}},
      {.path = "a", .pax = {{"mtime", "yesterday"}}},
      {.path = "a", .pax = {{"GNU.sparse.major", "1"}}},
      {.path = "a", .pax = {{"comment", std::string(2 << 20, 'c')}}},
      {.path = "x", .type = 'x', .data = "999999 a=b\n"},
      {.path = "x", .type = 'x', .data = "5 a=\n9"},
      {.path = "huge", .size_claimed = 077777777777},
  };
  for (const TestEntry& entry : bad) {
    TestTar one;
    one.Add(entry);
    one.File("after", "y");
    EXPECT_TRUE(ReadAll(one.Finish()).Failed(Reason::kBadRequest)) << entry.path << " " << entry.type;
  }
}

}  // namespace
}  // namespace knarr::image

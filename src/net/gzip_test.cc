#include "net/gzip.h"

#include <gtest/gtest.h>
#include <zlib.h>

namespace knarr::net {
namespace {

std::string Unzip(std::string& bytes) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string out(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

TEST(Gzip, PiecesComeBackAsOne) {
  std::string text;
  for (int i = 0; i < 40000; ++i) text += std::to_string(i * 7919 % 10007) + ",";
  Gzip gzip;
  std::string bytes;
  gzip.Add("", bytes);
  gzip.Add(std::string_view(text).substr(0, 1000), bytes);
  gzip.Add(std::string_view(text).substr(1000), bytes);
  gzip.Finish(bytes);
  EXPECT_LT(bytes.size(), text.size());
  EXPECT_EQ(Unzip(bytes), text);
}

TEST(Gzip, NothingIsAMemberToo) {
  Gzip gzip;
  std::string bytes;
  gzip.Finish(bytes);
  EXPECT_EQ(Unzip(bytes), "");
}

}  // namespace
}  // namespace knarr::net

#include "doc/proto.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace knarr::doc {
namespace {

using namespace std::string_literals;

TEST(Proto, ScalarsAreWrittenAndReadBack) {
  std::string bytes;
  ProtoWriter writer(bytes);
  writer.Varint(1, 150);
  writer.Int(2, -1);
  writer.Bool(3, true);
  writer.Fixed32(4, 0xdeadbeef);
  writer.Fixed64(5, 0x0102030405060708);
  writer.Double(6, 1.5);
  writer.Bytes(16, "text");
  EXPECT_EQ(bytes.substr(0, 3), "\x08\x96\x01");
  EXPECT_EQ(bytes.substr(3, 11), "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");

  ProtoReader reader(bytes);
  EXPECT_EQ(reader.ReadTag()->field, 1u);
  EXPECT_EQ(*reader.ReadVarint(), 150u);
  EXPECT_EQ(reader.ReadTag()->field, 2u);
  EXPECT_EQ(static_cast<int64_t>(*reader.ReadVarint()), -1);
  EXPECT_EQ(reader.ReadTag()->type, WireType::kVarint);
  EXPECT_EQ(*reader.ReadVarint(), 1u);
  EXPECT_EQ(reader.ReadTag()->type, WireType::kFixed32);
  EXPECT_EQ(*reader.ReadFixed32(), 0xdeadbeefu);
  EXPECT_EQ(reader.ReadTag()->type, WireType::kFixed64);
  EXPECT_EQ(*reader.ReadFixed64(), 0x0102030405060708u);
  std::ignore = reader.ReadTag();
  EXPECT_EQ(*reader.ReadDouble(), 1.5);
  EXPECT_EQ(reader.ReadTag()->field, 16u);
  EXPECT_EQ(*reader.ReadBytes(), "text");
  EXPECT_TRUE(reader.done());
}

TEST(Proto, VarintsOfEveryLength) {
  for (int shift = 0; shift < 64; ++shift) {
    for (uint64_t value : {uint64_t{1} << shift, (uint64_t{1} << shift) - 1, ~(uint64_t{1} << shift)}) {
      std::string bytes;
      ProtoWriter(bytes).RawVarint(value);
      ProtoReader reader(bytes);
      EXPECT_EQ(*reader.ReadVarint(), value);
      EXPECT_TRUE(reader.done());
    }
  }
}

TEST(Proto, ZigZag) {
  for (int64_t value : {int64_t{0}, int64_t{-1}, int64_t{1}, std::numeric_limits<int64_t>::min(),
                        std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(ZigZagDecode(ZigZagEncode(value)), value);
  }
  EXPECT_EQ(ZigZagEncode(-1), 1u);
}

TEST(Proto, NestedMessagesOfEverySize) {
  for (size_t size : {0, 1, 120, 127, 128, 200, 16383, 16384, 100'000}) {
    std::string bytes;
    ProtoWriter writer(bytes);
    const size_t outer = writer.BeginMessage(1);
    writer.Varint(1, 7);
    const size_t inner = writer.BeginMessage(2);
    if (size > 0) writer.Bytes(3, std::string(size, 'x'));
    writer.EndMessage(inner);
    writer.EndMessage(outer);
    writer.Varint(9, 9);

    ProtoReader reader(bytes);
    std::ignore = reader.ReadTag();
    ProtoReader message = *reader.ReadMessage();
    std::ignore = message.ReadTag();
    EXPECT_EQ(*message.ReadVarint(), 7u);
    EXPECT_EQ(message.ReadTag()->field, 2u);
    ProtoReader nested = *message.ReadMessage();
    EXPECT_TRUE(message.done());
    if (size > 0) {
      EXPECT_EQ(nested.ReadTag()->field, 3u);
      EXPECT_EQ(nested.ReadBytes()->size(), size);
    }
    EXPECT_TRUE(nested.done());
    EXPECT_EQ(reader.ReadTag()->field, 9u);
  }
}

TEST(Proto, SkipsWhatNobodyKnows) {
  std::string bytes;
  ProtoWriter writer(bytes);
  writer.Varint(1, 300);
  writer.Fixed32(2, 1);
  writer.Fixed64(3, 1);
  writer.Bytes(4, "abc");
  bytes += "\x2b\x08\x01\x33\x34\x2c"s;  // group 5 with field 1 and group 6 in it
  writer.Varint(7, 1);
  ProtoReader reader(bytes);
  for (int i = 0; i < 5; ++i) {
    auto tag = reader.ReadTag();
    ASSERT_TRUE(tag.ok());
    ASSERT_TRUE(reader.Skip(*tag).ok());
  }
  EXPECT_EQ(reader.ReadTag()->field, 7u);
}

TEST(Proto, MalformedBytesAreErrors) {
  struct Case {
    std::string bytes;
    std::string_view error;
  };
  const Case cases[] = {
      {"\x80"s, "protobuf: unexpected end of varint at byte 0"},
      {std::string(10, '\xff'), "protobuf: varint overflows 64 bits at byte 0"},
      {"\x00"s, "protobuf: illegal field number 0 at byte 0"},
      {"\x0f"s, "protobuf: illegal wire type 7 of field 1 at byte 0"},
      {"\x08"s, "protobuf: unexpected end of varint at byte 1"},
      {"\x0a\x05"
       "abc"s,
       "protobuf: unexpected end of field of 5 bytes at byte 2"},
      {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,
       "protobuf: unexpected end of field of 18446744073709551615 bytes at byte 11"},
      {"\x0d\x01\x02\x03"s, "protobuf: unexpected end of 32-bit number at byte 1"},
      {"\x09\x01\x02\x03"s, "protobuf: unexpected end of 64-bit number at byte 1"},
      {"\x0c"s, "protobuf: field 1 at byte 1: end of a group that did not begin"},
      {"\x0b\x14"s, "protobuf: field 2 at byte 2: ends a group that is not open"},
      {"\x0b"s, "protobuf: unexpected end of group at byte 1"},
      {std::string(40, '\x0b'), "protobuf: field 1 at byte 33: groups nested too deep"},
  };
  for (const Case& c : cases) {
    ProtoReader reader(c.bytes);
    auto tag = reader.ReadTag();
    const Status status = tag.ok() ? reader.Skip(*tag).status() : tag.status();
    EXPECT_EQ(status.message(), c.error);
  }
}

TEST(Proto, NestedErrorsCountFromTheBeginning) {
  const std::string bytes = "\x0a\x02\x08\x80"s;
  ProtoReader reader(bytes);
  std::ignore = reader.ReadTag();
  ProtoReader nested = *reader.ReadMessage();
  std::ignore = nested.ReadTag();
  EXPECT_EQ(nested.ReadVarint().status().message(), "protobuf: unexpected end of varint at byte 3");
}

}  // namespace
}  // namespace knarr::doc

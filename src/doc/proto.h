#pragma once

// The protobuf wire format: tags, varints, fixed-width numbers and length-delimited fields. No messages, no
// descriptors: the schema's tables say what the fields mean.
//
// A reader never reads past its bytes and never allocates; a nested message is a reader over a part of the same bytes.
// A writer appends to a string; a nested message's length is written before its bytes are known and put right when it
// ends, so no message is measured or copied twice.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr::doc {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kGroupStart = 3, kGroupEnd = 4, kFixed32 = 5 };

/// Deepest nesting of groups that Skip follows.
inline constexpr int kProtoGroupDepthMax = 32;

inline int64_t ZigZagDecode(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}
inline uint64_t ZigZagEncode(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

/// Reads one message. Errors are BadRequest and say at which byte (counted from the beginning of `base`).
class ProtoReader {
 public:
  struct Tag {
    uint32_t field = 0;
    WireType type = WireType::kVarint;
  };

  explicit ProtoReader(std::string_view bytes) : ProtoReader(bytes, bytes.data()) {}
  /// A part of larger bytes, for errors that count from their beginning.
  ProtoReader(std::string_view bytes, const char* base) : p_(bytes.data()), end_(p_ + bytes.size()), base_(base) {}

  bool done() const { return p_ == end_; }
  /// Bytes before the next one to read.
  size_t offset() const { return static_cast<size_t>(p_ - base_); }

  Result<Tag> ReadTag();
  Result<uint64_t> ReadVarint() {
    if (p_ != end_ && static_cast<unsigned char>(*p_) < 0x80) return static_cast<unsigned char>(*p_++);
    return ReadLongVarint();
  }
  Result<uint32_t> ReadFixed32();
  Result<uint64_t> ReadFixed64();
  Result<double> ReadDouble() { return std::bit_cast<double>(TRY(ReadFixed64())); }
  /// A length-delimited field, in place.
  Result<std::string_view> ReadBytes();
  /// The same as a reader of the nested message.
  Result<ProtoReader> ReadMessage() { return ProtoReader(TRY(ReadBytes()), base_); }
  /// Passes over the value of a field that nobody knows, groups included.
  Ok Skip(Tag tag) { return Skip(tag, kProtoGroupDepthMax); }
  /// An error about the field that was just read: "protobuf: field 3 at byte 17: what".
  Status Error(Tag tag, std::string_view what) const;

 private:
  Result<uint64_t> ReadLongVarint();
  Ok Skip(Tag tag, int depth);
  Status Truncated(std::string_view what) const;

  const char* p_;
  const char* end_;
  const char* base_;
};

/// Appends fields to a string.
class ProtoWriter {
 public:
  explicit ProtoWriter(std::string& out) : out_(out) {}

  void Varint(uint32_t field, uint64_t value) {
    Tag(field, WireType::kVarint);
    RawVarint(value);
  }
  /// Negative numbers take ten bytes, as int32 and int64 fields have them.
  void Int(uint32_t field, int64_t value) { Varint(field, static_cast<uint64_t>(value)); }
  void Bool(uint32_t field, bool value) { Varint(field, value ? 1 : 0); }
  void Fixed32(uint32_t field, uint32_t value);
  void Fixed64(uint32_t field, uint64_t value);
  void Double(uint32_t field, double value) { Fixed64(field, std::bit_cast<uint64_t>(value)); }
  void Bytes(uint32_t field, std::string_view value);

  /// Begins a nested message; what is written until EndMessage(mark) is its content. Messages nest like brackets.
  size_t BeginMessage(uint32_t field);
  void EndMessage(size_t mark);

  void RawVarint(uint64_t value);

 private:
  void Tag(uint32_t field, WireType type) { RawVarint(uint64_t{field} << 3 | static_cast<uint64_t>(type)); }
  std::string& out_;
};

}  // namespace knarr::doc

#include "doc/proto.h"

#include "base/check.h"

namespace knarr::doc {
namespace {

constexpr size_t kVarintBytesMax = 10;
constexpr uint64_t kFieldMax = (uint64_t{1} << 29) - 1;

static_assert(std::endian::native == std::endian::little, "fixed-width fields are copied as they are");

size_t EncodeVarint(uint64_t value, char* out) {
  size_t size = 0;
  while (value >= 0x80) {
    out[size++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out[size++] = static_cast<char>(value);
  return size;
}

}  // namespace

Status ProtoReader::Truncated(std::string_view what) const {
  return BadRequest("protobuf: unexpected end of " + std::string(what) + " at byte " + std::to_string(offset()));
}

Status ProtoReader::Error(Tag tag, std::string_view what) const {
  return BadRequest("protobuf: field " + std::to_string(tag.field) + " at byte " + std::to_string(offset()) + ": " +
                    std::string(what));
}

Result<uint64_t> ProtoReader::ReadLongVarint() {
  uint64_t value = 0;
  for (size_t i = 0; i < kVarintBytesMax; ++i) {
    if (p_ + i == end_) return Truncated("varint");
    const auto byte = static_cast<unsigned char>(p_[i]);
    if (i == kVarintBytesMax - 1 && byte > 1) break;
    value |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) {
      p_ += i + 1;
      return value;
    }
  }
  return BadRequest("protobuf: varint overflows 64 bits at byte " + std::to_string(offset()));
}

Result<ProtoReader::Tag> ProtoReader::ReadTag() {
  const size_t at = offset();
  const uint64_t value = TRY(ReadVarint());
  const uint64_t field = value >> 3;
  if (field == 0 || field > kFieldMax) {
    return BadRequest("protobuf: illegal field number " + std::to_string(field) + " at byte " + std::to_string(at));
  }
  const auto type = static_cast<uint8_t>(value & 7);
  if (type > 5) {
    return BadRequest("protobuf: illegal wire type " + std::to_string(type) + " of field " + std::to_string(field) +
                      " at byte " + std::to_string(at));
  }
  return Tag{static_cast<uint32_t>(field), static_cast<WireType>(type)};
}

Result<uint32_t> ProtoReader::ReadFixed32() {
  uint32_t value = 0;
  if (static_cast<size_t>(end_ - p_) < sizeof value) return Truncated("32-bit number");
  std::memcpy(&value, p_, sizeof value);
  p_ += sizeof value;
  return value;
}

Result<uint64_t> ProtoReader::ReadFixed64() {
  uint64_t value = 0;
  if (static_cast<size_t>(end_ - p_) < sizeof value) return Truncated("64-bit number");
  std::memcpy(&value, p_, sizeof value);
  p_ += sizeof value;
  return value;
}

Result<std::string_view> ProtoReader::ReadBytes() {
  const uint64_t size = TRY(ReadVarint());
  if (size > static_cast<uint64_t>(end_ - p_)) {
    return Truncated("field of " + std::to_string(size) + " bytes");
  }
  const std::string_view out(p_, static_cast<size_t>(size));
  p_ += size;
  return out;
}

Ok ProtoReader::Skip(Tag tag, int depth) {
  switch (tag.type) {
    case WireType::kVarint:
      TRY(ReadVarint());
      return {};
    case WireType::kFixed32:
      TRY(ReadFixed32());
      return {};
    case WireType::kFixed64:
      TRY(ReadFixed64());
      return {};
    case WireType::kBytes:
      TRY(ReadBytes());
      return {};
    case WireType::kGroupEnd:
      return Error(tag, "end of a group that did not begin");
    case WireType::kGroupStart:
      break;
  }
  if (depth == 0) return Error(tag, "groups nested too deep");
  while (true) {
    if (done()) return Truncated("group");
    const Tag inner = TRY(ReadTag());
    if (inner.type == WireType::kGroupEnd) {
      if (inner.field != tag.field) return Error(inner, "ends a group that is not open");
      return {};
    }
    TRY(Skip(inner, depth - 1));
  }
}

void ProtoWriter::RawVarint(uint64_t value) {
  char bytes[kVarintBytesMax];
  out_.append(bytes, EncodeVarint(value, bytes));
}

void ProtoWriter::Fixed32(uint32_t field, uint32_t value) {
  Tag(field, WireType::kFixed32);
  out_.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void ProtoWriter::Fixed64(uint32_t field, uint64_t value) {
  Tag(field, WireType::kFixed64);
  out_.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void ProtoWriter::Bytes(uint32_t field, std::string_view value) {
  Tag(field, WireType::kBytes);
  RawVarint(value.size());
  out_ += value;
}

// One byte is left for the length, which is enough for most messages; a longer one moves the content up.
size_t ProtoWriter::BeginMessage(uint32_t field) {
  Tag(field, WireType::kBytes);
  out_ += '\0';
  return out_.size();
}

void ProtoWriter::EndMessage(size_t mark) {
  CHECK(mark > 0 && mark <= out_.size());
  char bytes[kVarintBytesMax];
  const size_t size = EncodeVarint(out_.size() - mark, bytes);
  out_[mark - 1] = bytes[0];
  if (size > 1) out_.insert(mark, bytes + 1, size - 1);
}

}  // namespace knarr::doc

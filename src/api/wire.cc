#include "api/wire.h"

#include <algorithm>
#include <array>

namespace knarr::api::wire {
namespace {

constexpr int kGroupDepthMax = 16;

}  // namespace

void BackWriter::Room(size_t bytes) {
  if (bytes <= at_) return;
  const size_t used = size();
  std::string grown(std::max(size_t{256}, (used + bytes) * 2), '\0');
  std::memcpy(grown.data() + grown.size() - used, buffer_.data() + at_, used);
  at_ = grown.size() - used;
  buffer_ = std::move(grown);
}

void BackWriter::Varint(uint64_t value) {
  std::array<char, 10> bytes;
  size_t count = 0;
  while (value >= 0x80) {
    bytes[count++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  bytes[count++] = static_cast<char>(value);
  Bytes({bytes.data(), count});
}

Status Reader::Error(std::string_view what) const {
  return BadRequest("protobuf: byte " + std::to_string(offset()) + ": " + std::string(what));
}

Result<uint64_t> Reader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (done()) return Error("unexpected EOF");
    const auto byte = static_cast<uint8_t>(bytes_[at_++]);
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  return Error("integer overflow");
}

Result<Token> Reader::Next() {
  const uint64_t tag = TRY(Varint());
  Token token;
  token.number = static_cast<uint32_t>(tag >> 3);
  if (tag >> 32 != 0 || token.number == 0) return Error("illegal tag " + std::to_string(tag >> 3));
  token.type = static_cast<Type>(tag & 7);
  switch (token.type) {
    case Type::kVarint:
      token.integer = TRY(Varint());
      return token;
    case Type::kFixed64:
    case Type::kFixed32: {
      const size_t size = token.type == Type::kFixed64 ? 8 : 4;
      if (bytes_.size() - at_ < size) return Error("unexpected EOF");
      std::memcpy(&token.integer, bytes_.data() + at_, size);
      at_ += size;
      return token;
    }
    case Type::kBytes: {
      const uint64_t length = TRY(Varint());
      if (length > bytes_.size() - at_) return Error("unexpected EOF");
      token.bytes = bytes_.substr(at_, length);
      at_ += length;
      return token;
    }
    case Type::kGroup:
      TRY(SkipGroup(kGroupDepthMax));
      return token;
    default:
      return Error("illegal wireType " + std::to_string(tag & 7));
  }
}

// Groups are never in these messages, but unknown ones are stepped over, as upstream does.
Ok Reader::SkipGroup(int depth) {
  if (depth == 0) return Error("groups nested too deep");
  while (true) {
    const uint64_t tag = TRY(Varint());
    const auto type = static_cast<Type>(tag & 7);
    if (type == Type::kGroupEnd) return {};
    if (type == Type::kGroup) {
      TRY(SkipGroup(depth - 1));
    } else if (type == Type::kVarint) {
      TRY(Varint());
    } else {
      uint64_t length = type == Type::kFixed64 ? 8 : 4;
      if (type == Type::kBytes) length = TRY(Varint());
      if (static_cast<uint64_t>(type) > 5) return Error("illegal wireType " + std::to_string(tag & 7));
      if (length > bytes_.size() - at_) return Error("unexpected EOF");
      at_ += length;
    }
  }
}

}  // namespace knarr::api::wire

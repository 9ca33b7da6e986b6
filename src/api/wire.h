#pragma once

// Protobuf's wire format. Writing goes backwards, from the last field to the first, so that the length of a nested
// message is known when its head is written. Internal to this folder.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr::api::wire {

enum class Type : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kGroup = 3, kGroupEnd = 4, kFixed32 = 5 };

/// A buffer filled from its end.
class BackWriter {
 public:
  size_t size() const { return buffer_.size() - at_; }
  void Bytes(std::string_view bytes) {
    Room(bytes.size());
    at_ -= bytes.size();
    if (!bytes.empty()) std::memcpy(buffer_.data() + at_, bytes.data(), bytes.size());
  }
  void Varint(uint64_t value);
  void Tag(uint32_t number, Type type) { Varint(uint64_t{number} << 3 | static_cast<uint64_t>(type)); }
  /// The head of a length-delimited field whose content was written since the writer's size was `before`.
  void Head(uint32_t number, size_t before) {
    Varint(size() - before);
    Tag(number, Type::kBytes);
  }
  void String(uint32_t number, std::string_view bytes) {
    const size_t before = size();
    Bytes(bytes);
    Head(number, before);
  }
  void Int(uint32_t number, int64_t value) {
    Varint(static_cast<uint64_t>(value));
    Tag(number, Type::kVarint);
  }
  std::string Take() && { return std::move(buffer_).substr(at_); }

 private:
  void Room(size_t bytes);
  std::string buffer_;
  size_t at_ = 0;
};

/// One field off the wire.
struct Token {
  uint32_t number = 0;
  Type type = Type::kVarint;
  uint64_t integer = 0;    ///< kVarint, kFixed32, kFixed64
  std::string_view bytes;  ///< kBytes
};

/// Reads the fields of one message. Errors (BadRequest) name the offset in the outermost text.
class Reader {
 public:
  /// `start`: where `bytes` begins in the outermost text.
  explicit Reader(std::string_view bytes, size_t start = 0) : bytes_(bytes), start_(start) {}
  bool done() const { return at_ == bytes_.size(); }
  Result<Token> Next();
  Result<uint64_t> Varint();
  /// Of the next byte in the outermost text.
  size_t offset() const { return start_ + at_; }
  /// Where a token's bytes begin in the outermost text.
  size_t OffsetOf(const Token& token) const { return start_ + static_cast<size_t>(token.bytes.data() - bytes_.data()); }
  Status Error(std::string_view what) const;

 private:
  Ok SkipGroup(int depth);
  std::string_view bytes_;
  size_t start_;
  size_t at_ = 0;
};

}  // namespace knarr::api::wire

#pragma once

// Messages of the D-Bus protocol as bytes: what a client of a few calls needs of it. The arguments of a message stay
// bytes until they are asked for, one by one, by a reader that holds each against the message's signature. What comes
// from the bus may have been made by anybody on the machine: every length is checked, nothing recurses.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace knarr::net {

enum class DbusType : uint8_t { kCall = 1, kReply = 2, kError = 3, kSignal = 4 };

struct DbusMessage {
  DbusType type = DbusType::kCall;
  uint8_t flags = 0;
  uint32_t serial = 0;        ///< never 0 in a message that is sent
  uint32_t reply_serial = 0;  ///< of the call that this answers
  std::string path;           ///< "/org/freedesktop/login1"
  std::string interface;
  std::string member;
  std::string error_name;
  std::string destination;
  std::string sender;        ///< who it is from; the bus sees to it that this is true
  uint32_t descriptors = 0;  ///< how many are passed along
  std::string signature;     ///< of the body: "ssss"
  std::string body;
  bool big_endian = false;  ///< how numbers in the body are written
};

/// The first bytes of every message, which say how long it is.
inline constexpr size_t kDbusHeadSize = 16;
/// The protocol's limit; a bus does not pass on what is longer.
inline constexpr size_t kDbusSizeMax = 128 << 20;

/// The whole message's size. BadRequest for what is no message, or beyond the limit. REQUIRES: kDbusHeadSize bytes.
Result<size_t> DbusSize(std::string_view head);
/// REQUIRES: exactly one message, as DbusSize says. Fields of the header that are not known are passed over.
Result<DbusMessage> DecodeDbus(std::string_view bytes);
/// Little-endian. REQUIRES: little-endian arguments, less than the limit.
std::string EncodeDbus(const DbusMessage& message);

/// Appends arguments to a message of ours.
class DbusWriter {
 public:
  explicit DbusWriter(DbusMessage& message) : message_(message) {}
  DbusWriter& String(std::string_view value);
  DbusWriter& Int32(int32_t value);
  DbusWriter& Bool(bool value);
  /// The next of the descriptors that go along.
  DbusWriter& Descriptor();
  DbusWriter& VariantUint64(uint64_t value);

 private:
  DbusMessage& message_;
};

/// Takes arguments out of a message, in their order. BadRequest when the next one is another, or not whole.
class DbusReader {
 public:
  /// The message is kept by the caller.
  explicit DbusReader(const DbusMessage& message) : message_(message) {}
  Result<std::string_view> String();
  Result<bool> Bool();
  /// The index of a descriptor that came along.
  Result<uint32_t> Descriptor();
  Result<uint64_t> VariantUint64();

 private:
  Ok Expect(char type);
  const DbusMessage& message_;
  size_t argument_ = 0;
  size_t offset_ = 0;
};

}  // namespace knarr::net

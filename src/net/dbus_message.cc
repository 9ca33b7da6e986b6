#include "net/dbus_message.h"

#include <fmt/format.h>

#include "base/check.h"

namespace knarr::net {
namespace {

enum class Field : uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSender = 7,
  kSignature = 8,
  kDescriptors = 9,
};

constexpr size_t kFieldsMax = 64 << 20;  // the protocol's limit of an array

size_t Aligned(size_t offset, size_t to) { return (offset + to - 1) / to * to; }

/// The alignment of a value of a basic type; 0 for any other.
size_t AlignmentOf(char type) {
  switch (type) {
    case 'y':
    case 'g':
      return 1;
    case 'n':
    case 'q':
      return 2;
    case 'b':
    case 'i':
    case 'u':
    case 'h':
    case 's':
    case 'o':
      return 4;
    case 'x':
    case 't':
    case 'd':
      return 8;
    default:
      return 0;
  }
}

/// Reads values at an offset of its own; the first byte lies at a multiple of eight of the message.
class Cursor {
 public:
  Cursor(std::string_view bytes, size_t offset, bool big_endian)
      : bytes_(bytes), offset_(offset), big_endian_(big_endian) {}

  size_t offset() const { return offset_; }
  bool done() const { return offset_ >= bytes_.size(); }

  Ok Align(size_t to) {
    const size_t next = Aligned(offset_, to);
    if (next > bytes_.size()) return BadRequest("D-Bus message: it ends early");
    for (; offset_ < next; ++offset_) {
      if (bytes_[offset_] != 0) return BadRequest("D-Bus message: padding that is not zero");
    }
    return {};
  }
  Result<uint64_t> Number(size_t size) {
    TRY(Align(size));
    if (bytes_.size() - offset_ < size) return BadRequest("D-Bus message: it ends early");
    uint64_t out = 0;
    for (size_t i = 0; i < size; ++i) {
      const auto byte = static_cast<uint8_t>(bytes_[offset_ + i]);
      out |= static_cast<uint64_t>(byte) << 8 * (big_endian_ ? size - 1 - i : i);
    }
    offset_ += size;
    return out;
  }
  Result<uint32_t> Number32() { return static_cast<uint32_t>(TRY(Number(4))); }
  Result<std::string_view> String() { return Text(TRY(Number(4))); }
  Result<std::string_view> Signature() { return Text(TRY(Number(1))); }
  /// Passes over a value of a basic type.
  Ok Skip(char type) {
    if (type == 's' || type == 'o') {
      TRY(String());
    } else if (type == 'g') {
      TRY(Signature());
    } else if (const size_t size = AlignmentOf(type); size > 0) {
      TRY(Number(size));
    } else {
      return BadRequest("D-Bus message: a field of the header that is not known, and no basic type");
    }
    return {};
  }

 private:
  Result<std::string_view> Text(uint64_t size) {
    if (bytes_.size() - offset_ <= size) return BadRequest("D-Bus message: it ends early");
    const std::string_view out = bytes_.substr(offset_, size);
    if (bytes_[offset_ + size] != 0 || out.find('\0') != std::string_view::npos) {
      return BadRequest("D-Bus message: a string that does not end where it should");
    }
    offset_ += size + 1;
    return out;
  }

  std::string_view bytes_;
  size_t offset_;
  bool big_endian_;
};

void Pad(std::string& out, size_t to) { out.resize(Aligned(out.size(), to)); }

void PutNumber(std::string& out, uint64_t value, size_t size) {
  Pad(out, size);
  for (size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(value >> 8 * i));
}

void PutText(std::string& out, std::string_view text, size_t length_size) {
  PutNumber(out, text.size(), length_size);
  out.append(text).push_back('\0');
}

Ok Take(Cursor& in, char want, char type, std::string& out) {
  if (type != want) return BadRequest("D-Bus message: a field of the header has another type");
  out = want == 'g' ? TRY(in.Signature()) : TRY(in.String());
  return {};
}

Ok Take(Cursor& in, char type, uint32_t& out) {
  if (type != 'u') return BadRequest("D-Bus message: a field of the header has another type");
  out = TRY(in.Number32());
  return {};
}

Ok TakeField(Cursor& in, DbusMessage& out) {
  TRY(in.Align(8));
  const auto field = static_cast<Field>(TRY(in.Number(1)));
  const std::string_view signature = TRY(in.Signature());
  if (signature.size() != 1) {
    return BadRequest("D-Bus message: a field of the header that is not known, and no basic type");
  }
  const char type = signature.front();
  switch (field) {
    case Field::kPath:
      return Take(in, 'o', type, out.path);
    case Field::kInterface:
      return Take(in, 's', type, out.interface);
    case Field::kMember:
      return Take(in, 's', type, out.member);
    case Field::kErrorName:
      return Take(in, 's', type, out.error_name);
    case Field::kReplySerial:
      return Take(in, type, out.reply_serial);
    case Field::kDestination:
      return Take(in, 's', type, out.destination);
    case Field::kSender:
      return Take(in, 's', type, out.sender);
    case Field::kSignature:
      return Take(in, 'g', type, out.signature);
    case Field::kDescriptors:
      return Take(in, type, out.descriptors);
  }
  return in.Skip(type);
}

void PutField(std::string& out, Field field, char type, std::string_view value) {
  if (value.empty()) return;
  Pad(out, 8);
  out.push_back(static_cast<char>(field));
  PutText(out, std::string_view(&type, 1), 1);
  PutText(out, value, type == 'g' ? 1 : 4);
}

void PutField(std::string& out, Field field, uint32_t value) {
  if (value == 0) return;
  Pad(out, 8);
  out.push_back(static_cast<char>(field));
  PutText(out, "u", 1);
  PutNumber(out, value, 4);
}

}  // namespace

Result<size_t> DbusSize(std::string_view head) {
  CHECK(head.size() >= kDbusHeadSize);
  if ((head[0] != 'l' && head[0] != 'B') || head[3] != 1) return BadRequest("not a D-Bus message");
  Cursor in(head, 4, head[0] == 'B');
  const size_t body = TRY(in.Number32());
  TRY(in.Number32());
  const size_t fields = TRY(in.Number32());
  if (fields > kFieldsMax || body > kDbusSizeMax) return BadRequest("a D-Bus message is too long");
  const size_t size = Aligned(kDbusHeadSize + fields, 8) + body;
  if (size > kDbusSizeMax) return BadRequest("a D-Bus message is too long");
  return size;
}

Result<DbusMessage> DecodeDbus(std::string_view bytes) {
  CHECK(bytes.size() >= kDbusHeadSize);
  DbusMessage out;
  out.big_endian = bytes[0] == 'B';
  out.type = static_cast<DbusType>(bytes[1]);
  out.flags = static_cast<uint8_t>(bytes[2]);
  Cursor head(bytes, 4, out.big_endian);
  const size_t body = TRY(head.Number32());
  out.serial = TRY(head.Number32());
  const size_t fields_end = kDbusHeadSize + TRY(head.Number32());
  CHECK(Aligned(fields_end, 8) + body == bytes.size());
  Cursor fields(bytes.substr(0, fields_end), kDbusHeadSize, out.big_endian);
  while (!fields.done()) TRY(TakeField(fields, out));
  out.body = bytes.substr(bytes.size() - body);
  return out;
}

std::string EncodeDbus(const DbusMessage& message) {
  CHECK(!message.big_endian);
  std::string out = {'l', static_cast<char>(message.type), static_cast<char>(message.flags), 1};
  PutNumber(out, message.body.size(), 4);
  PutNumber(out, message.serial, 4);
  PutNumber(out, 0, 4);  // the fields' size, which is not known yet
  PutField(out, Field::kPath, 'o', message.path);
  PutField(out, Field::kInterface, 's', message.interface);
  PutField(out, Field::kMember, 's', message.member);
  PutField(out, Field::kErrorName, 's', message.error_name);
  PutField(out, Field::kReplySerial, message.reply_serial);
  PutField(out, Field::kDestination, 's', message.destination);
  PutField(out, Field::kSender, 's', message.sender);
  PutField(out, Field::kSignature, 'g', message.signature);
  PutField(out, Field::kDescriptors, message.descriptors);
  std::string size;
  PutNumber(size, out.size() - kDbusHeadSize, 4);
  out.replace(kDbusHeadSize - 4, 4, size);
  Pad(out, 8);
  return out + message.body;
}

DbusWriter& DbusWriter::String(std::string_view value) {
  message_.signature.push_back('s');
  PutText(message_.body, value, 4);
  return *this;
}

DbusWriter& DbusWriter::Int32(int32_t value) {
  message_.signature.push_back('i');
  PutNumber(message_.body, static_cast<uint32_t>(value), 4);
  return *this;
}

DbusWriter& DbusWriter::Bool(bool value) {
  message_.signature.push_back('b');
  PutNumber(message_.body, value ? 1 : 0, 4);
  return *this;
}

DbusWriter& DbusWriter::Descriptor() {
  message_.signature.push_back('h');
  PutNumber(message_.body, message_.descriptors++, 4);
  return *this;
}

DbusWriter& DbusWriter::VariantUint64(uint64_t value) {
  message_.signature.push_back('v');
  PutText(message_.body, "t", 1);
  PutNumber(message_.body, value, 8);
  return *this;
}

Ok DbusReader::Expect(char type) {
  if (argument_ >= message_.signature.size() || message_.signature[argument_] != type) {
    return BadRequest(fmt::format("D-Bus message: argument {} of {} is no {}", argument_, message_.signature, type));
  }
  ++argument_;
  return {};
}

Result<std::string_view> DbusReader::String() {
  TRY(Expect('s'));
  Cursor in(message_.body, offset_, message_.big_endian);
  const std::string_view out = TRY(in.String());
  offset_ = in.offset();
  return out;
}

Result<bool> DbusReader::Bool() {
  TRY(Expect('b'));
  Cursor in(message_.body, offset_, message_.big_endian);
  const uint32_t out = TRY(in.Number32());
  if (out > 1) return BadRequest("D-Bus message: a boolean that is neither true nor false");
  offset_ = in.offset();
  return out == 1;
}

Result<uint32_t> DbusReader::Descriptor() {
  TRY(Expect('h'));
  Cursor in(message_.body, offset_, message_.big_endian);
  const uint32_t out = TRY(in.Number32());
  offset_ = in.offset();
  return out;
}

Result<uint64_t> DbusReader::VariantUint64() {
  TRY(Expect('v'));
  Cursor in(message_.body, offset_, message_.big_endian);
  if (TRY(in.Signature()) != "t") return BadRequest("D-Bus message: the value is no 64-bit number");
  const uint64_t out = TRY(in.Number(8));
  offset_ = in.offset();
  return out;
}

}  // namespace knarr::net

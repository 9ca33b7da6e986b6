#include <algorithm>
#include <optional>

#include "api/codec.h"
#include "api/wire.h"
#include "base/strings.h"
#include "base/time.h"
#include "doc/json.h"

namespace knarr::api {
namespace {

using doc::Value;
using wire::Reader;
using wire::Token;

// Objects inside objects (a List's items) may be enveloped protobuf again, this deep.
constexpr int kEnvelopeDepthMax = 4;

struct Envelope {
  std::string_view api_version;
  std::string_view kind;
  std::string_view raw;
  size_t raw_offset = 0;
};

Result<Envelope> OpenEnvelope(std::string_view bytes, size_t start) {
  if (!bytes.starts_with(kProtobufMagic)) {
    return BadRequest("protobuf: byte " + std::to_string(start) +
                      ": the bytes do not begin with the Kubernetes protobuf prefix");
  }
  Envelope envelope;
  Reader reader(bytes.substr(kProtobufMagic.size()), start + kProtobufMagic.size());
  while (!reader.done()) {
    const Token token = TRY(reader.Next());
    if (token.type != wire::Type::kBytes) continue;
    if (token.number == 1) {
      Reader meta(token.bytes, reader.OffsetOf(token));
      while (!meta.done()) {
        const Token field = TRY(meta.Next());
        if (field.number == 1) envelope.api_version = field.bytes;
        if (field.number == 2) envelope.kind = field.bytes;
      }
    } else if (token.number == 2) {
      envelope.raw = token.bytes;
      envelope.raw_offset = reader.OffsetOf(token);
    } else if (token.number == 3 && !token.bytes.empty()) {
      return reader.Error("unsupported content encoding \"" + std::string(token.bytes) + "\"");
    }
  }
  return envelope;
}

class Decoder {
 public:
  Decoder(doc::Arena& arena, int envelope_depth) : arena_(arena), envelope_depth_(envelope_depth) {}

  Ok Message(const Type& type, std::string_view bytes, size_t start, Value& out) {
    if (out.is_null()) out = Value::Object();
    Reader reader(bytes, start);
    while (!reader.done()) {
      const Token token = TRY(reader.Next());
      const auto found =
          std::ranges::lower_bound(type.wire, token.number, {}, [](const Field* f) { return f->number; });
      if (found == type.wire.end() || (*found)->number != token.number) continue;
      TRY(Member(**found, reader, token, out));
    }
    return {};
  }

 private:
  static Ok Expect(const Field& field, const Reader& reader, const Token& token, wire::Type type) {
    if (token.type == type) return {};
    return reader.Error("proto: wrong wireType = " + std::to_string(static_cast<int>(token.type)) + " for field " +
                        std::string(field.name));
  }

  Ok Member(const Field& field, const Reader& reader, const Token& token, Value& out) {
    if (field.Has(FieldFlag::kInline)) {
      TRY(Expect(field, reader, token, wire::Type::kBytes));
      return Message(*field.message, token.bytes, reader.OffsetOf(token), out);
    }
    Value& value = out.Ensure(arena_, field.name);
    if (field.shape == Shape::kMap) return MapEntry(field, reader, token, value);
    if (field.shape == Shape::kSingle) return Single(field, reader, token, value);
    if (value.is_null()) value = Value::Array();
    if (field.Has(FieldFlag::kWrapped)) {
      TRY(Expect(field, reader, token, wire::Type::kBytes));
      return Wrapped(field, token.bytes, reader.OffsetOf(token), value);
    }
    return Element(field, reader, token, value);
  }

  Ok Wrapped(const Field& field, std::string_view bytes, size_t start, Value& list) {
    Reader reader(bytes, start);
    while (!reader.done()) {
      const Token token = TRY(reader.Next());
      if (token.number == 1) TRY(Element(field, reader, token, list));
    }
    return {};
  }

  Ok Element(const Field& field, const Reader& reader, const Token& token, Value& list) {
    const bool integer = field.type == FieldType::kInt32 || field.type == FieldType::kInt64;
    if (integer && token.type == wire::Type::kBytes) {  // packed
      Reader packed(token.bytes, reader.OffsetOf(token));
      while (!packed.done()) list.Append(arena_, Integer(field, TRY(packed.Varint())));
      return {};
    }
    Value element;
    TRY(Single(field, reader, token, element));
    list.Append(arena_, element);
    return {};
  }

  Ok MapEntry(const Field& field, const Reader& outer, const Token& entry, Value& map) {
    TRY(Expect(field, outer, entry, wire::Type::kBytes));
    if (map.is_null()) map = Value::Object();
    std::string_view key;
    Value value;
    Reader reader(entry.bytes, outer.OffsetOf(entry));
    while (!reader.done()) {
      const Token token = TRY(reader.Next());
      if (token.number == 1) {
        TRY(Expect(field, reader, token, wire::Type::kBytes));
        key = token.bytes;
      } else if (token.number == 2 && field.Has(FieldFlag::kWrapped)) {
        TRY(Expect(field, reader, token, wire::Type::kBytes));
        value = Value::Array();
        TRY(Wrapped(field, token.bytes, reader.OffsetOf(token), value));
      } else if (token.number == 2) {
        TRY(Single(field, reader, token, value));
      }
    }
    map.SetCopy(arena_, key, value);
    return {};
  }

  static Value Integer(const Field& field, uint64_t bits) {
    if (field.type == FieldType::kInt32) return Value::Int(static_cast<int32_t>(bits));
    return Value::Int(static_cast<int64_t>(bits));
  }

  Ok Single(const Field& field, const Reader& reader, const Token& token, Value& value) {
    switch (field.type) {
      case FieldType::kBool:
        TRY(Expect(field, reader, token, wire::Type::kVarint));
        value = Value::Bool(token.integer != 0);
        return {};
      case FieldType::kInt32:
      case FieldType::kInt64:
        TRY(Expect(field, reader, token, wire::Type::kVarint));
        value = Integer(field, token.integer);
        return {};
      case FieldType::kDouble: {
        TRY(Expect(field, reader, token, wire::Type::kFixed64));
        double number = 0;
        std::memcpy(&number, &token.integer, sizeof(number));
        value = Value::Double(number);
        return {};
      }
      default:
        break;
    }
    TRY(Expect(field, reader, token, wire::Type::kBytes));
    const size_t start = reader.OffsetOf(token);
    switch (field.type) {
      case FieldType::kString:
        value = Value::String(arena_, token.bytes);
        return {};
      case FieldType::kBytes:
        value = Value::String(arena_, Base64Encode(token.bytes));
        return {};
      case FieldType::kMessage:
        return Message(*field.message, token.bytes, start, value);
      default:
        return Special(field, token.bytes, start, value);
    }
  }

  // The types with a form of their own in JSON. All are messages of a few numbered members.
  Ok Special(const Field& field, std::string_view bytes, size_t start, Value& value) {
    std::optional<uint64_t> integers[4];
    std::optional<std::string_view> texts[4];
    size_t text_offset = start;
    Reader reader(bytes, start);
    while (!reader.done()) {
      const Token token = TRY(reader.Next());
      if (token.number >= 4) continue;
      if (token.type == wire::Type::kVarint) integers[token.number] = token.integer;
      if (token.type != wire::Type::kBytes) continue;
      texts[token.number] = token.bytes;
      text_offset = reader.OffsetOf(token);
    }
    const auto integer = [&](int number) { return static_cast<int64_t>(integers[number].value_or(0)); };
    switch (field.type) {
      case FieldType::kQuantity:
        value = Value::String(arena_, texts[1].value_or("0"));
        return {};
      case FieldType::kIntOrString:
        value = integer(1) == 1 ? Value::String(arena_, texts[3].value_or(""))
                                : Value::Int(static_cast<int32_t>(integer(2)));
        return {};
      case FieldType::kTime:
      case FieldType::kMicroTime: {
        if (bytes.empty()) return {};
        const bool micro = field.type == FieldType::kMicroTime;
        const Timestamp time = {integer(1), micro ? static_cast<int32_t>(integer(2)) : 0};
        // The years 0 to 9999, which is what the text form holds.
        if (time.seconds < -62167219200 || time.seconds > 253402300799 || time.nanoseconds < 0 ||
            time.nanoseconds > 999999999) {
          return reader.Error("time out of range in field " + std::string(field.name));
        }
        value = Value::String(arena_, micro ? FormatMicroTime(time) : FormatTime(time));
        return {};
      }
      case FieldType::kDuration:
        value = Value::String(arena_, FormatDuration(Duration(integer(1))));
        return {};
      case FieldType::kRaw:
        return texts[1] ? Raw(*texts[1], text_offset, value) : Ok();
      default:
        return {};
    }
  }

  Ok Raw(std::string_view bytes, size_t start, Value& value) {
    if (bytes.empty()) return {};
    if (!bytes.starts_with(kProtobufMagic)) {
      const std::string where = "protobuf: byte " + std::to_string(start);
      value = TRY(doc::ParseJsonBorrowing(arena_.Copy(bytes), arena_).Context(where));
      return {};
    }
    if (envelope_depth_ == 0) return BadRequest("protobuf: objects nested too deep");
    const Envelope envelope = TRY(OpenEnvelope(bytes, start));
    const Type* type = FindRootType(envelope.api_version, envelope.kind);
    if (type == nullptr) return UnknownKind(envelope.api_version, envelope.kind);
    Decoder inner(arena_, envelope_depth_ - 1);
    TRY(inner.Message(*type, envelope.raw, envelope.raw_offset, value));
    value.Set(arena_, "kind", Value::String(arena_, envelope.kind));
    value.Set(arena_, "apiVersion", Value::String(arena_, envelope.api_version));
    return Canonicalize(*type, value, arena_);
  }

  doc::Arena& arena_;
  int envelope_depth_;
};

Result<doc::Document> DecodeAt(const Type& type, std::string_view bytes, size_t start, const DefaultKind& identity) {
  doc::Document document;
  document.root = Value::Object();
  TRY(Decoder(document.arena, kEnvelopeDepthMax).Message(type, bytes, start, document.root));
  if (!identity.kind.empty()) {
    document.root.Set(document.arena, "kind", Value::String(document.arena, identity.kind));
    document.root.Set(document.arena, "apiVersion", Value::String(document.arena, identity.api_version));
  }
  TRY(Canonicalize(type, document.root, document.arena));
  return document;
}

}  // namespace

Result<doc::Document> DecodeProtobufMessage(const Type& type, std::string_view bytes, const DefaultKind& identity) {
  return DecodeAt(type, bytes, 0, identity);
}

Result<Decoded> DecodeProtobuf(std::string_view bytes, const DefaultKind& fallback) {
  const Envelope envelope = TRY(OpenEnvelope(bytes, 0));
  const DefaultKind identity = {envelope.api_version.empty() ? fallback.api_version : envelope.api_version,
                                envelope.kind.empty() ? fallback.kind : envelope.kind};
  const Type* type = FindRootType(identity.api_version, identity.kind);
  if (type == nullptr) return UnknownKind(identity.api_version, identity.kind);
  Decoded decoded;
  decoded.document = TRY(DecodeAt(*type, envelope.raw, envelope.raw_offset, identity));
  decoded.type = type;
  decoded.api_version = identity.api_version;
  decoded.kind = identity.kind;
  return decoded;
}

}  // namespace knarr::api

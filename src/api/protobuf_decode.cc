#include <algorithm>
#include <optional>

#include "api/codec.h"
#include "base/strings.h"
#include "base/time.h"
#include "doc/json.h"
#include "doc/proto.h"

namespace knarr::api {
namespace {

using doc::ProtoReader;
using doc::Value;
using doc::WireType;

// Objects inside objects (a List's items) may be enveloped protobuf again, this deep.
constexpr int kEnvelopeDepthMax = 4;

// One field off the wire.
struct Token {
  ProtoReader::Tag tag;
  uint64_t integer = 0;    // of varints and fixed-width numbers
  std::string_view bytes;  // of length-delimited fields
};

Result<Token> Next(ProtoReader& reader) {
  Token token;
  token.tag = TRY(reader.ReadTag());
  switch (token.tag.type) {
    case WireType::kVarint:
      token.integer = TRY(reader.ReadVarint());
      break;
    case WireType::kFixed64:
      token.integer = TRY(reader.ReadFixed64());
      break;
    case WireType::kFixed32:
      token.integer = TRY(reader.ReadFixed32());
      break;
    case WireType::kBytes:
      token.bytes = TRY(reader.ReadBytes());
      break;
    default:
      TRY(reader.Skip(token.tag));
  }
  return token;
}

struct Envelope {
  std::string_view api_version;
  std::string_view kind;
  std::string_view raw;
};

// `base`: where the outermost bytes begin, which errors count from.
Result<Envelope> OpenEnvelope(std::string_view bytes, const char* base) {
  if (!bytes.starts_with(kProtobufMagic)) {
    return BadRequest(bytes.empty() ? "empty data"
                                    : "provided data does not appear to be a protobuf message, expected prefix "
                                      "[107 56 115 0]");
  }
  Envelope envelope;
  ProtoReader reader(bytes.substr(kProtobufMagic.size()), base);
  while (!reader.done()) {
    const Token token = TRY(Next(reader));
    if (token.tag.type != WireType::kBytes) continue;
    if (token.tag.field == 1) {
      ProtoReader meta(token.bytes, base);
      while (!meta.done()) {
        const Token field = TRY(Next(meta));
        if (field.tag.field == 1) envelope.api_version = field.bytes;
        if (field.tag.field == 2) envelope.kind = field.bytes;
      }
    } else if (token.tag.field == 2) {
      envelope.raw = token.bytes;
    } else if (token.tag.field == 3 && !token.bytes.empty()) {
      return reader.Error(token.tag, "unsupported content encoding \"" + std::string(token.bytes) + "\"");
    }
  }
  return envelope;
}

class Decoder {
 public:
  Decoder(doc::Arena& arena, const char* base, int envelope_depth)
      : arena_(arena), base_(base), envelope_depth_(envelope_depth) {}

  Ok Message(const Type& type, std::string_view bytes, Value& out) {
    if (out.is_null()) out = Value::Object();
    if (depth_ >= doc::kDepthMax) return BadRequest("protobuf: objects nested too deep");
    ++depth_;
    TRY(Fields(type, bytes, out));
    --depth_;
    return {};
  }

 private:
  Ok Fields(const Type& type, std::string_view bytes, Value& out) {
    ProtoReader reader(bytes, base_);
    while (!reader.done()) {
      const Token token = TRY(Next(reader));
      const auto found =
          std::ranges::lower_bound(type.wire, token.tag.field, {}, [](const Field* f) { return f->number; });
      if (found == type.wire.end() || (*found)->number != token.tag.field) continue;
      TRY(Member(**found, reader, token, out));
    }
    return {};
  }

  static Ok Expect(const Field& field, const ProtoReader& reader, const Token& token, WireType type) {
    if (token.tag.type == type) return {};
    return reader.Error(token.tag, "proto: wrong wireType = " + std::to_string(static_cast<int>(token.tag.type)) +
                                       " for field " + std::string(field.name));
  }

  Ok Member(const Field& field, const ProtoReader& reader, const Token& token, Value& out) {
    if (field.Has(FieldFlag::kInline)) {
      TRY(Expect(field, reader, token, WireType::kBytes));
      return Message(*field.message, token.bytes, out);
    }
    Value& value = out.Ensure(arena_, field.name);
    if (field.shape == Shape::kMap) return MapEntry(field, reader, token, value);
    if (field.shape == Shape::kSingle) return Single(field, reader, token, value);
    if (value.is_null()) value = Value::Array();
    if (field.Has(FieldFlag::kWrapped)) {
      TRY(Expect(field, reader, token, WireType::kBytes));
      return Wrapped(field, token.bytes, value);
    }
    return Element(field, reader, token, value);
  }

  Ok Wrapped(const Field& field, std::string_view bytes, Value& list) {
    ProtoReader reader(bytes, base_);
    while (!reader.done()) {
      const Token token = TRY(Next(reader));
      if (token.tag.field == 1) TRY(Element(field, reader, token, list));
    }
    return {};
  }

  Ok Element(const Field& field, const ProtoReader& reader, const Token& token, Value& list) {
    const bool integer = field.type == FieldType::kInt32 || field.type == FieldType::kInt64;
    if (integer && token.tag.type == WireType::kBytes) {  // packed
      ProtoReader packed(token.bytes, base_);
      while (!packed.done()) list.Append(arena_, Integer(field, TRY(packed.ReadVarint())));
      return {};
    }
    Value element;
    TRY(Single(field, reader, token, element));
    list.Append(arena_, element);
    return {};
  }

  Ok MapEntry(const Field& field, const ProtoReader& outer, const Token& entry, Value& map) {
    TRY(Expect(field, outer, entry, WireType::kBytes));
    if (map.is_null()) map = Value::Object();
    std::string_view key;
    Value value;
    ProtoReader reader(entry.bytes, base_);
    while (!reader.done()) {
      const Token token = TRY(Next(reader));
      if (token.tag.field == 1) {
        TRY(Expect(field, reader, token, WireType::kBytes));
        key = token.bytes;
      } else if (token.tag.field == 2 && field.Has(FieldFlag::kWrapped)) {
        TRY(Expect(field, reader, token, WireType::kBytes));
        value = Value::Array();
        TRY(Wrapped(field, token.bytes, value));
      } else if (token.tag.field == 2) {
        TRY(Single(field, reader, token, value));
      }
    }
    // A key may be there twice: Canonicalize keeps the last, at less cost than a search for each entry.
    map.AddMember(arena_, arena_.Copy(key), value);
    return {};
  }

  static Value Integer(const Field& field, uint64_t bits) {
    if (field.type == FieldType::kInt32) return Value::Int(static_cast<int32_t>(bits));
    return Value::Int(static_cast<int64_t>(bits));
  }

  Ok Single(const Field& field, const ProtoReader& reader, const Token& token, Value& value) {
    switch (field.type) {
      case FieldType::kBool:
        TRY(Expect(field, reader, token, WireType::kVarint));
        value = Value::Bool(token.integer != 0);
        return {};
      case FieldType::kInt32:
      case FieldType::kInt64:
        TRY(Expect(field, reader, token, WireType::kVarint));
        value = Integer(field, token.integer);
        return {};
      case FieldType::kDouble: {
        TRY(Expect(field, reader, token, WireType::kFixed64));
        double number = 0;
        std::memcpy(&number, &token.integer, sizeof(number));
        value = Value::Double(number);
        return {};
      }
      default:
        break;
    }
    TRY(Expect(field, reader, token, WireType::kBytes));
    switch (field.type) {
      case FieldType::kString:
        value = Value::String(arena_, token.bytes);
        return {};
      case FieldType::kBytes:
        value = Value::String(arena_, Base64Encode(token.bytes));
        return {};
      case FieldType::kMessage:
        return Message(*field.message, token.bytes, value);
      case FieldType::kMessageOrList:
      case FieldType::kMessageOrBool:
      case FieldType::kMessageOrStrings:
        return Union(field, token.bytes, value);
      default:
        return Special(field, token.bytes, value);
    }
  }

  // One of two forms: the list wins over the schema when it holds anything, the schema over the bool.
  Ok Union(const Field& field, std::string_view bytes, Value& value) {
    Value schema;
    Value other = field.type == FieldType::kMessageOrBool ? Value::Bool(false) : Value::Null();
    ProtoReader reader(bytes, base_);
    while (!reader.done()) {
      const Token token = TRY(Next(reader));
      if (token.tag.type == WireType::kVarint) {
        if (field.type == FieldType::kMessageOrBool && token.tag.field == 1) other = Value::Bool(token.integer != 0);
        continue;
      }
      if (token.tag.type != WireType::kBytes || token.tag.field < 1 || token.tag.field > 2) continue;
      if ((token.tag.field == 2) == (field.type == FieldType::kMessageOrBool)) {
        TRY(Message(*field.message, token.bytes, schema));
      } else if (field.type != FieldType::kMessageOrBool) {
        Value item;
        if (field.type == FieldType::kMessageOrStrings) {
          item = Value::String(arena_, token.bytes);
        } else {
          TRY(Message(*field.message, token.bytes, item));
        }
        if (other.is_null()) other = Value::Array();
        other.Append(arena_, item);
      }
    }
    value = other.is_array() || schema.is_null() ? other : schema;
    return {};
  }

  // The types with a form of their own in JSON. All are messages of a few numbered members.
  Ok Special(const Field& field, std::string_view bytes, Value& value) {
    std::optional<uint64_t> integers[4];
    std::optional<std::string_view> texts[4];
    ProtoReader reader(bytes, base_);
    while (!reader.done()) {
      const Token token = TRY(Next(reader));
      if (token.tag.field >= 4) continue;
      if (token.tag.type == WireType::kVarint) integers[token.tag.field] = token.integer;
      if (token.tag.type != WireType::kBytes) continue;
      texts[token.tag.field] = token.bytes;
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
          return BadRequest("protobuf: byte " + std::to_string(bytes.data() - base_) + ": time out of range in field " +
                            std::string(field.name));
        }
        value = Value::String(arena_, micro ? FormatMicroTime(time) : FormatTime(time));
        return {};
      }
      case FieldType::kDuration:
        value = Value::String(arena_, FormatDuration(Duration(integer(1))));
        return {};
      case FieldType::kRaw:
        return texts[1] ? Raw(*texts[1], value) : Ok();
      default:
        return {};
    }
  }

  Ok Raw(std::string_view bytes, Value& value) {
    if (bytes.empty()) return {};
    if (!bytes.starts_with(kProtobufMagic)) {
      const std::string where = "protobuf: byte " + std::to_string(bytes.data() - base_);
      value = TRY(doc::ParseJsonBorrowing(arena_.Copy(bytes), arena_).Context(where));
      return {};
    }
    if (envelope_depth_ == 0) return BadRequest("protobuf: objects nested too deep");
    const Envelope envelope = TRY(OpenEnvelope(bytes, base_));
    const Type* type = FindRootType(envelope.api_version, envelope.kind);
    if (type == nullptr) return UnknownKind(envelope.api_version, envelope.kind);
    Decoder inner(arena_, base_, envelope_depth_ - 1);
    TRY(inner.Message(*type, envelope.raw, value));
    value.Set(arena_, "kind", Value::String(arena_, envelope.kind));
    value.Set(arena_, "apiVersion", Value::String(arena_, envelope.api_version));
    return Canonicalize(*type, value, arena_);
  }

  doc::Arena& arena_;
  const char* base_;
  int envelope_depth_;
  int depth_ = 0;
};

Result<doc::Document> DecodeAt(const Type& type, std::string_view bytes, const char* base,
                               const DefaultKind& identity) {
  doc::Document document;
  document.root = Value::Object();
  TRY(Decoder(document.arena, base, kEnvelopeDepthMax).Message(type, bytes, document.root));
  if (!document.root.FitsDepth(doc::kDepthMax)) return BadRequest("protobuf: objects nested too deep");
  if (!identity.kind.empty()) {
    document.root.Set(document.arena, "kind", Value::String(document.arena, identity.kind));
    document.root.Set(document.arena, "apiVersion", Value::String(document.arena, identity.api_version));
  }
  TRY(Canonicalize(type, document.root, document.arena));
  return document;
}

}  // namespace

Result<doc::Document> DecodeProtobufMessage(const Type& type, std::string_view bytes, const DefaultKind& identity) {
  return DecodeAt(type, bytes, bytes.data(), identity);
}

Ok DecodeProtobufInto(std::string_view bytes, const DefaultKind& fallback, Decoded& out) {
  const Envelope envelope = TRY(OpenEnvelope(bytes, bytes.data()));
  out.api_version = envelope.api_version.empty() ? fallback.api_version : envelope.api_version;
  out.kind = envelope.kind.empty() ? fallback.kind : envelope.kind;
  out.type = FindRootType(out.api_version, out.kind);
  if (out.type == nullptr) return UnknownKind(out.api_version, out.kind);
  out.document = TRY(DecodeAt(*out.type, envelope.raw, bytes.data(), {out.api_version, out.kind}));
  return {};
}

}  // namespace knarr::api

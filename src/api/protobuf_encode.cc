#include <algorithm>
#include <vector>

#include "api/codec.h"
#include "base/strings.h"
#include "base/time.h"
#include "doc/json.h"
#include "doc/proto.h"

namespace knarr::api {
namespace {

using doc::ProtoWriter;
using doc::Value;

// As gogo/protobuf marshals Kubernetes' types: scalars that are no pointers are always written, map entries are sorted.
class Encoder {
 public:
  explicit Encoder(ProtoWriter& out) : out_(out) {}

  Ok Message(const Type& type, const Value& value) {
    for (const Field* field : type.wire) {
      if (field->Has(FieldFlag::kInline)) {
        const size_t mark = out_.BeginMessage(field->number);
        TRY(Message(*field->message, value));
        out_.EndMessage(mark);
      } else {
        TRY(Member(*field, value.At(field->name)));
      }
    }
    return {};
  }

 private:
  Ok Member(const Field& field, const Value& value) {
    if (field.shape == Shape::kMap) return Map(field, value);
    if (field.shape == Shape::kList) {
      if (!field.Has(FieldFlag::kWrapped)) return List(field, field.number, value);
      if (value.is_null()) return {};
      const size_t mark = out_.BeginMessage(field.number);
      TRY(List(field, 1, value));
      out_.EndMessage(mark);
      return {};
    }
    const bool nullable = field.Has(FieldFlag::kPointer) || field.type == FieldType::kBytes;
    if (nullable && value.is_null()) return {};
    return Single(field, field.number, value);
  }

  Ok List(const Field& field, uint32_t number, const Value& value) {
    for (const Value& item : value.items()) TRY(Single(field, number, item));
    return {};
  }

  Ok Map(const Field& field, const Value& value) {
    // A canonical map is sorted already; any other is sorted here.
    std::vector<const doc::Member*> sorted;
    for (const doc::Member& member : value.members()) sorted.push_back(&member);
    if (!std::ranges::is_sorted(sorted, {}, [](const doc::Member* m) { return m->key; })) {
      std::ranges::sort(sorted, {}, [](const doc::Member* m) { return m->key; });
    }
    for (const doc::Member* member : sorted) {
      const size_t entry = out_.BeginMessage(field.number);
      out_.Bytes(1, member->key);
      if (field.Has(FieldFlag::kWrapped)) {
        const size_t mark = out_.BeginMessage(2);
        TRY(List(field, 1, member->value));
        out_.EndMessage(mark);
      } else if (field.type != FieldType::kBytes || !member->value.is_null()) {
        TRY(Single(field, 2, member->value));
      }
      out_.EndMessage(entry);
    }
    return {};
  }

  Ok Single(const Field& field, uint32_t number, const Value& value) {
    switch (field.type) {
      case FieldType::kString:
        out_.Bytes(number, value.AsString());
        return {};
      case FieldType::kBool:
        out_.Bool(number, value.AsBool());
        return {};
      case FieldType::kInt32:
      case FieldType::kInt64:
        out_.Int(number, value.AsInt());
        return {};
      case FieldType::kDouble:
        out_.Double(number, value.AsDouble());
        return {};
      case FieldType::kBytes:
        out_.Bytes(number, TRY(Base64Decode(value.AsString())));
        return {};
      default:
        break;
    }
    const size_t mark = out_.BeginMessage(number);
    TRY(Nested(field, value));
    out_.EndMessage(mark);
    return {};
  }

  // The content of the types that protobuf holds as messages.
  Ok Nested(const Field& field, const Value& value) {
    switch (field.type) {
      case FieldType::kMessage:
        return Message(*field.message, value);
      case FieldType::kQuantity:
        out_.Bytes(1, value.AsString("0"));
        return {};
      case FieldType::kIntOrString:
        out_.Bool(1, value.is_string());
        out_.Int(2, value.AsInt());
        out_.Bytes(3, value.AsString());
        return {};
      case FieldType::kTime:
      case FieldType::kMicroTime: {
        if (!value.is_string()) return {};  // the zero time is an empty message
        const Timestamp time = TRY(ParseTimestamp(value.AsString()));
        out_.Int(1, time.seconds);
        out_.Int(2, field.type == FieldType::kMicroTime ? time.nanoseconds / 1000 * 1000 : 0);
        return {};
      }
      case FieldType::kDuration:
        out_.Int(1, TRY(ParseDuration(value.AsString("0s"))).count());
        return {};
      case FieldType::kRaw:
        if (!value.is_null()) out_.Bytes(1, doc::ToJson(value));
        return {};
      default:
        return Union(field, value);
    }
  }

  // Of a bool's two members the bool is always written: a schema says true beside itself.
  Ok Union(const Field& field, const Value& value) {
    const bool schema_second = field.type == FieldType::kMessageOrBool;
    if (schema_second) out_.Bool(1, value.is_object() || value.AsBool());
    if (value.is_object()) {
      const size_t mark = out_.BeginMessage(schema_second ? 2 : 1);
      TRY(Message(*field.message, value));
      out_.EndMessage(mark);
    }
    for (const Value& item : value.items()) {
      if (field.type == FieldType::kMessageOrStrings) {
        out_.Bytes(2, item.AsString());
        continue;
      }
      const size_t mark = out_.BeginMessage(2);
      TRY(Message(*field.message, item));
      out_.EndMessage(mark);
    }
    return {};
  }

  ProtoWriter& out_;
};

}  // namespace

Result<std::string> EncodeProtobufMessage(const Type& type, const Value& tree) {
  std::string bytes;
  ProtoWriter out(bytes);
  TRY(Encoder(out).Message(type, tree));
  return bytes;
}

Result<std::string> EncodeProtobuf(const Type& type, const Value& tree) {
  std::string bytes(kProtobufMagic);
  ProtoWriter out(bytes);
  const size_t meta = out.BeginMessage(1);
  out.Bytes(1, tree.At("apiVersion").AsString());
  out.Bytes(2, tree.At("kind").AsString());
  out.EndMessage(meta);
  const size_t raw = out.BeginMessage(2);
  TRY(Encoder(out).Message(type, tree));
  out.EndMessage(raw);
  out.Bytes(3, "");  // content encoding
  out.Bytes(4, "");  // content type
  return bytes;
}

}  // namespace knarr::api

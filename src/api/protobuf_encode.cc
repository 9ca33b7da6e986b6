#include <algorithm>
#include <ranges>

#include "api/codec.h"
#include "api/wire.h"
#include "base/strings.h"
#include "base/time.h"
#include "doc/json.h"

namespace knarr::api {
namespace {

using doc::Value;
using wire::BackWriter;

// As gogo/protobuf marshals Kubernetes' types: scalars that are no pointers are always written, map entries are sorted.
class Encoder {
 public:
  explicit Encoder(BackWriter& out) : out_(out) {}

  Ok Message(const Type& type, const Value& value) {
    for (const Field* field : type.wire | std::views::reverse) {
      if (field->Has(FieldFlag::kInline)) {
        const size_t before = out_.size();
        TRY(Message(*field->message, value));
        out_.Head(field->number, before);
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
      const size_t before = out_.size();
      TRY(List(field, 1, value));
      out_.Head(field.number, before);
      return {};
    }
    const bool nullable = field.Has(FieldFlag::kPointer) || field.type == FieldType::kBytes;
    if (nullable && value.is_null()) return {};
    return Single(field, field.number, value);
  }

  Ok List(const Field& field, uint32_t number, const Value& value) {
    for (const Value& item : value.items() | std::views::reverse) TRY(Single(field, number, item));
    return {};
  }

  Ok Map(const Field& field, const Value& value) {
    // A canonical map is sorted already; any other is sorted here.
    std::vector<const doc::Member*> sorted;
    for (const doc::Member& member : value.members()) sorted.push_back(&member);
    if (!std::ranges::is_sorted(sorted, {}, [](const doc::Member* m) { return m->key; })) {
      std::ranges::sort(sorted, {}, [](const doc::Member* m) { return m->key; });
    }
    for (const doc::Member* member : sorted | std::views::reverse) {
      const size_t entry = out_.size();
      if (field.Has(FieldFlag::kWrapped)) {
        const size_t before = out_.size();
        TRY(List(field, 1, member->value));
        out_.Head(2, before);
      } else if (field.type != FieldType::kBytes || !member->value.is_null()) {
        TRY(Single(field, 2, member->value));
      }
      out_.String(1, member->key);
      out_.Head(field.number, entry);
    }
    return {};
  }

  Ok Single(const Field& field, uint32_t number, const Value& value) {
    switch (field.type) {
      case FieldType::kString:
        out_.String(number, value.AsString());
        return {};
      case FieldType::kBool:
        out_.Int(number, value.AsBool() ? 1 : 0);
        return {};
      case FieldType::kInt32:
      case FieldType::kInt64:
        out_.Int(number, value.AsInt());
        return {};
      case FieldType::kDouble: {
        const double d = value.AsDouble();
        char bytes[sizeof(d)];
        std::memcpy(bytes, &d, sizeof(d));
        out_.Bytes({bytes, sizeof(d)});
        out_.Tag(number, wire::Type::kFixed64);
        return {};
      }
      case FieldType::kBytes:
        out_.String(number, TRY(Base64Decode(value.AsString())));
        return {};
      default:
        break;
    }
    const size_t before = out_.size();
    TRY(Nested(field, value));
    out_.Head(number, before);
    return {};
  }

  // The content of the types that protobuf holds as messages.
  Ok Nested(const Field& field, const Value& value) {
    switch (field.type) {
      case FieldType::kMessage:
        return Message(*field.message, value);
      case FieldType::kQuantity:
        out_.String(1, value.AsString("0"));
        return {};
      case FieldType::kIntOrString:
        out_.String(3, value.AsString());
        out_.Int(2, value.AsInt());
        out_.Int(1, value.is_string() ? 1 : 0);
        return {};
      case FieldType::kTime:
      case FieldType::kMicroTime: {
        if (!value.is_string()) return {};  // the zero time is an empty message
        const Timestamp time = TRY(ParseTimestamp(value.AsString()));
        out_.Int(2, field.type == FieldType::kMicroTime ? time.nanoseconds / 1000 * 1000 : 0);
        out_.Int(1, time.seconds);
        return {};
      }
      case FieldType::kDuration:
        out_.Int(1, TRY(ParseDuration(value.AsString("0s"))).count());
        return {};
      case FieldType::kRaw:
        if (!value.is_null()) out_.String(1, doc::ToJson(value));
        return {};
      default:
        return {};
    }
  }

  BackWriter& out_;
};

}  // namespace

Result<std::string> EncodeProtobufMessage(const Type& type, const Value& tree) {
  BackWriter out;
  TRY(Encoder(out).Message(type, tree));
  return std::move(out).Take();
}

Result<std::string> EncodeProtobuf(const Type& type, const Value& tree) {
  BackWriter out;
  out.String(4, "");  // content type
  out.String(3, "");  // content encoding
  const size_t raw = out.size();
  TRY(Encoder(out).Message(type, tree));
  out.Head(2, raw);
  const size_t meta = out.size();
  out.String(2, tree.At("kind").AsString());
  out.String(1, tree.At("apiVersion").AsString());
  out.Head(1, meta);
  out.Bytes(kProtobufMagic);
  return std::move(out).Take();
}

}  // namespace knarr::api

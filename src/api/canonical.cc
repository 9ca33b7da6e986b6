#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "api/codec.h"
#include "base/quantity.h"
#include "base/strings.h"
#include "base/time.h"
#include "doc/json.h"
#include "doc/number.h"
#include "doc/text.h"

namespace knarr::api {
namespace {

using doc::GoKind;
using doc::Value;

// A step of the way to where the walk is.
struct Step {
  enum class Kind : uint8_t { kField, kKey, kIndex };
  Kind kind;
  std::string_view name;  // of a field or a map's key
  size_t index = 0;
  const Type* owner = nullptr;  // of a field: the struct
};

// Go's paths name the embedded structs that a field comes from: "VolumeSource." before "hostPath".
void AppendEmbedded(const Type& owner, std::string_view name, std::string& text) {
  for (const Field& field : owner.fields) {
    if (!field.Has(FieldFlag::kInline) || field.message->Find(name) == nullptr) continue;
    if (field.message->name == "TypeMeta") return;
    text += std::string(field.message->name) + ".";
    return AppendEmbedded(*field.message, name, text);
  }
}

std::string NumberText(const Value& value) {
  if (value.is_int()) return std::to_string(value.AsInt());
  std::string text;
  doc::AppendJsonFloat(value.AsDouble(), text);
  return text;
}

// What Go calls the element of "[]T" or "map[K]V".
std::string_view ElementType(std::string_view go_type) {
  const size_t close = go_type.find(']');
  return close == std::string_view::npos ? go_type : go_type.substr(close + 1);
}

class Canonicalizer {
 public:
  Canonicalizer(doc::Arena& arena, StrictErrors* strict) : arena_(arena), strict_(strict) {}

  Ok Root(const Type& type, Value& value) {
    if (!value.is_object() && !value.is_null()) return WrongType(value, GoName(type));
    return Message(type, value);
  }

  /// Where the walk is; after an error, where that was: "spec.containers[0].name".
  std::string Path() const {
    std::string text;
    for (const Step& step : path_) {
      if (step.kind == Step::Kind::kIndex) {
        text += '[' + std::to_string(step.index) + ']';
      } else {
        if (!text.empty()) text += '.';
        text += step.name;
      }
    }
    return text;
  }

 private:
  static std::string GoName(const Type& type) {
    const size_t slash = type.package.rfind('/');
    return std::string(type.package.substr(slash + 1)) + "." + std::string(type.name);
  }

  Status WrongTypeAs(std::string_view what, std::string_view go_type) const {
    std::string text = "json: cannot unmarshal ";
    text += what;
    if (path_.empty()) return BadRequest(text + " into Go value of type " + std::string(go_type));
    text += " into Go struct field " + std::string(struct_) + ".";
    bool first = true;
    for (const Step& step : path_) {
      if (step.kind != Step::Kind::kField) continue;
      if (!first) text += '.';
      first = false;
      AppendEmbedded(*step.owner, step.name, text);
      text += step.name;
    }
    return BadRequest(text + " of type " + std::string(go_type));
  }
  Status WrongType(const Value& value, std::string_view go_type) const { return WrongTypeAs(GoKind(value), go_type); }

  void Unknown(std::string_view name) {
    if (strict_ == nullptr || strict_->size() >= kStrictErrorMax) return;
    std::string path = Path();
    if (!path.empty()) path += '.';
    strict_->push_back("unknown field \"" + path + std::string(name) + '"');
  }

  Ok Message(const Type& type, Value& value) {
    const size_t first = in_order_.size();
    if (FindInOrder(type, value)) return Stay(type, value, first);
    in_order_.resize(first);
    return Arrange(type, value);
  }

  static bool Same(std::string_view a, std::string_view b) {
    // Most names of the same length begin otherwise: no call of memcmp to find that out.
    return a.size() == b.size() && (a.data() == b.data() || a.empty() || (a.front() == b.front() && a == b));
  }

  // Whether the members stand in the schema's order and none is missing that must be written: as in whatever was made
  // canonical before, which a request does several times. Their fields are in in_order_ then.
  bool FindInOrder(const Type& type, const Value& value) {
    if (!value.is_object()) return false;
    auto field = type.flat.begin();
    for (const doc::Member& member : value.members()) {
      for (; field != type.flat.end() && !Same((*field)->name, member.key); ++field) {
        if (!NullIsLeftOut(**field)) return false;
      }
      if (field == type.flat.end()) return false;
      in_order_.push_back(*field++);
    }
    return std::all_of(field, type.flat.end(), [](const Field* rest) { return NullIsLeftOut(*rest); });
  }

  // Makes the members of an object that is in order canonical, where they stand.
  Ok Stay(const Type& type, Value& value, size_t first) {
    const std::string_view outer = struct_;
    const std::span<doc::Member> members = value.members();
    size_t kept = 0;
    for (size_t i = 0; i < members.size(); ++i) {
      const Field& field = *in_order_[first + i];
      if (members[i].value.is_null() && NullIsLeftOut(field)) continue;
      struct_ = type.name;
      path_.push_back({Step::Kind::kField, field.name, 0, &type});
      const bool keep = TRY(Member(field, members[i].value));
      path_.pop_back();
      if (keep) members[kept++] = {field.name, members[i].value};
    }
    struct_ = outer;
    in_order_.resize(first);
    if (kept < members.size()) value = Value::ObjectOf(arena_, members.first(kept));
    return {};
  }

  // Takes the object apart into one slot a field, then puts the fields together again in their order.
  Ok Arrange(const Type& type, Value& value) {
    const size_t count = type.flat.size();
    auto* slots = static_cast<Value*>(arena_.Allocate(sizeof(Value) * std::max<size_t>(count, 1)));
    std::fill_n(slots, count, Value());
    size_t next = 0;
    for (const doc::Member& member : value.members()) {
      size_t at = 0;
      // Members usually come in the schema's order, so the search starts behind the last one found.
      for (; at < count; ++at, ++next) {
        if (next >= count) next = 0;
        if (Same(type.flat[next]->name, member.key)) break;
      }
      if (at == count) {
        Unknown(member.key);
      } else {
        slots[next++] = member.value;
      }
    }
    const std::string_view outer = struct_;
    Value out = Value::Object();
    size_t present = 0;
    for (size_t i = 0; i < count; ++i) {
      const Field& field = *type.flat[i];
      // Most fields of most objects.
      if (slots[i].is_null() && NullIsLeftOut(field)) {
        kept_.push_back(false);
        continue;
      }
      struct_ = type.name;
      path_.push_back({Step::Kind::kField, field.name, 0, &type});
      const bool keep = TRY(Member(field, slots[i]));
      path_.pop_back();
      if (keep) ++present;
      kept_.push_back(keep);
    }
    struct_ = outer;
    const size_t base = kept_.size() - count;
    if (present > 0) out.Reserve(arena_, present);
    for (size_t i = 0; i < count; ++i) {
      if (kept_[base + i]) out.AddMember(arena_, type.flat[i]->name, slots[i]);
    }
    kept_.resize(base);
    value = out;
    return {};
  }

  // Makes one member canonical; false when it is left out.
  Result<bool> Member(const Field& field, Value& value) {
    const bool omit_empty = field.Has(FieldFlag::kOmitEmpty);
    if (field.shape == Shape::kMap) {
      TRY(Map(field, value));
      return !(omit_empty && value.empty());
    }
    if (field.shape == Shape::kList) {
      TRY(List(field, value, field.go_type));
      return !(omit_empty && value.empty());
    }
    if (field.Has(FieldFlag::kPointer)) {
      if (value.is_null()) return !omit_empty;
      TRY(Single(field, value, field.go_type));
      return !(omit_empty && value.is_null());
    }
    TRY(Single(field, value, field.go_type));
    return !LeftOut(field, value);
  }

  // Go's omitempty leaves out empty scalars but never structs; omitzero also leaves out zero structs.
  static bool LeftOut(const Field& field, const Value& value) {
    const bool omit_empty = field.Has(FieldFlag::kOmitEmpty);
    switch (field.type) {
      case FieldType::kString:
      case FieldType::kBytes:
        return omit_empty && value.AsString().empty();
      case FieldType::kBool:
        return omit_empty && !value.AsBool();
      case FieldType::kInt32:
      case FieldType::kInt64:
        return omit_empty && value.AsInt() == 0;
      case FieldType::kDouble:
        return omit_empty && value.AsDouble() == 0;
      case FieldType::kTime:
      case FieldType::kMicroTime:
      case FieldType::kRaw:
        return field.Has(FieldFlag::kOmitZero) && value.is_null();
      case FieldType::kMessage:
        return field.Has(FieldFlag::kOmitZero) && value.empty();
      default:
        return false;
    }
  }

  // Whether Member would do nothing but leave out a null. False where that takes a closer look.
  static bool NullIsLeftOut(const Field& field) {
    const bool omit_empty = field.Has(FieldFlag::kOmitEmpty);
    if (field.shape == Shape::kMap || field.shape == Shape::kList || field.Has(FieldFlag::kPointer)) return omit_empty;
    return field.type != FieldType::kMessage && LeftOut(field, Value::Null());
  }

  Ok List(const Field& field, Value& value, std::string_view go_type) {
    if (value.is_null()) return {};
    if (!value.is_array()) return WrongType(value, go_type);
    size_t index = 0;
    for (Value& item : value.items()) {
      path_.push_back({Step::Kind::kIndex, {}, index++});
      TRY(Single(field, item, ElementType(go_type)));
      path_.pop_back();
    }
    return {};
  }

  Ok Map(const Field& field, Value& value) {
    if (value.is_null()) return {};
    if (!value.is_object()) return WrongType(value, field.go_type);
    const std::string_view element = ElementType(field.go_type);
    for (doc::Member& member : value.members()) {
      if (field.Has(FieldFlag::kWrapped)) {
        TRY(List(field, member.value, element));
        continue;
      }
      path_.push_back({Step::Kind::kKey, member.key});
      TRY(Single(field, member.value, element));
      path_.pop_back();
    }
    SortMap(value);
    return {};
  }

  // Maps off protobuf may hold a key twice: the last one is the value.
  void SortMap(Value& value) {
    const std::span<doc::Member> members = value.members();
    const auto out_of_order = [](const doc::Member& a, const doc::Member& b) { return a.key >= b.key; };
    if (std::ranges::adjacent_find(members, out_of_order) == members.end()) return;
    std::ranges::stable_sort(members, {}, &doc::Member::key);
    size_t kept = 0;
    for (size_t i = 0; i < members.size(); ++i) {
      if (i + 1 < members.size() && members[i].key == members[i + 1].key) continue;
      members[kept++] = members[i];
    }
    if (kept < members.size()) value = Value::ObjectOf(arena_, members.first(kept));
  }

  Ok Single(const Field& field, Value& value, std::string_view go_type) {
    switch (field.type) {
      case FieldType::kMessage:
        if (!value.is_object() && !value.is_null()) return WrongType(value, go_type);
        return Message(*field.message, value);
      case FieldType::kString:
        if (value.is_null()) value = Value::Borrow("");
        return value.is_string() ? Ok() : WrongType(value, go_type);
      case FieldType::kBool:
        if (value.is_null()) value = Value::Bool(false);
        return value.is_bool() ? Ok() : WrongType(value, go_type);
      case FieldType::kInt32:
        return Integer(value, go_type, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
      case FieldType::kInt64:
        return Integer(value, go_type, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
      case FieldType::kDouble:
        if (value.is_null()) value = Value::Double(0);
        if (value.is_int()) value = Value::Double(value.AsDouble());
        return value.is_double() ? Ok() : WrongType(value, go_type);
      case FieldType::kBytes:
        return Bytes(value, go_type);
      case FieldType::kQuantity:
        return QuantityText(value);
      case FieldType::kIntOrString:
        return IntOrText(value);
      case FieldType::kTime:
      case FieldType::kMicroTime:
        return Time(value, field.type == FieldType::kMicroTime);
      case FieldType::kDuration:
        return DurationText(value);
      case FieldType::kRaw:
        return {};
      case FieldType::kMessageOrList:
      case FieldType::kMessageOrBool:
      case FieldType::kMessageOrStrings:
        return Union(field, value);
    }
    return {};
  }

  // What stands in neither form is an error for the bool, and nothing at all for the others. Go decodes these in a
  // decoder of its own, which is not strict and whose paths start anew.
  Ok Union(const Field& field, Value& value) {
    if (value.is_object()) return Canonicalizer(arena_, nullptr).Root(*field.message, value);
    if (field.type == FieldType::kMessageOrBool) {
      return value.is_bool() ? Ok() : BadRequest("boolean or JSON schema expected");
    }
    if (!value.is_array() || value.empty()) {
      value = Value::Null();
      return {};
    }
    for (Value& item : value.items()) {
      if (field.type == FieldType::kMessageOrList) {
        TRY(Canonicalizer(arena_, nullptr).Root(*field.message, item));
        continue;
      }
      if (item.is_null()) item = Value::Borrow("");
      if (!item.is_string()) return Canonicalizer(arena_, nullptr).WrongTypeAs(GoKind(item), "string");
    }
    return {};
  }

  Ok Integer(Value& value, std::string_view go_type, int64_t least, int64_t most) const {
    if (value.is_null()) value = Value::Int(0);
    if (!value.is_number()) return WrongType(value, go_type);
    if (!value.is_int() || value.AsInt() < least || value.AsInt() > most) {
      return WrongTypeAs("number " + NumberText(value), go_type);
    }
    return {};
  }

  Ok Bytes(Value& value, std::string_view go_type) {
    if (value.is_null()) return {};
    if (value.is_array()) return ByteList(value);
    if (!value.is_string()) return WrongType(value, go_type);
    const std::string bytes = TRY(Base64Decode(value.AsString()));
    const std::string text = Base64Encode(bytes);
    if (text != value.AsString()) value = Value::String(arena_, text);
    return {};
  }

  // Go also takes bytes as a list of numbers.
  Ok ByteList(Value& value) {
    std::string bytes;
    size_t index = 0;
    for (Value& item : value.items()) {
      path_.push_back({Step::Kind::kIndex, {}, index++});
      TRY(Integer(item, "uint8", 0, std::numeric_limits<uint8_t>::max()));
      path_.pop_back();
      bytes += static_cast<char>(item.AsInt());
    }
    value = Value::String(arena_, Base64Encode(bytes));
    return {};
  }

  Ok QuantityText(Value& value) {
    if (value.is_string() && Quantity::IsPlainCanonical(value.AsString())) return {};
    if (value.is_null()) {
      value = Value::Borrow("0");
      return {};
    }
    if (!value.is_string() && !value.is_number()) {
      return Quantity::Parse(doc::ToJson(value)).ok() ? Ok() : Quantity::Parse("x").status();
    }
    const std::string text = value.is_string() ? std::string(TrimSpace(value.AsString())) : NumberText(value);
    const Quantity quantity = TRY(Quantity::Parse(text));
    const std::string canonical = quantity.ToString();
    if (!value.is_string() || canonical != value.AsString()) value = Value::String(arena_, canonical);
    return {};
  }

  Ok IntOrText(Value& value) const {
    if (value.is_string()) return {};
    return Integer(value, "int32", std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
  }

  Ok Time(Value& value, bool micro) {
    if (value.is_null()) return {};
    if (!value.is_string()) return WrongType(value, "string");
    const std::string_view text = value.AsString();
    const Timestamp time = micro ? TRY(ParseMicroTimestamp(text)) : TRY(ParseTimestamp(text));
    // Go's zero time is written as null.
    static constexpr Timestamp kGoZero = {-62135596800, 0};
    if (time == kGoZero) {
      value = Value::Null();
      return {};
    }
    const std::string canonical = micro ? FormatMicroTime(time) : FormatTime(time);
    if (canonical != text) value = Value::String(arena_, canonical);
    return {};
  }

  Ok DurationText(Value& value) {
    if (value.is_null()) {
      value = Value::Borrow("0s");
      return {};
    }
    if (!value.is_string()) return WrongType(value, "string");
    value = Value::String(arena_, FormatDuration(TRY(ParseDuration(value.AsString()))));
    return {};
  }

  doc::Arena& arena_;
  StrictErrors* strict_;
  std::string_view struct_;
  std::vector<Step> path_;
  std::vector<bool> kept_;
  std::vector<const Field*> in_order_;
};

}  // namespace

Ok Canonicalize(const Type& type, Value& tree, doc::Arena& arena, StrictErrors* strict, std::string* error_path) {
  Canonicalizer canonicalizer(arena, strict);
  Ok done = canonicalizer.Root(type, tree);
  if (!done.ok() && error_path != nullptr) *error_path = canonicalizer.Path();
  return done;
}

}  // namespace knarr::api

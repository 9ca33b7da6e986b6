#include "cri/message.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/unicode.h"
#include "doc/proto.h"

namespace knarr::cri {
namespace {

using doc::ProtoReader;
using doc::ProtoWriter;
using doc::WireType;
using Tag = ProtoReader::Tag;
using Map = std::map<std::string, std::string>;

template <typename T>
T& As(void* place) {
  return *static_cast<T*>(place);
}

void WriteFields(const Message& message, const void* object, std::string& out);

void WriteNested(const Field& field, const void* object, std::string& out, bool even_if_empty) {
  const size_t before = out.size();
  ProtoWriter writer(out);
  const size_t mark = writer.BeginMessage(field.number);
  const size_t begin = out.size();
  WriteFields(*field.message, object, out);
  const bool empty = out.size() == begin;
  writer.EndMessage(mark);
  if (empty && !even_if_empty) out.resize(before);
}

void WriteMap(const Field& field, const Map& map, ProtoWriter& writer) {
  for (const auto& [key, value] : map) {
    const size_t mark = writer.BeginMessage(field.number);
    writer.Bytes(1, key);
    writer.Bytes(2, value);
    writer.EndMessage(mark);
  }
}

void WriteField(const Field& field, void* place, std::string& out) {
  ProtoWriter writer(out);
  switch (field.kind) {
    case Kind::kBool:
      if (As<bool>(place)) writer.Bool(field.number, true);
      break;
    case Kind::kNumber32: {
      const auto number = As<uint32_t>(place);
      // A negative one takes ten bytes, as an int64 does.
      const int64_t value = field.is_signed ? static_cast<int32_t>(number) : int64_t{number};
      if (value != 0) writer.Int(field.number, value);
      break;
    }
    case Kind::kNumber64:
      if (const auto value = As<uint64_t>(place); value != 0) writer.Varint(field.number, value);
      break;
    case Kind::kText:
    case Kind::kBytes: {
      const std::string& text = field.kind == Kind::kText ? As<std::string>(place) : As<Bytes>(place).data;
      if (!text.empty()) writer.Bytes(field.number, text);
      break;
    }
    case Kind::kMessage:
      WriteNested(field, place, out, false);
      break;
    case Kind::kMessages:
      for (size_t i = 0; i < field.elements->count(place); ++i) {
        WriteNested(field, field.elements->at(place, i), out, true);
      }
      break;
    case Kind::kWrapped:
      if (const auto& value = As<std::optional<int64_t>>(place)) {
        const size_t mark = writer.BeginMessage(field.number);
        if (*value != 0) writer.Int(1, *value);
        writer.EndMessage(mark);
      }
      break;
    case Kind::kTexts:
      for (const std::string& text : As<std::vector<std::string>>(place)) writer.Bytes(field.number, text);
      break;
    case Kind::kNumbers:
      if (const auto& numbers = As<std::vector<int64_t>>(place); !numbers.empty()) {
        const size_t mark = writer.BeginMessage(field.number);
        for (const int64_t number : numbers) writer.RawVarint(static_cast<uint64_t>(number));
        writer.EndMessage(mark);
      }
      break;
    case Kind::kMap:
      WriteMap(field, As<Map>(place), writer);
      break;
  }
}

void WriteFields(const Message& message, const void* object, std::string& out) {
  // `place` serves readers, too; nothing is changed here.
  for (const Field& field : message.fields) WriteField(field, field.place(const_cast<void*>(object)), out);
}

std::string ToText(std::string_view bytes) {
  if (IsValidUtf8(bytes)) return std::string(bytes);
  std::string out;
  while (!bytes.empty()) {
    const DecodedRune rune = DecodeRune(bytes);
    AppendRune(out, rune.valid ? rune.rune : kReplacementRune);
    bytes.remove_prefix(rune.length);
  }
  return out;
}

/// Reads one answer; how deep it goes is bounded by the tables, which do not contain themselves.
class Reading {
 public:
  Ok Fields(const Message& message, ProtoReader reader, void* object) {
    while (!reader.done()) {
      const Tag tag = TRY(reader.ReadTag());
      const auto field = std::ranges::find(message.fields, tag.field, &Field::number);
      if (field == message.fields.end()) {
        TRY(reader.Skip(tag));
        continue;
      }
      TRY(One(*field, tag, reader, field->place(object)));
    }
    return {};
  }

 private:
  static Ok Want(const ProtoReader& reader, Tag tag, WireType type) {
    return tag.type == type ? Ok() : Ok(reader.Error(tag, "of another type than CRI's"));
  }

  Ok Count(const ProtoReader& reader, Tag tag) {
    return ++elements_ <= kElementsMax ? Ok() : Ok(reader.Error(tag, "too many elements"));
  }

  static Result<uint64_t> Number(ProtoReader& reader, Tag tag) {
    TRY(Want(reader, tag, WireType::kVarint));
    return reader.ReadVarint();
  }

  static Result<std::string_view> Text(ProtoReader& reader, Tag tag) {
    TRY(Want(reader, tag, WireType::kBytes));
    return reader.ReadBytes();
  }

  static Result<ProtoReader> Nested(ProtoReader& reader, Tag tag) {
    TRY(Want(reader, tag, WireType::kBytes));
    return reader.ReadMessage();
  }

  Ok Numbers(ProtoReader& reader, Tag tag, std::vector<int64_t>& out) {
    if (tag.type == WireType::kVarint) {
      TRY(Count(reader, tag));
      out.push_back(static_cast<int64_t>(TRY(reader.ReadVarint())));
      return {};
    }
    ProtoReader packed = TRY(Nested(reader, tag));
    while (!packed.done()) {
      TRY(Count(reader, tag));
      out.push_back(static_cast<int64_t>(TRY(packed.ReadVarint())));
    }
    return {};
  }

  Ok Entry(ProtoReader& reader, Tag tag, Map& out) {
    TRY(Count(reader, tag));
    ProtoReader entry = TRY(Nested(reader, tag));
    std::string key;
    std::string value;
    while (!entry.done()) {
      const Tag inner = TRY(entry.ReadTag());
      if (inner.field == 1) {
        key = ToText(TRY(Text(entry, inner)));
      } else if (inner.field == 2) {
        value = ToText(TRY(Text(entry, inner)));
      } else {
        TRY(entry.Skip(inner));
      }
    }
    out[std::move(key)] = std::move(value);
    return {};
  }

  Ok Wrapped(ProtoReader& reader, Tag tag, std::optional<int64_t>& out) {
    ProtoReader wrapper = TRY(Nested(reader, tag));
    out = out.value_or(0);
    while (!wrapper.done()) {
      const Tag inner = TRY(wrapper.ReadTag());
      if (inner.field == 1) {
        out = static_cast<int64_t>(TRY(Number(wrapper, inner)));
      } else {
        TRY(wrapper.Skip(inner));
      }
    }
    return {};
  }

  Ok One(const Field& field, Tag tag, ProtoReader& reader, void* place) {
    switch (field.kind) {
      case Kind::kBool:
        As<bool>(place) = TRY(Number(reader, tag)) != 0;
        return {};
      case Kind::kNumber32:
        As<uint32_t>(place) = static_cast<uint32_t>(TRY(Number(reader, tag)));
        return {};
      case Kind::kNumber64:
        As<uint64_t>(place) = TRY(Number(reader, tag));
        return {};
      case Kind::kText:
        As<std::string>(place) = ToText(TRY(Text(reader, tag)));
        return {};
      case Kind::kBytes:
        As<Bytes>(place).data = TRY(Text(reader, tag));
        return {};
      case Kind::kMessage: {
        const ProtoReader nested = TRY(Nested(reader, tag));
        return Fields(*field.message, nested, place);
      }
      case Kind::kMessages: {
        TRY(Count(reader, tag));
        const ProtoReader nested = TRY(Nested(reader, tag));
        return Fields(*field.message, nested, field.elements->add(place));
      }
      case Kind::kWrapped:
        return Wrapped(reader, tag, As<std::optional<int64_t>>(place));
      case Kind::kTexts:
        TRY(Count(reader, tag));
        As<std::vector<std::string>>(place).push_back(ToText(TRY(Text(reader, tag))));
        return {};
      case Kind::kNumbers:
        return Numbers(reader, tag, As<std::vector<int64_t>>(place));
      case Kind::kMap:
        return Entry(reader, tag, As<Map>(place));
    }
    return {};
  }

  size_t elements_ = 0;
};

}  // namespace

std::string Encode(const Message& message, const void* object) {
  std::string out;
  WriteFields(message, object, out);
  return out;
}

Ok Decode(const Message& message, std::string_view bytes, void* object) {
  return Reading().Fields(message, ProtoReader(bytes), object);
}

}  // namespace knarr::cri

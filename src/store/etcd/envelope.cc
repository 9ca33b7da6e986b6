#include "store/etcd/envelope.h"

#include "doc/proto.h"

namespace knarr::store::etcd {
namespace {

constexpr std::string_view kMagic = "knr1";
// The tags of protobuf's wire stand in front of the two numbers of eight bytes: its coder is the one we have.
constexpr uint32_t kOffsetField = 1;
constexpr uint32_t kWriterField = 2;
constexpr uint32_t kNumberField = 3;
constexpr uint32_t kValueField = 4;

Status Unreadable(std::string_view key, std::string_view why) {
  return Internal("etcd: the value of " + std::string(key) + " can't be read: " + std::string(why));
}

struct Parsed {
  uint64_t offset = 0;
  Mark mark;
  std::string_view value;
};

Result<Parsed> Parse(std::string_view bytes) {
  Parsed out;
  doc::ProtoReader reader(bytes);
  while (!reader.done()) {
    const auto tag = TRY(reader.ReadTag());
    if (tag.field == kOffsetField && tag.type == doc::WireType::kVarint) {
      out.offset = TRY(reader.ReadVarint());
    } else if (tag.field == kWriterField && tag.type == doc::WireType::kFixed64) {
      out.mark.writer = TRY(reader.ReadFixed64());
    } else if (tag.field == kNumberField && tag.type == doc::WireType::kFixed64) {
      out.mark.number = TRY(reader.ReadFixed64());
    } else if (tag.field == kValueField && tag.type == doc::WireType::kBytes) {
      out.value = TRY(reader.ReadBytes());
    } else {
      TRY(reader.Skip(tag));
    }
  }
  return out;
}

}  // namespace

Result<std::string> Wrap(const Sealer* sealer, std::string_view key, std::string_view value, size_t revision_offset,
                         Mark mark) {
  std::optional<std::string> sealed;
  if (sealer != nullptr) sealed = TRY(sealer->Seal(key, value));
  const std::string_view payload = sealed.has_value() ? std::string_view(*sealed) : value;
  std::string out(kMagic);
  out.reserve(kMagic.size() + payload.size() + 40);
  doc::ProtoWriter writer(out);
  if (revision_offset != std::string::npos) writer.Varint(kOffsetField, revision_offset + 1);
  if (mark != Mark()) {
    writer.Fixed64(kWriterField, mark.writer);
    writer.Fixed64(kNumberField, mark.number);
  }
  writer.Bytes(kValueField, payload);
  return out;
}

Result<Unwrapped> Unwrap(const Sealer* sealer, std::string_view key, std::string_view bytes, Revision revision) {
  if (!bytes.starts_with(kMagic)) return Unreadable(key, "it was not written by Knarr");
  const Result<Parsed> parsed = Parse(bytes.substr(kMagic.size()));
  if (!parsed.ok()) return Unreadable(key, parsed.status().message());
  Unwrapped out{.value = {}, .mark = parsed->mark};
  std::optional<std::string> opened;
  if (sealer != nullptr) {
    Result<Sealer::Opened> result = sealer->Open(key, parsed->value);
    if (!result.ok()) return Unreadable(key, result.status().message());
    opened = std::move(result->value);
  }
  out.value = opened.has_value() ? std::move(*opened) : std::string(parsed->value);
  if (parsed->offset == 0) return out;
  if (parsed->offset - 1 > out.value.size()) return Unreadable(key, "its revision's place lies behind it");
  out.value = WithRevision(std::move(out.value), parsed->offset - 1, revision);
  return out;
}

}  // namespace knarr::store::etcd

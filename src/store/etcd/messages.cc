#include "store/etcd/messages.h"

#include <functional>

#include "doc/proto.h"

namespace knarr::store::etcd {
namespace {

using doc::ProtoReader;
using doc::ProtoWriter;
using doc::WireType;
using Tag = ProtoReader::Tag;

// etcd's Compare: EQUAL is 0 and left out; MOD is the third target.
constexpr uint64_t kTargetMod = 2;

/// Calls `field` with each field; it returns false for one it does not know, which is passed over.
Ok EachField(ProtoReader reader, const std::function<Result<bool>(ProtoReader&, Tag)>& field) {
  while (!reader.done()) {
    const Tag tag = TRY(reader.ReadTag());
    const bool known = TRY(field(reader, tag));
    if (!known) TRY(reader.Skip(tag));
  }
  return {};
}

Ok Want(ProtoReader& reader, Tag tag, WireType type) {
  return tag.type == type ? Ok() : Ok(reader.Error(tag, "of another type than etcd's"));
}

Result<int64_t> ReadInt(ProtoReader& reader, Tag tag) {
  TRY(Want(reader, tag, WireType::kVarint));
  return static_cast<int64_t>(TRY(reader.ReadVarint()));
}

Result<std::string> ReadText(ProtoReader& reader, Tag tag) {
  TRY(Want(reader, tag, WireType::kBytes));
  return std::string(TRY(reader.ReadBytes()));
}

Result<ProtoReader> ReadNested(ProtoReader& reader, Tag tag) {
  TRY(Want(reader, tag, WireType::kBytes));
  return reader.ReadMessage();
}

Result<Header> ReadHeader(ProtoReader& outer, Tag outer_tag) {
  Header out;
  const ProtoReader message = TRY(ReadNested(outer, outer_tag));
  const Ok read = EachField(message, [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    switch (tag.field) {
      case 1:
        out.cluster = static_cast<uint64_t>(TRY(ReadInt(reader, tag)));
        return true;
      case 2:
        out.member = static_cast<uint64_t>(TRY(ReadInt(reader, tag)));
        return true;
      case 3:
        out.revision = TRY(ReadInt(reader, tag));
        return true;
      default:
        return false;
    }
  });
  if (!read.ok()) return read.status();
  if (out.revision < 0) return outer.Error(outer_tag, "a negative revision");
  return out;
}

Result<Item> ReadItem(ProtoReader& outer, Tag outer_tag) {
  Item out;
  const ProtoReader message = TRY(ReadNested(outer, outer_tag));
  const Ok read = EachField(message, [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    switch (tag.field) {
      case 1:
        out.key = TRY(ReadText(reader, tag));
        return true;
      case 3:
        out.mod_revision = TRY(ReadInt(reader, tag));
        return true;
      case 5:
        out.value = TRY(ReadText(reader, tag));
        return true;
      default:
        return false;
    }
  });
  if (!read.ok()) return read.status();
  if (out.key.empty() || out.mod_revision <= 0) return outer.Error(outer_tag, "a key without a name or a revision");
  return out;
}

Result<RangeResponse> ReadRange(ProtoReader message) {
  RangeResponse out;
  const Ok read = EachField(message, [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    switch (tag.field) {
      case 1:
        out.header = TRY(ReadHeader(reader, tag));
        return true;
      case 2:
        out.items.push_back(TRY(ReadItem(reader, tag)));
        return true;
      case 3:
        out.more = TRY(ReadInt(reader, tag)) != 0;
        return true;
      default:
        return false;
    }
  });
  if (!read.ok()) return read.status();
  return out;
}

/// The answer to one operation of a transaction: of a kLook (1), what it found.
Ok ReadOperation(ProtoReader& outer, Tag outer_tag, TxnResponse& out) {
  const ProtoReader message = TRY(ReadNested(outer, outer_tag));
  return EachField(message, [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    if (tag.field != 1) return false;
    const ProtoReader nested = TRY(ReadNested(reader, tag));
    RangeResponse range = TRY(ReadRange(nested));
    if (range.items.size() > 1) return reader.Error(tag, "several answers about one key");
    out.found.push_back(range.items.empty() ? Item() : std::move(range.items.front()));
    return true;
  });
}

Result<WatchEvent> ReadEvent(ProtoReader& outer, Tag outer_tag) {
  WatchEvent out;
  int64_t type = 0;
  bool there = false;
  const ProtoReader message = TRY(ReadNested(outer, outer_tag));
  const Ok read = EachField(message, [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    if (tag.field == 1) {
      type = TRY(ReadInt(reader, tag));
      return true;
    }
    if (tag.field != 2) return false;
    out.item = TRY(ReadItem(reader, tag));
    there = true;
    return true;
  });
  if (!read.ok()) return read.status();
  if (!there || type < 0 || type > 1) return outer.Error(outer_tag, "an event that is neither a put nor a delete");
  out.put = type == 0;
  return out;
}

void Write(ProtoWriter& writer, uint32_t field, const Operation& operation) {
  const size_t outer = writer.BeginMessage(field);
  const bool put = operation.kind == Operation::Kind::kPut;
  const bool look = operation.kind == Operation::Kind::kLook;
  const size_t inner = writer.BeginMessage(look ? 1 : put ? 2 : 3);
  writer.Bytes(1, operation.key);
  if (put) {
    writer.Bytes(2, operation.value);
    if (operation.lease != 0) writer.Int(3, operation.lease);
  }
  if (look) writer.Bool(8, true);  // keys_only
  writer.EndMessage(inner);
  writer.EndMessage(outer);
}

}  // namespace

std::string Encode(const RangeRequest& request) {
  std::string out;
  ProtoWriter writer(out);
  writer.Bytes(1, request.key);
  if (!request.end.empty()) writer.Bytes(2, request.end);
  if (request.limit != 0) writer.Int(3, request.limit);
  if (request.revision != 0) writer.Int(4, request.revision);
  if (request.keys_only) writer.Bool(8, true);
  return out;
}

std::string Encode(const TxnRequest& request) {
  std::string out;
  ProtoWriter writer(out);
  for (const Comparison& comparison : request.comparisons) {
    const size_t mark = writer.BeginMessage(1);
    writer.Varint(2, kTargetMod);
    writer.Bytes(3, comparison.key);
    writer.Int(6, comparison.mod_revision);
    writer.EndMessage(mark);
  }
  for (const Operation& operation : request.then) Write(writer, 2, operation);
  for (const Operation& operation : request.otherwise) Write(writer, 3, operation);
  return out;
}

std::string Encode(const WatchRequest& request) {
  std::string out;
  ProtoWriter writer(out);
  const size_t mark = writer.BeginMessage(1);
  writer.Bytes(1, request.key);
  writer.Bytes(2, request.end);
  writer.Int(3, request.start_revision);
  writer.Bool(4, true);  // progress_notify
  writer.Bool(8, true);  // fragment
  writer.EndMessage(mark);
  return out;
}

std::string EncodeCompaction(int64_t revision) {
  std::string out;
  ProtoWriter(out).Int(1, revision);
  return out;
}

std::string EncodeLeaseGrant(int64_t seconds) {
  std::string out;
  ProtoWriter(out).Int(1, seconds);
  return out;
}

std::string EncodeLeaseKeepAlive(int64_t id) {
  std::string out;
  ProtoWriter(out).Int(1, id);
  return out;
}

std::string EncodeAuthenticate(std::string_view user, std::string_view password) {
  std::string out;
  ProtoWriter writer(out);
  writer.Bytes(1, user);
  writer.Bytes(2, password);
  return out;
}

Result<RangeResponse> DecodeRange(std::string_view bytes) { return ReadRange(ProtoReader(bytes)); }

Result<TxnResponse> DecodeTxn(std::string_view bytes) {
  TxnResponse out;
  const Ok read = EachField(ProtoReader(bytes), [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    switch (tag.field) {
      case 1:
        out.header = TRY(ReadHeader(reader, tag));
        return true;
      case 2:
        out.succeeded = TRY(ReadInt(reader, tag)) != 0;
        return true;
      case 3:
        TRY(ReadOperation(reader, tag, out));
        return true;
      default:
        return false;
    }
  });
  if (!read.ok()) return read.status();
  return out;
}

Result<WatchResponse> DecodeWatch(std::string_view bytes) {
  WatchResponse out;
  const Ok read = EachField(ProtoReader(bytes), [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    switch (tag.field) {
      case 1:
        out.header = TRY(ReadHeader(reader, tag));
        return true;
      case 3:
        out.created = TRY(ReadInt(reader, tag)) != 0;
        return true;
      case 4:
        out.canceled = TRY(ReadInt(reader, tag)) != 0;
        return true;
      case 5:
        out.compact_revision = TRY(ReadInt(reader, tag));
        return true;
      case 6:
        out.cancel_reason = TRY(ReadText(reader, tag));
        return true;
      case 7:
        out.fragment = TRY(ReadInt(reader, tag)) != 0;
        return true;
      case 11:
        out.events.push_back(TRY(ReadEvent(reader, tag)));
        return true;
      default:
        return false;
    }
  });
  if (!read.ok()) return read.status();
  return out;
}

Result<LeaseResponse> DecodeLease(std::string_view bytes) {
  LeaseResponse out;
  const Ok read = EachField(ProtoReader(bytes), [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    switch (tag.field) {
      case 1:
        out.header = TRY(ReadHeader(reader, tag));
        return true;
      case 2:
        out.id = TRY(ReadInt(reader, tag));
        return true;
      case 3:
        out.seconds = TRY(ReadInt(reader, tag));
        return true;
      default:
        return false;
    }
  });
  if (!read.ok()) return read.status();
  return out;
}

Result<std::string> DecodeAuthenticate(std::string_view bytes) {
  std::string out;
  const Ok read = EachField(ProtoReader(bytes), [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    if (tag.field != 2) return false;
    out = TRY(ReadText(reader, tag));
    return true;
  });
  if (!read.ok()) return read.status();
  return out;
}

Result<Header> DecodeHeaderOnly(std::string_view bytes) {
  Header out;
  const Ok read = EachField(ProtoReader(bytes), [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    if (tag.field != 1) return false;
    out = TRY(ReadHeader(reader, tag));
    return true;
  });
  if (!read.ok()) return read.status();
  return out;
}

}  // namespace knarr::store::etcd

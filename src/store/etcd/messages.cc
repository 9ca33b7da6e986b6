#include "store/etcd/messages.h"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <variant>

#include "doc/proto.h"

namespace knarr::store::etcd {
namespace {

using doc::ProtoReader;
using doc::ProtoWriter;
using doc::WireType;
using Tag = ProtoReader::Tag;

// etcd's Compare: EQUAL is 0 and left out; MOD is the third target.
constexpr uint64_t kTargetMod = 2;

/// Where the value of a field goes, by the field's number.
struct Slot {
  uint32_t field;
  std::variant<uint64_t*, int64_t*, bool*, std::string*, Header*> to;
};
using Slots = std::initializer_list<Slot>;
/// Takes a field that is more than a value; false: it is none of its.
using Taker = std::function<Result<bool>(ProtoReader&, Tag)>;

Ok ReadFields(ProtoReader reader, Slots slots, const Taker& taker = nullptr);

Ok Want(ProtoReader& reader, Tag tag, WireType type) {
  return tag.type == type ? Ok() : Ok(reader.Error(tag, "of another type than etcd's"));
}

template <typename Number>
Ok ReadTo(ProtoReader& reader, Tag tag, Number* to) {
  TRY(Want(reader, tag, WireType::kVarint));
  *to = static_cast<Number>(TRY(reader.ReadVarint()));
  return {};
}

Ok ReadTo(ProtoReader& reader, Tag tag, std::string* to) {
  TRY(Want(reader, tag, WireType::kBytes));
  *to = TRY(reader.ReadBytes());
  return {};
}

Result<ProtoReader> ReadNested(ProtoReader& reader, Tag tag) {
  TRY(Want(reader, tag, WireType::kBytes));
  return reader.ReadMessage();
}

Ok ReadTo(ProtoReader& reader, Tag tag, Header* to) {
  *to = {};
  const ProtoReader message = TRY(ReadNested(reader, tag));
  TRY(ReadFields(message, {{1, &to->cluster}, {2, &to->member}, {3, &to->revision}}));
  return to->revision < 0 ? Ok(reader.Error(tag, "a negative revision")) : Ok();
}

/// A field for which there is neither a slot nor a taker is passed over.
Ok ReadFields(ProtoReader reader, Slots slots, const Taker& taker) {
  while (!reader.done()) {
    const Tag tag = TRY(reader.ReadTag());
    const Slot* slot = std::ranges::find(slots, tag.field, &Slot::field);
    if (slot != slots.end()) {
      TRY(std::visit([&](auto* to) { return ReadTo(reader, tag, to); }, slot->to));
      continue;
    }
    const bool taken = taker != nullptr && TRY(taker(reader, tag));
    if (!taken) TRY(reader.Skip(tag));
  }
  return {};
}

Result<Item> ReadItem(ProtoReader& outer, Tag outer_tag) {
  Item out;
  const ProtoReader message = TRY(ReadNested(outer, outer_tag));
  TRY(ReadFields(message, {{1, &out.key}, {3, &out.mod_revision}, {5, &out.value}}));
  if (out.key.empty() || out.mod_revision <= 0) return outer.Error(outer_tag, "a key without a name or a revision");
  return out;
}

Result<RangeResponse> ReadRange(ProtoReader message) {
  RangeResponse out;
  const auto items = [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    if (tag.field != 2) return false;
    out.items.push_back(TRY(ReadItem(reader, tag)));
    return true;
  };
  TRY(ReadFields(message, {{1, &out.header}, {3, &out.more}}, items));
  return out;
}

/// The answer to one operation of a transaction: of a kLook (1), what it found.
Ok ReadOperation(ProtoReader& outer, Tag outer_tag, TxnResponse& out) {
  const ProtoReader message = TRY(ReadNested(outer, outer_tag));
  return ReadFields(message, {}, [&](ProtoReader& reader, Tag tag) -> Result<bool> {
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
  const auto item = [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    if (tag.field != 2) return false;
    out.item = TRY(ReadItem(reader, tag));
    there = true;
    return true;
  };
  TRY(ReadFields(message, {{1, &type}}, item));
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
  const auto operations = [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    if (tag.field != 3) return false;
    TRY(ReadOperation(reader, tag, out));
    return true;
  };
  TRY(ReadFields(ProtoReader(bytes), {{1, &out.header}, {2, &out.succeeded}}, operations));
  return out;
}

Result<WatchResponse> DecodeWatch(std::string_view bytes) {
  WatchResponse out;
  const auto events = [&](ProtoReader& reader, Tag tag) -> Result<bool> {
    if (tag.field != 11) return false;
    out.events.push_back(TRY(ReadEvent(reader, tag)));
    return true;
  };
  TRY(ReadFields(ProtoReader(bytes),
                 {{1, &out.header},
                  {3, &out.created},
                  {4, &out.canceled},
                  {5, &out.compact_revision},
                  {6, &out.cancel_reason},
                  {7, &out.fragment}},
                 events));
  return out;
}

Result<LeaseResponse> DecodeLease(std::string_view bytes) {
  LeaseResponse out;
  TRY(ReadFields(ProtoReader(bytes), {{1, &out.header}, {2, &out.id}, {3, &out.seconds}}));
  return out;
}

Result<std::string> DecodeAuthenticate(std::string_view bytes) {
  std::string token;
  TRY(ReadFields(ProtoReader(bytes), {{2, &token}}));
  return token;
}

Result<Header> DecodeHeaderOnly(std::string_view bytes) {
  Header out;
  TRY(ReadFields(ProtoReader(bytes), {{1, &out}}));
  return out;
}

}  // namespace knarr::store::etcd

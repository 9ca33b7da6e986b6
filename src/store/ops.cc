#include "store/ops.h"

#include <set>

namespace knarr::store {

namespace {

constexpr size_t kKeyMax = 4096;
constexpr size_t kValueMax = 16 << 20;
constexpr size_t kOpsMax = 1024;
/// Of one transaction: it goes to the disk in one piece.
constexpr size_t kTxnMax = size_t{1} << 30;

Status AboutKey(Reason reason, const std::string& key, std::string message) {
  StatusDetails details;
  details.name = key;
  return Status(reason, std::move(message), std::move(details));
}

}  // namespace

Ok CheckOps(const std::vector<Op>& ops) {
  if (ops.size() > kOpsMax) {
    return BadRequest("a transaction of " + std::to_string(ops.size()) + " changes: at most " +
                      std::to_string(kOpsMax));
  }
  std::set<std::string_view> keys;
  size_t bytes = 0;
  for (const Op& op : ops) {
    if (op.key.empty() || op.key.size() > kKeyMax) {
      return AboutKey(Reason::kBadRequest, op.key,
                      "a key of " + std::to_string(op.key.size()) + " bytes: 1 to " + std::to_string(kKeyMax));
    }
    if (!keys.insert(op.key).second) {
      return AboutKey(Reason::kBadRequest, op.key, "key " + op.key + " is changed twice in one transaction");
    }
    if (!op.value) continue;
    if (op.value->size() > kValueMax) {
      return AboutKey(Reason::kRequestEntityTooLarge, op.key,
                      "the value of " + op.key + " has " + std::to_string(op.value->size()) + " bytes: at most " +
                          std::to_string(kValueMax));
    }
    bytes += op.value->size();
    if (bytes > kTxnMax) {
      return AboutKey(Reason::kRequestEntityTooLarge, op.key,
                      "a transaction of more than " + std::to_string(kTxnMax) + " bytes");
    }
    if (op.revision_offset != std::string::npos && op.revision_offset > op.value->size()) {
      return AboutKey(Reason::kBadRequest, op.key, "the revision's place lies behind the value of " + op.key);
    }
  }
  return {};
}

std::string WithRevision(std::string value, size_t offset, Revision revision) {
  if (offset == std::string::npos) return value;
  std::string number = std::to_string(revision);
  std::string spliced;
  spliced.reserve(value.size() + number.size());
  spliced.append(value, 0, offset);
  spliced.append(number);
  spliced.append(value, offset, std::string::npos);
  return spliced;
}

Status CompareFailed(const Compare& compare, Revision found) {
  std::string is = found == 0 ? "does not exist" : "is at revision " + std::to_string(found);
  std::string expected = compare.mod_revision == 0 ? "none" : "revision " + std::to_string(compare.mod_revision);
  return AboutKey(Reason::kConflict, compare.key, "key " + compare.key + " " + is + ", expected " + expected);
}

Change PutInto(Tree& tree, std::string key, Bytes value, const Digest& digest, const ChangeAt& at) {
  Item* present = tree.Find(key);
  ItemRef item = ItemRef::Make(key);
  item->create_revision = present == nullptr ? at.revision : present->create_revision;
  item->mod_revision = at.revision;
  item->row = at.row;
  item->value = std::move(value);
  if (digest.known()) item->SetDigest(digest);
  ItemRef before = tree.Put(item);
  auto event = std::make_shared<const Event>(Event{Event::Type::kPut, std::move(key), item->value,
                                                   before ? before->value : nullptr, at.revision, digest,
                                                   before ? before->digest() : Digest{}});
  return {at.revision, at.time, std::move(before), std::move(item), std::move(event)};
}

std::optional<Change> EraseFrom(Tree& tree, const std::string& key, const ChangeAt& at) {
  ItemRef before = tree.Erase(key);
  if (!before) return std::nullopt;
  ItemRef after = ItemRef::Make(key);
  after->create_revision = before->create_revision;
  after->mod_revision = at.revision;
  after->row = at.row;
  auto event = std::make_shared<const Event>(
      Event{Event::Type::kDelete, key, nullptr, before->value, at.revision, {}, before->digest()});
  return Change{at.revision, at.time, std::move(before), std::move(after), std::move(event)};
}

}  // namespace knarr::store

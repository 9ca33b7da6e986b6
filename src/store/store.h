#pragma once

// Revisioned keys, as in etcd: one counter orders every change of every key.
//
// Readers work on immutable snapshots from any thread and never wait. Writers belong to the world thread: a Txn checks
// its comparisons against the newest state (acknowledged or not yet durable), takes the next revision, joins the group
// being committed, and suspends its fiber until that group is on the disk. Nothing is visible (to snapshots or
// watchers) before it is durable. History is kept from the last compaction on, so a snapshot or a watch can start at
// any revision since then.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "rt/runtime.h"
#include "store/sealer.h"

namespace knarr::store {

using Revision = int64_t;
using Bytes = std::shared_ptr<const std::string>;

struct KeyValue {
  std::string key;
  Bytes value;
  Revision create_revision = 0;
  Revision mod_revision = 0;
};

/// Bits of what can be asked of a value: whoever writes one may give them along, so that a filter over many values need
/// not touch the values. The store only keeps them, in memory. All zero: not known.
struct Digest {
  std::array<uint64_t, 4> words{};
  bool known() const { return words[0] != 0; }
  bool operator==(const Digest&) const = default;
};

/// Something that a reader made of a value for later readers: immutable, gone with the value.
class Facts {
 public:
  virtual ~Facts() = default;
};

class Item;

/// A key and its value in a snapshot, as a visitor sees it. What is not asked for is not touched.
class Entry {
 public:
  explicit Entry(const Item& item) : item_(item) {}
  std::string_view key() const;
  const Bytes& value() const;
  Revision mod_revision() const;
  Digest digest() const;
  /// For a digest that was not known. Any thread: every reader makes the same of the same value.
  void SetDigest(const Digest& digest) const;
  /// nullptr when nobody has made any.
  const Facts* facts() const;
  /// The facts that are kept: these, or those of a thread that was faster.
  const Facts& SetFacts(std::unique_ptr<const Facts> facts) const;

 private:
  const Item& item_;
};

struct RangeOptions {
  std::string start_after;  ///< continue behind this key; "" from the beginning
  size_t limit = 0;         ///< 0: all
};

struct RangeResult {
  std::vector<KeyValue> items;
  bool more = false;     ///< the limit cut it off
  size_t remaining = 0;  ///< how many keys of the prefix lie behind the last one, when more
};

/// The state at one revision. Immutable; any thread; keeps what it shows alive.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual Revision revision() const = 0;
  virtual std::optional<KeyValue> Get(std::string_view key) const = 0;
  /// Keys that begin with `prefix`, in order.
  virtual RangeResult Range(std::string_view prefix, const RangeOptions& options = {}) const = 0;
  /// As Range, one at a time without copying keys; stops when `visit` returns false.
  virtual void Visit(
      std::string_view prefix, std::string_view start_after,
      const std::function<bool(std::string_view key, const Bytes& value, Revision mod)>& visit) const = 0;
  /// The same for filters that take few of many.
  virtual void VisitEntries(std::string_view prefix, std::string_view start_after,
                            const std::function<bool(const Entry& entry)>& visit) const = 0;
  virtual size_t Count(std::string_view prefix) const = 0;
};

struct Compare {
  std::string key;
  /// The key's mod_revision must be this; 0: it must not exist.
  Revision mod_revision = 0;
};

/// A put or a delete.
struct Op {
  std::string key;
  /// nullopt deletes.
  std::optional<std::string> value;
  /// Where in `value` the decimal text of the new revision is inserted; npos: nowhere. Objects carry their own
  /// resourceVersion, which is known only when the change takes its place in the order.
  size_t revision_offset = std::string::npos;
  Digest digest{};  ///< of the value
};

struct TxnResult {
  Revision revision = 0;
  std::vector<KeyValue> written;  ///< one for each Op, in order (of a delete: the last value, mod_revision = revision)
};

/// One change as watchers see it.
struct Event {
  enum class Type : uint8_t { kPut, kDelete };
  Type type = Type::kPut;
  std::string key;
  Bytes value;     ///< after a put; null for a delete
  Bytes previous;  ///< before; null for a create
  Revision revision = 0;
  Digest digest{};           ///< of value, as far as it is known
  Digest previous_digest{};  ///< of previous
};
/// Events are shared between watchers.
using EventPtr = std::shared_ptr<const Event>;

/// A stream of changes under a prefix, each once, in order. Belongs to the runtime it was made on (any runtime, not
/// just the world's): Next suspends a fiber of that runtime.
class Watch {
 public:
  virtual ~Watch() = default;
  /// At least one event, at most `most`. Expired when this watcher was too slow and was cut off (begin again from a
  /// snapshot), Unavailable when the store closes. An empty batch: `until` passed.
  virtual Result<std::vector<EventPtr>> Next(size_t most = 256, MonoTime until = MonoTime::max()) = 0;
  /// Every change up to this revision under the prefix has been returned by Next.
  virtual Revision progress() const = 0;
};

struct WatchOptions {
  std::string prefix;
  /// Changes after this revision.
  Revision after = 0;
  /// A watcher that falls this many events behind is cut off.
  size_t backlog_max = 100000;
};

/// A stretch of history.
struct Changes {
  std::vector<EventPtr> events;
  /// Every change up to here under the prefix is in `events` or before them.
  Revision through = 0;
};

struct StoreStats {
  Revision revision = 0;
  Revision compacted = 0;
  size_t keys = 0;
  size_t value_bytes = 0;
  size_t history_events = 0;
  int64_t disk_bytes = 0;
  uint64_t commits = 0;  ///< groups flushed
  uint64_t writes = 0;   ///< transactions in them
};

class Maintenance;

class Store {
 public:
  virtual ~Store() = default;

  /// The newest durable state. Any thread, never waits.
  virtual std::shared_ptr<const Snapshot> Latest() const = 0;
  /// The state at a revision. Expired when it is compacted, BadRequest when it is still to come. Any thread.
  virtual Result<std::shared_ptr<const Snapshot>> At(Revision revision) const = 0;

  /// All or nothing, and durable on return. Conflict when a comparison fails (details.name = the key). TooManyRequests
  /// when too many wait already. While the store is read-only (see Health), and when the disk refused it: code 500 with
  /// etcd's words when the disk is full, else Unavailable; it is in the message when the change may still turn up after
  /// a restart. Unavailable when the store is closed. Deleting a key that is not there does nothing and takes no
  /// revision. A fiber that is cancelled while its change is on the way to the disk still gets the outcome. World
  /// thread.
  virtual Result<TxnResult> Txn(std::vector<Compare> compares, std::vector<Op> ops) = 0;
  /// The newest value of a key including changes that are not durable yet: for a read-check-write on the world thread
  /// (follow it with Txn comparing mod_revision; no wait in between). Where several servers write, the comparison may
  /// fail all the same; after that this has what it failed against.
  virtual std::optional<KeyValue> Newest(std::string_view key) const = 0;

  /// Waits until Latest has every change that anybody (also another server on the same data) had acknowledged when the
  /// call began: whoever reads then reads the newest state. Unavailable or Timeout when that can't be found out. An
  /// engine that alone makes the changes has nothing to wait for. Any thread; `here` is the caller's runtime.
  virtual Ok CatchUp(rt::Runtime& here) = 0;

  /// Expired when `after` is compacted, or further back than the backlog allows. From a revision still to come, only
  /// the changes behind that one. Any thread; `runtime` is the one whose fibers will call Next.
  virtual Result<std::unique_ptr<Watch>> StartWatch(rt::Runtime& runtime, WatchOptions options) = 0;

  /// About `most` changes after a revision (never a part of a transaction), without waiting for more. Expired when the
  /// revision is compacted. Any thread.
  virtual Result<Changes> ChangesAfter(Revision after, std::string_view prefix, size_t most) const = 0;

  /// Forgets history up to and including the revision (its state can still be read, and watched from). The disk follows
  /// in the background. World thread.
  virtual Ok Compact(Revision revision) = 0;
  virtual StoreStats stats() const = 0;
  /// Ok while changes are taken; else why the store is read-only. Reading and watching go on, and it ends by itself.
  /// Any thread.
  virtual Ok Health() const { return {}; }
  /// Looking after its files, for an engine that has some; nullptr for the others.
  virtual Maintenance* maintenance() { return nullptr; }
  /// Flushes and ends: watches get Unavailable. World thread.
  virtual void Close() = 0;
};

struct EmbeddedOptions {
  std::string directory;
  /// History kept without an explicit Compact: bounded in each way.
  size_t history_events_max = 200000;
  /// Old values and events that only history keeps in memory.
  size_t history_bytes_max = 128 << 20;
  Duration history_age_max = std::chrono::minutes(10);
  /// On the disk history takes no more than a sixteenth of what the live values do, or this much: after a restart,
  /// watches go on from there.
  size_t disk_history_bytes_min = 512 << 10;
  /// Transactions waiting for the disk; beyond it Txn waits its turn…
  size_t queue_max = 4096;
  /// …if no more than these do.
  size_t waiting_max = 4096;
  /// Told when the store becomes read-only, and when it ends. World thread; null: nobody.
  std::function<void(const Ok& health)> on_health = nullptr;
  /// Seals values on their way to the disk; null: they go as they are. What lies there in an older form is written anew
  /// in the background.
  std::shared_ptr<const Sealer> sealer = nullptr;
};

/// The embedded engine: state in memory, durable in a journal and a database in `directory` (made if absent; one server
/// at a time is guarded by a lock: Unavailable). Recovers from kill -9 at any moment. A database of an older format is
/// upgraded.
Result<std::unique_ptr<Store>> OpenEmbedded(rt::Runtime& world, EmbeddedOptions options);
/// The same state machine with nothing under it, for tests and simulation; a commit takes `commit_time`.
std::unique_ptr<Store> OpenMemory(rt::Runtime& world, Duration commit_time = {});

}  // namespace knarr::store

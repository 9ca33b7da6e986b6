#pragma once

// The state machine behind both engines; what differs is the Log under it.
//
// There are two versions of the truth: `newest_`, which transactions check and change at once, and the published state,
// which is what the log has made durable and all that readers and watchers see. Between them lies a queue of groups.
// One flush fiber takes group after group to the log; while one is being written the next one fills. When a write
// fails, everything queued fails with it and `newest_` goes back to the published tree, so that no transaction ever
// rests on one that was lost. Then the store is read-only, and a fiber tries to make the log whole until it can: from
// memory, which has all that was acknowledged.
//
// History is kept in memory for those who watch, and on the disk, less of it, for those who watch across a restart.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "rt/sync.h"
#include "store/log.h"
#include "store/maintenance.h"
#include "store/timeline.h"

namespace knarr::store {

/// What there is to begin with.
struct Recovered {
  Tree tree;
  Revision revision = 1;
  Revision compacted = 0;
  std::vector<Change> history;
  std::vector<int64_t> forget;  ///< rows that a compaction had not come to
  std::vector<ItemRef> stale;   ///< what lies on the disk in an older form
  int64_t row_next = 1;
  size_t value_bytes = 0;
};

/// Etcd's words for a full disk, which clients and people know.
Status NoSpace(const Status& why);

struct CoreOptions {
  HistoryLimits history;
  size_t disk_history_bytes_min = 512 << 10;
  size_t queue_max = 4096;
  size_t waiting_max = 4096;
  std::function<void(const Ok& health)> on_health = nullptr;
};

class Core : public Store, public Maintenance {
 public:
  Core(rt::Runtime& world, CoreOptions options, std::unique_ptr<Log> log, Recovered recovered);
  ~Core() override;

  std::shared_ptr<const Snapshot> Latest() const override { return timeline_.board()->Read()->latest; }
  Result<std::shared_ptr<const Snapshot>> At(Revision revision) const override {
    return timeline_.board()->At(revision);
  }
  Result<TxnResult> Txn(std::vector<Compare> compares, std::vector<Op> ops) override;
  std::optional<KeyValue> Newest(std::string_view key) const override;
  Ok CatchUp(rt::Runtime&) override { return {}; }
  Result<std::unique_ptr<Watch>> StartWatch(rt::Runtime& runtime, WatchOptions options) override {
    return Board::StartWatch(timeline_.board(), runtime, std::move(options));
  }
  Result<Changes> ChangesAfter(Revision after, std::string_view prefix, size_t most) const override {
    return timeline_.board()->ChangesAfter(after, prefix, most);
  }
  Ok Compact(Revision revision) override;
  StoreStats stats() const override { return timeline_.board()->Read()->stats; }
  Ok Health() const override { return timeline_.board()->Read()->health; }
  Maintenance* maintenance() override { return this; }
  void Close() override;

  Result<CheckReport> Check() override;
  Result<CheckReport> Repair() override;
  std::unique_ptr<BackupSource> StartBackup() override;
  Result<Reclaimed> Reclaim() override;

 private:
  /// A transaction that waits for the disk; on its fiber's stack.
  struct Pending {
    rt::Fiber* fiber = nullptr;
    bool done = false;
    std::optional<Status> failure;
  };
  struct Group {
    std::vector<Pending*> members;
    std::vector<Change> changes;
    size_t bytes = 0;
    Tree tree;  ///< the state behind it; set when it is sealed
    Revision revision = 0;
    size_t value_bytes = 0;
  };

  /// A fiber that the store must outlive: Close waits for it.
  class Inside {
   public:
    explicit Inside(Core& core) : core_(core) { core_.inside_++; }
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Core& core_;
  };

  Result<TxnResult> RunTxn(const std::vector<Compare>& compares, std::vector<Op> ops);
  /// Waits for room in the queue.
  Ok Admit();
  Ok Writable() const;
  Ok Check(const std::vector<Compare>& compares) const;
  Group& OpenGroup();
  KeyValue Apply(Op op, Revision revision, MonoTime now, Group& group);
  void Seal(Group& group) const;
  void StartFlush();
  void FlushAll();
  void FlushTurn();
  void FlushOne();
  void Commit(Group group);
  void Fail(const Group& in_flight, const Status& why);
  void SetBroken(const Status& why);
  void StartHealing();
  void Heal();
  void Healed();
  /// Log::Recover from memory. REQUIRES: it is this fiber's turn.
  Ok Recover(bool anew);
  /// Everything that the log should hold.
  Log::Contents Everything() const;
  void Publish();
  void TrimTo(Revision revision);
  /// The compaction on the disk that the bounds ask for.
  Revision DiskBound() const;
  void ForgetTo(Revision revision);
  std::vector<int64_t> TakeForgotten(size_t changes);
  void TakeStale(Log::Batch& batch);
  /// There is something to do for a flush, though nobody waits for one.
  bool IdleWork() const;

  rt::Runtime& world_;
  const CoreOptions options_;
  const std::unique_ptr<Log> log_;

  // The newest state, durable or not.
  Tree newest_;
  Revision newest_revision_;
  size_t newest_value_bytes_;
  int64_t row_next_;
  std::deque<Group> groups_;
  size_t queued_ = 0;  ///< transactions in groups_ and in the one being written

  // The durable side.
  Timeline timeline_;
  Revision disk_compacted_;        ///< history up to here is gone on the disk, which keeps less of it
  size_t disk_history_bytes_ = 0;  ///< about what history has there
  std::deque<int64_t> forget_;
  size_t forget_left_ = 0;  ///< of those, behind the last batch
  std::vector<ItemRef> stale_;   ///< from the last on
  bool tidy_up_ = false;         ///< forget rows without waiting for writes to go along with
  bool mark_compacted_ = false;  ///< the mark of a compaction goes to the disk, though no row does
  uint64_t commits_ = 0;
  uint64_t writes_ = 0;

  bool flushing_ = false;
  bool healing_ = false;
  bool closed_ = false;
  std::optional<Status> broken_;  ///< why nothing can be written for now
  MonoTime broken_since_{};
  MonoTime healed_at_ = MonoTime::min();
  Duration heal_after_{};
  size_t inside_ = 0;   ///< fibers in Txn or looking after the files
  size_t waiting_ = 0;  ///< fibers that wait for room
  rt::Mutex turn_;      ///< who uses the log: with what is appended, memory must change
  rt::WaitQueue room_;
  rt::WaitQueue idle_;
  rt::WaitQueue heal_;
};

}  // namespace knarr::store

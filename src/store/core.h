#pragma once

// The state machine behind both engines; what differs is the Log under it.
//
// There are two versions of the truth: `newest_`, which transactions check and change at once, and the published state,
// which is what the log has made durable and all that readers and watchers see. Between them lies a queue of groups.
// One flush fiber takes group after group to the log; while one is being written the next one fills. When a write
// fails, everything queued fails with it and `newest_` goes back to the published tree, so that no transaction ever
// rests on one that was lost.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "rt/sync.h"
#include "store/log.h"
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

struct CoreOptions {
  HistoryLimits history;
  size_t queue_max = 4096;
};

class Core : public Store {
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
  void Close() override;

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
  void FlushOne();
  void Commit(Group group);
  void Fail(const Group& in_flight, const Status& why);
  void Publish();
  void TrimTo(Revision revision);
  std::vector<int64_t> TakeForgotten(size_t records);
  void TakeStale(Log::Batch& batch);
  bool IdleWork() const { return tidy_up_ && !closed_ && !broken_; }

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
  std::deque<int64_t> forget_;
  std::vector<ItemRef> stale_;  ///< from the last on
  bool tidy_up_ = false;        ///< forget rows and give space back without waiting for writes to go along with
  uint64_t commits_ = 0;
  uint64_t writes_ = 0;

  bool flushing_ = false;
  bool closed_ = false;
  std::optional<Status> broken_;  ///< why nothing can be written any more
  size_t inside_ = 0;             ///< fibers in Txn
  rt::WaitQueue room_;
  rt::WaitQueue idle_;
};

}  // namespace knarr::store

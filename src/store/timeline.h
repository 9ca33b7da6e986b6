#pragma once

// The durable side of a store, whatever engine made it durable: the newest state, the history behind it and the
// watchers. The engine appends what became durable, publishes it and hands it out; readers of any thread see it on the
// board. World thread.

#include <functional>
#include <memory>
#include <vector>

#include "store/board.h"

namespace knarr::store {

/// History kept without an explicit compaction: bounded in each way.
struct HistoryLimits {
  size_t events_max = 200000;
  size_t bytes_max = 128 << 20;
  Duration age_max = std::chrono::minutes(10);
};

class Timeline {
 public:
  struct Start {
    Tree tree;
    Revision revision = 1;
    Revision compacted = 0;
    size_t value_bytes = 0;
    std::vector<Change> history;
  };
  Timeline(rt::Runtime& world, HistoryLimits limits, Start start);

  const std::shared_ptr<Board>& board() const { return board_; }
  const std::shared_ptr<const TreeSnapshot>& latest() const { return latest_; }
  const Tree& tree() const { return latest_->tree(); }
  Revision revision() const { return latest_->revision(); }
  Revision compacted() const { return compacted_; }
  size_t value_bytes() const { return value_bytes_; }
  const History::View& history() const { return history_.view(); }

  /// What became durable, and the state behind it.
  void Append(const std::vector<Change>& changes, Tree tree, Revision revision, size_t value_bytes);
  /// The compaction that the limits ask for.
  Revision Bound() const;
  /// Forgets history up to the revision; `dropped` sees each change that goes.
  void TrimTo(Revision revision, const std::function<void(const Change&)>& dropped = {});
  /// Puts the state up. `own` has the figures that the engine alone knows: of the disk, of writes.
  void Publish(StoreStats own, Ok health = {});
  /// Hands out changes that were appended and published.
  void Deliver(const std::vector<Change>& changes);
  /// Begins anew with a state that can't be reached by changes: every watch ends with `why`, and there is no history.
  void Restart(Tree tree, Revision revision, size_t value_bytes, const Status& why);
  /// Every watch gets Unavailable, and no more begin.
  void Close();

 private:
  rt::Runtime& world_;
  const HistoryLimits limits_;
  const std::shared_ptr<Board> board_ = std::make_shared<Board>();
  std::shared_ptr<const TreeSnapshot> latest_;
  size_t value_bytes_;
  Revision compacted_;
  History history_;
  size_t history_bytes_ = 0;
  size_t since_checkpoint_ = 0;
  std::shared_ptr<const Published::Checkpoints> checkpoints_ = std::make_shared<Published::Checkpoints>();
  WatchIndex watches_;
};

}  // namespace knarr::store

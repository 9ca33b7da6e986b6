#pragma once

// What readers and watchers of any thread see of a store, whatever engine is under it.

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "store/history.h"
#include "store/snapshot.h"
#include "store/watch.h"

namespace knarr::store {

/// What every thread sees: replaced as a whole at each commit.
struct Published {
  using Checkpoints = std::vector<std::shared_ptr<const TreeSnapshot>>;
  std::shared_ptr<const TreeSnapshot> latest;
  History::View history;
  Revision compacted = 0;
  /// Some older states, oldest first, so that At has not far to go back.
  std::shared_ptr<const Checkpoints> checkpoints;
  StoreStats stats;
  Ok health;
};

/// The part of the store that other threads touch. Watches keep it alive.
class Board {
 public:
  std::shared_ptr<const Published> Read() const;
  /// Puts up the next state and takes the watchers that came since the last one.
  std::vector<std::shared_ptr<Watcher>> Publish(std::shared_ptr<const Published> next);
  Result<std::shared_ptr<Watcher>> Join(rt::Runtime& runtime, WatchOptions options);
  /// No watch joins from here on; the ones not taken yet.
  std::vector<std::shared_ptr<Watcher>> Close();

  Result<std::shared_ptr<const Snapshot>> At(Revision revision) const;
  Result<Changes> ChangesAfter(Revision after, std::string_view prefix, size_t most) const;
  /// Join, as what the store's users get.
  static Result<std::unique_ptr<Watch>> StartWatch(std::shared_ptr<Board> board, rt::Runtime& runtime,
                                                   WatchOptions options);

  /// Every watcher has been handed the changes up to here.
  std::atomic<Revision> delivered{1};
  /// Watches that ended since the last sweep of the index.
  std::atomic<size_t> left{0};

 private:
  static constexpr size_t kRebuiltMax = 8;
  static constexpr size_t kFreshMax = 64;
  std::shared_ptr<Waker> WakerOf(rt::Runtime& runtime);

  mutable Lock lock_;
  std::shared_ptr<const Published> published_;
  std::vector<std::shared_ptr<Watcher>> fresh_;
  size_t fresh_max_ = kFreshMax;
  std::map<rt::Runtime*, std::weak_ptr<Waker>> wakers_;
  bool closed_ = false;

  mutable Lock rebuilt_lock_;
  /// States that At made lately: the pages of a long list ask for one revision again and again.
  mutable std::deque<std::shared_ptr<const TreeSnapshot>> rebuilt_;
};

}  // namespace knarr::store

#include <algorithm>

#include "store/board.h"

namespace knarr::store {
namespace {

class WatchHandle : public Watch {
 public:
  WatchHandle(std::shared_ptr<Board> board, std::shared_ptr<Watcher> watcher)
      : board_(std::move(board)), watcher_(std::move(watcher)) {}
  ~WatchHandle() override {
    watcher_->Leave();
    board_->left.fetch_add(1, std::memory_order_relaxed);
  }
  Result<std::vector<EventPtr>> Next(size_t most, MonoTime until) override { return watcher_->Next(most, until); }
  Revision progress() const override { return watcher_->Progress(board_->delivered.load(std::memory_order_acquire)); }

 private:
  std::shared_ptr<Board> board_;
  std::shared_ptr<Watcher> watcher_;
};

Status CompactedError(Revision after, Revision compacted) {
  return Expired("changes after revision " + std::to_string(after) + " are compacted: the oldest kept revision is " +
                 std::to_string(compacted));
}

}  // namespace

std::shared_ptr<const Published> Board::Read() const {
  Lock::Guard guard(lock_);
  return published_;
}

std::vector<std::shared_ptr<Watcher>> Board::Publish(std::shared_ptr<const Published> next) {
  std::vector<std::shared_ptr<Watcher>> fresh;
  Revision compacted = next->compacted;
  bool compacts = false;
  {
    Lock::Guard guard(lock_);
    compacts = published_ != nullptr && published_->compacted != compacted;
    published_.swap(next);
    fresh.swap(fresh_);
  }
  if (compacts) {
    Lock::Guard guard(rebuilt_lock_);
    std::erase_if(rebuilt_, [&](const auto& snapshot) { return snapshot->revision() < compacted; });
  }
  // `next` is the state before, which may be the last to hold much: it goes here, outside the locks.
  return fresh;
}

std::shared_ptr<Waker> Board::WakerOf(rt::Runtime& runtime) {
  std::weak_ptr<Waker>& known = wakers_[&runtime];
  std::shared_ptr<Waker> waker = known.lock();
  if (waker == nullptr) {
    waker = std::make_shared<Waker>(runtime);
    known = waker;
  }
  return waker;
}

Result<std::shared_ptr<Watcher>> Board::Join(rt::Runtime& runtime, WatchOptions options) {
  Revision handed = 0;  // up to here `backlog` is filled
  std::vector<EventPtr> backlog;
  {
    Lock::Guard guard(lock_);
    if (closed_) return Unavailable("the store is closed");
  }
  while (true) {
    // The search for the backlog takes its time, so it works on a state read before; the few changes published
    // meanwhile are added under the lock.
    std::shared_ptr<const Published> state = Read();
    if (options.after < state->compacted) return CompactedError(options.after, state->compacted);
    const History::View& history = state->history;
    for (size_t i = history.After(std::max(options.after, handed)); i < history.size(); i++) {
      const EventPtr& event = history.at(i).event;
      if (event->key.starts_with(options.prefix)) backlog.push_back(event);
    }
    handed = state->latest->revision();
    if (backlog.size() > options.backlog_max) {
      return Expired("revision " + std::to_string(options.after) + " is more than " +
                     std::to_string(options.backlog_max) + " events behind under " + options.prefix);
    }
    Lock::Guard guard(lock_);
    if (closed_) return Unavailable("the store is closed");
    if (published_ != state) continue;
    if (fresh_.size() >= fresh_max_) {
      // Nobody commits, so nobody takes them: don't let clients that come and go pile up.
      std::erase_if(fresh_, [](const auto& watcher) { return watcher->gone(); });
      fresh_max_ = std::max(kFreshMax, 2 * fresh_.size());
    }
    Revision seen = backlog.empty() ? std::max(options.after, handed) : options.after;
    auto watcher = std::make_shared<Watcher>(WakerOf(runtime), std::move(options), std::move(backlog), seen);
    fresh_.push_back(watcher);
    return watcher;
  }
}

Result<std::unique_ptr<Watch>> Board::StartWatch(std::shared_ptr<Board> board, rt::Runtime& runtime,
                                                 WatchOptions options) {
  std::shared_ptr<Watcher> watcher = TRY(board->Join(runtime, std::move(options)));
  return std::unique_ptr<Watch>(std::make_unique<WatchHandle>(std::move(board), std::move(watcher)));
}

Result<Changes> Board::ChangesAfter(Revision after, std::string_view prefix, size_t most) const {
  const std::shared_ptr<const Published> state = Read();
  if (after < state->compacted) return CompactedError(after, state->compacted);
  Changes changes;
  changes.through = after;
  const History::View& history = state->history;
  for (size_t i = history.After(after); i < history.size(); i++) {
    const EventPtr& event = history.at(i).event;
    if (changes.events.size() >= most && event->revision != changes.through) return changes;
    changes.through = event->revision;
    if (event->key.starts_with(prefix)) changes.events.push_back(event);
  }
  changes.through = std::max(after, state->latest->revision());
  return changes;
}

std::vector<std::shared_ptr<Watcher>> Board::Close() {
  Lock::Guard guard(lock_);
  closed_ = true;
  return std::exchange(fresh_, {});
}

Result<std::shared_ptr<const Snapshot>> Board::At(Revision revision) const {
  std::shared_ptr<const Published> state = Read();
  Revision latest = state->latest->revision();
  if (revision > latest) {
    return BadRequest("revision " + std::to_string(revision) + " is still to come: the newest is " +
                      std::to_string(latest));
  }
  if (revision < state->compacted) {
    return Expired("revision " + std::to_string(revision) + " is compacted: the oldest kept is " +
                   std::to_string(state->compacted));
  }
  // The nearest state at or behind the revision, from which the changes are undone.
  std::shared_ptr<const TreeSnapshot> near = state->latest;
  auto consider = [&](const std::shared_ptr<const TreeSnapshot>& other) {
    if (other->revision() >= revision && other->revision() < near->revision()) near = other;
  };
  for (const auto& checkpoint : *state->checkpoints) consider(checkpoint);
  {
    Lock::Guard guard(rebuilt_lock_);
    for (const auto& rebuilt : rebuilt_) consider(rebuilt);
  }
  if (near->revision() == revision) return std::shared_ptr<const Snapshot>(near);

  Tree tree = near->tree();
  const History::View& history = state->history;
  for (size_t i = history.After(near->revision()); i > 0 && history.at(i - 1).revision > revision; i--) {
    const Change& change = history.at(i - 1);
    if (change.before) {
      tree.Put(change.before);
    } else {
      tree.Erase(change.after->key());
    }
  }
  auto made = std::make_shared<const TreeSnapshot>(std::move(tree), revision);
  std::shared_ptr<const TreeSnapshot> oldest;
  Lock::Guard guard(rebuilt_lock_);
  if (rebuilt_.size() == kRebuiltMax) {
    oldest = std::move(rebuilt_.front());
    rebuilt_.pop_front();
  }
  rebuilt_.push_back(made);
  return std::shared_ptr<const Snapshot>(made);
}

}  // namespace knarr::store

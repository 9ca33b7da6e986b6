#include "store/timeline.h"

namespace knarr::store {

namespace {

/// So many changes between two checkpoints: At undoes no more than these.
constexpr size_t kCheckpointEvery = 8192;
constexpr size_t kSweepAfter = 32;

}  // namespace

Timeline::Timeline(rt::Runtime& world, HistoryLimits limits, Start start)
    : world_(world),
      limits_(limits),
      latest_(std::make_shared<TreeSnapshot>(std::move(start.tree), start.revision)),
      value_bytes_(start.value_bytes),
      compacted_(start.compacted) {
  for (Change& change : start.history) {
    history_bytes_ += ChangeBytes(change);
    history_.Append(std::move(change));
  }
  board_->delivered.store(start.revision);
}

void Timeline::Append(const std::vector<Change>& changes, Tree tree, Revision revision, size_t value_bytes) {
  for (const Change& change : changes) {
    history_bytes_ += ChangeBytes(change);
    history_.Append(change);
  }
  latest_ = std::make_shared<TreeSnapshot>(std::move(tree), revision);
  value_bytes_ = value_bytes;
  since_checkpoint_ += changes.size();
  if (since_checkpoint_ < kCheckpointEvery) return;
  since_checkpoint_ = 0;
  auto more = std::make_shared<Published::Checkpoints>(*checkpoints_);
  more->push_back(latest_);
  checkpoints_ = std::move(more);
}

void Timeline::Publish(StoreStats own, Ok health) {
  auto next = std::make_shared<Published>();
  next->latest = latest_;
  next->history = history_.view();
  next->compacted = compacted_;
  next->checkpoints = checkpoints_;
  next->stats = std::move(own);
  next->stats.revision = latest_->revision();
  next->stats.compacted = compacted_;
  next->stats.keys = latest_->tree().size();
  next->stats.value_bytes = value_bytes_;
  next->stats.history_events = history_.view().size();
  next->health = std::move(health);
  for (auto& watcher : board_->Publish(std::move(next))) watches_.Add(std::move(watcher));
}

void Timeline::Deliver(const std::vector<Change>& changes) {
  std::vector<std::shared_ptr<Watcher>> ready;
  for (const Change& change : changes) watches_.Deliver(change.event, &ready);
  board_->delivered.store(latest_->revision(), std::memory_order_release);
  for (const auto& watcher : ready) watcher->Wake();
  if (board_->left.load(std::memory_order_relaxed) < kSweepAfter) return;
  board_->left.store(0, std::memory_order_relaxed);
  watches_.Sweep();
}

Revision Timeline::Bound() const {
  const History::View& view = history_.view();
  MonoTime now = world_.Mono();
  size_t drop = 0;
  size_t bytes = history_bytes_;
  while (drop < view.size()) {
    const Change& change = view.at(drop);
    bool over =
        view.size() - drop > limits_.events_max || bytes > limits_.bytes_max || now - change.time > limits_.age_max;
    if (!over) break;
    bytes -= ChangeBytes(change);
    drop++;
  }
  return drop == 0 ? compacted_ : view.at(drop - 1).revision;
}

void Timeline::TrimTo(Revision revision, const std::function<void(const Change&)>& dropped) {
  if (revision <= compacted_) return;
  const History::View& view = history_.view();
  size_t count = view.After(revision);
  for (size_t i = 0; i < count; i++) {
    const Change& change = view.at(i);
    history_bytes_ -= ChangeBytes(change);
    if (dropped) dropped(change);
  }
  history_.Trim(count);
  compacted_ = revision;
  if (!checkpoints_->empty() && checkpoints_->front()->revision() < revision) {
    auto kept = std::make_shared<Published::Checkpoints>(*checkpoints_);
    std::erase_if(*kept, [&](const auto& checkpoint) { return checkpoint->revision() < revision; });
    checkpoints_ = std::move(kept);
  }
}

void Timeline::Restart(Tree tree, Revision revision, size_t value_bytes, const Status& why) {
  TrimTo(revision);
  history_.Trim(history_.view().size());
  history_bytes_ = 0;
  latest_ = std::make_shared<TreeSnapshot>(std::move(tree), revision);
  value_bytes_ = value_bytes;
  compacted_ = revision;
  since_checkpoint_ = 0;
  checkpoints_ = std::make_shared<Published::Checkpoints>();
  StoreStats stats = board_->Read()->stats;
  Publish(std::move(stats));
  watches_.EndAll(why);
  board_->delivered.store(revision, std::memory_order_release);
}

void Timeline::Close() {
  Status why = Unavailable("the store is closed");
  for (const auto& watcher : board_->Close()) watcher->End(why, false);
  watches_.EndAll(why);
}

}  // namespace knarr::store

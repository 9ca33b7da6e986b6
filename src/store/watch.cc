#include "store/watch.h"

#include <algorithm>

namespace knarr::store {

void Waker::Wake(std::shared_ptr<Watcher> watcher) {
  {
    Lock::Guard guard(lock_);
    ready_.push_back(std::move(watcher));
    if (ready_.size() > 1) return;  // the Post for the first takes this one along
  }
  runtime_.Post([self = shared_from_this()] { self->WakeAll(); });
}

void Waker::WakeAll() {
  std::vector<std::shared_ptr<Watcher>> ready;
  {
    Lock::Guard guard(lock_);
    ready.swap(ready_);
  }
  for (const auto& watcher : ready) watcher->queue_.NotifyAll();
}

Watcher::Watcher(std::shared_ptr<Waker> waker, WatchOptions options, std::vector<EventPtr> backlog, Revision seen)
    : waker_(std::move(waker)),
      options_(std::move(options)),
      incoming_(std::move(backlog)),
      queue_(waker_->runtime()),
      seen_(seen) {}

bool Watcher::Push(const EventPtr& event) {
  if (event->revision <= options_.after) return false;
  Lock::Guard guard(lock_);
  if (gone_ || end_) return false;
  if (incoming_.size() + batch_left_.load(std::memory_order_relaxed) >= options_.backlog_max) {
    end_ = Expired("watch of " + options_.prefix + " fell " + std::to_string(options_.backlog_max) +
                   " events behind and was cut off");
    dropped_ = true;
    incoming_ = {};
    return true;
  }
  incoming_.push_back(event);
  return incoming_.size() == 1;
}

void Watcher::Wake() {
  {
    Lock::Guard guard(lock_);
    if (gone_ || !waiting_) return;
    waiting_ = false;
    // Under the lock: the owner can't leave, nor its runtime end, before the Post is made.
    if (!waker_->runtime().OnThisThread()) {
      waker_->Wake(shared_from_this());
      return;
    }
  }
  queue_.NotifyAll();
}

void Watcher::End(Status why, bool drop) {
  {
    Lock::Guard guard(lock_);
    if (gone_ || end_) return;
    end_ = std::move(why);
    dropped_ = drop;
    if (drop) incoming_ = {};
  }
  Wake();
}

Result<Watcher::Found> Watcher::Look() {
  Lock::Guard guard(lock_);
  if (end_ && dropped_) return *end_;
  if (batch_at_ < batch_.size()) return Found::kEvents;
  batch_.clear();
  batch_at_ = 0;
  if (!incoming_.empty()) {
    batch_.swap(incoming_);
    batch_left_.store(batch_.size(), std::memory_order_relaxed);
    waiting_ = false;
    return Found::kEvents;
  }
  if (end_) return *end_;
  waiting_ = true;
  return Found::kNothing;
}

Result<std::vector<EventPtr>> Watcher::Next(size_t most, MonoTime until) {
  rt::Runtime& runtime = waker_->runtime();
  TRY(runtime.CheckCancelled());
  while (TRY(Look()) == Found::kNothing) {
    Ok waited = queue_.Wait(until);
    if (waited.ok()) continue;
    if (!waited.Failed(Reason::kTimeout)) return waited.status();
    TRY(runtime.CheckCancelled());
    if (TRY(Look()) == Found::kNothing) return std::vector<EventPtr>{};
  }
  size_t count = std::min(std::max<size_t>(most, 1), batch_.size() - batch_at_);
  auto from = batch_.begin() + static_cast<ptrdiff_t>(batch_at_);
  std::vector<EventPtr> events(std::make_move_iterator(from),
                               std::make_move_iterator(from + static_cast<ptrdiff_t>(count)));
  batch_at_ += count;
  batch_left_.store(batch_.size() - batch_at_, std::memory_order_relaxed);
  // A transaction may be cut between two batches: its revision is seen when the next one begins.
  seen_ = std::max(seen_, events.back()->revision - 1);
  if (batch_at_ == batch_.size()) batch_ = {};
  if (batch_.empty()) batch_at_ = 0;
  return events;
}

Revision Watcher::Progress(Revision delivered) {
  Lock::Guard guard(lock_);
  if (batch_at_ < batch_.size()) {
    seen_ = std::max(seen_, batch_[batch_at_]->revision - 1);
  } else if (!incoming_.empty()) {
    seen_ = std::max(seen_, incoming_.front()->revision - 1);
  } else if (!dropped_) {
    seen_ = std::max(seen_, delivered);
  }
  return seen_;
}

void Watcher::Leave() {
  std::vector<EventPtr> incoming;
  {
    Lock::Guard guard(lock_);
    gone_ = true;
    incoming.swap(incoming_);
  }
  batch_ = {};
}

bool Watcher::gone() {
  Lock::Guard guard(lock_);
  return gone_;
}

void WatchIndex::Add(std::shared_ptr<Watcher> watcher) {
  auto found = by_prefix_.find(std::string_view(watcher->prefix()));
  if (found == by_prefix_.end()) {
    lengths_[watcher->prefix().size()]++;
    found = by_prefix_.try_emplace(watcher->prefix()).first;
  }
  found->second.push_back(std::move(watcher));
  size_++;
}

void WatchIndex::Deliver(const EventPtr& event, std::vector<std::shared_ptr<Watcher>>* ready) {
  std::string_view key = event->key;
  for (const auto& [length, count] : lengths_) {
    if (length > key.size()) break;
    auto found = by_prefix_.find(key.substr(0, length));
    if (found == by_prefix_.end()) continue;
    for (const auto& watcher : found->second) {
      if (watcher->Push(event)) ready->push_back(watcher);
    }
  }
}

void WatchIndex::Sweep() {
  size_ = 0;
  for (auto entry = by_prefix_.begin(); entry != by_prefix_.end();) {
    std::erase_if(entry->second, [](const auto& watcher) { return watcher->gone(); });
    size_ += entry->second.size();
    if (!entry->second.empty()) {
      ++entry;
      continue;
    }
    auto length = lengths_.find(entry->first.size());
    if (--length->second == 0) lengths_.erase(length);
    entry = by_prefix_.erase(entry);
  }
}

void WatchIndex::EndAll(const Status& why) {
  for (const auto& [prefix, watchers] : by_prefix_) {
    for (const auto& watcher : watchers) watcher->End(why, false);
  }
  by_prefix_.clear();
  lengths_.clear();
  size_ = 0;
}

}  // namespace knarr::store

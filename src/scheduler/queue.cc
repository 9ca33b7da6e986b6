#include "scheduler/queue.h"

#include <algorithm>
#include <vector>

#include "api/core_v1.h"

namespace knarr::scheduler {
namespace {

constexpr Duration kBackOffFirst = 1s;
constexpr Duration kBackOffMost = 10s;
constexpr Duration kUnschedulableMost = 5min;

}  // namespace

Queue::Queue(rt::Runtime& runtime) : runtime_(runtime), changed_(runtime) {}

Duration Queue::BackOff(const Entry& entry) const {
  Duration out = kBackOffFirst;
  for (int i = 1; i < entry.attempts && out < kBackOffMost; ++i) out *= 2;
  return std::min(out, kBackOffMost);
}

void Queue::Deactivate(const Entry& entry) {
  const std::string uid(entry.pod->object->uid());
  active_.erase({entry.priority, entry.order, uid});
  later_.erase({entry.ready, uid});
}

/// Files the entry under what it may wait for.
void Queue::Park(Entry& entry) {
  if (entry.unschedulable || entry.popped) {
    parked_[entry.order] = &entry;
  } else {
    parked_.erase(entry.order);
  }
}

/// Files the entry by its ready time.
void Queue::Activate(Entry& entry) {
  Park(entry);
  const std::string uid(entry.pod->object->uid());
  if (entry.ready <= runtime_.Mono()) {
    active_.insert({entry.priority, entry.order, uid});
  } else {
    later_.insert({entry.ready, uid});
  }
  changed_.NotifyAll();
}

void Queue::Add(const api::ObjectPtr& pod) {
  auto [at, added] = waiting_.try_emplace(std::string(pod->uid()));
  Entry& entry = at->second;
  if (!added) Deactivate(entry);
  entry.pod = std::make_shared<const PodInfo>(PodInfo::Make(pod));
  entry.priority = api::core_v1::Pod(pod->tree()).spec().priority().value_or(0);
  if (added) {
    entry.order = next_order_++;
    entry.ready = runtime_.Mono();
  }
  if (entry.popped) {
    entry.changed = true;
    return;
  }
  if (entry.unschedulable) {
    entry.unschedulable = false;
    entry.ready = std::min(entry.ready, runtime_.Mono() + BackOff(entry));
  }
  Activate(entry);
}

void Queue::Remove(std::string_view uid) {
  auto at = waiting_.find(uid);
  if (at == waiting_.end()) return;
  Deactivate(at->second);
  parked_.erase(at->second.order);
  waiting_.erase(at);
}

void Queue::Done(std::string_view uid) { Remove(uid); }

MonoTime Queue::NextReady() {
  const MonoTime now = runtime_.Mono();
  while (!later_.empty() && later_.begin()->first <= now) {
    Entry& entry = waiting_.find(later_.begin()->second)->second;
    later_.erase(later_.begin());
    entry.unschedulable = false;
    Park(entry);
    active_.insert({entry.priority, entry.order, std::string(entry.pod->object->uid())});
  }
  return later_.empty() ? MonoTime::max() : later_.begin()->first;
}

Result<PodInfoPtr> Queue::Pop() {
  while (true) {
    const MonoTime next = NextReady();
    if (!active_.empty()) break;
    Ok waited = changed_.Wait(next);
    if (!waited.ok() && !waited.Failed(Reason::kTimeout)) return waited.status();
  }
  Entry& entry = waiting_.find(active_.begin()->uid)->second;
  active_.erase(active_.begin());
  entry.popped = true;
  entry.changed = false;
  entry.attempts++;
  Park(entry);
  return entry.pod;
}

void Queue::SetUnschedulable(const api::ObjectPtr& pod) {
  auto at = waiting_.find(pod->uid());
  if (at == waiting_.end()) return;
  Entry& entry = at->second;
  entry.popped = false;
  // A change that came while it was being tried may be just what it needed.
  entry.unschedulable = !entry.changed;
  entry.ready = runtime_.Mono() + (entry.unschedulable ? kUnschedulableMost : BackOff(entry));
  Activate(entry);
}

void Queue::Retry(const api::ObjectPtr& pod) {
  auto at = waiting_.find(pod->uid());
  if (at == waiting_.end()) return;
  at->second.popped = false;
  at->second.ready = runtime_.Mono() + BackOff(at->second);
  Activate(at->second);
}

void Queue::MoveIf(const std::function<bool(const PodInfo& pod)>& helps, When when) {
  std::vector<Entry*> helped;
  for (const auto& [order, entry] : parked_) {
    if (helps(*entry->pod)) helped.push_back(entry);
  }
  for (Entry* each : helped) {
    Entry& entry = *each;
    if (entry.popped) entry.changed = true;
    if (!entry.unschedulable || entry.popped) continue;
    Deactivate(entry);
    entry.unschedulable = false;
    // The back-off counts from the last try, which was kUnschedulableMost before its present ready time.
    entry.ready = when == When::kNow ? runtime_.Mono() : entry.ready - kUnschedulableMost + BackOff(entry);
    Activate(entry);
  }
}

}  // namespace knarr::scheduler

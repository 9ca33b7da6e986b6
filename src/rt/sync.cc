#include "rt/sync.h"

namespace knarr::rt {

struct WaitQueue::Waiter {
  Fiber* fiber = nullptr;
  Waiter* previous = nullptr;
  Waiter* next = nullptr;
  bool queued = true;
};

WaitQueue::~WaitQueue() { CHECK(first_ == nullptr); }

void WaitQueue::Remove(Waiter* waiter) {
  (waiter->previous != nullptr ? waiter->previous->next : first_) = waiter->next;
  (waiter->next != nullptr ? waiter->next->previous : last_) = waiter->previous;
  waiter->queued = false;
}

Ok WaitQueue::Wait(MonoTime until) {
  bool notified = false;
  Ok waited = WaitNoting(notified, until);
  if (!waited.ok() && notified) NotifyOne();
  return waited;
}

Ok WaitQueue::WaitNoting(bool& notified, MonoTime until) {
  Waiter waiter{.fiber = runtime_.current(), .previous = last_};
  CHECK(waiter.fiber != nullptr);
  (last_ != nullptr ? last_->next : first_) = &waiter;
  last_ = &waiter;
  while (waiter.queued) {
    Ok parked = runtime_.Park(until);
    if (parked.ok()) continue;  // notified, or an Unpark that was meant for an earlier wait
    notified = !waiter.queued;
    if (waiter.queued) Remove(&waiter);
    return parked;
  }
  // A scope that ended meanwhile is seen at the next wait: the notification is not lost here.
  notified = true;
  return {};
}

bool WaitQueue::NotifyOne() {
  Waiter* waiter = first_;
  if (waiter == nullptr) return false;
  Remove(waiter);
  runtime_.Unpark(waiter->fiber);
  return true;
}

void WaitQueue::NotifyAll() {
  while (NotifyOne()) {
  }
}

}  // namespace knarr::rt

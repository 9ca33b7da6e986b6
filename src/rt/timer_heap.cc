#include "base/check.h"
#include "rt/fiber.h"

namespace knarr::rt {

// Equal times wake in the order in which they were set, so that a simulation does not depend on the heap's shape.
bool TimerHeap::Before(const Fiber* a, const Fiber* b) {
  return a->timer_at != b->timer_at ? a->timer_at < b->timer_at : a->timer_order < b->timer_order;
}

void TimerHeap::Place(Fiber* fiber, size_t index) {
  heap_[index] = fiber;
  fiber->timer_index = index;
}

void TimerHeap::Up(size_t index) {
  Fiber* fiber = heap_[index];
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (!Before(fiber, heap_[parent])) break;
    Place(heap_[parent], index);
    index = parent;
  }
  Place(fiber, index);
}

void TimerHeap::Down(size_t index) {
  Fiber* fiber = heap_[index];
  while (true) {
    size_t child = index * 2 + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && Before(heap_[child + 1], heap_[child])) ++child;
    if (!Before(heap_[child], fiber)) break;
    Place(heap_[child], index);
    index = child;
  }
  Place(fiber, index);
}

void TimerHeap::Add(Fiber* fiber, MonoTime at) {
  CHECK(fiber->timer_index == Fiber::kNoTimer);
  fiber->timer_at = at;
  fiber->timer_order = order_++;
  heap_.push_back(fiber);
  Up(heap_.size() - 1);
}

void TimerHeap::Remove(Fiber* fiber) {
  const size_t index = fiber->timer_index;
  if (index == Fiber::kNoTimer) return;
  fiber->timer_index = Fiber::kNoTimer;
  Fiber* last = heap_.back();
  heap_.pop_back();
  if (last == fiber) return;
  Place(last, index);
  Up(index);
  Down(last->timer_index);
}

Fiber* TimerHeap::Pop() {
  Fiber* first = heap_[0];
  Remove(first);
  return first;
}

}  // namespace knarr::rt

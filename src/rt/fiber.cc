#include "rt/fiber.h"

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstdio>

#include "base/check.h"
#include "base/strings.h"

// The sanitizers must be told of every change of stacks.
#if defined(__SANITIZE_ADDRESS__)
#define KNARR_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define KNARR_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KNARR_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define KNARR_TSAN 1
#endif
#endif

#ifdef KNARR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef KNARR_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace knarr::rt {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

namespace {

#ifdef KNARR_ASAN
#define KNARR_NO_ASAN __attribute__((no_sanitize("address")))
void BeforeSwitch(void** save, const void* bottom, size_t size) { __sanitizer_start_switch_fiber(save, bottom, size); }
void AfterSwitch(void* saved, const void** bottom, size_t* size) {
  __sanitizer_finish_switch_fiber(saved, bottom, size);
}
#else
#define KNARR_NO_ASAN
void BeforeSwitch(void** /*save*/, const void* /*bottom*/, size_t /*size*/) {}
void AfterSwitch(void* /*saved*/, const void** /*bottom*/, size_t* /*size*/) {}
#endif

#ifdef KNARR_TSAN
void* ThisThread() { return __tsan_get_current_fiber(); }
void* MakeThreadFiber() { return __tsan_create_fiber(0); }
void DropThreadFiber(void* fiber) { __tsan_destroy_fiber(fiber); }
void SwitchThread(void* fiber) { __tsan_switch_to_fiber(fiber, 0); }
#else
void* ThisThread() { return nullptr; }
void* MakeThreadFiber() { return nullptr; }
void DropThreadFiber(void* /*fiber*/) {}
void SwitchThread(void* /*fiber*/) {}
#endif

/// What ends the waits of a fiber with this chain of scopes.
struct ChainEnd {
  bool stopped = false;
  MonoTime deadline = MonoTime::max();
};

ChainEnd LookUp(const ScopeState* scope) {
  ChainEnd end;
  for (; scope != nullptr; scope = scope->parent.get()) {
    if (scope->stopped) end.stopped = true;
    if (scope->deadline < end.deadline) end.deadline = scope->deadline;
  }
  return end;
}

Status CancelledStatus() { return Cancelled("cancelled"); }
Status DeadlineStatus() { return Timeout("deadline exceeded"); }

}  // namespace

// What a new stack begins with. AddressSanitizer must hear of the stack before anything that it instruments runs on it,
// and it instruments calls that do not return, as Entry is.
struct FiberEntry {
  KNARR_NO_ASAN static void Run(transfer_t from) {
    auto* fiber = static_cast<Fiber*>(from.data);
    Fibers& fibers = *fiber->owner;
    AfterSwitch(nullptr, &fibers.loop_stack_bottom_, &fibers.loop_stack_size_);
    fibers.loop_context_ = from.fctx;
    Fibers::Entry(fiber);
  }
};

Fibers::Fibers(Runtime& runtime, size_t stack_size) : runtime_(runtime), stacks_(stack_size) {}

Fibers::~Fibers() {
  if (alive_ > 0) std::fprintf(stderr, "fibers left behind: %s\n", Names().c_str());
  CHECK(alive_ == 0);
}

Fiber* Fibers::Spawn(std::string name, std::function<void()> body, std::shared_ptr<ScopeState> scope,
                     std::shared_ptr<GroupState> group) {
  std::unique_ptr<Fiber> made;
  if (!spare_.empty()) {
    made = std::move(spare_.back());
    spare_.pop_back();
  } else {
    made = std::make_unique<Fiber>();
  }
  Fiber* fiber = made.release();  // lives in the list of all fibers until it ends
  fiber->name = std::move(name);
  fiber->id = next_id_++;
  fiber->body = std::move(body);
  fiber->group = std::move(group);
  fiber->owner = this;
  fiber->unpark_pending = false;
  EnterScope(fiber, std::move(scope));
  if (fiber->group != nullptr) ++fiber->group->size;

  fiber->all_previous = nullptr;
  fiber->all_next = all_;
  if (all_ != nullptr) all_->all_previous = fiber;
  all_ = fiber;
  ++alive_;
  Observe(*fiber, "spawn");
  fiber->state = Fiber::State::kParked;
  MakeReady(fiber, Fiber::Wake::kUnparked);
  return fiber;
}

void Fibers::Entry(Fiber* fiber) {
  Fibers& fibers = *fiber->owner;
  fiber->body();
  fiber->body = nullptr;  // what it holds ends here, on its own fiber
  fibers.EnterScope(fiber, nullptr);
  fibers.SwitchOut(fiber, true);
  CHECK(false);  // an ended fiber is not switched to
}

// The stack comes with the first turn, so that a burst of short tasks shares a few.
void Fibers::GiveStack(Fiber* fiber) {
  fiber->stack = stacks_.Take();
  fiber->context = make_fcontext(fiber->stack.top(), fiber->stack.size, FiberEntry::Run);
  fiber->sanitizer_stack = nullptr;
  fiber->sanitizer_fiber = MakeThreadFiber();
}

void Fibers::SwitchTo(Fiber* fiber) {
  if (fiber->context == nullptr) GiveStack(fiber);
  SetCurrent(fiber);
  fiber->state = Fiber::State::kRunning;
  loop_sanitizer_fiber_ = ThisThread();
  BeforeSwitch(&loop_sanitizer_stack_, fiber->stack.bottom, fiber->stack.size);
  SwitchThread(fiber->sanitizer_fiber);
  fiber->context = jump_fcontext(fiber->context, fiber).fctx;
  AfterSwitch(loop_sanitizer_stack_, nullptr, nullptr);
  SetCurrent(nullptr);
  if (fiber->state == Fiber::State::kEnded) Recycle(fiber);
}

void Fibers::SwitchOut(Fiber* fiber, bool ends) {
  if (ends) fiber->state = Fiber::State::kEnded;
  BeforeSwitch(ends ? nullptr : &fiber->sanitizer_stack, loop_stack_bottom_, loop_stack_size_);
  SwitchThread(loop_sanitizer_fiber_);
  loop_context_ = jump_fcontext(loop_context_, nullptr).fctx;
  AfterSwitch(fiber->sanitizer_stack, &loop_stack_bottom_, &loop_stack_size_);
}

void Fibers::Recycle(Fiber* fiber) {
  Observe(*fiber, "end");
  DropThreadFiber(fiber->sanitizer_fiber);
  stacks_.Give(fiber->stack);
  fiber->context = nullptr;
  (fiber->all_previous != nullptr ? fiber->all_previous->all_next : all_) = fiber->all_next;
  if (fiber->all_next != nullptr) fiber->all_next->all_previous = fiber->all_previous;
  --alive_;
  const std::shared_ptr<GroupState> group = std::move(fiber->group);
  constexpr size_t kSpareMax = 32;
  std::unique_ptr<Fiber> ended(fiber);
  if (spare_.size() < kSpareMax) spare_.push_back(std::move(ended));
  if (group != nullptr && --group->size == 0) group->ended.NotifyAll();
}

size_t Fibers::RunReady(size_t most) {
  size_t ran = 0;
  while (ran < most && ready_count_ > 0) {
    Fiber* fiber = TakeReady();
    Observe(*fiber, "run");
    SwitchTo(fiber);
    ++ran;
  }
  return ran;
}

void Fibers::MakeReady(Fiber* fiber, Fiber::Wake wake) {
  fiber->wake = wake;
  fiber->state = Fiber::State::kReady;
  timers_.Remove(fiber);
  ++ready_count_;
  if (chooser_) {
    ready_.push_back(fiber);
    return;
  }
  fiber->ready_next = nullptr;
  (ready_last_ != nullptr ? ready_last_->ready_next : ready_first_) = fiber;
  ready_last_ = fiber;
}

Fiber* Fibers::TakeReady() {
  --ready_count_;
  if (chooser_) {
    const size_t index = chooser_(ready_.size());
    Fiber* fiber = ready_[index];
    ready_[index] = ready_.back();
    ready_.pop_back();
    return fiber;
  }
  Fiber* fiber = ready_first_;
  ready_first_ = fiber->ready_next;
  if (ready_first_ == nullptr) ready_last_ = nullptr;
  return fiber;
}

void Fibers::FireTimers(MonoTime now) {
  while (timers_.next() <= now) {
    Fiber* fiber = timers_.Pop();
    Observe(*fiber, "wake");
    MakeReady(fiber, Fiber::Wake::kTimer);
  }
}

Ok Fibers::Park(MonoTime until) {
  Fiber* fiber = RequireCurrent();
  while (true) {
    const ChainEnd end = LookUp(fiber->scope.get());
    if (end.stopped) return CancelledStatus();
    const MonoTime wake_at = std::min(until, end.deadline);
    if (end.deadline != MonoTime::max() && end.deadline <= runtime_.Mono()) return DeadlineStatus();
    if (fiber->unpark_pending) {
      fiber->unpark_pending = false;
      return {};
    }
    if (until != MonoTime::max() && until <= runtime_.Mono()) return DeadlineStatus();
    if (wake_at != MonoTime::max()) timers_.Add(fiber, wake_at);
    fiber->state = Fiber::State::kParked;
    Observe(*fiber, "park");
    SwitchOut(fiber, false);
    if (fiber->wake == Fiber::Wake::kUnparked) return {};
    // A timer or a stop: the top of the loop says what it means now (the scope that set the timer may be closed).
  }
}

void Fibers::Yield() {
  Fiber* fiber = RequireCurrent();
  MakeReady(fiber, Fiber::Wake::kUnparked);
  SwitchOut(fiber, false);
}

Ok Fibers::CheckCancelled() {
  const Fiber* fiber = runtime_.current();
  if (fiber == nullptr) return {};
  const ChainEnd end = LookUp(fiber->scope.get());
  if (end.stopped) return CancelledStatus();
  if (end.deadline != MonoTime::max() && end.deadline <= runtime_.Mono()) return DeadlineStatus();
  return {};
}

void Fibers::Unpark(Fiber* fiber) {
  CHECK(fiber->owner == this);
  if (fiber->state != Fiber::State::kParked) {
    fiber->unpark_pending = true;
    return;
  }
  Observe(*fiber, "wake");
  MakeReady(fiber, Fiber::Wake::kUnparked);
}

void Fibers::CancelWaits(ScopeState& scope) {
  for (Fiber* fiber = scope.fibers; fiber != nullptr; fiber = fiber->scope_next) {
    if (fiber->state != Fiber::State::kParked) continue;
    Observe(*fiber, "wake");
    MakeReady(fiber, Fiber::Wake::kCancelled);
  }
  for (ScopeState* child = scope.children; child != nullptr; child = child->next) CancelWaits(*child);
}

void Fibers::EnterScope(Fiber* fiber, std::shared_ptr<ScopeState> scope) {
  if (ScopeState* old = fiber->scope.get()) {
    (fiber->scope_previous != nullptr ? fiber->scope_previous->scope_next : old->fibers) = fiber->scope_next;
    if (fiber->scope_next != nullptr) fiber->scope_next->scope_previous = fiber->scope_previous;
  }
  fiber->scope_previous = nullptr;
  fiber->scope_next = nullptr;
  fiber->scope = std::move(scope);
  if (ScopeState* now = fiber->scope.get()) {
    fiber->scope_next = now->fibers;
    if (now->fibers != nullptr) now->fibers->scope_previous = fiber;
    now->fibers = fiber;
  }
}

std::string Fibers::Names() const {
  std::vector<std::string_view> names;
  for (const Fiber* fiber = all_; fiber != nullptr; fiber = fiber->all_next) names.push_back(fiber->name);
  return Join(names, ", ");
}

Fiber* Fibers::RequireCurrent() const {
  CHECK(runtime_.current() != nullptr && runtime_.current()->owner == this);
  return runtime_.current();
}

void Fibers::SetCurrent(Fiber* fiber) { runtime_.current_ = fiber; }

}  // namespace knarr::rt

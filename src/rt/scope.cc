// Cancellation scopes, shields and task groups, and the waits of Runtime (declared in rt/runtime.h).

#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "rt/fiber.h"

namespace knarr::rt {

ScopeState::ScopeState(std::shared_ptr<ScopeState> parent_scope) : parent(std::move(parent_scope)) {
  if (parent == nullptr) return;
  next = parent->children;
  if (next != nullptr) next->previous = this;
  parent->children = this;
}

ScopeState::~ScopeState() {
  CHECK(fibers == nullptr && children == nullptr);
  if (parent == nullptr) return;
  (previous != nullptr ? previous->next : parent->children) = next;
  if (next != nullptr) next->previous = previous;
}

Runtime::Runtime() = default;
Runtime::~Runtime() = default;

Ok Runtime::Park(MonoTime until) { return fibers_->Park(until); }

void Runtime::Unpark(Fiber* fiber) { fibers_->Unpark(fiber); }

void Runtime::Yield() { fibers_->Yield(); }

Ok Runtime::CheckCancelled() { return fibers_->CheckCancelled(); }

std::string Runtime::FiberNames() const { return fibers_->Names(); }

Ok Runtime::Sleep(Duration duration) {
  if (duration <= Duration::zero()) {
    Yield();
    return CheckCancelled();
  }
  const MonoTime now = Mono();
  const MonoTime until = duration >= MonoTime::max() - now ? MonoTime::max() : now + duration;
  while (true) {
    const Ok parked = Park(until);
    if (parked.ok()) continue;  // an Unpark that was meant for an earlier wait
    if (!parked.Failed(Reason::kTimeout)) return parked;
    return CheckCancelled();
  }
}

CancelScope::CancelScope(Runtime& runtime) : fiber_(runtime.current()) {
  CHECK(fiber_ != nullptr);
  state_ = std::make_shared<ScopeState>(fiber_->scope);
  Fibers::EnterScope(fiber_, state_);
}

CancelScope::CancelScope(Runtime& runtime, Duration timeout) : CancelScope(runtime) {
  const MonoTime now = runtime.Mono();
  state_->deadline = timeout >= MonoTime::max() - now ? MonoTime::max() : now + timeout;
}

CancelScope::~CancelScope() {
  CHECK(fiber_->scope == state_);  // scopes nest
  Fibers::EnterScope(fiber_, state_->parent);
  // A group that was made inside may outlive the scope: its end is no longer this scope's business.
  state_->deadline = MonoTime::max();
}

void CancelScope::Stop() {
  if (state_->stopped) return;
  state_->stopped = true;
  fiber_->owner->CancelWaits(*state_);
}

bool CancelScope::stopped() const { return state_->stopped; }

Shield::Shield(Runtime& runtime) : fiber_(runtime.current()) {
  CHECK(fiber_ != nullptr);
  auto state = std::make_shared<ScopeState>(nullptr);  // the chain ends here
  state->suspended = fiber_->scope;
  Fibers::EnterScope(fiber_, std::move(state));
}

Shield::~Shield() {
  CHECK(fiber_->scope != nullptr && fiber_->scope->parent == nullptr);
  Fibers::EnterScope(fiber_, fiber_->scope->suspended);
}

TaskGroup::TaskGroup(Runtime& runtime, std::string name) {
  const Fiber* fiber = runtime.current();
  auto scope = std::make_shared<ScopeState>(fiber != nullptr ? fiber->scope : nullptr);
  state_ = std::make_shared<GroupState>(runtime, std::move(name), std::move(scope));
}

TaskGroup::~TaskGroup() {
  if (state_->size > 0) std::fprintf(stderr, "task group %s was not joined\n", state_->name.c_str());
  CHECK(state_->size == 0);
}

void TaskGroup::Spawn(std::string_view name, std::function<void()> body) {
  state_->runtime.fibers_->Spawn(state_->name + "/" + std::string(name), std::move(body), state_->scope, state_);
}

void TaskGroup::Stop() {
  if (state_->scope->stopped) return;
  state_->scope->stopped = true;
  state_->runtime.fibers_->CancelWaits(*state_->scope);
}

void TaskGroup::Join() {
  if (state_->size == 0) return;
  const Shield shield(state_->runtime);
  while (state_->size > 0) (void)state_->ended.Wait();
}

void TaskGroup::StopAndJoin() {
  Stop();
  Join();
}

size_t TaskGroup::size() const { return state_->size; }

bool TaskGroup::stopped() const {
  for (const ScopeState* scope = state_->scope.get(); scope != nullptr; scope = scope->parent.get()) {
    if (scope->stopped) return true;
  }
  return false;
}

}  // namespace knarr::rt

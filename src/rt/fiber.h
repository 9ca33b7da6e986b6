#pragma once

// Fibers, their cancellation scopes and their timers: what the real and the simulated runtime share. Internal to rt/.
//
// A Fibers object is one thread's set of fibers. The runtime's loop calls RunReady, which switches to ready fibers one
// after the other; a fiber switches back to the loop when it parks, yields or ends. Parking and waking touch only
// intrusive lists and the timer heap, so neither allocates once the heap has grown.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rt/runtime.h"
#include "rt/sync.h"

namespace knarr::rt {

struct ScopeState;

/// A stack with a guard page below it, and what the sanitizers keep for it.
struct Stack {
  void* mapping = nullptr;
  size_t mapping_size = 0;
  void* bottom = nullptr;  ///< lowest usable byte
  size_t size = 0;
  void* top() const { return static_cast<char*>(bottom) + size; }
};

/// Stacks that ended fibers left, for the next ones.
class StackPool {
 public:
  explicit StackPool(size_t size);
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  Stack Take();
  void Give(Stack stack);

 private:
  size_t size_;
  std::vector<Stack> warm_;  // with the pages that were touched
  std::vector<Stack> cold_;  // without any
};

class Fiber {
 public:
  enum class State : uint8_t { kReady, kRunning, kParked, kEnded };
  enum class Wake : uint8_t { kUnparked, kTimer, kCancelled };

  std::string name;
  uint64_t id = 0;
  std::function<void()> body;
  std::shared_ptr<ScopeState> scope;  ///< innermost; nullptr: none
  std::shared_ptr<GroupState> group;  ///< nullptr: posted

  State state = State::kReady;
  Wake wake = Wake::kUnparked;
  bool unpark_pending = false;  ///< The next Park returns at once.

  // Place in the ready list, in the list of all fibers, and in the innermost scope's list.
  Fiber* ready_next = nullptr;
  Fiber* all_previous = nullptr;
  Fiber* all_next = nullptr;
  Fiber* scope_previous = nullptr;
  Fiber* scope_next = nullptr;

  // Place in the timer heap.
  static constexpr size_t kNoTimer = SIZE_MAX;
  size_t timer_index = kNoTimer;
  MonoTime timer_at{};
  uint64_t timer_order = 0;

  Fibers* owner = nullptr;
  Stack stack;
  void* context = nullptr;
  void* sanitizer_stack = nullptr;  ///< AddressSanitizer's fake stack
  void* sanitizer_fiber = nullptr;  ///< ThreadSanitizer's fiber
};

/// One link of a fiber's chain of scopes.
struct ScopeState {
  explicit ScopeState(std::shared_ptr<ScopeState> parent_scope);
  ~ScopeState();
  ScopeState(const ScopeState&) = delete;
  ScopeState& operator=(const ScopeState&) = delete;

  std::shared_ptr<ScopeState> parent;     ///< where the chain goes on; nullptr: it ends here
  std::shared_ptr<ScopeState> suspended;  ///< a Shield's: what it hides
  bool stopped = false;
  MonoTime deadline = MonoTime::max();

  Fiber* fibers = nullptr;  ///< whose innermost scope this is
  ScopeState* children = nullptr;
  ScopeState* previous = nullptr;
  ScopeState* next = nullptr;
};

struct GroupState {
  GroupState(Runtime& group_runtime, std::string group_name, std::shared_ptr<ScopeState> group_scope)
      : runtime(group_runtime), name(std::move(group_name)), scope(std::move(group_scope)), ended(group_runtime) {}
  Runtime& runtime;
  std::string name;
  std::shared_ptr<ScopeState> scope;
  WaitQueue ended;
  size_t size = 0;
};

/// Fibers ordered by the time that wakes them.
class TimerHeap {
 public:
  bool empty() const { return heap_.empty(); }
  MonoTime next() const { return heap_.empty() ? MonoTime::max() : heap_[0]->timer_at; }
  void Add(Fiber* fiber, MonoTime at);
  void Remove(Fiber* fiber);
  Fiber* Pop();

 private:
  static bool Before(const Fiber* a, const Fiber* b);
  void Place(Fiber* fiber, size_t index);
  void Up(size_t index);
  void Down(size_t index);
  std::vector<Fiber*> heap_;
  uint64_t order_ = 0;
};

class Fibers {
 public:
  /// Picks which of `count` ready fibers runs next; without it, the one that waits longest.
  using Chooser = std::function<size_t(size_t count)>;
  /// Told of every step, for traces: "spawn", "run", "park", "wake", "end".
  using Observer = std::function<void(const Fiber& fiber, std::string_view event)>;

  Fibers(Runtime& runtime, size_t stack_size);
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  void SetChooser(Chooser chooser) { chooser_ = std::move(chooser); }
  void SetObserver(Observer observer) { observer_ = std::move(observer); }

  Fiber* Spawn(std::string name, std::function<void()> body, std::shared_ptr<ScopeState> scope,
               std::shared_ptr<GroupState> group);
  /// Lets up to `most` ready fibers run; how many did.
  size_t RunReady(size_t most);
  bool has_ready() const { return ready_count_ > 0; }
  /// When the next timer is due; MonoTime::max() when there is none.
  MonoTime next_timer() const { return timers_.next(); }
  /// Wakes the fibers whose time has come.
  void FireTimers(MonoTime now);
  size_t alive() const { return alive_; }
  /// Of the fibers that have not ended: "a, b, c".
  std::string Names() const;

  // For the fiber that runs now.
  Ok Park(MonoTime until);
  void Yield();
  Ok CheckCancelled();

  void Unpark(Fiber* fiber);
  /// Wakes every fiber that waits in the scope or below it.
  void CancelWaits(ScopeState& scope);
  static void EnterScope(Fiber* fiber, std::shared_ptr<ScopeState> scope);

 private:
  static void Entry(Fiber* fiber);
  friend struct FiberEntry;
  void MakeReady(Fiber* fiber, Fiber::Wake wake);
  Fiber* TakeReady();
  void GiveStack(Fiber* fiber);
  void SwitchTo(Fiber* fiber);
  void SwitchOut(Fiber* fiber, bool ends);
  void Recycle(Fiber* fiber);
  void Observe(const Fiber& fiber, std::string_view event) {
    if (observer_) observer_(fiber, event);
  }
  Fiber* RequireCurrent() const;
  void SetCurrent(Fiber* fiber);

  Runtime& runtime_;
  StackPool stacks_;
  TimerHeap timers_;
  Chooser chooser_;
  Observer observer_;
  std::vector<std::unique_ptr<Fiber>> spare_;

  Fiber* ready_first_ = nullptr;
  Fiber* ready_last_ = nullptr;
  std::vector<Fiber*> ready_;  // instead of the list when there is a chooser
  size_t ready_count_ = 0;

  Fiber* all_ = nullptr;
  size_t alive_ = 0;
  uint64_t next_id_ = 1;

  void* loop_context_ = nullptr;
  void* loop_sanitizer_stack_ = nullptr;
  void* loop_sanitizer_fiber_ = nullptr;
  const void* loop_stack_bottom_ = nullptr;
  size_t loop_stack_size_ = 0;
};

}  // namespace knarr::rt

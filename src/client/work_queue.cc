#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"
#include "client/informer.h"

namespace knarr::client {
namespace {

// client-go's default controller rate limiter, per item.
constexpr Duration kBackOffFirst = 5ms;
// Upstream goes to 1,000 s, and lets some wait for a minute at most: after a disk was full for a while, nobody wants to
// wait as long again.
constexpr Duration kBackOffMost = 60s;

Duration BackOff(int failures) {
  Duration delay = kBackOffFirst;
  for (int i = 0; i < failures && delay < kBackOffMost; ++i) delay *= 2;
  return std::min(delay, kBackOffMost);
}

}  // namespace

struct WorkQueue::State {
  explicit State(rt::Runtime& rt) : runtime(rt), ready(rt), timer_changed(rt), timer(rt, "work queue timer") {}

  void Add(std::string key) {
    if (shut_down || !dirty.insert(key).second) return;
    // A key being worked on comes back when it is Done.
    if (working.contains(key)) return;
    queue.push_back(std::move(key));
    ready.NotifyOne();
  }

  /// Moves keys whose time has come into the queue; the one fiber behind every delay of this queue.
  void RunTimer() {
    while (true) {
      MonoTime next = delayed.empty() ? MonoTime::max() : delayed.begin()->first;
      Ok waited = timer_changed.Wait(next);
      if (waited.Failed(Reason::kCancelled)) return;
      MonoTime now = runtime.Mono();
      while (!delayed.empty() && delayed.begin()->first <= now) {
        std::string key = std::move(delayed.begin()->second);
        delayed.erase(delayed.begin());
        due.erase(key);
        Add(std::move(key));
      }
    }
  }

  rt::Runtime& runtime;
  std::deque<std::string> queue;
  std::set<std::string, std::less<>> dirty;    // waiting, or to be given out again after Done
  std::set<std::string, std::less<>> working;  // given out, not Done
  std::map<std::string, int, std::less<>> failures;
  std::multimap<MonoTime, std::string> delayed;
  std::map<std::string, MonoTime, std::less<>> due;  // the one delay of a key
  bool shut_down = false;
  bool timer_started = false;
  rt::WaitQueue ready;
  rt::WaitQueue timer_changed;
  rt::TaskGroup timer;
};

WorkQueue::WorkQueue(rt::Runtime& runtime) : state_(std::make_unique<State>(runtime)) {}

WorkQueue::~WorkQueue() = default;

void WorkQueue::Add(std::string key) { state_->Add(std::move(key)); }

void WorkQueue::AddAfter(std::string key, Duration delay) {
  State& state = *state_;
  if (state.shut_down) return;
  if (delay <= Duration::zero()) {
    state.Add(std::move(key));
    return;
  }
  MonoTime when = state.runtime.Mono() + delay;
  auto present = state.due.find(key);
  if (present != state.due.end()) {
    // The earlier of two delays counts.
    if (present->second <= when) return;
    auto [from, to] = state.delayed.equal_range(present->second);
    auto at = std::find_if(from, to, [&key](const auto& entry) { return entry.second == key; });
    CHECK(at != to);
    state.delayed.erase(at);
    present->second = when;
  } else {
    state.due.emplace(key, when);
  }
  state.delayed.emplace(when, std::move(key));
  if (!state.timer_started) {
    state.timer_started = true;
    state.timer.Spawn("delays", [&state] { state.RunTimer(); });
  }
  state.timer_changed.NotifyAll();
}

void WorkQueue::AddRateLimited(std::string key) {
  int failures = state_->failures[key]++;
  AddAfter(std::move(key), BackOff(failures));
}

void WorkQueue::Forget(std::string_view key) {
  auto found = state_->failures.find(key);
  if (found != state_->failures.end()) state_->failures.erase(found);
}

int WorkQueue::Failures(std::string_view key) const {
  auto found = state_->failures.find(key);
  return found == state_->failures.end() ? 0 : found->second;
}

Result<std::string> WorkQueue::Get() {
  State& state = *state_;
  TRY(state.ready.WaitUntil([&state] { return state.shut_down || !state.queue.empty(); }));
  if (state.shut_down) return Cancelled("work queue shut down");
  std::string key = std::move(state.queue.front());
  state.queue.pop_front();
  state.dirty.erase(key);
  state.working.insert(key);
  return key;
}

void WorkQueue::Done(const std::string& key) {
  State& state = *state_;
  state.working.erase(key);
  if (!state.dirty.contains(key)) return;
  state.queue.push_back(key);
  state.ready.NotifyOne();
}

void WorkQueue::ShutDown() {
  state_->shut_down = true;
  state_->ready.NotifyAll();
  state_->timer.StopAndJoin();
}

size_t WorkQueue::size() const { return state_->queue.size(); }

}  // namespace knarr::client

#pragma once

// Watchers, and how events get from the world thread to the fibers of any runtime that wait for them.
//
// A watcher is a queue of shared events, filled by the world thread and emptied by the runtime that owns it. The state
// is published and new watchers are noted under one lock: a watcher that saw state N in StartWatch takes its backlog
// from N's history, and is certain to be on the list when the changes behind N are handed out. So nothing is lost
// between the two, and nothing comes twice.

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "rt/sync.h"
#include "store/lock.h"
#include "store/store.h"

namespace knarr::store {

class Watcher;

/// Wakes the fibers of one runtime: all that became ready since the last time share one Post.
class Waker : public std::enable_shared_from_this<Waker> {
 public:
  explicit Waker(rt::Runtime& runtime) : runtime_(runtime) {}
  /// Any thread. REQUIRES: the runtime is alive (the caller holds the lock of a watcher that is not gone).
  void Wake(std::shared_ptr<Watcher> watcher);
  rt::Runtime& runtime() const { return runtime_; }

 private:
  void WakeAll();
  rt::Runtime& runtime_;
  Lock lock_;
  std::vector<std::shared_ptr<Watcher>> ready_;
};

class Watcher : public std::enable_shared_from_this<Watcher> {
 public:
  Watcher(std::shared_ptr<Waker> waker, WatchOptions options, std::vector<EventPtr> backlog, Revision seen);

  // The world thread's side.
  /// True when the queue was empty: Wake it once the group is handed out.
  bool Push(const EventPtr& event);
  void Wake();
  /// No more events come. With `drop`, those not yet returned are forgotten.
  void End(Status why, bool drop);

  // The owner's side.
  Result<std::vector<EventPtr>> Next(size_t most, MonoTime until);
  Revision Progress(Revision delivered);
  void Leave();

  // Any side.
  bool gone();
  const std::string& prefix() const { return options_.prefix; }

 private:
  friend class Waker;
  enum class Found : uint8_t { kEvents, kNothing };
  Result<Found> Look();

  const std::shared_ptr<Waker> waker_;
  const WatchOptions options_;

  Lock lock_;
  std::vector<EventPtr> incoming_;
  std::optional<Status> end_;
  bool dropped_ = false;
  bool waiting_ = false;
  bool gone_ = false;
  /// Events in `batch_` that Next has yet to return: part of the backlog.
  std::atomic<size_t> batch_left_ = 0;

  // Only the owner's thread.
  rt::WaitQueue queue_;
  std::vector<EventPtr> batch_;
  size_t batch_at_ = 0;
  Revision seen_;  ///< everything up to here was returned, or is not under the prefix
};

/// The watchers by prefix. World thread.
class WatchIndex {
 public:
  void Add(std::shared_ptr<Watcher> watcher);
  /// Hands out a group's events; the watchers to Wake afterwards are added to `ready`.
  void Deliver(const EventPtr& event, std::vector<std::shared_ptr<Watcher>>* ready);
  /// Forgets those that are gone.
  void Sweep();
  void EndAll(const Status& why);
  size_t size() const { return size_; }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, std::vector<std::shared_ptr<Watcher>>, Hash, std::equal_to<>> by_prefix_;
  std::map<size_t, size_t> lengths_;  ///< of the prefixes in by_prefix_, with how many have it
  size_t size_ = 0;
};

}  // namespace knarr::store

#pragma once

// Pods waiting for a node. Those ready to be tried are ordered by priority, then by age; those that fitted nowhere wait
// until something changes in the cluster that could help, and at least their back-off (1 s doubling to 10 s), and are
// tried again after five minutes at the latest. All on one runtime.

#include <functional>
#include <map>
#include <set>
#include <string>

#include "api/object.h"
#include "rt/sync.h"
#include "scheduler/snapshot.h"

namespace knarr::scheduler {

class Queue {
 public:
  explicit Queue(rt::Runtime& runtime);

  /// A pod that is new or changed: it is tried now (or when its back-off ends).
  void Add(const api::ObjectPtr& pod);
  void Remove(std::string_view uid);
  /// The next pod; suspends until there is one.
  Result<PodInfoPtr> Pop();
  /// The popped pod fitted nowhere.
  void SetUnschedulable(const api::ObjectPtr& pod);
  /// The popped pod met a passing trouble: again after its back-off.
  void Retry(const api::ObjectPtr& pod);
  enum class When : char { kAfterBackOff, kNow };
  /// Something changed that helps those pods that fitted nowhere for which `helps` is true (upstream's queueing hints).
  /// kNow: what they waited for has come, they need not wait longer.
  void MoveIf(const std::function<bool(const PodInfo& pod)>& helps, When when = When::kAfterBackOff);
  /// The pod is placed: its history is forgotten.
  void Done(std::string_view uid);
  size_t size() const { return waiting_.size(); }

 private:
  struct Entry {
    PodInfoPtr pod;
    int attempts = 0;
    MonoTime ready;  // in active_ from then on
    bool unschedulable = false;
    bool popped = false;
    bool changed = false;  // something changed while it was being tried
    int64_t priority = 0;
    uint64_t order = 0;
  };
  struct Rank {
    int64_t priority;
    uint64_t order;
    std::string uid;
    bool operator<(const Rank& other) const {
      if (priority != other.priority) return priority > other.priority;
      return order < other.order;
    }
  };
  void Park(Entry& entry);
  void Activate(Entry& entry);
  void Deactivate(const Entry& entry);
  Duration BackOff(const Entry& entry) const;
  MonoTime NextReady();

  rt::Runtime& runtime_;
  std::map<std::string, Entry, std::less<>> waiting_;  // by uid
  std::map<uint64_t, Entry*> parked_;  // those that a change may concern: unschedulable or popped; by order
  std::set<Rank> active_;
  std::set<std::pair<MonoTime, std::string>> later_;  // ready at a time
  uint64_t next_order_ = 0;
  rt::WaitQueue changed_;
};

}  // namespace knarr::scheduler

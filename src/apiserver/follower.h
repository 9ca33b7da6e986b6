#pragma once

// Keeps something derived from the store up to date: what there is at first, then every change, in order.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rt/runtime.h"
#include "rt/sync.h"
#include "store/store.h"

namespace knarr::apiserver {

struct FollowerOptions {
  std::string name;  ///< in log lines
  std::string prefix;
  /// Takes what stands under the prefix, forgetting all from before. Must not wait.
  std::function<void(const store::Snapshot& snapshot)> load;
  /// Takes changes behind what was loaded. Must not wait.
  std::function<void(const std::vector<store::EventPtr>& events)> apply;
};

/// Lives on the world; all members are for its fibers.
class Follower {
 public:
  Follower(rt::Runtime& world, store::Store& store, FollowerOptions options);
  /// Loads at once, then follows in a fiber of its own.
  void Start();
  void Stop() { tasks_.StopAndJoin(); }
  /// Suspends until every change up to this durable revision was taken, a second at most: so that who has seen a change
  /// finds it taken. At once when there is nothing to wait for, or nothing is followed.
  void WaitFor(store::Revision revision);

 private:
  void Load();
  void Follow();
  store::Revision seen() const { return watch_ == nullptr ? loaded_ : watch_->progress(); }

  rt::Runtime& world_;
  store::Store& store_;
  FollowerOptions options_;
  store::Revision loaded_ = 0;
  std::unique_ptr<store::Watch> watch_;  // null while what there is must be read again
  rt::WaitQueue taken_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::apiserver

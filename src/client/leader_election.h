#pragma once

// One of several servers does what only one may do: whoever holds a Lease, as client-go's leader election has it, so
// that programs of both kinds may stand for one Lease.
//
// Nobody's clock is believed: a lease is taken over when it has not changed for its whole duration by our own clock.
// The holder gives up before others may begin: when it could not renew it for the renew deadline.

#include <string>

#include "client/client.h"
#include "client/events.h"
#include "rt/sync.h"

namespace knarr::client {

struct LeaderElectionOptions {
  std::string ns = "kube-system";
  std::string name;      ///< of the Lease
  std::string identity;  ///< unlike everybody else's
  // As Kubernetes' components have them.
  Duration lease_duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry_period = std::chrono::seconds(2);
};

class LeaderElector {
 public:
  /// Tells of changes through `events`, when there are any. Both must outlive it.
  LeaderElector(rt::Runtime& runtime, Client& client, EventRecorder* events, LeaderElectionOptions options);

  ~LeaderElector();

  /// Suspends until this one leads; Cancelled with its fiber.
  Ok Acquire();
  /// Suspends while it leads: Timeout when it could not renew in time, Conflict when another holds the lease.
  Ok Renew();
  /// Gives the lease away, so that another need not wait for its end. After Renew ended.
  Ok Release();

 private:
  /// Whether it leads now.
  Result<bool> TryOnce();
  Result<bool> TryUntil(MonoTime until);
  Result<ObjectPtr> Write(const ObjectPtr& present, std::string_view holder, Duration duration);
  void Observe(ObjectPtr lease);
  Duration Jittered() const;
  void Tell(std::string_view what) const;

  rt::Runtime& runtime_;
  Client& client_;
  EventRecorder* const events_;
  const LeaderElectionOptions options_;
  ObjectPtr seen_;
  MonoTime seen_at_{};
  MonoTime expires_{};  ///< what was seen, when it does not change
  std::string reported_;  ///< the leader that the log was told of
  rt::TaskGroup tries_;
};

}  // namespace knarr::client

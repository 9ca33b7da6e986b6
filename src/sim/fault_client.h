#pragma once

// A Client that fails as networks and servers do: calls are late, refused before they take effect, or take effect and
// lose their answer, or arrive twice; watches break, lose what they had just read, come late, are told that their
// revision is gone, or say nothing for a long time.
// Which kinds of fault a run has at all is drawn from its seed (a swarm): a bug that hides behind another fault shows
// in the runs that lack it.

#include <memory>
#include <string>

#include "client/client.h"
#include "rt/runtime.h"

namespace knarr::sim {

/// How often each kind of fault strikes, in thousandths of the calls (or of the batches of a watch).
struct FaultPlan {
  int refuse = 0;    ///< ServiceUnavailable, Timeout or TooManyRequests before anything happened
  int conflict = 0;  ///< Conflict on a write that would have been fine
  int lose = 0;      ///< Timeout or ServiceUnavailable after the call took effect
  int slow = 0;      ///< up to `slow_most` before and after the call
  int break_ = 0;    ///< a watch ends, its last events lost on the way
  int expire = 0;    ///< a watch is told 410
  int late = 0;      ///< a watch's events come late
  int twice = 0;     ///< a write that comes through reaches the server twice
  Duration slow_most{};
};

/// Sees what really reaches the server.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  /// Before and after a deletion. `who` is the account's name.
  virtual void Deletes(std::string_view who, const api::KindInfo& kind, const client::ObjectName& name,
                       const client::DeleteOptions& options) = 0;
  virtual void Deleted(std::string_view who, const api::KindInfo& kind, const client::DeleteOptions& options,
                       const api::Object& object) = 0;
  virtual void Binds(std::string_view who, const client::ObjectName& pod) = 0;
  virtual void DeletesAll(std::string_view who, const api::KindInfo& kind, std::string_view ns) = 0;
  /// Somebody asked for one object, and the server said whether it is there.
  virtual void Answers(std::string_view who, const api::KindInfo& kind, const client::ObjectName& name,
                       bool there) = 0;
};

/// What a FaultClient looks at on each call; its owner switches it.
struct Faults {
  FaultPlan plan;
  bool on = false;   ///< the plan is in force
  bool cut = false;  ///< nothing comes through at all
  /// Until then its watches of this kind (plural; "": of every kind) bring nothing, though calls pass: a connection
  /// that is dead, and nobody has noticed.
  MonoTime deaf_until{};
  std::string deaf_to;
  CallObserver* observer = nullptr;
};

/// `inner` and `faults` must outlive it.
std::unique_ptr<client::Client> MakeFaultClient(rt::Runtime& runtime, client::Client& inner, const Faults& faults,
                                                std::string who);

}  // namespace knarr::sim

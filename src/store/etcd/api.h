#pragma once

// What the engine needs of an etcd cluster: the seam between it and the network. etcd/cluster.h speaks to real members;
// tests have one in memory.

#include <memory>

#include "rt/runtime.h"
#include "store/etcd/messages.h"

namespace knarr::store::etcd {

class WatchStream {
 public:
  virtual ~WatchStream() = default;
  /// The next response. Any error ends the stream: what may follow is asked for with another.
  virtual Result<WatchResponse> Next() = 0;
};

/// Every call suspends its fiber, ends by itself within a few seconds, and does not try again: an error says how it
/// went with one member. World thread.
///
/// Errors: Expired: compacted. RequestEntityTooLarge, TooManyRequests, BadRequest, Forbidden, Unauthorized, NotFound:
/// etcd refused, nothing happened. Any other: the member, or the way to it, fails.
class Api {
 public:
  virtual ~Api() = default;
  virtual Result<RangeResponse> Range(const RangeRequest& request) = 0;
  /// When it fails, `sent` says whether it may have happened or may happen yet.
  virtual Result<TxnResponse> Txn(const TxnRequest& request, bool& sent) = 0;
  virtual Ok Compact(int64_t revision) = 0;
  virtual Result<std::unique_ptr<WatchStream>> Watch(const WatchRequest& request) = 0;
  virtual Result<LeaseResponse> LeaseGrant(int64_t seconds) = 0;
  virtual Result<LeaseResponse> LeaseKeepAlive(int64_t id) = 0;
  virtual Ok LeaseRevoke(int64_t id) = 0;
  /// Ends what is under way. World fiber; the last call.
  virtual void Close() = 0;
};

}  // namespace knarr::store::etcd

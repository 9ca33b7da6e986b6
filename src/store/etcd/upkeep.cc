#include "base/log.h"
#include "base/strings.h"
#include "store/etcd/engine.h"

namespace knarr::store::etcd {
namespace {

/// A third of the lease's time.
constexpr Duration kRenewEvery = std::chrono::seconds(20);
constexpr Duration kRenewRetry = std::chrono::seconds(2);

}  // namespace

void Engine::KeepLease() {
  Duration wait = kRenewEvery;
  while (world_.Sleep(wait).ok()) {
    wait = kRenewEvery;
    if (lease_ == 0) continue;
    const int64_t lease = lease_;
    const Result<LeaseResponse> kept = api_->LeaseKeepAlive(lease);
    const bool gone = kept.Failed(Reason::kNotFound) || (kept.ok() && kept->seconds <= 0);
    if (gone && lease_ == lease) {
      LOG_WARN("etcd: this server's lease ran out; it takes another", {"lease", lease});
      lease_ = 0;
      epoch_ = 0;
    }
    if (!kept.ok()) wait = kRenewRetry;
  }
}

void Engine::CompactSometimes() {
  Revision seen = 0;
  Revision last = 0;
  while (world_.Sleep(options_.compaction_interval).ok()) {
    const Ok done = CompactOnce(seen, last);
    if (!done.ok() && !done.Failed(Reason::kCancelled)) LOG_WARN("etcd: not compacted", {"error", done.status()});
  }
}

/// One server of all does it: the one whose write of the common key comes first in an interval. It compacts up to where
/// etcd was an interval ago, so that slower watches still find what they need.
Ok Engine::CompactOnce(Revision& seen, Revision& last) {
  const std::string key = OwnKey("compacted");
  TxnRequest request;
  request.comparisons.push_back({key, seen});
  request.then.push_back({Operation::Kind::kPut, key, std::to_string(last), 0});
  request.otherwise.push_back({Operation::Kind::kLook, key, {}, 0});
  bool sent = false;
  const TxnResponse answer = TRY(api_->Txn(request, sent));
  const Revision before = std::exchange(last, answer.header.revision);
  if (!answer.succeeded) {
    seen = answer.found.empty() ? 0 : answer.found.front().mod_revision;
    return {};
  }
  seen = answer.header.revision;
  if (before == 0) return {};
  const Ok compacted = api_->Compact(before);
  if (compacted.Failed(Reason::kExpired)) return {};
  TRY(compacted);
  LOG_INFO("etcd: history compacted", {"revision", before});
  return {};
}

}  // namespace knarr::store::etcd

#include "apiserver/event_expiry.h"

#include <algorithm>

#include "apiserver/object_io.h"
#include "base/log.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kPrefix = "/registry/core/events/";
// An event stays this much longer at most: a twelfth of an hour is not worth waking up more often.
constexpr int64_t kSweepsPerTtl = 12;
// Events that are read before others have their turn, and that are deleted at the same time.
constexpr size_t kTurn = 64;
constexpr size_t kAtOnce = 64;

// When an event was last written: the newest of its times.
WallTime LastWritten(const doc::Value& event) {
  WallTime newest{};
  const auto take = [&](const doc::Value& time) {
    const Result<WallTime> parsed = ParseTime(time.AsString());
    if (parsed.ok()) newest = std::max(newest, *parsed);
  };
  take(event.Get("metadata", "creationTimestamp"));
  take(event.At("lastTimestamp"));
  take(event.At("eventTime"));
  take(event.Get("series", "lastObservedTime"));
  return newest;
}

}  // namespace

EventExpiry::EventExpiry(rt::Runtime& world, store::Store& store, Duration ttl)
    : world_(world), store_(store), ttl_(ttl), tasks_(world, "event-expiry") {}
EventExpiry::~EventExpiry() = default;

void EventExpiry::Start() {
  tasks_.Spawn("sweep", [this] {
    while (world_.Sleep(ttl_ / kSweepsPerTtl).ok()) {
      const Ok swept = Sweep();
      if (!swept.ok() && !swept.Failed(Reason::kCancelled)) LOG_WARN("expiring events", {"error", swept.status()});
    }
  });
}

void EventExpiry::Stop() { tasks_.StopAndJoin(); }

Ok EventExpiry::Sweep() {
  const std::vector<Old> old = TRY(FindOld());
  // Each event's end has a revision of its own. Those that wait together share the disk's flushes: one after the other
  // they could fall behind the events that come.
  rt::TaskGroup deletions(world_, "event-expiry");
  size_t next = 0;
  Ok result;
  for (size_t i = 0; i < std::min(kAtOnce, old.size()); ++i) {
    deletions.Spawn("delete", [&] {
      while (next < old.size() && result.ok()) {
        const Old& event = old[next++];
        const auto gone = store_.Txn({{event.key, event.revision}}, {{event.key, std::nullopt}});
        // Written again meanwhile: not old any more.
        if (!gone.ok() && !gone.Failed(Reason::kConflict)) result = gone.status();
      }
    });
  }
  deletions.Join();
  return result;
}

Result<std::vector<EventExpiry::Old>> EventExpiry::FindOld() {
  std::vector<Old> old;
  const WallTime limit = world_.Wall() - ttl_;
  size_t read = 0;
  const auto now = store_.Latest();
  now->Visit(kPrefix, "", [&](std::string_view key, const store::Bytes& bytes, store::Revision revision) {
    if (LastWritten(DecodeStored(*bytes).root) < limit) old.push_back({std::string(key), revision});
    if (++read % kTurn == 0) world_.Yield();
    return world_.CheckCancelled().ok();
  });
  TRY(world_.CheckCancelled());
  return old;
}

}  // namespace knarr::apiserver

#pragma once

// One client's watch of a resource: where it begins, what of the changes it sees and as what, bookmarks, and its end.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/attributes.h"
#include "apiserver/registry.h"
#include "apiserver/watch_hub.h"
#include "client/client.h"

namespace knarr::apiserver {

struct WatchRequest {
  std::string ns;
  Selection selection;
  std::string resource_version;
  std::string resource_version_match;
  std::optional<bool> send_initial_events;
  bool bookmarks = false;
  /// nullopt: the server's choice (some time between half an hour and an hour).
  std::optional<Duration> timeout;
};

/// An event as this watcher sees it.
struct WatchItem {
  client::WatchEventType type = client::WatchEventType::kAdded;
  store::Bytes bytes;
  /// The change it comes from, null for present objects and bookmarks; and whether its object is what was before.
  ChangePtr change;
  bool was = false;

  api::ObjectPtr Object() const { return change ? change->object(was) : api::Object::FromBytes(bytes); }
};

class WatchSession {
 public:
  /// Expired when the revision is too old; Timeout when it is still to come; Invalid for options that contradict.
  static Result<std::unique_ptr<WatchSession>> Start(RequestContext& context, store::Store& store,
                                                     const Resource& resource, WatchRequest request);
  /// The next events; none at all once the watch's time is over. Expired when this watcher was too slow.
  Result<std::vector<WatchItem>> Next();
  const api::KindInfo& kind() const { return *resource_.kind; }

 private:
  WatchSession(RequestContext& context, store::Store& store, const Resource& resource, WatchRequest request);
  Ok Begin();
  void TakePresent(const store::Snapshot& snapshot);
  bool MayConcern(const store::Event& event) const;
  std::optional<WatchItem> See(const ChangePtr& change);
  WatchItem Bookmark(store::Revision revision, bool end_of_initial) const;

  rt::Runtime& runtime_;
  Local& local_;
  store::Store& store_;
  const Resource& resource_;
  const WatchRequest request_;
  const SelectionFilter filter_;
  const std::string prefix_;
  std::deque<WatchItem> present_;
  std::unique_ptr<WatchCursor> cursor_;
  store::Revision given_ = 0;  ///< of the last event given
  MonoTime end_;
  MonoTime bookmark_at_;
};

}  // namespace knarr::apiserver

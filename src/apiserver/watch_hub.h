#pragma once

// Fans out one resource's changes to all its watchers on one runtime: one store watch each, however many clients. The
// hub keeps the latest changes in a ring; a watcher is a place in that ring, so a slow one costs nothing and delays
// nobody. A watcher that waits is woken only for changes it may want, as the objects' digests tell: of a thousand nodes
// that each watch their own pods, one. One that begins before the ring, or falls out of it, reads the store's history
// stretch by stretch until it has caught up; when the store has given that up as well, it is told Expired.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/object.h"
#include "apiserver/attributes.h"
#include "apiserver/resource.h"
#include "rt/sync.h"
#include "store/store.h"

namespace knarr::apiserver {

/// A change with what is made of it once for all watchers. Belongs to one runtime.
class Change {
 public:
  Change(const Resource& resource, store::EventPtr event) : resource_(resource), event_(std::move(event)) {}
  const store::Event& event() const { return *event_; }
  /// The object as the resource's clients see it: the new value or, with `was`, what it was before the change, at the
  /// change's revision (the object of a DELETED event).
  const store::Bytes& bytes(bool was) const;
  /// The same, decoded.
  const api::ObjectPtr& object(bool was) const;
  /// Of the stored value after the change, or before it.
  const ObjectAttributes& attributes(bool was) const;
  /// A place for an encoding made by a watcher for others that want the same (keyed by what it is of).
  store::Bytes& encoded(bool was) const { return was ? encoded_was_ : encoded_; }

 private:
  const Resource& resource_;
  store::EventPtr event_;
  mutable store::Bytes bytes_;
  mutable store::Bytes bytes_was_;
  mutable api::ObjectPtr object_;
  mutable api::ObjectPtr object_was_;
  mutable std::unique_ptr<const ObjectAttributes> attributes_;
  mutable std::unique_ptr<const ObjectAttributes> attributes_was_;
  mutable store::Bytes encoded_;
  mutable store::Bytes encoded_was_;
};
using ChangePtr = std::shared_ptr<const Change>;

class WatchCursor;

class WatchHub {
 public:
  /// Changes after `after`. Expired when the store has compacted them.
  static Result<std::unique_ptr<WatchHub>> Start(rt::Runtime& runtime, store::Store& store, const Resource& resource,
                                                 store::Revision after);
  ~WatchHub();
  void Stop();
  /// The store watch has ended: make another hub.
  bool ended() const { return ended_; }

 private:
  friend class WatchCursor;
  WatchHub(rt::Runtime& runtime, const Resource& resource, std::unique_ptr<store::Watch> watch, store::Revision after);
  void Run();
  void Wake();
  uint64_t end() const { return first_ + ring_.size(); }
  store::Revision progress() const;

  rt::Runtime& runtime_;
  const Resource& resource_;
  std::unique_ptr<store::Watch> watch_;
  rt::TaskGroup tasks_;
  std::vector<WatchCursor*> waiting_;  ///< at the end of the ring
  std::deque<ChangePtr> ring_;
  uint64_t first_ = 0;          ///< the sequence number of ring_.front()
  store::Revision ring_after_;  ///< every change after this revision is in the ring
  std::deque<MonoTime> times_;  ///< when each of ring_ came
  bool ended_ = false;
};

/// One watcher's place.
class WatchCursor {
 public:
  /// False for a change that this watcher certainly leaves out.
  using Wants = std::function<bool(const store::Event& event)>;
  WatchCursor(rt::Runtime& runtime, store::Store& store, std::shared_ptr<WatchHub> hub, const Resource& resource,
              store::Revision after, Wants wants);
  /// Expired when neither the ring nor the store reaches back that far.
  Ok Open();
  /// The next changes, in order; none when `until` passed. Expired when it is too far behind.
  Result<std::vector<ChangePtr>> Next(MonoTime until);
  /// Every change up to this revision has been given out.
  store::Revision progress() const;

 private:
  friend class WatchHub;
  bool Attach();
  void Skip();
  Ok WaitForHub(MonoTime until);
  Result<std::vector<ChangePtr>> NextFromHub(MonoTime until);

  rt::Runtime& runtime_;
  store::Store& store_;
  std::shared_ptr<WatchHub> hub_;
  const Resource& resource_;
  const Wants wants_;
  rt::WaitQueue woken_;
  store::Revision after_;  ///< the revision of the last change given out, or more
  store::Revision floor_;  ///< up to here the changes came from elsewhere than the ring
  bool attached_ = false;
  uint64_t next_ = 0;
  size_t waiting_at_ = 0;  ///< in the hub's list
};

}  // namespace knarr::apiserver

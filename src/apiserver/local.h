#pragma once

// What the server keeps for each runtime that handles requests (the world's and each I/O thread's): caches and watch
// hubs that only this runtime's fibers touch, so none of it is locked.

#include <map>
#include <memory>
#include <set>

#include "apiserver/attributes.h"
#include "apiserver/resource.h"
#include "rt/runtime.h"
#include "store/store.h"

namespace knarr::apiserver {

class WatchHub;

class Local {
 public:
  Local(rt::Runtime& runtime, store::Store& store);
  ~Local();
  Local(const Local&) = delete;
  Local& operator=(const Local&) = delete;

  rt::Runtime& runtime() const { return runtime_; }
  store::Store& store() const { return store_; }
  AttributeCache& attributes() { return attributes_; }
  /// The hub that fans out the resource's changes; made, beginning after `after`, when there is none that runs.
  Result<std::shared_ptr<WatchHub>> Hub(const Resource& resource, store::Revision after);
  /// Scopes of answers that stream: stopped by StopStreams.
  /// One that comes after StopStreams (a client watches again at once) is stopped before it begins.
  void AddStream(rt::CancelScope* scope) {
    streams_.insert(scope);
    if (streams_stopped_) scope->Stop();
  }
  void RemoveStream(rt::CancelScope* scope) { streams_.erase(scope); }
  void StopStreams();
  /// Ends the hubs. A fiber of this runtime; no requests may be left.
  void Stop();
  size_t hubs() const { return hubs_.size(); }

 private:
  rt::Runtime& runtime_;
  store::Store& store_;
  AttributeCache attributes_;
  std::map<const Resource*, std::shared_ptr<WatchHub>> hubs_;
  std::set<rt::CancelScope*> streams_;
  bool stopped_ = false;
  bool streams_stopped_ = false;
};

}  // namespace knarr::apiserver

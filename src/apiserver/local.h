#pragma once

// What the server keeps for each runtime that handles requests (the world's and each I/O thread's): caches and watch
// hubs that only this runtime's fibers touch, so none of it is locked.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "apiserver/resource.h"
#include "rt/runtime.h"
#include "store/store.h"

namespace knarr::apiserver {

class AuditEvent;
class WatchHub;

/// Objects that requests look up again and again: each state of one is decoded once. One for each runtime: no locks.
class ObjectCache {
 public:
  /// The object under a key of the snapshot; null when there is none.
  api::ObjectPtr Get(const store::Snapshot& snapshot, const std::string& key);
  /// All under a prefix, in the order of their keys.
  std::vector<api::ObjectPtr> List(const store::Snapshot& snapshot, std::string_view prefix);
  size_t size() const { return entries_.size(); }

 private:
  const api::ObjectPtr& Keep(std::string_view key, const store::Bytes& bytes);
  std::map<std::string, api::ObjectPtr, std::less<>> entries_;
};

class Local {
 public:
  Local(rt::Runtime& runtime, store::Store& store);
  ~Local();
  Local(const Local&) = delete;
  Local& operator=(const Local&) = delete;

  rt::Runtime& runtime() const { return runtime_; }
  store::Store& store() const { return store_; }
  ObjectCache& objects() { return objects_; }
  /// The hub that fans out the resource's changes; made, beginning after `after`, when there is none that runs.
  Result<std::shared_ptr<WatchHub>> Hub(const Resource& resource, store::Revision after);
  /// For as long as it lives, calls of the current fiber are noted in the event.
  class Auditing {
   public:
    Auditing(Local& local, AuditEvent& event) : local_(local) {
      local_.audits_.insert_or_assign(local_.runtime_.current(), &event);
    }
    ~Auditing() { local_.audits_.erase(local_.runtime_.current()); }
    Auditing(const Auditing&) = delete;
    Auditing& operator=(const Auditing&) = delete;

   private:
    Local& local_;
  };
  /// The event of the current fiber's call; null: it is not audited.
  AuditEvent* audit() const {
    if (audits_.empty()) return nullptr;
    const auto at = audits_.find(runtime_.current());
    return at == audits_.end() ? nullptr : at->second;
  }
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
  ObjectCache objects_;
  std::map<const Resource*, std::shared_ptr<WatchHub>> hubs_;
  std::map<const rt::Fiber*, AuditEvent*> audits_;
  std::set<rt::CancelScope*> streams_;
  bool stopped_ = false;
  bool streams_stopped_ = false;
};

}  // namespace knarr::apiserver

#pragma once

// What long-running answers have in common: they end when the client has gone or the server stops.

#include <functional>

#include "apiserver/http_face.h"
#include "rt/sync.h"

namespace knarr::apiserver {

/// While it lives, waits of the current fiber end with Cancelled once the client has gone or the server is stopping.
class StreamScope {
 public:
  explicit StreamScope(Call& call);
  /// For a connection that has been taken over: its own reader sees the client go.
  StreamScope(Local& local, rt::Runtime& runtime);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;
  void Stop() { scope_.Stop(); }

 private:
  Local& local_;
  rt::CancelScope scope_;
  rt::TaskGroup watcher_;
};

/// The pod a log or exec request is for, and the container it names or means. BadRequest as upstream says it.
struct PodTarget {
  ObjectPtr pod;
  std::string node;
  std::string container;
};
Result<PodTarget> FindPodTarget(Call& call, Core& core);
/// The node the pod is on. BadRequest for a pod that is on none, InternalError for a node that is not connected.
Result<std::reference_wrapper<client::NodeAccess>> FindPodNode(Call& call, Core& core, const PodTarget& target);

/// Connecting needs the verb create, whatever method opens the connection: browsers' WebSockets are GET requests.
Ok MayConnect(const Call& call, Core& core);

}  // namespace knarr::apiserver

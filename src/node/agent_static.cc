// The part of the agent that runs pods which stand in files of the node.

#include <fmt/format.h>

#include <utility>

#include "node/agent.h"
#include "node/manifest.h"
#include "node/mirror_pods.h"
#include "node/static_pods.h"

namespace knarr::node {

using api::core_v1::Pod;

/// REQUIRES: what the API has of the node's pods is known.
Ok Agent::StartStatic() {
  if (!options_.manifest_path.empty()) {
    statics_ = std::make_unique<StaticPods>(
        runtime_, options_.manifest_path, options_.node_name,
        StaticPods::Events{.added = [this](const api::ObjectPtr& pod) { StaticAdded(pod); },
                           .removed = [this](const api::ObjectPtr& pod) { StaticRemoved(pod); },
                           .refused =
                               [this](const std::string& path, const std::string& why) {
                                 RecordNodeEvent(client::EventKind::kWarning, "InvalidManifest",
                                                 fmt::format("Manifest {} is refused: {}", path, why));
                               }});
    TRY(statics_->Start());
  }
  // Only now it is known which mirrors are nobody's.
  mirrors_->Start();
  return {};
}

void Agent::StopStatic() {
  if (statics_ != nullptr) statics_->Stop();
  mirrors_->Stop();
}

/// A pod of a file that was changed begins when the one before it has ended.
void Agent::StaticAdded(const api::ObjectPtr& pod) {
  for (const auto& [uid, worker] : workers_) {
    if (!IsStaticPod(Pod(worker->pod().tree())) || api::KeyOf(worker->pod()) != api::KeyOf(*pod)) continue;
    static_waiting_[api::KeyOf(*pod)] = pod;
    return;
  }
  const api::ObjectPtr known = mirrors_->WithKnownStatus(pod);
  mirrors_->Want(known);
  StartWorker(known);
}

void Agent::StaticRemoved(const api::ObjectPtr& pod) {
  const auto waits = static_waiting_.find(api::KeyOf(*pod));
  if (waits != static_waiting_.end() && waits->second->uid() == pod->uid()) {
    static_waiting_.erase(waits);
    return;
  }
  const auto at = workers_.find(pod->uid());
  if (at == workers_.end()) return mirrors_->Forget(*pod);
  at->second->Gone();
}

void Agent::StaticEnded(const api::Object& pod) {
  auto waiting = static_waiting_.extract(api::KeyOf(pod));
  if (waiting.empty()) return mirrors_->Forget(pod);
  StaticAdded(waiting.mapped());
}

}  // namespace knarr::node

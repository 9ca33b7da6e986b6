#pragma once

// Writes down when a token of old was last used (a label with the day on its secret), and since when this is done (a
// ConfigMap in kube-system): so that the tokens nobody uses can be told from the others, and removed.

#include <memory>
#include <string>

#include "apiserver/core.h"
#include "apiserver/follower.h"
#include "client/informer.h"

namespace knarr::apiserver {

class LegacyTokenTracking {
 public:
  explicit LegacyTokenTracking(Core& core);
  /// World fibers; Start before requests come.
  void Start();
  void Stop();

 private:
  void Run();
  Ok Label(const client::ObjectName& secret);
  /// The time until it is to be tried again; nullopt: not before the ConfigMap changes.
  Result<std::optional<Duration>> KeepSince();

  Core& core_;
  std::unique_ptr<client::Client> client_;
  /// Secrets by namespace/name, and "" for the ConfigMap. Shared with what other threads have sent here.
  std::shared_ptr<client::WorkQueue> queue_;
  Follower follower_;
  std::optional<MonoTime> made_;  ///< when the ConfigMap was last made here
  rt::TaskGroup tasks_;
};

}  // namespace knarr::apiserver

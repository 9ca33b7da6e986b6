#pragma once

#include "apiserver/core.h"

namespace knarr::apiserver {

/// Makes what every cluster has and this one lacks: namespaces with their default service accounts, and the kubernetes
/// Service. World fiber.
Ok MakeBootstrapObjects(Core& core);

/// Keeps the kubernetes Service there for as long as the server runs: whoever deletes it finds it made again.
class ServiceKeeper {
 public:
  explicit ServiceKeeper(Core& core) : core_(core), tasks_(core.world(), "service-keeper") {}
  void Start();
  void Stop() { tasks_.StopAndJoin(); }

 private:
  /// Until the watch ends or the Service can't be made.
  Ok Watch();
  Core& core_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::apiserver

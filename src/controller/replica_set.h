#pragma once

// ReplicaSets and ReplicationControllers: keep as many pods of a template as the object asks for. One controller for
// both; they differ in the type of their selector only.

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeReplicaSetController(Context context);
std::unique_ptr<Controller> MakeReplicationController(Context context);

}  // namespace knarr::controller

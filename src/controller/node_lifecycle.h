#pragma once

// Nodes whose lease is no longer renewed: Ready becomes Unknown, the node is tainted (NoSchedule and NoExecute), and
// its pods are deleted once they no longer tolerate that (five minutes unless a pod says otherwise), so that their
// controllers make others. Pods of nodes that are gone are left to the pod garbage collector.

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeNodeLifecycleController(Context context);

}  // namespace knarr::controller

#pragma once

#include <memory>

#include "controller/framework/controller.h"

namespace knarr::controller {

// What is in use does not go: each keeps a finalizer on the objects of one kind, and takes it from one that is being
// deleted when nothing uses it any more.

/// Claims, which pods that have a node use.
std::unique_ptr<Controller> MakeClaimProtectionController(Context context);
/// Volumes, which the claims they are bound to use.
std::unique_ptr<Controller> MakeVolumeProtectionController(Context context);
/// Volume attributes classes, which claims and volumes use.
std::unique_ptr<Controller> MakeAttributesClassProtectionController(Context context);

}  // namespace knarr::controller

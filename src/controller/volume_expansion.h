#pragma once

// Claims that are to grow: tells that somebody else enlarges their volumes, which for local ones is their node
// (controller/local_volumes.h).

#include <memory>

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeVolumeExpansionController(Context context);

}  // namespace knarr::controller

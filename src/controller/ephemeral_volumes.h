#pragma once

// A pod's volume that is to live as long as the pod (spec.volumes[].ephemeral) is a claim that is made for the pod and
// owned by it: POD-VOLUME. A claim of that name which somebody else made is never used.

#include <memory>

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeEphemeralVolumeController(Context context);

}  // namespace knarr::controller

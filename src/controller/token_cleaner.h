#pragma once

// Secrets with a token that Kubernetes before 1.24 made for a ServiceAccount, and that no pod mounts, are marked when
// their token was not used for a year, and removed after another.

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeTokenCleaner(Context context);

}  // namespace knarr::controller

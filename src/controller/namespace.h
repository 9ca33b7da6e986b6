#pragma once

// Empties namespaces that are being deleted, pods first, says in their conditions what is left, and lets them go.

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeNamespaceController(Context context);

}  // namespace knarr::controller

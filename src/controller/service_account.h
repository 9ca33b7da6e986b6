#pragma once

// Every active namespace has a ServiceAccount "default".

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeServiceAccountController(Context context);

}  // namespace knarr::controller

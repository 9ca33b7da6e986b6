#pragma once

// Where a Service's traffic goes: Endpoints and EndpointSlices, from its selector and the pods' addresses and
// readiness.

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeEndpointsController(Context context);

}  // namespace knarr::controller

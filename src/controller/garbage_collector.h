#pragma once

// Deletes what belongs to owners that are gone (background), holds an owner until its dependents are gone (foreground),
// and takes owner references out of dependents that are to be kept (orphan).

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeGarbageCollector(Context context);

}  // namespace knarr::controller

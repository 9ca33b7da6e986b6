#pragma once

#include <memory>

#include "controller/framework/controller.h"

namespace knarr::controller {

/// Keeps each ResourceQuota's status true: its bounds, and what is used of them. The API server charges what is made in
/// the same step; this counts anew when a quota is made or changed and when something that it counts goes.
std::unique_ptr<Controller> MakeResourceQuotaController(Context context);

}  // namespace knarr::controller

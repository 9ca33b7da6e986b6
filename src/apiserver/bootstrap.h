#pragma once

#include "apiserver/core.h"

namespace knarr::apiserver {

/// Makes what every cluster has and this one lacks: namespaces with their default service accounts, and the kubernetes
/// Service. World fiber.
Ok MakeBootstrapObjects(Core& core);

}  // namespace knarr::apiserver

#pragma once

// Secrets of type kubernetes.io/service-account-token hold a token of the account they name (that never ends), its
// namespace and the cluster's authority. They go with their account, and the account forgets them when they go.

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeTokenSecretsController(Context context);

}  // namespace knarr::controller

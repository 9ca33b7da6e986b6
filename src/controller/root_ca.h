#pragma once

#include <memory>

#include "controller/framework/controller.h"

namespace knarr::controller {

/// Keeps a ConfigMap kube-root-ca.crt in every namespace: what pods check the API server's certificate with. Does
/// nothing without a certificate to publish.
std::unique_ptr<Controller> MakeRootCaController(Context context);

}  // namespace knarr::controller

#pragma once

// The life of CertificateSigningRequests: nodes' own are approved (if they may ask for them), approved ones are signed
// with the cluster's authority, and old ones are removed.

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeCertificateApprover(Context context);
/// Signs nothing when the context has no authority.
std::unique_ptr<Controller> MakeCertificateSigner(Context context);
std::unique_ptr<Controller> MakeCertificateCleaner(Context context);

}  // namespace knarr::controller

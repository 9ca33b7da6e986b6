#pragma once

// The plugins there are. A new one is a file in this folder, a constructor here and a line in chain.cc's table.

#include <memory>

#include "apiserver/admission/admission.h"

namespace knarr::apiserver {

std::unique_ptr<AdmissionPlugin> MakeNamespaceLifecycle();
std::unique_ptr<AdmissionPlugin> MakeLimitRanger();
std::unique_ptr<AdmissionPlugin> MakeServiceAccountAdmission();
std::unique_ptr<AdmissionPlugin> MakePriorityAdmission();
Result<std::unique_ptr<AdmissionPlugin>> MakeDefaultTolerationSeconds(const AdmissionOptions& options);
Result<std::unique_ptr<AdmissionPlugin>> MakeResourceQuotaAdmission(const AdmissionOptions& options);

}  // namespace knarr::apiserver

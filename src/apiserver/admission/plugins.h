#pragma once

// The plugins there are. A new one is a file in this folder, a constructor here and a line in chain.cc's table.

#include <memory>

#include "apiserver/admission/admission.h"

namespace knarr::apiserver {

std::unique_ptr<AdmissionPlugin> MakeNamespaceLifecycle();
std::unique_ptr<AdmissionPlugin> MakeLimitRanger();
std::unique_ptr<AdmissionPlugin> MakeServiceAccountAdmission();
std::unique_ptr<AdmissionPlugin> MakeNodeRestriction();
std::unique_ptr<AdmissionPlugin> MakeTaintNodesByCondition();
Result<std::unique_ptr<AdmissionPlugin>> MakePodSecurity(const AdmissionOptions& options);
std::unique_ptr<AdmissionPlugin> MakePriorityAdmission();
std::unique_ptr<AdmissionPlugin> MakeDefaultStorageClass();
std::unique_ptr<AdmissionPlugin> MakeStorageObjectInUse();
std::unique_ptr<AdmissionPlugin> MakeClaimResize();
std::unique_ptr<AdmissionPlugin> MakeRuntimeClassAdmission();
std::unique_ptr<AdmissionPlugin> MakeCertificateApproval();
std::unique_ptr<AdmissionPlugin> MakeCertificateSigning();
std::unique_ptr<AdmissionPlugin> MakeCertificateSubjectRestriction();
std::unique_ptr<AdmissionPlugin> MakeDefaultIngressClass();
std::unique_ptr<AdmissionPlugin> MakePodTopologyLabels();
std::unique_ptr<AdmissionPlugin> MakePodResizeValidator();
Result<std::unique_ptr<AdmissionPlugin>> MakeDefaultTolerationSeconds(const AdmissionOptions& options);
Result<std::unique_ptr<AdmissionPlugin>> MakeResourceQuotaAdmission(const AdmissionOptions& options);

}  // namespace knarr::apiserver

// Which rules belong to which kind, and what holds of kinds without rules of their own.

#include "api/validation.h"

#include <algorithm>
#include <iterator>

#include "api/validation/access.h"
#include "api/validation/admission.h"
#include "api/validation/autoscaling.h"
#include "api/validation/batch.h"
#include "api/validation/cluster_kinds.h"
#include "api/validation/devices.h"
#include "api/validation/errors.h"
#include "api/validation/events.h"
#include "api/validation/extensions.h"
#include "api/validation/fairness.h"
#include "api/validation/metadata.h"
#include "api/validation/networking.h"
#include "api/validation/objects.h"
#include "api/validation/pods.h"
#include "api/validation/policy.h"
#include "api/validation/reviews.h"
#include "api/validation/services.h"
#include "api/validation/storage.h"
#include "api/validation/storage_kinds.h"
#include "api/validation/workloads.h"
#include "base/check.h"

namespace knarr::api {
namespace validation {
namespace {

using doc::Value;

using CreateRule = void (*)(const Value& object, Errors& errors);
using UpdateRule = void (*)(const Value& object, const Value& old, Errors& errors);

struct Rules {
  std::string_view group;
  std::string_view kind;
  CreateRule create;
  UpdateRule update;  ///< nullptr: the metadata's, and the rules of creation
  UpdateRule status;  ///< nullptr: only the metadata's
  UpdateRule approval = nullptr;
};

constexpr Rules kRules[] = {
    {"", "Pod", ValidatePod, ValidatePodUpdate, ValidatePodStatusUpdate},
    {"", "PodTemplate", ValidatePodTemplateObject, ValidatePodTemplateObjectUpdate, nullptr},
    {"", "ReplicationController", ValidateReplicationController, ValidateReplicationControllerUpdate,
     ValidateReplicasStatus},
    {"apps", "ReplicaSet", ValidateReplicaSet, ValidateReplicaSetUpdate, ValidateReplicasStatus},
    {"apps", "Deployment", ValidateDeployment, ValidateDeploymentUpdate, ValidateReplicasStatus},
    {"apps", "DaemonSet", ValidateDaemonSet, ValidateDaemonSetUpdate, ValidateReplicasStatus},
    {"apps", "StatefulSet", ValidateStatefulSet, ValidateStatefulSetUpdate, ValidateReplicasStatus},
    {"apps", "ControllerRevision", ValidateControllerRevision, ValidateControllerRevisionUpdate, nullptr},
    {"", "Service", ValidateService, ValidateServiceUpdate, ValidateServiceStatusUpdate},
    {"", "Endpoints", ValidateEndpoints, ValidateEndpointsUpdate, nullptr},
    {"discovery.k8s.io", "EndpointSlice", ValidateEndpointSlice, ValidateEndpointSliceUpdate, nullptr},
    {"", "ConfigMap", ValidateConfigMap, ValidateConfigMapUpdate, nullptr},
    {"", "Secret", ValidateSecret, ValidateSecretUpdate, nullptr},
    {"", "Namespace", ValidateNamespace, ValidateNamespaceUpdate, ValidateNamespaceStatusUpdate},
    {"", "Node", ValidateNode, ValidateNodeUpdate, ValidateNodeUpdate},
    {"", "PersistentVolume", ValidatePersistentVolume, ValidatePersistentVolumeUpdate, nullptr},
    {"", "PersistentVolumeClaim", ValidatePersistentVolumeClaim, ValidatePersistentVolumeClaimUpdate,
     ValidatePersistentVolumeClaimStatusUpdate},
    {"", "Binding", ValidateBinding, nullptr, nullptr},
    {"", "Event", ValidateEvent, ValidateEventUpdate, nullptr},
    {"events.k8s.io", "Event", ValidateNewEvent, ValidateNewEventUpdate, nullptr},
    {"", "LimitRange", ValidateLimitRange, nullptr, nullptr},
    {"", "ResourceQuota", ValidateResourceQuota, ValidateResourceQuotaUpdate, ValidateResourceQuotaStatusUpdate},
    {"rbac.authorization.k8s.io", "Role", ValidateRole, ValidateRoleUpdate, nullptr},
    {"rbac.authorization.k8s.io", "ClusterRole", ValidateClusterRole, ValidateClusterRoleUpdate, nullptr},
    {"rbac.authorization.k8s.io", "RoleBinding", ValidateRoleBinding, ValidateRoleBindingUpdate, nullptr},
    {"rbac.authorization.k8s.io", "ClusterRoleBinding", ValidateClusterRoleBinding, ValidateClusterRoleBindingUpdate,
     nullptr},
    {"certificates.k8s.io", "CertificateSigningRequest", ValidateSigningRequest, ValidateSigningRequestUpdate,
     ValidateSigningRequestStatusUpdate, ValidateSigningRequestApproval},
    {"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", ValidateWebhooks, ValidateWebhooksUpdate,
     nullptr},
    {"admissionregistration.k8s.io", "MutatingWebhookConfiguration", ValidateWebhooks, ValidateWebhooksUpdate, nullptr},
    {"admissionregistration.k8s.io", "ValidatingAdmissionPolicy", ValidateValidatingPolicy,
     ValidateValidatingPolicyUpdate, ValidateValidatingPolicyStatusUpdate},
    {"admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", ValidateValidatingPolicyBinding,
     ValidateValidatingPolicyBindingUpdate, nullptr},
    {"admissionregistration.k8s.io", "MutatingAdmissionPolicy", ValidateMutatingPolicy, ValidateMutatingPolicyUpdate,
     nullptr},
    {"admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", ValidateMutatingPolicyBinding,
     ValidateMutatingPolicyBindingUpdate, nullptr},
    {"flowcontrol.apiserver.k8s.io", "FlowSchema", ValidateFlowSchema, ValidateFlowSchemaUpdate,
     ValidateFairnessStatusUpdate},
    {"flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", ValidatePriorityLevel, ValidatePriorityLevelUpdate,
     ValidateFairnessStatusUpdate},
    {"resource.k8s.io", "ResourceClaim", ValidateResourceClaim, ValidateResourceClaimUpdate,
     ValidateResourceClaimStatusUpdate},
    {"resource.k8s.io", "ResourceClaimTemplate", ValidateResourceClaimTemplate, ValidateResourceClaimTemplateUpdate,
     nullptr},
    {"resource.k8s.io", "DeviceClass", ValidateDeviceClass, ValidateDeviceClassUpdate, nullptr},
    {"resource.k8s.io", "ResourceSlice", ValidateResourceSlice, ValidateResourceSliceUpdate, nullptr},
    {"apiregistration.k8s.io", "APIService", ValidateApiService, ValidateApiServiceUpdate,
     ValidateApiServiceStatusUpdate},
    {"apiextensions.k8s.io", "CustomResourceDefinition", ValidateDefinition, ValidateDefinitionUpdate,
     ValidateDefinitionStatusUpdate},
    {"coordination.k8s.io", "Lease", ValidateLease, ValidateLeaseUpdate, nullptr},
    {"batch", "Job", ValidateJob, ValidateJobUpdate, ValidateJobStatusUpdate},
    {"batch", "CronJob", ValidateCronJob, ValidateCronJobUpdate, nullptr},
    {"autoscaling", "HorizontalPodAutoscaler", ValidateAutoscaler, ValidateAutoscalerUpdate,
     ValidateAutoscalerStatusUpdate},
    {"policy", "PodDisruptionBudget", ValidateDisruptionBudget, ValidateDisruptionBudgetUpdate,
     ValidateDisruptionBudgetStatusUpdate},
    {"networking.k8s.io", "Ingress", ValidateIngress, ValidateIngressUpdate, ValidateIngressStatusUpdate},
    {"networking.k8s.io", "IngressClass", ValidateIngressClass, ValidateIngressClassUpdate, nullptr},
    {"networking.k8s.io", "NetworkPolicy", ValidateNetworkPolicy, ValidateNetworkPolicyUpdate, nullptr},
    {"networking.k8s.io", "IPAddress", ValidateIpAddress, ValidateIpAddressUpdate, nullptr},
    {"networking.k8s.io", "ServiceCIDR", ValidateServiceCidr, ValidateServiceCidrUpdate, nullptr},
    {"storage.k8s.io", "StorageClass", ValidateStorageClass, ValidateStorageClassUpdate, nullptr},
    {"storage.k8s.io", "VolumeAttributesClass", ValidateVolumeAttributesClass, ValidateVolumeAttributesClassUpdate,
     nullptr},
    {"storage.k8s.io", "VolumeAttachment", ValidateVolumeAttachment, ValidateVolumeAttachmentUpdate,
     ValidateVolumeAttachmentUpdate},
    {"storage.k8s.io", "CSIDriver", ValidateCsiDriver, ValidateCsiDriverUpdate, nullptr},
    {"storage.k8s.io", "CSINode", ValidateCsiNode, ValidateCsiNodeUpdate, nullptr},
    {"storage.k8s.io", "CSIStorageCapacity", ValidateCsiStorageCapacity, ValidateCsiStorageCapacityUpdate, nullptr},
    {"scheduling.k8s.io", "PriorityClass", ValidatePriorityClass, ValidatePriorityClassUpdate, nullptr},
    {"node.k8s.io", "RuntimeClass", ValidateRuntimeClass, ValidateRuntimeClassUpdate, nullptr},
    {"authorization.k8s.io", "SubjectAccessReview", ValidateSubjectAccessReview, nullptr, nullptr},
    {"authorization.k8s.io", "SelfSubjectAccessReview", ValidateSelfSubjectAccessReview, nullptr, nullptr},
    {"authorization.k8s.io", "LocalSubjectAccessReview", ValidateLocalSubjectAccessReview, nullptr, nullptr},
};

const Rules* FindRules(const KindInfo& kind) {
  const auto* found = std::ranges::find_if(
      kRules, [&kind](const Rules& rules) { return rules.kind == kind.kind && rules.group == kind.group; });
  return found == std::end(kRules) ? nullptr : found;
}

bool IsEmpty(const Value& value) {
  return value.is_null() || (value.is_string() && value.AsString().empty()) ||
         ((value.is_array() || value.is_object()) && value.empty());
}

// The schema's required fields and enums, below the metadata.
void ValidateBySchema(const Type& type, const Value& message, const Path& path, Errors& errors) {
  for (const Field* field : type.flat) {
    if (path.text().empty() && field->name == "metadata") continue;
    const Value& value = message.At(field->name);
    const Path at = path / field->name;
    if (field->Has(FieldFlag::kRequired) && IsEmpty(value)) errors.Required(at);
    if (!field->enum_values.empty() && value.is_string() && !value.AsString().empty() &&
        std::ranges::find(field->enum_values, value.AsString()) == field->enum_values.end()) {
      errors.NotSupported(at, value.AsString(), field->enum_values);
    }
    if (field->type != FieldType::kMessage) continue;
    if (field->shape == Shape::kSingle) {
      if (value.is_object()) ValidateBySchema(*field->message, value, at, errors);
    } else if (field->shape == Shape::kList) {
      for (size_t i = 0; i < value.size(); ++i) ValidateBySchema(*field->message, value[i], at[i], errors);
    }
  }
}

void ValidateGeneric(const KindInfo& kind, const Value& object, Errors& errors) {
  ValidateMetadata(object.At("metadata"), kind.namespaced, NameRuleOf(kind), MetadataPath(), errors);
  ValidateBySchema(*kind.type, object, Path(), errors);
}

}  // namespace
}  // namespace validation

ErrorList ValidateCreate(const KindInfo& kind, const doc::Value& object) {
  validation::Errors errors;
  if (const validation::Rules* rules = validation::FindRules(kind)) {
    rules->create(object, errors);
  } else {
    validation::ValidateGeneric(kind, object, errors);
  }
  return std::move(errors).Take();
}

ErrorList ValidateAnyUpdate(const KindInfo& kind, const doc::Value& object, const doc::Value& old) {
  validation::Errors errors;
  const doc::Value& metadata = object.At("metadata");
  validation::ValidateAnyMetadata(metadata, kind.namespaced, validation::NameIsPathSegment,
                                  validation::MetadataPath(), errors);
  validation::ValidateAnyMetadataUpdate(metadata, old.At("metadata"), validation::MetadataPath(), errors);
  return std::move(errors).Take();
}

ErrorList ValidateUpdate(const KindInfo& kind, const doc::Value& object, const doc::Value& old) {
  validation::Errors errors;
  const validation::Rules* rules = validation::FindRules(kind);
  if (rules != nullptr && rules->update != nullptr) {
    rules->update(object, old, errors);
    return std::move(errors).Take();
  }
  validation::ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), validation::MetadataPath(), errors);
  if (rules != nullptr) {
    rules->create(object, errors);
  } else {
    validation::ValidateGeneric(kind, object, errors);
  }
  return std::move(errors).Take();
}

ErrorList ValidateStatusUpdate(const KindInfo& kind, const doc::Value& object, const doc::Value& old) {
  validation::Errors errors;
  const validation::Rules* rules = validation::FindRules(kind);
  if (rules != nullptr && rules->status != nullptr) {
    rules->status(object, old, errors);
  } else {
    validation::ValidateMetadataUpdate(object.At("metadata"), old.At("metadata"), validation::MetadataPath(), errors);
  }
  return std::move(errors).Take();
}

ErrorList ValidateApproval(const KindInfo& kind, const doc::Value& object, const doc::Value& old) {
  validation::Errors errors;
  const validation::Rules* rules = validation::FindRules(kind);
  CHECK(rules != nullptr && rules->approval != nullptr);
  rules->approval(object, old, errors);
  return std::move(errors).Take();
}

}  // namespace knarr::api

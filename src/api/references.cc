#include "api/references.h"

#include <array>
#include <string>

namespace knarr::api {
namespace {

using doc::Value;
using Visit = std::function<void(RefKind kind, std::string_view name)>;

void VisitName(const Visit& visit, RefKind kind, const Value& name) {
  if (!name.AsString().empty()) visit(kind, name.AsString());
}

void VisitContainer(const Value& container, const Visit& visit) {
  for (const Value& source : container.At("envFrom").items()) {
    VisitName(visit, RefKind::kSecret, source.Get("secretRef", "name"));
    VisitName(visit, RefKind::kConfigMap, source.Get("configMapRef", "name"));
  }
  for (const Value& variable : container.At("env").items()) {
    VisitName(visit, RefKind::kSecret, variable.Get("valueFrom", "secretKeyRef", "name"));
    VisitName(visit, RefKind::kConfigMap, variable.Get("valueFrom", "configMapKeyRef", "name"));
  }
}

// Volume types that name a secret for mounting, each in its own member.
constexpr std::array<std::string_view, 7> kSecretRefTypes = {"cephfs",  "cinder", "flexVolume", "rbd",
                                                             "scaleIO", "iscsi",  "storageos"};

void VisitVolume(const Value& volume, std::string_view pod_name, const Visit& visit) {
  VisitName(visit, RefKind::kSecret, volume.Get("secret", "secretName"));
  VisitName(visit, RefKind::kConfigMap, volume.Get("configMap", "name"));
  for (const Value& source : volume.Get("projected", "sources").items()) {
    VisitName(visit, RefKind::kSecret, source.Get("secret", "name"));
    VisitName(visit, RefKind::kConfigMap, source.Get("configMap", "name"));
  }
  VisitName(visit, RefKind::kSecret, volume.Get("azureFile", "secretName"));
  VisitName(visit, RefKind::kSecret, volume.Get("csi", "nodePublishSecretRef", "name"));
  for (const std::string_view type : kSecretRefTypes) {
    VisitName(visit, RefKind::kSecret, volume.Get(type, "secretRef", "name"));
  }
  VisitName(visit, RefKind::kClaim, volume.Get("persistentVolumeClaim", "claimName"));
  if (!volume.At("ephemeral").is_null()) {
    visit(RefKind::kClaim, std::string(pod_name).append("-").append(volume.At("name").AsString()));
  }
}

void VisitResourceClaims(const Value& pod, const Visit& visit) {
  const Value& status = pod.At("status");
  for (const Value& claim : pod.Get("spec", "resourceClaims").items()) {
    VisitName(visit, RefKind::kResourceClaim, claim.At("resourceClaimName"));
    if (!claim.At("resourceClaimName").is_null()) continue;
    for (const Value& made : status.At("resourceClaimStatuses").items()) {
      if (made.At("name").AsString() != claim.At("name").AsString()) continue;
      VisitName(visit, RefKind::kResourceClaim, made.At("resourceClaimName"));
      break;
    }
  }
  VisitName(visit, RefKind::kResourceClaim, status.Get("extendedResourceClaimStatus", "resourceClaimName"));
}

}  // namespace

void VisitPodReferences(const Value& pod, const Visit& visit) {
  const Value& spec = pod.At("spec");
  VisitName(visit, RefKind::kAccount, spec.At("serviceAccountName"));
  for (const Value& reference : spec.At("imagePullSecrets").items()) {
    VisitName(visit, RefKind::kSecret, reference.At("name"));
  }
  for (const std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (const Value& container : spec.At(list).items()) VisitContainer(container, visit);
  }
  const std::string_view pod_name = pod.Get("metadata", "name").AsString();
  for (const Value& volume : spec.At("volumes").items()) VisitVolume(volume, pod_name, visit);
  VisitResourceClaims(pod, visit);
}

void VisitVolumeSecrets(const Value& volume,
                        const std::function<void(std::string_view ns, std::string_view name)>& visit) {
  const Value& spec = volume.At("spec");
  const std::string_view claim_ns = spec.Get("claimRef", "namespace").AsString();
  const auto add = [&](std::string_view ns, const Value& name) {
    if (!name.AsString().empty()) visit(ns, name.AsString());
  };
  const Value& azure = spec.At("azureFile");
  const std::string_view azure_ns = azure.At("secretNamespace").AsString();
  add(azure_ns.empty() ? claim_ns : azure_ns, azure.At("secretName"));
  for (const std::string_view type : kSecretRefTypes) {
    const Value& reference = spec.Get(type, "secretRef");
    const std::string_view own = reference.At("namespace").AsString();
    // These two have always had their namespace with them; the others may be older than the field.
    const bool always = type == "cinder" || type == "storageos";
    add(own.empty() && !always ? claim_ns : own, reference.At("name"));
  }
  for (const std::string_view member : {"nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"}) {
    const Value& reference = spec.Get("csi", member);
    add(reference.At("namespace").AsString(), reference.At("name"));
  }
}

}  // namespace knarr::api

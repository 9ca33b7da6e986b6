#include "apiserver/admission/pod_references.h"

#include <algorithm>

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kContainerLists[] = {"initContainers", "containers", "ephemeralContainers"};

bool InContainers(const Value& spec, std::string_view key_reference, std::string_view reference) {
  for (const std::string_view list : kContainerLists) {
    for (const Value& container : spec.At(list).items()) {
      for (const Value& variable : container.At("env").items()) {
        if (!variable.Get("valueFrom", key_reference).is_null()) return true;
      }
      for (const Value& source : container.At("envFrom").items()) {
        if (!source.At(reference).is_null()) return true;
      }
    }
  }
  return false;
}

bool InProjection(const Value& volume, std::string_view member) {
  const auto sources = volume.Get("projected", "sources").items();
  return std::ranges::any_of(sources, [&](const Value& source) { return !source.At(member).is_null(); });
}

// Whether a volume takes anything from a Secret, whichever its kind.
bool HasVolumeSecret(const Value& volume) {
  for (const std::string_view kind : {"cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"}) {
    if (!volume.Get(kind, "secretRef").is_null()) return true;
  }
  if (!volume.Get("azureFile", "secretName").AsString().empty()) return true;
  if (!volume.Get("csi", "nodePublishSecretRef").is_null()) return true;
  if (!volume.At("secret").is_null()) return true;
  return InProjection(volume, "secret");
}

}  // namespace

bool UsesSecrets(const Value& spec) {
  if (!spec.At("imagePullSecrets").empty() || InContainers(spec, "secretKeyRef", "secretRef")) return true;
  return std::ranges::any_of(spec.At("volumes").items(), HasVolumeSecret);
}

bool UsesConfigMaps(const Value& spec) {
  if (InContainers(spec, "configMapKeyRef", "configMapRef")) return true;
  return std::ranges::any_of(spec.At("volumes").items(), [](const Value& volume) {
    return !volume.At("configMap").is_null() || InProjection(volume, "configMap");
  });
}

}  // namespace knarr::apiserver

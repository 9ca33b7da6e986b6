#pragma once

// What pods and volumes refer to by name.

#include <functional>
#include <string_view>

#include "doc/value.h"

namespace knarr::api {

enum class RefKind : char {
  kConfigMap = 'c',
  kSecret = 's',
  kClaim = 'v',  ///< PersistentVolumeClaim
  kResourceClaim = 'r',
  kAccount = 'a',  ///< ServiceAccount
};

/// Each object of the pod's namespace that the pod refers to; some more than once.
void VisitPodReferences(const doc::Value& pod, const std::function<void(RefKind kind, std::string_view name)>& visit);
/// Each secret that a node which mounts the volume needs.
void VisitVolumeSecrets(const doc::Value& volume,
                        const std::function<void(std::string_view ns, std::string_view name)>& visit);

}  // namespace knarr::api

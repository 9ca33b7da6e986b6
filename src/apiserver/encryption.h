#pragma once

// Encryption at rest, as Kubernetes configures it (apiserver.config.k8s.io/v1 EncryptionConfiguration): for lists of
// resources ("secrets", "*.apps", "*.*"), providers in order. The first key of the first provider seals what is
// written; every key opens what was sealed with it. On the disk a sealed value is "k8s:enc:PROVIDER:v1:KEY:" and the
// provider's bytes, bound to the object's place in the store (aesgcm).

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "store/sealer.h"

namespace knarr::apiserver {

/// From the text of a configuration (YAML or JSON). BadRequest, with upstream's fields and texts, when it is wrong, and
/// for the providers that this server has not (secretbox, kms).
Result<std::shared_ptr<const store::Sealer>> MakeSealer(std::string_view configuration);

/// A configuration of its own for a new cluster: secrets with AES-GCM and a fresh key.
Result<std::string> NewEncryptionConfiguration();

}  // namespace knarr::apiserver

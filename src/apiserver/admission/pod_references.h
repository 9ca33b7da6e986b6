#pragma once

#include <string_view>

#include "doc/value.h"

namespace knarr::apiserver {

/// Whether anything in a pod's spec names a Secret: pull secrets, environments, volumes of all kinds.
bool UsesSecrets(const doc::Value& spec);
/// The same for ConfigMaps.
bool UsesConfigMaps(const doc::Value& spec);

}  // namespace knarr::apiserver

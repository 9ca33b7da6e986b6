#pragma once

#include "doc/value.h"

namespace knarr::apiserver {

/// Takes out of the pod spec of an object (a pod, or something with a pod template) what belongs to features that are
/// off by default.
void DropDisabledPodFields(doc::Document& object);

}  // namespace knarr::apiserver

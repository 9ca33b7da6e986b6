#pragma once

#include <string_view>

#include "doc/value.h"

namespace knarr::api {

/// status.qosClass of a pod's spec: "Guaranteed", "Burstable" or "BestEffort".
std::string_view QosClass(const doc::Value& spec);

}  // namespace knarr::api

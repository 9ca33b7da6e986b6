#pragma once

#include <string>
#include <vector>

#include "doc/value.h"

namespace knarr::apiserver {

/// What a LimitRange (its spec.limits) gives to containers that say nothing themselves, noted in an annotation.
void ApplyLimitDefaults(const doc::Value& limits, doc::Document& pod);
/// What of a pod, or of a claim, is beyond its bounds.
std::vector<std::string> PodLimitProblems(const doc::Value& limits, const doc::Value& pod);
std::vector<std::string> ClaimLimitProblems(const doc::Value& limits, const doc::Value& claim);

}  // namespace knarr::apiserver

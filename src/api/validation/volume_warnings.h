#pragma once

// The part of pod_warnings.cc that looks at volumes. Internal to api/validation.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "api/core_v1.h"
#include "api/validation/errors.h"

namespace knarr::api::validation {

/// Comparisons of everything with everything end here: an ordinary pod needs far fewer, and nobody reads more warnings.
struct ComparisonBudget {
  size_t left = 200'000;
  bool Take() { return left > 0 && left-- > 0; }
};

/// A source of volumes that no node knows any more, or will not for long.
struct GoneSource {
  std::string_view member;
  std::string_view shown;
  std::string_view what;  ///< "": nothing, it is only in its place
};
/// nullptr when there is no such thing to say of it.
const GoneSource* FindGoneSource(std::string_view member);

/// `path` is the pod's spec.
void AddVolumeWarnings(const core_v1::PodSpec& spec, const Path& path, std::vector<std::string>& texts);

}  // namespace knarr::api::validation

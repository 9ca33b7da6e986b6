#pragma once

// The flow schemas and priority levels that every cluster begins with, as Kubernetes 1.36 has them. The mandatory ones
// are always there and can't be changed; the suggested ones are there for as long as nobody takes them away.

#include <span>
#include <string_view>

namespace knarr::api {

struct FairnessDefault {
  std::string_view kind;  ///< "FlowSchema" or "PriorityLevelConfiguration"
  std::string_view name;
  bool mandatory;
  std::string_view spec;  ///< canonical JSON, with all defaults
};

/// Priority levels before the schemas that name them.
std::span<const FairnessDefault> FairnessDefaults();

}  // namespace knarr::api

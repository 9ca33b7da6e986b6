#pragma once

// core/v1 NodeSelector: which nodes a pod wants or a volume can be reached from.

#include <string_view>

#include "api/core_v1.h"

namespace knarr::api {

/// What a selector asks about of a node.
struct NodeText {
  StringMap labels;
  std::string_view name;
};

/// All of the term's requirements; a term without any fits nothing.
bool Matches(core_v1::NodeSelectorTerm term, const NodeText& node);
/// Any of its terms.
bool Matches(core_v1::NodeSelector selector, const NodeText& node);

}  // namespace knarr::api

#pragma once

// Which taints a node's conditions and its spec ask for, for how long pods stay beside them, and what is known of a
// node that is not heard of any more. Pure.

#include <optional>
#include <string_view>
#include <vector>

#include "api/core_v1.h"

namespace knarr::controller {

struct NodeTaint {
  std::string_view key;
  std::string_view effect;
  bool operator==(const NodeTaint&) const = default;
};

/// Nothing new is placed on a node whose conditions or owner say so, and what is there leaves one that is not ready.
/// A node that is not `heard` of is unreachable, whatever it said last.
std::vector<NodeTaint> TaintsFor(api::core_v1::Node node, bool heard);
/// Whether TaintsFor is what decides about the taint.
bool IsConditionTaint(const NodeTaint& taint);
/// Takes away and adds so that the node has exactly the wanted ones of those; whether that changed anything.
bool FitTaints(api::core_v1::NodeEdit node, const std::vector<NodeTaint>& wanted, WallTime now);

/// How long the pod may stay on a node with this NoExecute taint; nullopt: for ever.
std::optional<Duration> StaysFor(api::core_v1::Pod pod, api::core_v1::Taint taint);

/// What the node's agent says of it is unknown from now on, also what it never said; whether that changed anything.
/// Conditions that others write stay.
bool MarkUnknown(api::core_v1::NodeEdit node, WallTime now);

}  // namespace knarr::controller

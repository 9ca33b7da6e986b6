#pragma once

// A ClusterRole with an aggregationRule has the rules of all ClusterRoles that its selectors match, and no others.

#include <vector>

#include "controller/framework/controller.h"

namespace knarr::controller {

std::unique_ptr<Controller> MakeClusterRoleAggregationController(Context context);

/// The rules that the role is to have: those of the roles its selectors match, selector by selector and by name, each
/// once. BadRequest when a selector is malformed. The value lives in the arena and shares what the roles have.
Result<doc::Value> AggregatedRules(const api::Object& role, const std::vector<api::ObjectPtr>& roles,
                                   doc::Arena& arena);

}  // namespace knarr::controller

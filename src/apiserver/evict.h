#pragma once

#include "apiserver/registry.h"

namespace knarr::apiserver {

/// What creating a pod's eviction does: deletes the pod with the eviction's options, when the disruption budget that
/// covers it (`budgets`: the resource of PodDisruptionBudgets) allows it. That the budget is used and that the pod is
/// marked as a target of disruption is one transaction. TooManyRequests when the budget does not allow it, or not yet.
Ok EvictPod(RequestContext& context, ResourceRegistry& registry, Resource& pods, Resource& budgets,
            const ObjectName& name, const doc::Value& eviction, bool dry_run);

}  // namespace knarr::apiserver

#pragma once

// What creating a pod's binding or eviction does.

#include "apiserver/registry.h"

namespace knarr::apiserver {

/// Gives the pod its node, once. Conflict when it has one or is being deleted.
Ok BindPod(RequestContext& context, ResourceRegistry& registry, Resource& pods, const ObjectName& name,
           const doc::Value& binding, bool dry_run);
/// Deletes the pod with the eviction's options.
Ok EvictPod(RequestContext& context, ResourceRegistry& registry, Resource& pods, const ObjectName& name,
            const doc::Value& eviction, bool dry_run);

/// DeleteOptions (meta/v1) as a tree.
client::DeleteOptions ReadDeleteOptions(const doc::Value& options);

}  // namespace knarr::apiserver

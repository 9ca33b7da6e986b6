#pragma once

// The replicas of a workload are managed through the workload and through its scale subresource: the managers of the
// one are seen as managers of the other.

#include <string_view>

#include "api/managed/managers.h"
#include "doc/value.h"

namespace knarr::api::managed {

/// managedFields of a Scale: who manages spec.replicas of the workload. `api_version` is the workload's.
doc::Value ScaleManagedFields(const doc::Value& workload_fields, std::string_view api_version, doc::Arena& arena);
/// managedFields of the workload after its Scale was written. Entries of other versions are forgotten, as upstream
/// forgets those it does not serve.
doc::Value WorkloadManagedFields(const doc::Value& workload_fields, const doc::Value& scale_fields,
                                 std::string_view api_version, doc::Arena& arena);

}  // namespace knarr::api::managed

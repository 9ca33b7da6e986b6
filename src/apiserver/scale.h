#pragma once

#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// autoscaling/v1 Scale of a workload, and the workload with the replicas of a Scale.
Result<doc::Document> ProjectScale(const api::KindInfo& kind, const doc::Value& object);
Result<doc::Document> MergeScale(const api::KindInfo& kind, const doc::Value& object, const doc::Value& scale);

/// Gives a Scale the managers of the workload's replicas.
void ShareManagedFields(const api::KindInfo& kind, const doc::Value& object, doc::Document& scale);

}  // namespace knarr::apiserver

#pragma once

#include "api/schema.h"
#include "apiserver/openapi_schema.h"
#include "apiserver/resource.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// Appends the paths of a resource (its collection, its objects, their subresources) with their operations.
void AddPaths(OpenApiDialect dialect, const api::KindInfo& kind, doc::Value& paths, doc::Arena& arena);

}  // namespace knarr::apiserver

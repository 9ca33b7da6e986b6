#pragma once

// Paths and operations in OpenAPI's two dialects.

#include <set>
#include <vector>

#include "apiserver/openapi_paths.h"
#include "apiserver/openapi_schema.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// The "paths" object. Parameters that all operations of a path have stand at the path, once. The types that the
/// operations speak of are added to `types`.
doc::Value RenderPaths(OpenApiDialect dialect, const std::vector<OpenApiPath>& paths, doc::Arena& arena,
                       std::set<const api::Type*>& types);

}  // namespace knarr::apiserver

#pragma once

// The schema's types as OpenAPI schemas, in the two dialects that Kubernetes serves.

#include <string>
#include <string_view>

#include "api/schema.h"
#include "doc/value.h"

namespace knarr::apiserver {

enum class OpenApiDialect : uint8_t {
  kV2,  ///< Swagger 2.0: "#/definitions/…"
  kV3,  ///< OpenAPI 3.0: "#/components/schemas/…", references with more to say inside allOf
};

/// Appends the definition of every type reachable from `package` (all packages for null) to `definitions`, an object.
void AddDefinitions(OpenApiDialect dialect, const api::Package* package, doc::Value& definitions, doc::Arena& arena);

/// {"$ref": …} to a type's definition.
doc::Value SchemaReference(OpenApiDialect dialect, std::string_view openapi_name, doc::Arena& arena);

/// {"group", "kind", "version"} of a kind, as extensions carry it.
doc::Value GroupVersionKind(const api::KindInfo& kind, doc::Arena& arena);

}  // namespace knarr::apiserver

#pragma once

// The schema's types as OpenAPI schemas, in the two dialects that Kubernetes serves.

#include <set>
#include <string>
#include <string_view>

#include "api/schema.h"
#include "doc/value.h"

namespace knarr::apiserver {

enum class OpenApiDialect : uint8_t {
  kV2,  ///< Swagger 2.0: "#/definitions/…"
  kV3,  ///< OpenAPI 3.0: "#/components/schemas/…", references with more to say inside allOf
};

/// The name of the schema that stands for a patch of any form.
inline constexpr std::string_view kPatchSchema = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// What a document speaks of.
struct OpenApiRoots {
  std::set<const api::Type*> types;
  bool patches = true;
  /// Whose document it is; group "*" for all.
  std::string_view group;
  std::string_view version;
};
/// Appends the definition of every type reachable from the roots to `definitions`, an object.
void AddDefinitions(OpenApiDialect dialect, const OpenApiRoots& roots, doc::Value& definitions, doc::Arena& arena);

/// {"$ref": …} to a type's definition.
doc::Value SchemaReference(OpenApiDialect dialect, std::string_view openapi_name, doc::Arena& arena);

/// {"group", "kind", "version"} of a kind, as extensions carry it.
doc::Value GroupVersionKind(const api::KindInfo& kind, doc::Arena& arena);

}  // namespace knarr::apiserver

#pragma once

// Whether values meet a schema of a custom resource: the subset of JSON schema that OpenAPI v3 has, with the words of
// Kubernetes' own checker (kube-openapi).

#include <string>

#include "api/validation.h"
#include "doc/value.h"

namespace knarr::api {

/// What of the value does not meet the schema; the fields lie below `path`. REQUIRES: a structural schema, canonical.
ErrorList CheckAgainstSchema(const doc::Value& schema, const doc::Value& value, const std::string& path);

}  // namespace knarr::api

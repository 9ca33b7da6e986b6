#pragma once

// What the server fills in: the schema's `default=` values, and the rules of core and apps that need more than a
// constant, as upstream's defaulting functions apply them. A rule belongs to a type and holds wherever the type stands
// (a PodSpec in a Deployment's template gets what a Pod's gets). Fields that say the same twice (podIP and podIPs,
// serviceAccount and serviceAccountName, a Secret's stringData and data) are brought together here too.

#include "api/schema.h"
#include "doc/value.h"

namespace knarr::api {

/// REQUIRES: a canonical tree. Leaves it canonical.
void ApplyDefaults(const Type& type, doc::Value& tree, doc::Arena& arena);

/// Where a DaemonSet shows how often its template was changed.
inline constexpr std::string_view kTemplateGeneration = "deprecated.daemonset.template.generation";

/// Whether the image is named by the tag "latest", written or meant.
bool ImageIsLatest(std::string_view image);

}  // namespace knarr::api

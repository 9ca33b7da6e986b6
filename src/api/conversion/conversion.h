#pragma once

// One kind in several versions. Objects are stored in one version of their kind and shown in each: what is written as
// autoscaling/v1 can be read as autoscaling/v2 and the other way round, and so can the two kinds of Events. The rules
// are upstream's, so that nothing gets lost on the way: what autoscaling/v1 has no field for travels in annotations.

#include <string_view>

#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::api {

/// The version that objects of the kind are stored in; the kind itself when there is but one.
const KindInfo& StorageKind(const KindInfo& kind);

/// The object as the other kind, canonical, with that kind's apiVersion; a copy when both are the same. What stands in
/// the annotations that only conversion writes is taken over where it makes sense and ignored where it does not.
/// REQUIRES: a canonical tree, and kinds with the same StorageKind.
Result<doc::Document> ConvertKind(const doc::Value& object, const KindInfo& from, const KindInfo& to);

/// What the stored version of the kind calls a field that selectors may name: "involvedObject.kind" for an
/// events.k8s.io Event's "regarding.kind".
std::string_view StoredFieldLabel(const KindInfo& kind, std::string_view label);

/// Removes the annotations that carry what autoscaling/v1 has no fields for. autoscaling/v2 never shows them.
void DropAutoscalingAnnotations(doc::Value& object);

}  // namespace knarr::api

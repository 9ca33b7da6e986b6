#pragma once

// Strategic merge patch, upstream's own patch form: lists merge by key where the schema says so, and directives in the
// patch ($patch, $retainKeys, $deleteFromPrimitiveList/…, $setElementOrder/…) say the rest. Behaviour and messages are
// those of apimachinery's strategicpatch.

#include "api/schema.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::api {

/// The object with the patch applied, in `arena`; not canonical (unknown fields of the patch are in it). BadRequest
/// where the patch is malformed.
Result<doc::Value> StrategicMerge(const Type& type, const doc::Value& object, const doc::Value& patch,
                                  doc::Arena& arena);

/// The patch that client-side apply sends: what `modified` (the manifest) adds to or changes in `current` (the live
/// object), and what it no longer has of `original` (the manifest applied last; null when there was none). Keys are
/// sorted; an empty object means that there is nothing to do. Fails (BadRequest) when it would change apiVersion, kind
/// or metadata.name.
Result<doc::Value> CreateThreeWayMergePatch(const Type& type, const doc::Value& original, const doc::Value& modified,
                                            const doc::Value& current, doc::Arena& arena);

/// The strategic merge patch that makes `modified` of `original` (what `kubectl edit` and `kubectl label` send). Keys
/// are sorted.
Result<doc::Value> CreateTwoWayMergePatch(const Type& type, const doc::Value& original, const doc::Value& modified,
                                          doc::Arena& arena);

}  // namespace knarr::api

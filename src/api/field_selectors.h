#pragma once

// The fields that --field-selector may name, per kind, as upstream registers them.

#include <span>
#include <string>
#include <string_view>

#include "api/schema.h"
#include "base/selector.h"
#include "base/status.h"
#include "doc/value.h"

namespace knarr::api {

/// The selectable fields of a kind, metadata.name and (in namespaces) metadata.namespace among them.
std::span<const std::string_view> SelectableFields(const KindInfo& kind);

/// BadRequest when the selector names a field that is not selectable: "field label not supported: spec.foo".
Ok CheckFieldSelector(const KindInfo& kind, const FieldSelector& selector);

/// What a selector compares: the field as text, "" when it is not there. REQUIRES: a selectable field.
std::string SelectableValue(const KindInfo& kind, const doc::Value& object, std::string_view field);

bool MatchesFields(const KindInfo& kind, const FieldSelector& selector, const doc::Value& object);

}  // namespace knarr::api

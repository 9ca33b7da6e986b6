#pragma once

// What objects, lists and events are rendered with. Internal to render*.cc.

#include <span>
#include <string_view>

#include "api/schema.h"
#include "apiserver/render.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// meta/v1's PartialObjectMetadata, or its list.
const api::Type* PartialType(bool list);
/// The object's metadata as a PartialObjectMetadata. Borrows from the object.
doc::Value PartialObject(const doc::Value& object, std::string_view meta_version, doc::Arena& arena);
/// A Table of these objects, with or without its columns. Borrows from the objects.
doc::Value TableOf(const api::KindInfo& kind, std::span<const doc::Value* const> objects, const doc::Value& metadata,
                   const RenderOptions& options, bool with_columns, doc::Arena& arena);

}  // namespace knarr::apiserver

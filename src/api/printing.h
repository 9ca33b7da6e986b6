#pragma once

// Kinds as table rows: what the server answers when a client asks for a Table, and what `knarr kubectl get` prints.
// Columns, cells and their order are upstream's.

#include <span>
#include <string>

#include "api/schema.h"
#include "base/time.h"
#include "doc/value.h"

namespace knarr::api {

/// The columns of a kind. Kinds without their own have Name and Created At.
std::span<const Column> ColumnsOf(const KindInfo& kind);

/// One cell a column (the wide ones too), as an array of strings, integers and booleans in `arena`. Ages count back
/// from `now`.
doc::Value RowOf(const KindInfo& kind, const doc::Value& object, WallTime now, doc::Arena& arena);

/// The row's conditions: pods that have ended carry "Completed". Null for all others.
doc::Value RowConditionsOf(const KindInfo& kind, const doc::Value& object, doc::Arena& arena);

/// What a Table carries of each object besides the cells: ?includeObject=None|Metadata|Object.
enum class IncludeObject : uint8_t { kNone, kMetadata, kObject };

/// A meta.k8s.io/v1 Table of one object or of a list's items. `metadata` (a list's or the object's own) gives
/// resourceVersion, continue and remainingItemCount. The objects are not copied.
doc::Value MakeTable(const KindInfo& kind, std::span<const doc::Value* const> objects, const doc::Value& metadata,
                     IncludeObject include, WallTime now, doc::Arena& arena);

/// "5m" since the time, "<unknown>" without one.
std::string AgeText(const doc::Value& timestamp, WallTime now);

}  // namespace knarr::api

#pragma once

// Reading the database at the start.

#include <string>

#include "store/core.h"
#include "store/sqlite.h"

namespace knarr::store {

/// Reads all records, in order, on the blocking pool. InternalError, with the place, when something is damaged.
Result<Recovered> LoadAll(rt::Runtime& world, Database& database, const Sealer* sealer);

}  // namespace knarr::store

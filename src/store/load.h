#pragma once

// Reading the database and its journal at the start.

#include <string>
#include <vector>

#include "store/core.h"
#include "store/journal_reader.h"
#include "store/sqlite.h"

namespace knarr::store {

struct Loaded {
  Recovered recovered;
  std::vector<ItemRef> journaled;  ///< the records that only the journal has, in the order of their rows
  std::vector<ItemRef> resealed;   ///< rows of the database that the journal has in a newer form
};

/// Reads all records, in order, on the blocking pool. InternalError, with the place, when something is damaged.
/// REQUIRES: nothing of the journal is.
Result<Loaded> LoadAll(rt::Runtime& world, Database& database, const Sealer* sealer, const JournalLeft& journal);

}  // namespace knarr::store

#pragma once

// The log in an SQLite database (why SQLite: docs/decisions/0006-storage-engine.md).
//
// One table holds state and history alike: a row for each put or delete, in the order they happened, so that a write
// only ever appends at the right edge of the tree. Start-up reads it once from end to end. Compaction deletes the rows
// that neither the current state nor the kept history needs. Each row carries a checksum: SQLite finds a damaged page
// structure by itself, but not a flipped bit in a value.

#include <memory>
#include <string>

#include "store/core.h"
#include "store/sealer.h"

namespace knarr::store {

struct OpenedLog {
  std::unique_ptr<Log> log;
  Recovered recovered;
};

/// Opens or makes the database in the directory, which exists, and reads it. Suspends. Unavailable when another
/// process has it open; InternalError, with the place, when it is damaged or of another format.
/// Values pass through `sealer` (null: as they are).
Result<OpenedLog> OpenSqliteLog(rt::Runtime& world, const std::string& path, std::shared_ptr<const Sealer> sealer);

}  // namespace knarr::store

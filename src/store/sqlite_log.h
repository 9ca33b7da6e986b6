#pragma once

// The log in an SQLite database (why SQLite: docs/decisions/0006-storage-engine.md).
//
// One table holds state and history alike: a row for each put or delete, in the order they happened, so that a write
// only ever appends at the right edge of the tree. Start-up reads it once from end to end. Compaction deletes the rows
// that neither the current state nor the kept history needs. Each row carries a checksum: SQLite finds a damaged page
// structure by itself, but not a flipped bit in a value.
//
// After an error that leaves it uncertain what is on the disk (a sync that failed: the kernel may have dropped what it
// could not write, and says so only once) the file is not asked: all that was acknowledged is in memory, and is written
// to a new database that takes the old one's place (store/rewrite.h).

#include <memory>
#include <string>

#include "rt/file_lock.h"
#include "store/core.h"
#include "store/sealer.h"

namespace knarr::store {

struct OpenedLog {
  std::unique_ptr<Log> log;
  Recovered recovered;
};

/// Opens or makes the database in the directory, which exists, and reads it. Suspends. Unavailable when another
/// process has it open; InternalError, with the place, when it is damaged or of another format.
/// Values pass through `sealer` (null: as they are). The lock of the folder is held until the log is closed.
Result<OpenedLog> OpenSqliteLog(rt::Runtime& world, const std::string& path, std::shared_ptr<const Sealer> sealer,
                                std::unique_ptr<rt::FileLock> lock = nullptr);

}  // namespace knarr::store

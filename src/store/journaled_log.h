#pragma once

// The log of an embedded store: a journal (store/journal.h), where a batch is durable at the cost of one write and one
// sync, in front of a database (store/record_table.h), to which what it says is brought in the background
// (store/applier.h).
//
// After an error that leaves it uncertain what is on the disk (a sync that failed: the kernel may have dropped what it
// could not write, and says so only once) neither is asked: all that was acknowledged is in memory, and is written to a
// new database that takes the old one's place (store/rewrite.h) and draws a number of its own, for which no frame of
// the old journal counts.

#include <memory>
#include <string>
#include <vector>

#include "rt/file_lock.h"
#include "store/applier.h"
#include "store/core.h"
#include "store/sealer.h"

namespace knarr::store {

struct OpenedLog {
  std::unique_ptr<Log> log;
  Recovered recovered;
};

struct LogOptions {
  std::string path;  ///< of the database, whose folder exists
  /// Values pass through it; null: as they are.
  std::shared_ptr<const Sealer> sealer = nullptr;
  /// Of the folder; held until the log is closed.
  std::unique_ptr<rt::FileLock> lock = nullptr;
  JournalLimits limits{};
  RareProbe probe = nullptr;
};

/// Opens or makes the database, and reads it and its journal. Suspends. Unavailable when another process has it open;
/// InternalError, with the place, when it is damaged or of another format.
Result<OpenedLog> OpenJournaledLog(rt::Runtime& world, LogOptions options);

}  // namespace knarr::store

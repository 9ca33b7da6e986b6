#pragma once

// The folder of an embedded store: store.db, and while it is open store.db-wal and journal-1, journal-2, …; lock; and
// what store/rewrite.h leaves for a moment.

#include <memory>
#include <string>

#include "rt/file_lock.h"
#include "rt/file_system.h"

namespace knarr::store {

std::string DatabasePath(const std::string& directory);

/// The lock that whoever works with the files holds from before the first look at them; it ends with the process,
/// however that ends. Unavailable: another has it.
Result<std::unique_ptr<rt::FileLock>> LockFolder(rt::Runtime& runtime, const std::string& directory);

/// An empty database file for its owner alone, when there is none: whoever opens it first makes the tables.
Ok MakeDatabaseFile(rt::FileSystem& files, const std::string& path);

}  // namespace knarr::store

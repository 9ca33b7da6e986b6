#pragma once

// Looking after the files of a store that is stopped. Every call takes the folder's lock: Unavailable while a server
// has it. NotFound when there is no store. Values are handled as they lie on the disk: none of this needs their keys.

#include <functional>
#include <string>
#include <string_view>

#include "store/backup.h"
#include "store/maintenance.h"

namespace knarr::store {

/// Reads every record and compares it with its checksum.
Result<CheckReport> CheckFolder(rt::Runtime& runtime, const std::string& directory);

/// Moves exactly what is damaged to a file beside the database, and writes the other records as they are to a new one.
/// Where pages can't be read, the old database is kept too.
Result<CheckReport> RepairFolder(rt::Runtime& runtime, const std::string& directory);

/// Of the figures, those that the disk knows.
Result<StoreStats> StatsOfFolder(rt::Runtime& runtime, const std::string& directory);

/// Writes a new database with the newest state alone.
Result<Reclaimed> CompactFolder(rt::Runtime& runtime, const std::string& directory);

/// InternalError when something is damaged: a backup has all there was, or is none.
Result<BackupInfo> BackupFolder(rt::Runtime& runtime, const std::string& directory,
                                const std::function<Ok(std::string_view)>& sink);

/// Reads a backup from end to end.
Result<BackupInfo> CheckBackup(rt::Runtime& runtime, const std::string& file);

struct RestoreOptions {
  /// A store that has something is replaced.
  bool force = false;
  /// The restored store goes on so many revisions behind the backup's: a revision that a client has seen since must not
  /// come to mean something else.
  Revision bump = 1000000;
};

/// Makes the store that the backup is of. It is checked first; killed at any moment, the old store or the new one is
/// there. AlreadyExists: the store is not empty.
Result<BackupInfo> RestoreFolder(rt::Runtime& runtime, const std::string& directory, const std::string& file,
                                 const RestoreOptions& options);

}  // namespace knarr::store

#pragma once

// Putting a whole new database in the place of one: what a restore, a repair, and a store whose disk failed do.
//
// The new one is written to PATH.partial, synced, and becomes PATH.new by a rename: from that moment on it is the
// store. What is left, the old write-ahead log and the rename to PATH, is finished by whoever opens the store next, if
// it was cut short. So a process that is killed anywhere leaves the old store or the new one.

#include <string>

#include "rt/file_system.h"
#include "store/format.h"

namespace knarr::store {

/// Makes PATH.partial. On a thread of the blocking pool.
class DatabaseWriter {
 public:
  explicit DatabaseWriter(const std::string& path) : database_(path + ".partial") {}
  ~DatabaseWriter();
  /// REQUIRES: nothing of an earlier attempt is there (see FinishReplace).
  Ok Begin();
  /// In the order of their rows, which is that of their revisions. `record.sum` is made anew.
  Ok Add(const Record& record);
  /// With the mark, on the disk, closed.
  Ok Finish(Revision compacted);

 private:
  Database database_;
  std::unique_ptr<Statement> insert_;
};

/// PATH.partial is the store from here on. REQUIRES: PATH is open nowhere.
Ok Replace(rt::FileSystem& files, const std::string& path);
/// Finishes a Replace that was cut short; forgets what was not finished. Before PATH is opened.
Ok FinishReplace(rt::FileSystem& files, const std::string& path);

}  // namespace knarr::store

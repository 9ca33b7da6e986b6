#pragma once

// Putting a whole new database in the place of one: what a restore, a repair, and a store whose disk failed do.
//
// The new one is written to PATH.partial, synced, and becomes PATH.new by a rename: from that moment on it is the
// store. What is left, the old journal and write-ahead log and the rename to PATH, is finished by whoever opens the
// store next, if it was cut short. So a process that is killed anywhere leaves the old store or the new one.

#include <memory>
#include <string>

#include "rt/file_system.h"
#include "rt/runtime.h"
#include "store/format.h"

namespace knarr::store {

/// A new database for the place of PATH. Its folder's lock is held.
class Replacement {
 public:
  Replacement(rt::Runtime& runtime, std::string path);
  /// One that was not put in place leaves nothing behind: it may be what fills the disk. In a fiber.
  ~Replacement();
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  /// Finishes an earlier one (see FinishReplace).
  Ok Begin();
  /// In the order of their rows, which is that of their revisions. `record.sum` is made anew. Any thread.
  Ok Add(const Record& record);
  /// With the mark, and closed.
  Ok Finish(Revision compacted);
  /// It is the store from here on, and on the disk. REQUIRES: PATH is open nowhere.
  Ok Replace();

 private:
  Ok MakeTables();
  rt::Runtime& runtime_;
  const std::string path_;
  const std::string partial_;
  Database database_;
  std::unique_ptr<Statement> insert_;
};

/// Finishes a replacement that was cut short; forgets what was not finished. Before PATH is opened.
Ok FinishReplace(rt::FileSystem& files, const std::string& path);

}  // namespace knarr::store

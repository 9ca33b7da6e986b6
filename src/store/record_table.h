#pragma once

// The database of an embedded store (why SQLite: docs/decisions/0006-storage-engine.md): a checkpoint of what the
// journal says.
//
// One table holds state and history alike: a row for each put or delete, in the order they happened, so that a write
// only ever appends at the right edge of the tree. Start-up reads it once from end to end. Compaction deletes the rows
// that neither the current state nor the kept history needs. Each row carries a checksum: SQLite finds a damaged page
// structure by itself, but not a flipped bit in a value.
//
// A transaction is on the disk when a Checkpoint has followed it: until then the journal has what it brought. A sync or
// a write that failed leaves in doubt what is on the disk (the kernel may have dropped what it could not write, and
// says so only once); who gets such an error must not go on with this database.

#include <functional>
#include <memory>
#include <string>

#include "rt/runtime.h"
#include "store/backlog.h"
#include "store/sealer.h"
#include "store/sqlite.h"

namespace knarr::store {

/// A value as it goes to the disk: `keep` holds the bytes when they are others. `sealer` may be null.
Result<Record> SealedRecord(const Item& item, const Sealer* sealer, std::optional<std::string>& keep);

/// On the blocking pool, one call at a time.
class RecordTable {
 public:
  RecordTable(rt::Runtime& runtime, std::string path, std::shared_ptr<const Sealer> sealer)
      : runtime_(runtime), path_(std::move(path)), sealer_(std::move(sealer)), database_(path_) {}

  /// Makes what is missing. Its own errors are those of Database.
  Ok Open();
  bool is_open() const { return database_.is_open(); }
  Database& database() { return database_; }
  const std::string& path() const { return path_; }

  /// One transaction. ServerTimeout: it is as if it had not been.
  Ok Apply(const Backlog::Step& step);
  /// What was applied is on the disk. ServerTimeout: it is not, nothing is lost, and it may be tried again.
  Ok Checkpoint();
  /// As Checkpoint, and of the write-ahead log nothing is left.
  Ok Truncate();
  size_t log_bytes() const;
  /// What the write-ahead log keeps of its size once it was longer, about.
  Ok KeepLog(size_t bytes);
  /// More than one `part`th of the file is unused.
  bool Spacious(int64_t part);
  /// Gives some of it back to the file system, as long as that is so and for so long. REQUIRES: Spacious(part).
  Ok GiveBack(int64_t part, Duration most);
  /// What rows were before they are changed is overwritten, not just left behind.
  Ok Scrubs();
  /// A commit, to see whether there is space for one.
  Ok Probe();
  int64_t disk_bytes() const { return database_.file_bytes() + database_.log_bytes(); }
  /// With `as_it_is`, nothing is written any more.
  void Close(bool as_it_is);

 private:
  struct Statements {
    Statement begin, commit, rollback, insert, reseal, forget, compacted, journal, free_pages, pages, vacuum;
  };
  Ok Prepare();
  Ok ApplyRows(const Backlog::Step& step);
  Ok WriteMarks(const Backlog::Step& step);
  /// Takes back what an error has left open.
  Ok Undo(Ok failed);

  rt::Runtime& runtime_;
  const std::string path_;
  const std::shared_ptr<const Sealer> sealer_;
  Database database_;
  std::unique_ptr<Statements> statements_;
  size_t log_pages_ = 0;  ///< in the write-ahead log
  size_t log_kept_ = 0;   ///< as SQLite was told
};

}  // namespace knarr::store

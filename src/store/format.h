#pragma once

// What lies in the database: one table of records, a row for each put or delete in the order they happened, the mark of
// the compaction, and the mark of the journal (store/journal.h): how much of it the database has. Format 2 gave the
// mark of the compaction a checksum, format 3 brought the journal; a database of an older format is upgraded when it is
// opened, in one transaction.

#include <cstdint>
#include <string_view>

#include "store/sqlite.h"
#include "store/store.h"

namespace knarr::store {

constexpr int kFormat = 3;

/// Pragmas of every database, before its tables are looked at.
Ok SetUp(Database& database);
/// Makes the tables of a new database, upgrades one of an older format. InternalError: of another program, or newer.
/// `generation`: a random number, the database's own if it has none yet.
Ok CheckFormat(Database& database, uint64_t generation);
/// History up to here is gone. InternalError when it is damaged.
Result<Revision> ReadMark(Database& database);
/// REQUIRES: inside a transaction, or alone.
Ok WriteMark(Database& database, Revision compacted);
uint64_t MarkChecksum(Revision compacted);

/// Which journal belongs to the database, and up to which of its frames the database has what they say.
struct JournalMark {
  uint64_t generation = 0;
  uint64_t applied = 0;
};
/// InternalError when it is damaged.
Result<JournalMark> ReadJournalMark(Database& database);
uint64_t JournalMarkChecksum(const JournalMark& mark);

constexpr const char* kUpdateMark = "UPDATE compacted SET revision=?, sum=? WHERE id=1";
constexpr const char* kUpdateJournalMark = "UPDATE journal SET generation=?, applied=?, sum=? WHERE id=1";
/// Binds what kUpdateJournalMark wants.
void BindJournalMark(Statement& update, const JournalMark& mark);
constexpr const char* kInsertRecord = "INSERT INTO log VALUES(?,?,?,?,?,?)";
constexpr const char* kSelectRecords =
    "SELECT row, revision, created, key, value, sum FROM log WHERE row>=? ORDER BY row";

/// A record as it lies on the disk: what it points at is the statement's, until its next step.
struct Record {
  int64_t row = 0;
  Revision revision = 0;
  Revision created = 0;
  std::string_view key;
  bool is_delete = false;
  std::string_view value;  ///< maybe sealed
  uint64_t sum = 0;

  uint64_t Checksum() const;
  /// It is what was written.
  bool Good() const;
};

/// The record a statement of kSelectRecords stands at.
Record RecordAt(Statement& rows);
/// Binds all that kInsertRecord wants; the bytes must stay until it has run. The sum is made here.
void BindRecord(Statement& insert, const Record& record);

}  // namespace knarr::store

#pragma once

// What lies in the database: one table of records, a row for each put or delete in the order they happened, and the
// mark of the compaction. Format 2 gave the mark a checksum; a database of format 1 is upgraded when it is opened, in
// one transaction.

#include <cstdint>
#include <string_view>

#include "store/sqlite.h"
#include "store/store.h"

namespace knarr::store {

constexpr int kFormat = 2;

/// Pragmas of every database, before its tables are looked at.
Ok SetUp(Database& database);
/// Makes the tables of a new database, upgrades one of an older format. InternalError: of another program, or newer.
Ok CheckFormat(Database& database);
/// History up to here is gone. InternalError when it is damaged.
Result<Revision> ReadMark(Database& database);
/// REQUIRES: inside a transaction, or alone.
Ok WriteMark(Database& database, Revision compacted);
uint64_t MarkChecksum(Revision compacted);

constexpr const char* kUpdateMark = "UPDATE compacted SET revision=?, sum=? WHERE id=1";
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

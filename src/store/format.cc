#include "store/format.h"

#include <sqlite3.h>

#include "store/checksum.h"

namespace knarr::store {

namespace {

constexpr int kApplicationId = 0x4b6e7273;  // "Knrs"

Ok MakeJournalMark(Database& database, uint64_t generation) {
  TRY(
      database.Run("CREATE TABLE journal(id INTEGER PRIMARY KEY, generation INTEGER NOT NULL, applied INTEGER NOT NULL,"
                   " sum INTEGER NOT NULL)"));
  TRY(database.Run("INSERT INTO journal VALUES(1, 0, 0, 0)"));
  Statement mark;
  TRY(database.Prepare(mark, kUpdateJournalMark));
  BindJournalMark(mark, {.generation = generation, .applied = 0});
  const int code = mark.Run();
  if (code != SQLITE_OK) return database.Error(code, "write the journal's mark");
  return {};
}

Ok MakeTables(Database& database) {
  TRY(
      database.Run("CREATE TABLE log(row INTEGER PRIMARY KEY, revision INTEGER NOT NULL, created INTEGER NOT NULL,"
                   " key BLOB NOT NULL, value BLOB, sum INTEGER NOT NULL)"));
  TRY(
      database.Run("CREATE TABLE compacted(id INTEGER PRIMARY KEY, revision INTEGER NOT NULL,"
                   " sum INTEGER NOT NULL DEFAULT 0)"));
  TRY(database.Run("INSERT INTO compacted(id, revision) VALUES(1, 0)"));
  TRY(WriteMark(database, 0));
  return database.Run(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str());
}

/// Format 1 had no checksum of the mark.
Ok UpgradeFrom1(Database& database) {
  const Revision compacted = TRY(database.Query("SELECT revision FROM compacted WHERE id=1"));
  TRY(database.Run("ALTER TABLE compacted ADD COLUMN sum INTEGER NOT NULL DEFAULT 0"));
  return WriteMark(database, compacted);
}

}  // namespace

Ok SetUp(Database& database) {
  // To an existing one auto_vacuum would be written again, and a start writes nothing: the disk may be full.
  if (TRY(database.Query("PRAGMA page_count")) == 0) {
    TRY(database.Run("PRAGMA page_size=8192"));
    TRY(database.Run("PRAGMA auto_vacuum=INCREMENTAL"));
  }
  TRY(database.Run("PRAGMA cache_size=-1024"));
  return database.Run("PRAGMA cell_size_check=ON");
}

Ok CheckFormat(Database& database, uint64_t generation) {
  TRY(database.Run("BEGIN EXCLUSIVE"));
  const int64_t tables = TRY(database.Query("SELECT count(*) FROM sqlite_master"));
  const int64_t application = TRY(database.Query("PRAGMA application_id"));
  const int64_t format = TRY(database.Query("PRAGMA user_version"));
  if (tables == 0 && application == 0 && format == 0) {
    TRY(MakeTables(database));
  } else if (application != kApplicationId) {
    return Internal("store " + database.path() + " is a database of another program: choose another data folder");
  } else if (format < 1 || format > kFormat) {
    return Internal("store " + database.path() + " has format " + std::to_string(format) +
                    ", this program knows formats 1 to " + std::to_string(kFormat) +
                    ": use the version of knarr that wrote it, or a newer one");
  }
  if (format == 1) TRY(UpgradeFrom1(database));
  if (format < 3) TRY(MakeJournalMark(database, generation));
  if (format != kFormat) TRY(database.Run(("PRAGMA user_version=" + std::to_string(kFormat)).c_str()));
  return database.Run("COMMIT");
}

uint64_t MarkChecksum(Revision compacted) { return RecordChecksum(0, compacted, 0, "compacted", nullptr); }

Result<Revision> ReadMark(Database& database) {
  Statement mark;
  TRY(database.Prepare(mark, "SELECT revision, sum FROM compacted WHERE id=1"));
  const int code = mark.Step();
  if (code == SQLITE_DONE) return database.Damaged("the mark of the compaction is gone");
  if (code != SQLITE_ROW) return database.Error(code, "read the mark");
  const Revision compacted = mark.Number(0);
  if (compacted < 0 || static_cast<uint64_t>(mark.Number(1)) != MarkChecksum(compacted)) {
    return database.Damaged("the mark of the compaction does not match its checksum");
  }
  return compacted;
}

Ok WriteMark(Database& database, Revision compacted) {
  Statement mark;
  TRY(database.Prepare(mark, kUpdateMark));
  mark.Bind(1, compacted);
  mark.Bind(2, static_cast<int64_t>(MarkChecksum(compacted)));
  const int code = mark.Run();
  if (code != SQLITE_OK) return database.Error(code, "write the mark");
  return {};
}

uint64_t JournalMarkChecksum(const JournalMark& mark) {
  return RecordChecksum(0, static_cast<int64_t>(mark.applied), static_cast<int64_t>(mark.generation), "journal",
                        nullptr);
}

Result<JournalMark> ReadJournalMark(Database& database) {
  Statement read;
  TRY(database.Prepare(read, "SELECT generation, applied, sum FROM journal WHERE id=1"));
  const int code = read.Step();
  if (code == SQLITE_DONE) return database.Damaged("the mark of the journal is gone");
  if (code != SQLITE_ROW) return database.Error(code, "read the journal's mark");
  const JournalMark mark{.generation = static_cast<uint64_t>(read.Number(0)),
                         .applied = static_cast<uint64_t>(read.Number(1))};
  if (static_cast<uint64_t>(read.Number(2)) != JournalMarkChecksum(mark)) {
    return database.Damaged("the mark of the journal does not match its checksum");
  }
  return mark;
}

void BindJournalMark(Statement& update, const JournalMark& mark) {
  update.Bind(1, static_cast<int64_t>(mark.generation));
  update.Bind(2, static_cast<int64_t>(mark.applied));
  update.Bind(3, static_cast<int64_t>(JournalMarkChecksum(mark)));
}

uint64_t Record::Checksum() const { return RecordChecksum(row, revision, created, key, is_delete ? nullptr : &value); }

bool Record::Good() const {
  return sum == Checksum() && row >= 1 && !key.empty() && created >= 1 && created <= revision;
}

Record RecordAt(Statement& rows) {
  Record record;
  record.row = rows.Number(0);
  record.revision = rows.Number(1);
  record.created = rows.Number(2);
  record.key = rows.Blob(3);
  record.is_delete = rows.IsNull(4);
  record.value = rows.Blob(4);
  record.sum = static_cast<uint64_t>(rows.Number(5));
  return record;
}

void BindRecord(Statement& insert, const Record& record) {
  insert.Bind(1, record.row);
  insert.Bind(2, record.revision);
  insert.Bind(3, record.created);
  insert.Bind(4, record.key);
  if (record.is_delete) {
    insert.BindNull(5);
  } else {
    insert.Bind(5, record.value);
  }
  insert.Bind(6, static_cast<int64_t>(record.Checksum()));
}

}  // namespace knarr::store

#include "store/scan.h"

#include <sqlite3.h>

#include <algorithm>

namespace knarr::store {

namespace {

/// So many rows are looked for one by one behind a damaged page; a page has no more, but a run of them may.
constexpr int64_t kStepsOfOne = 20000;

/// Whether something (or the end) can be read from the row on.
Result<bool> Readable(Database& database, int64_t row) {
  Statement rows;
  const int prepared = rows.Prepare(database.get(), kSelectRecords);
  if (Database::IsDamage(prepared)) return false;
  if (prepared != SQLITE_OK) return database.Error(prepared, "read");
  rows.Bind(1, row);
  const int code = rows.Step();
  if (code == SQLITE_ROW || code == SQLITE_DONE) return true;
  if (Database::IsDamage(code)) return false;
  return database.Error(code, "read");
}

/// The first row from which on it can be read again; kRowMax: none.
Result<int64_t> SkipDamage(Database& database, int64_t from) {
  int64_t bad = from;
  int64_t step = 1;
  while (bad < kRowMax) {
    const int64_t next = bad + step;
    if (TRY(Readable(database, next))) {
      int64_t good = next;
      while (good - bad > 1) {
        const int64_t middle = bad + (good - bad) / 2;
        (TRY(Readable(database, middle)) ? good : bad) = middle;
      }
      return good;
    }
    bad = next;
    if (bad - from >= kStepsOfOne) step *= 2;
  }
  return kRowMax;
}

}  // namespace

Ok ScanSome(Database& database, const JournalLeft& journal, Scan& scan, size_t most,
            const std::function<Ok(const Record& record)>& visit,
            const std::function<void(int64_t first, int64_t last, const std::string& why)>& unreadable) {
  const auto take = [&](const Record& record) -> Ok {
    TRY(visit(record));
    if (!record.Good()) return {};
    scan.last_row = record.row;
    scan.last_revision = record.revision;
    return {};
  };
  Statement rows;
  TRY(database.Prepare(rows, kSelectRecords));
  rows.Bind(1, scan.next);
  size_t i = 0;
  for (; i < most && !scan.rows_done; i++) {
    const int code = rows.Step();
    if (code == SQLITE_ROW) {
      const Record record = RecordAt(rows);
      const Record* instead = journal.Instead(record.row);
      scan.next = record.row + 1;
      if (!journal.Gone(record.row)) TRY(take(instead != nullptr ? *instead : record));
      continue;
    }
    scan.rows_done = code == SQLITE_DONE;
    if (scan.rows_done) break;
    if (!Database::IsDamage(code)) return database.Error(code, "read");
    const std::string why = sqlite3_errmsg(database.get());
    rows.Reset();
    const int64_t again = TRY(SkipDamage(database, scan.next));
    scan.rows_done = again == kRowMax;
    unreadable(scan.next, scan.rows_done ? kRowMax : again - 1, why);
    scan.next = again;
    rows.Bind(1, scan.next);
  }
  for (; i < most && scan.rows_done && scan.entries < journal.entries().size(); i++) {
    const JournalLeft::Entry& entry = journal.entries()[scan.entries++];
    if (entry.lost_last == 0) {
      TRY(take(entry.record));
    } else {
      unreadable(std::max(entry.record.row, scan.last_row + 1), entry.lost_last, entry.why);
    }
  }
  scan.done = scan.rows_done && scan.entries == journal.entries().size();
  return {};
}

Ok CheckStructure(Database& database, CheckReport& report) {
  Statement check;
  TRY(database.Prepare(check, "PRAGMA integrity_check(100)"));
  int code = check.Step();
  for (; code == SQLITE_ROW; code = check.Step()) {
    const std::string found(check.Blob(0));
    if (found != "ok") report.Add({.why = std::string(kStructure) + found});
  }
  return code == SQLITE_DONE || Database::IsDamage(code) ? Ok() : Ok(database.Error(code, "integrity check"));
}

Damage DamageOf(const Record& record) {
  return {.row = record.row,
          .row_end = record.row,
          .revision = record.revision,
          .key = std::string(record.key),
          .why = "does not match its checksum"};
}

Ok CheckSome(Database& database, const JournalLeft& journal, Scan& scan, size_t most, CheckReport& report) {
  return ScanSome(
      database, journal, scan, most,
      [&](const Record& record) -> Ok {
        if (!record.Good()) {
          report.Add(DamageOf(record));
        } else if (record.revision < scan.last_revision) {
          Damage damage = DamageOf(record);
          damage.why = "is out of order";
          report.Add(std::move(damage));
        } else {
          report.records++;
          report.revision = record.revision;
        }
        return {};
      },
      [&](int64_t first, int64_t last, const std::string& why) {
        report.Add({.row = first, .row_end = last, .why = "can't be read: " + why});
      });
}

}  // namespace knarr::store

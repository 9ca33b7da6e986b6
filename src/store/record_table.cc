#include "store/record_table.h"

#include <sqlite3.h>

#include <utility>

#include "store/format.h"

namespace knarr::store {

namespace {

constexpr size_t kPageBytes = 8192;
/// So many unused pages are never too many; what is more is given back eight at a time.
constexpr int64_t kSparePages = 24;

}  // namespace

Result<Record> SealedRecord(const Item& item, const Sealer* sealer, std::optional<std::string>& keep) {
  Record record;
  record.row = item.row;
  record.revision = item.mod_revision;
  record.created = item.create_revision;
  record.key = item.key();
  record.is_delete = !item.value;
  if (record.is_delete) return record;
  record.value = *item.value;
  if (sealer == nullptr) return record;
  keep = TRY(sealer->Seal(record.key, record.value).Context("store: " + std::string(record.key)));
  if (keep) record.value = *keep;
  return record;
}

Ok RecordTable::Open() {
  TRY(database_.Open());
  // Nothing is at stake while the file is being made: its syncs wait for the checkpoint at the end.
  const bool fresh = TRY(database_.Query("PRAGMA page_count")) == 0;
  TRY(database_.Run(fresh ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=NORMAL"));
  TRY(SetUp(database_));
  TRY(database_.Run("PRAGMA journal_mode=WAL"));
  TRY(database_.Run("PRAGMA wal_autocheckpoint=0"));
  TRY(CheckFormat(database_, runtime_.Random()));
  if (fresh) {
    TRY(database_.Run("PRAGMA synchronous=NORMAL"));
    TRY(Truncate());
  }
  auto note_length = [](void* self, sqlite3*, const char*, int pages) {
    static_cast<RecordTable*>(self)->log_pages_ = static_cast<size_t>(pages);
    return SQLITE_OK;
  };
  sqlite3_wal_hook(database_.get(), note_length, this);
  log_pages_ = static_cast<size_t>(database_.log_bytes()) / kPageBytes;
  log_kept_ = 0;
  return Prepare();
}

Ok RecordTable::Prepare() {
  statements_ = std::make_unique<Statements>();
  const std::pair<Statement*, const char*> all[] = {
      {&statements_->begin, "BEGIN IMMEDIATE"},
      {&statements_->commit, "COMMIT"},
      {&statements_->rollback, "ROLLBACK"},
      {&statements_->insert, kInsertRecord},
      {&statements_->reseal, "UPDATE log SET value=?, sum=? WHERE row=?"},
      {&statements_->forget, "DELETE FROM log WHERE row=?"},
      {&statements_->compacted, kUpdateMark},
      {&statements_->journal, kUpdateJournalMark},
      {&statements_->free_pages, "PRAGMA freelist_count"},
      {&statements_->pages, "PRAGMA page_count"},
      {&statements_->vacuum, "PRAGMA incremental_vacuum(8)"},
  };
  for (const auto& [statement, sql] : all) TRY(database_.Prepare(*statement, sql));
  return {};
}

void RecordTable::Close(bool as_it_is) {
  statements_.reset();
  database_.Close(as_it_is);
}

Ok RecordTable::ApplyRows(const Backlog::Step& step) {
  const auto run = [this](Statement& statement, std::string_view what) -> Ok {
    const int code = statement.Run();
    return code == SQLITE_OK ? Ok() : Ok(database_.Error(code, what));
  };
  TRY(run(statements_->begin, "begin"));
  for (const ItemRef& item : step.records) {
    std::optional<std::string> keep;
    BindRecord(statements_->insert, TRY(SealedRecord(*item, sealer_.get(), keep)));
    TRY(run(statements_->insert, "append"));
  }
  for (const ItemRef& item : step.reseal) {
    std::optional<std::string> keep;
    const Record record = TRY(SealedRecord(*item, sealer_.get(), keep));
    statements_->reseal.Bind(1, record.value);
    statements_->reseal.Bind(2, static_cast<int64_t>(record.Checksum()));
    statements_->reseal.Bind(3, record.row);
    TRY(run(statements_->reseal, "seal anew"));
  }
  for (const int64_t row : step.forget) {
    statements_->forget.Bind(1, row);
    TRY(run(statements_->forget, "forget"));
  }
  TRY(WriteMarks(step));
  return run(statements_->commit, "commit");
}

Ok RecordTable::WriteMarks(const Backlog::Step& step) {
  statements_->compacted.Bind(1, step.compacted);
  statements_->compacted.Bind(2, static_cast<int64_t>(MarkChecksum(step.compacted)));
  int code = statements_->compacted.Run();
  if (code != SQLITE_OK) return database_.Error(code, "compact");
  BindJournalMark(statements_->journal, step.mark);
  code = statements_->journal.Run();
  return code == SQLITE_OK ? Ok() : Ok(database_.Error(code, "mark"));
}

Ok RecordTable::Undo(Ok failed) {
  if (failed.ok()) return failed;
  // Some errors have rolled back already.
  if (database_.idle() || statements_->rollback.Run() == SQLITE_OK) return failed;
  return Internal(failed.status().message() + "; and it could not be rolled back");
}

Ok RecordTable::Apply(const Backlog::Step& step) { return Undo(ApplyRows(step)); }

Ok RecordTable::KeepLog(size_t bytes) {
  if (bytes <= 2 * log_kept_ && bytes >= log_kept_ / 2) return {};
  log_kept_ = bytes;
  return database_.Run(("PRAGMA journal_size_limit=" + std::to_string(bytes)).c_str());
}

size_t RecordTable::log_bytes() const { return log_pages_ * kPageBytes; }

Ok RecordTable::Checkpoint() {
  int left = 0;
  int copied = 0;
  const int code = sqlite3_wal_checkpoint_v2(database_.get(), "main", SQLITE_CHECKPOINT_PASSIVE, &left, &copied);
  if (code != SQLITE_OK) return database_.Error(code, "checkpoint");
  // Nobody reads while this runs: a part would mean that the journal is let go too early.
  if (left != copied) return database_.Error(SQLITE_BUSY, "checkpoint");
  // The next commit begins it anew.
  log_pages_ = 0;
  return {};
}

Ok RecordTable::Truncate() {
  Statement truncate;
  TRY(database_.Prepare(truncate, "PRAGMA wal_checkpoint(TRUNCATE)"));
  const int code = truncate.Step();
  if (code != SQLITE_ROW) return database_.Error(code, "checkpoint");
  if (truncate.Number(0) != 0) return database_.Error(SQLITE_BUSY, "checkpoint");
  log_pages_ = 0;
  return {};
}

bool RecordTable::Spacious(int64_t part) {
  auto number = [](Statement& pragma) {
    const int64_t value = pragma.Step() == SQLITE_ROW ? pragma.Number(0) : 0;
    pragma.Reset();
    return value;
  };
  const int64_t unused = number(statements_->free_pages);
  return unused > kSparePages && unused > number(statements_->pages) / part;
}

Ok RecordTable::GiveBack(int64_t part, Duration most) {
  const MonoTime end = runtime_.Mono() + most;
  int code = statements_->begin.Run();
  bool much = true;
  while (code == SQLITE_OK && much && runtime_.Mono() < end) {
    code = statements_->vacuum.Run();
    much = Spacious(part);
  }
  if (code == SQLITE_OK) code = statements_->commit.Run();
  return Undo(code == SQLITE_OK ? Ok() : Ok(database_.Error(code, "give space back")));
}

Ok RecordTable::Scrubs() { return database_.Run("PRAGMA secure_delete=ON"); }

Ok RecordTable::Probe() { return database_.Run("UPDATE compacted SET revision=revision"); }

}  // namespace knarr::store

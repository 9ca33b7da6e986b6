#include "store/sqlite_log.h"

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/log.h"
#include "rt/file_system.h"
#include "store/load.h"
#include "store/rewrite.h"
#include "store/scan.h"

namespace knarr::store {

namespace {

/// Unused pages beyond both bounds are given back to the file system, for so long at a time, and so many times eight of
/// them: what is moved lies in the write-ahead log first.
constexpr int64_t kSparePages = 24;
constexpr int64_t kSpareFraction = 10;
constexpr int kGiveBackTimes = 4;
constexpr Duration kGiveBackFor = std::chrono::milliseconds(1);
/// The write-ahead log is emptied into the database when it has an eighth of the live bytes, within these bounds: a
/// short log is emptied quickly, a long one saves writing.
constexpr size_t kLogLeast = 256 << 10;
constexpr size_t kLogMost = 4 << 20;
constexpr size_t kPageBytes = 8192;
constexpr size_t kCheckStretch = 256;
/// Beside the database, to see whether there is space again.
constexpr size_t kProbeBytes = 1 << 20;
std::string ProbePath(const std::string& path) { return path + ".probe"; }
/// Longer than this it can't be emptied: writing to it must end.
constexpr size_t kLogTooLong = 128 << 20;
/// Each update of the mark dirties a page of its own.
constexpr Revision kMarkEvery = 1024;

class SqliteLog : public Log {
 public:
  SqliteLog(rt::Runtime& world, std::string path, std::shared_ptr<const Sealer> sealer,
            std::unique_ptr<rt::FileLock> lock)
      : world_(world), path_(std::move(path)), sealer_(std::move(sealer)), lock_(std::move(lock)), database_(path_) {}

  Ok Open();
  Result<Recovered> Load();

  Ok Append(const Batch& batch) override {
    Ok written;
    world_.Blocking([&] { written = Write(batch); });
    return written;
  }
  void Tidy(size_t live_bytes) override;
  Ok Recover(const std::function<Contents()>& contents, bool rewrite) override;
  Ok Check(Scan& scan, CheckReport& report) override;
  const Sealer* sealer() const override { return sealer_.get(); }
  int64_t disk_bytes() const override { return disk_bytes_.load(std::memory_order_relaxed); }
  bool spacious() const override { return spacious_.load(std::memory_order_relaxed); }
  void Close() override {
    if (world_.current() != nullptr) {
      world_.Blocking([this] { CloseNow(); });
    } else {
      CloseNow();
    }
    lock_.reset();
  }
  void CloseNow();

 private:
  struct Statements {
    Statement begin, commit, rollback, insert, reseal, forget, compacted, free_pages, pages, vacuum, scrub;
  };
  Ok Prepare();
  Ok Write(const Batch& batch);
  Ok WriteRows(const Batch& batch);
  bool MarkIsDue(const Batch& batch) const;
  /// A value as it goes to the disk: `keep` holds the bytes when they are others.
  Result<std::string_view> Sealed(const Item& item, std::optional<std::string>& keep) const;
  Result<Record> RecordOf(const Item& item, std::optional<std::string>& keep) const;
  Ok Insert(const Item& item);
  Ok Reseal(const Item& item);
  void Scrub();
  void GiveBack();
  void Checkpoint();
  size_t LogLimit(size_t live_bytes) const;
  Ok Probe();
  Ok WriteAnew(const Contents& contents, Replacement& anew) const;
  Ok VerifyAnew(size_t records);
  void Measure();

  rt::Runtime& world_;
  const std::string path_;
  const std::shared_ptr<const Sealer> sealer_;
  std::unique_ptr<rt::FileLock> lock_;
  Database database_;
  std::unique_ptr<Statements> statements_;
  Revision compacted_ = 0;       ///< as it stands in the database
  size_t log_pages_ = 0;         ///< in the write-ahead log
  size_t log_limit_ = 0;         ///< as SQLite was told
  bool forgot_ = false;          ///< rows, since space was last looked for
  bool suspect_ = false;         ///< what is on the disk may differ from what was written
  std::optional<Status> stuck_;  ///< why the write-ahead log can't be emptied
  std::atomic<int64_t> disk_bytes_ = 0;
  std::atomic<bool> spacious_ = false;
};

Ok SqliteLog::Open() {
  TRY(database_.Open());
  // Nothing is at stake while the file is being made: its syncs wait for the checkpoint at the end.
  const bool fresh = TRY(database_.Query("PRAGMA page_count")) == 0;
  TRY(database_.Run(fresh ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=FULL"));
  TRY(SetUp(database_));
  TRY(database_.Run("PRAGMA journal_mode=WAL"));
  // Tidy does it, between two commits.
  TRY(database_.Run("PRAGMA wal_autocheckpoint=0"));
  TRY(CheckFormat(database_));
  if (fresh) {
    TRY(database_.Run("PRAGMA synchronous=FULL"));
    if (TRY(database_.Query("PRAGMA wal_checkpoint(TRUNCATE)")) != 0) return database_.Error(SQLITE_BUSY, "checkpoint");
  }
  auto note_length = [](void* self, sqlite3*, const char*, int pages) {
    static_cast<SqliteLog*>(self)->log_pages_ = static_cast<size_t>(pages);
    return SQLITE_OK;
  };
  sqlite3_wal_hook(database_.get(), note_length, this);
  log_pages_ = static_cast<size_t>(database_.log_bytes()) / kPageBytes;
  log_limit_ = 0;
  stuck_.reset();
  return Prepare();
}

Ok SqliteLog::Prepare() {
  statements_ = std::make_unique<Statements>();
  const std::pair<Statement*, const char*> all[] = {
      {&statements_->begin, "BEGIN IMMEDIATE"},
      {&statements_->commit, "COMMIT"},
      {&statements_->rollback, "ROLLBACK"},
      {&statements_->insert, kInsertRecord},
      {&statements_->reseal, "UPDATE log SET value=?, sum=? WHERE row=?"},
      {&statements_->forget, "DELETE FROM log WHERE row=?"},
      {&statements_->compacted, kUpdateMark},
      {&statements_->free_pages, "PRAGMA freelist_count"},
      {&statements_->pages, "PRAGMA page_count"},
      {&statements_->vacuum, "PRAGMA incremental_vacuum(8)"},
      {&statements_->scrub, "PRAGMA wal_checkpoint(TRUNCATE)"},
  };
  for (const auto& [statement, sql] : all) TRY(database_.Prepare(*statement, sql));
  return {};
}

void SqliteLog::CloseNow() {
  statements_.reset();
  database_.Close(suspect_);
}

Result<std::string_view> SqliteLog::Sealed(const Item& item, std::optional<std::string>& keep) const {
  if (!item.value) return std::string_view();
  if (sealer_ == nullptr) return std::string_view(*item.value);
  keep = TRY(sealer_->Seal(item.key(), *item.value).Context("store " + path_ + ": " + std::string(item.key())));
  return keep ? std::string_view(*keep) : std::string_view(*item.value);
}

Result<Record> SqliteLog::RecordOf(const Item& item, std::optional<std::string>& keep) const {
  Record record;
  record.row = item.row;
  record.revision = item.mod_revision;
  record.created = item.create_revision;
  record.key = item.key();
  record.is_delete = !item.value;
  record.value = TRY(Sealed(item, keep));
  return record;
}

Ok SqliteLog::Insert(const Item& item) {
  std::optional<std::string> keep;
  BindRecord(statements_->insert, TRY(RecordOf(item, keep)));
  const int code = statements_->insert.Run();
  if (code != SQLITE_OK) return database_.Error(code, "append");
  return {};
}

Ok SqliteLog::Reseal(const Item& item) {
  Statement& reseal = statements_->reseal;
  std::optional<std::string> keep;
  const Record record = TRY(RecordOf(item, keep));
  reseal.Bind(1, record.value);
  reseal.Bind(2, static_cast<int64_t>(record.Checksum()));
  reseal.Bind(3, record.row);
  const int code = reseal.Run();
  if (code != SQLITE_OK) return database_.Error(code, "seal anew");
  return {};
}

/// The write-ahead log still has pages as they were: it begins anew.
void SqliteLog::Scrub() {
  const int code = statements_->scrub.Run();
  if (code != SQLITE_OK) {
    LOG_WARN("store: the write-ahead log was not emptied", {"error", database_.Error(code, "checkpoint")});
  }
}

bool SqliteLog::MarkIsDue(const Batch& batch) const {
  // It must be there before a row goes; beyond that, a late mark only means that a start finds more history.
  if (batch.compacted == compacted_) return false;
  return !batch.forget.empty() || batch.records.empty() || batch.compacted - compacted_ >= kMarkEvery;
}

Ok SqliteLog::WriteRows(const Batch& batch) {
  int code = statements_->begin.Run();
  if (code != SQLITE_OK) return database_.Error(code, "begin");
  for (const ItemRef& item : batch.records) TRY(Insert(*item));
  for (const ItemRef& item : batch.reseal) TRY(Reseal(*item));
  for (int64_t row : batch.forget) {
    statements_->forget.Bind(1, row);
    code = statements_->forget.Run();
    if (code != SQLITE_OK) return database_.Error(code, "forget");
  }
  const bool mark = MarkIsDue(batch);
  if (mark) {
    statements_->compacted.Bind(1, batch.compacted);
    statements_->compacted.Bind(2, static_cast<int64_t>(MarkChecksum(batch.compacted)));
    code = statements_->compacted.Run();
    if (code != SQLITE_OK) return database_.Error(code, "compact");
  }
  code = statements_->commit.Run();
  if (code != SQLITE_OK) return database_.Error(code, "commit");
  if (mark) compacted_ = batch.compacted;
  return {};
}

Ok SqliteLog::Write(const Batch& batch) {
  if (stuck_ && log_pages_ * kPageBytes > kLogTooLong) {
    suspect_ = true;
    return stuck_->WithContext("the write-ahead log can't be emptied");
  }
  if (!batch.records.empty() || !batch.forget.empty() || !batch.reseal.empty() || MarkIsDue(batch)) {
    Ok written = WriteRows(batch);
    if (!written.ok()) {
      // Some errors have rolled back already. A sync that failed, or an error in the middle of it all, leaves who knows
      // what in the log: it may be found there as a whole after a restart.
      const bool undone = database_.idle() || statements_->rollback.Run() == SQLITE_OK;
      suspect_ = suspect_ || !undone || !written.Failed(Reason::kServerTimeout);
      if (!undone) return Internal(written.status().message() + "; and it could not be rolled back");
      return written;
    }
  }
  forgot_ = forgot_ || !batch.forget.empty();
  if (batch.scrub) Scrub();
  Measure();
  return {};
}

size_t SqliteLog::LogLimit(size_t live_bytes) const { return std::clamp(live_bytes / 8, kLogLeast, kLogMost); }

void SqliteLog::Tidy(size_t live_bytes) {
  const size_t limit = LogLimit(live_bytes);
  const bool look = forgot_ || spacious();
  if (!look && log_pages_ * kPageBytes < limit) return;
  world_.Blocking([&] {
    if (look) GiveBack();
    if (log_pages_ * kPageBytes >= limit) Checkpoint();
    if (limit > 2 * log_limit_ || limit < log_limit_ / 2) {
      // What the file keeps once it was longer, after a large change.
      log_limit_ = limit;
      const Ok told = database_.Run(("PRAGMA journal_size_limit=" + std::to_string(2 * limit)).c_str());
      if (!told.ok()) LOG_WARN("store: the write-ahead log keeps its size", {"error", told.status()});
    }
    Measure();
  });
}

void SqliteLog::Checkpoint() {
  const int code = sqlite3_wal_checkpoint_v2(database_.get(), "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_OK) {
    // The next commit begins it anew.
    log_pages_ = 0;
    stuck_.reset();
    return;
  }
  // Nothing is lost: what could not be copied stays in the log, and is copied the next time.
  const Status why = database_.Error(code, "checkpoint");
  if (!stuck_) LOG_WARN("store: the write-ahead log can't be emptied; trying again", {"error", why});
  stuck_ = why;
}

void SqliteLog::GiveBack() {
  forgot_ = false;
  auto number = [](Statement& pragma) {
    const int64_t value = pragma.Step() == SQLITE_ROW ? pragma.Number(0) : 0;
    pragma.Reset();
    return value;
  };
  auto spacious = [&] {
    const int64_t unused = number(statements_->free_pages);
    return unused > kSparePages && unused > number(statements_->pages) / kSpareFraction;
  };
  bool much = spacious();
  if (much) {
    const MonoTime end = world_.Mono() + kGiveBackFor;
    int code = statements_->begin.Run();
    for (int i = 0; i < kGiveBackTimes && code == SQLITE_OK && much && world_.Mono() < end; i++) {
      code = statements_->vacuum.Run();
      much = spacious();
    }
    if (code == SQLITE_OK) code = statements_->commit.Run();
    if (code != SQLITE_OK) {
      // The rows are safe either way; the space is asked for again after the next compaction.
      LOG_WARN("store: unused space was not given back", {"error", database_.Error(code, "vacuum")});
      if (!database_.idle() && statements_->rollback.Run() != SQLITE_OK) suspect_ = true;
      much = false;
    }
  }
  spacious_.store(much, std::memory_order_relaxed);
}

void SqliteLog::Measure() {
  disk_bytes_.store(database_.file_bytes() + database_.log_bytes(), std::memory_order_relaxed);
}

Ok SqliteLog::Recover(const std::function<Contents()>& contents, bool rewrite) {
  if (!rewrite && !suspect_ && database_.is_open()) return Probe();
  suspect_ = true;
  Replacement anew(world_, path_);
  TRY(anew.Begin());
  const Contents all = contents();
  Ok written;
  world_.Blocking([&] { written = WriteAnew(all, anew); });
  TRY(std::move(written));
  TRY(anew.Finish(all.compacted));
  // Until here the old files are as they were, for whoever starts next.
  world_.Blocking([&] { CloseNow(); });
  TRY(anew.Replace());
  Ok opened;
  world_.Blocking([&] {
    opened = Open();
    if (opened.ok()) opened = VerifyAnew(all.records.size());
  });
  TRY(std::move(opened));
  compacted_ = all.compacted;
  suspect_ = false;
  spacious_.store(false, std::memory_order_relaxed);
  Measure();
  return {};
}

/// Whether there is space again, for more than the next few bytes.
Ok SqliteLog::Probe() {
  const std::string path = ProbePath(path_);
  Ok wrote;
  {
    const auto file = world_.files().Open(path, rt::OpenMode::kTruncate);
    wrote = file.ok() ? (*file)->Append(std::string(kProbeBytes, '\0')) : Ok(file.status());
    if (wrote.ok()) wrote = (*file)->Sync();
  }
  TRY(world_.files().Remove(path));
  TRY(std::move(wrote));
  Ok marked;
  world_.Blocking([&] {
    marked = database_.Run("UPDATE compacted SET revision=revision");
    if (!marked.ok() && !marked.Failed(Reason::kServerTimeout)) suspect_ = true;
  });
  return marked;
}

Ok SqliteLog::WriteAnew(const Contents& contents, Replacement& anew) const {
  for (const ItemRef& item : contents.records) {
    std::optional<std::string> keep;
    const Record record = TRY(RecordOf(*item, keep));
    TRY(anew.Add(record));
  }
  return {};
}

Ok SqliteLog::VerifyAnew(size_t records) {
  CheckReport report;
  Scan scan;
  while (!scan.done) TRY(CheckSome(database_, scan, kCheckStretch, report));
  if (report.damaged == 0 && report.records == records) return {};
  return database_.Damaged("of " + std::to_string(records) + " records that were written anew, " +
                           std::to_string(report.records) + " are there");
}

Ok SqliteLog::Check(Scan& scan, CheckReport& report) {
  Ok checked;
  world_.Blocking([&] {
    // What counts is on the disk, not in the cache.
    sqlite3_db_release_memory(database_.get());
    if (scan.next == 1) {
      const Result<Revision> mark = ReadMark(database_);
      if (mark.ok()) report.compacted = *mark;
      if (!mark.ok()) report.Add({.why = mark.status().message()});
    }
    checked = CheckSome(database_, scan, kCheckStretch, report);
    report.disk_bytes = disk_bytes();
  });
  return checked;
}

Result<Recovered> SqliteLog::Load() {
  Recovered recovered = TRY(LoadAll(world_, database_, sealer_.get()));
  compacted_ = recovered.compacted;
  Measure();
  if (!recovered.stale.empty()) {
    LOG_INFO("store: values are sealed anew", {"values", recovered.stale.size()});
    // What they were before is overwritten, not just left behind.
    Ok scrubs;
    world_.Blocking([&] { scrubs = database_.Run("PRAGMA secure_delete=ON"); });
    TRY(std::move(scrubs));
  }
  return recovered;
}

}  // namespace

Result<OpenedLog> OpenSqliteLog(rt::Runtime& world, const std::string& path, std::shared_ptr<const Sealer> sealer,
                                std::unique_ptr<rt::FileLock> lock) {
  // Left by a server that was killed on a full disk.
  TRY(world.files().Remove(ProbePath(path)));
  auto log = std::make_unique<SqliteLog>(world, path, std::move(sealer), std::move(lock));
  Ok opened;
  world.Blocking([&] { opened = log->Open(); });
  Result<Recovered> recovered = opened.ok() ? log->Load() : Result<Recovered>(opened.status());
  if (!recovered.ok()) {
    log->Close();
    return recovered.status();
  }
  return OpenedLog{std::move(log), std::move(recovered).value()};
}

}  // namespace knarr::store

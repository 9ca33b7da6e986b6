#include "store/sqlite_log.h"

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/log.h"
#include "store/checksum.h"

namespace knarr::store {

namespace {

constexpr int kApplicationId = 0x4b6e7273;  // "Knrs"
constexpr int kFormat = 1;
/// Unused pages beyond both bounds are given back to the file system, so many in a step.
constexpr int64_t kSparePages = 512;
constexpr int64_t kSpareFraction = 4;
constexpr size_t kLoadStretch = 2000;
/// Each update of the mark dirties a page of its own.
constexpr Revision kMarkEvery = 1024;

/// A prepared statement; ends with its owner.
class Statement {
 public:
  Statement() = default;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }
  int Prepare(sqlite3* db, const char* sql) {
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
  }
  sqlite3_stmt* get() const { return statement_; }
  void Bind(int at, int64_t number) { sqlite3_bind_int64(statement_, at, number); }
  /// The bytes must stay until Run.
  void Bind(int at, std::string_view bytes) {
    sqlite3_bind_blob64(statement_, at, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
  }
  void BindNull(int at) { sqlite3_bind_null(statement_, at); }
  int Step() { return sqlite3_step(statement_); }
  int64_t Number(int column) { return sqlite3_column_int64(statement_, column); }
  std::string_view Blob(int column) {
    auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
    return data == nullptr ? std::string_view() : std::string_view(data, size);
  }
  bool IsNull(int column) { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  /// Runs it to its end and makes it ready for the next time. SQLITE_OK when done.
  int Run() {
    int code = Step();
    while (code == SQLITE_ROW) code = Step();
    int reset = sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
    return code == SQLITE_DONE ? reset : code;
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

class SqliteLog : public Log {
 public:
  SqliteLog(rt::Runtime& world, std::string path, std::shared_ptr<const Sealer> sealer)
      : world_(world), path_(std::move(path)), sealer_(std::move(sealer)) {}
  ~SqliteLog() override { CHECK(db_ == nullptr); }

  Ok Open();
  Result<Recovered> Load();

  Ok Append(const Batch& batch) override {
    Ok written;
    world_.Blocking([&] { written = Write(batch); });
    return written;
  }
  int64_t disk_bytes() const override { return disk_bytes_.load(std::memory_order_relaxed); }
  bool spacious() const override { return spacious_.load(std::memory_order_relaxed); }
  void Close() override {
    if (world_.current() != nullptr) {
      world_.Blocking([this] { CloseNow(); });
    } else {
      CloseNow();
    }
  }
  void CloseNow();

 private:
  struct Statements {
    Statement begin, commit, rollback, insert, reseal, forget, compacted, free_pages, pages, vacuum, checkpoint;
  };
  Status Error(int code, std::string_view what) const;
  Status Damaged(const std::string& why) const;
  Ok Run(const char* sql);
  Result<int64_t> Query(const char* sql);
  Ok CheckFormat();
  Ok Prepare();
  Ok Write(const Batch& batch);
  Ok WriteRows(const Batch& batch);
  bool MarkIsDue(const Batch& batch) const;
  /// A value as it goes to the disk: `keep` holds the bytes when they are others.
  Result<std::string_view> Sealed(const Item& item, std::optional<std::string>& keep) const;
  Ok Insert(const Item& item);
  Ok Reseal(const Item& item);
  void Scrub();
  void GiveBack();
  void Measure();
  Ok BeginLoad(Statement& rows, Revision* compacted);
  Ok ReadStretch(Statement& rows, std::vector<ItemRef>* items);
  Result<ItemRef> ReadRow(Statement& rows);
  Ok Replay(ItemRef item, MonoTime now, Recovered* recovered);

  rt::Runtime& world_;
  const std::string path_;
  const std::shared_ptr<const Sealer> sealer_;
  sqlite3* db_ = nullptr;
  std::unique_ptr<Statements> statements_;
  Revision compacted_ = 0;  ///< as it stands in the database
  Revision last_loaded_ = 0;
  bool loaded_ = false;
  std::vector<ItemRef> stale_;  ///< found while loading
  std::atomic<int64_t> disk_bytes_ = 0;
  std::atomic<bool> spacious_ = false;
};

Status SqliteLog::Damaged(const std::string& why) const {
  return Internal("store " + path_ + " is damaged: " + why + "; put a backup in its place");
}

Status SqliteLog::Error(int code, std::string_view what) const {
  std::string why = db_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db_);
  std::string message = "store " + path_ + ": " + std::string(what) + ": " + why + " (SQLite error " +
                        std::to_string(db_ == nullptr ? code : sqlite3_extended_errcode(db_)) + ")";
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Unavailable("store " + path_ + " is in use by another knarr server");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Damaged(std::string(what) + ": " + why);
    case SQLITE_FULL:
      return Status(Reason::kServerTimeout, std::move(message));
    default:
      return Internal(std::move(message));
  }
}

Ok SqliteLog::Run(const char* sql) {
  int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Error(code, sql);
  return {};
}

Result<int64_t> SqliteLog::Query(const char* sql) {
  Statement statement;
  int code = statement.Prepare(db_, sql);
  if (code != SQLITE_OK) return Error(code, sql);
  code = statement.Step();
  if (code == SQLITE_ROW) return statement.Number(0);
  if (code == SQLITE_DONE) return Damaged(std::string("nothing found by ") + sql);
  return Error(code, sql);
}

Ok SqliteLog::Open() {
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  int code = sqlite3_open_v2(path_.c_str(), &db_, kFlags, nullptr);
  if (code != SQLITE_OK) return Error(code, "open");
  // Exclusive: the lock that keeps a second server out, and no shared-memory file beside the database.
  TRY(Run("PRAGMA locking_mode=EXCLUSIVE"));
  // Nothing is at stake while the file is being made: its syncs wait for the checkpoint at the end.
  bool fresh = TRY(Query("PRAGMA page_count")) == 0;
  TRY(Run(fresh ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=FULL"));
  TRY(Run("PRAGMA page_size=8192"));
  TRY(Run("PRAGMA auto_vacuum=INCREMENTAL"));
  TRY(Run("PRAGMA journal_mode=WAL"));
  TRY(Run("PRAGMA cache_size=-1024"));
  TRY(Run("PRAGMA cell_size_check=ON"));
  TRY(Run("PRAGMA wal_autocheckpoint=1024"));
  TRY(Run("PRAGMA journal_size_limit=16777216"));
  TRY(CheckFormat());
  if (fresh) {
    TRY(Run("PRAGMA synchronous=FULL"));
    if (TRY(Query("PRAGMA wal_checkpoint(TRUNCATE)")) != 0) return Error(SQLITE_BUSY, "checkpoint");
  }
  return Prepare();
}

Ok SqliteLog::CheckFormat() {
  TRY(Run("BEGIN EXCLUSIVE"));
  int64_t tables = TRY(Query("SELECT count(*) FROM sqlite_master"));
  int64_t application = TRY(Query("PRAGMA application_id"));
  int64_t format = TRY(Query("PRAGMA user_version"));
  if (tables == 0 && application == 0 && format == 0) {
    TRY(
        Run("CREATE TABLE log(row INTEGER PRIMARY KEY, revision INTEGER NOT NULL, created INTEGER NOT NULL,"
            " key BLOB NOT NULL, value BLOB, sum INTEGER NOT NULL)"));
    TRY(Run("CREATE TABLE compacted(id INTEGER PRIMARY KEY, revision INTEGER NOT NULL)"));
    TRY(Run("INSERT INTO compacted VALUES(1, 0)"));
    TRY(Run(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str()));
    TRY(Run(("PRAGMA user_version=" + std::to_string(kFormat)).c_str()));
  } else if (application != kApplicationId) {
    return Internal("store " + path_ + " is a database of another program: choose another data folder");
  } else if (format != kFormat) {
    return Internal("store " + path_ + " has format " + std::to_string(format) + ", this program reads format " +
                    std::to_string(kFormat) + ": use the version of knarr that wrote it");
  }
  return Run("COMMIT");
}

Ok SqliteLog::Prepare() {
  statements_ = std::make_unique<Statements>();
  const std::pair<Statement*, const char*> all[] = {
      {&statements_->begin, "BEGIN IMMEDIATE"},
      {&statements_->commit, "COMMIT"},
      {&statements_->rollback, "ROLLBACK"},
      {&statements_->insert, "INSERT INTO log VALUES(?,?,?,?,?,?)"},
      {&statements_->reseal, "UPDATE log SET value=?, sum=? WHERE row=?"},
      {&statements_->forget, "DELETE FROM log WHERE row=?"},
      {&statements_->compacted, "UPDATE compacted SET revision=? WHERE id=1"},
      {&statements_->free_pages, "PRAGMA freelist_count"},
      {&statements_->pages, "PRAGMA page_count"},
      {&statements_->vacuum, "PRAGMA incremental_vacuum(512)"},
      {&statements_->checkpoint, "PRAGMA wal_checkpoint(TRUNCATE)"},
  };
  for (const auto& [statement, sql] : all) {
    int code = statement->Prepare(db_, sql);
    if (code != SQLITE_OK) return Error(code, sql);
  }
  return {};
}

void SqliteLog::CloseNow() {
  if (db_ == nullptr) return;
  statements_.reset();
  int code = sqlite3_close(db_);
  // Only statements that were not finalized keep it from closing.
  CHECK(code == SQLITE_OK);
  db_ = nullptr;
}

Result<std::string_view> SqliteLog::Sealed(const Item& item, std::optional<std::string>& keep) const {
  if (!item.value) return std::string_view();
  if (sealer_ == nullptr) return std::string_view(*item.value);
  keep = TRY(sealer_->Seal(item.key(), *item.value).Context("store " + path_ + ": " + std::string(item.key())));
  return keep ? std::string_view(*keep) : std::string_view(*item.value);
}

Ok SqliteLog::Insert(const Item& item) {
  Statement& insert = statements_->insert;
  std::optional<std::string> keep;
  const std::string_view value = TRY(Sealed(item, keep));
  uint64_t sum =
      RecordChecksum(item.row, item.mod_revision, item.create_revision, item.key(), item.value ? &value : nullptr);
  insert.Bind(1, item.row);
  insert.Bind(2, item.mod_revision);
  insert.Bind(3, item.create_revision);
  insert.Bind(4, item.key());
  if (item.value) {
    insert.Bind(5, value);
  } else {
    insert.BindNull(5);
  }
  insert.Bind(6, static_cast<int64_t>(sum));
  const int code = insert.Run();
  if (code != SQLITE_OK) return Error(code, "append");
  return {};
}

Ok SqliteLog::Reseal(const Item& item) {
  Statement& reseal = statements_->reseal;
  std::optional<std::string> keep;
  const std::string_view value = TRY(Sealed(item, keep));
  const uint64_t sum = RecordChecksum(item.row, item.mod_revision, item.create_revision, item.key(), &value);
  reseal.Bind(1, value);
  reseal.Bind(2, static_cast<int64_t>(sum));
  reseal.Bind(3, item.row);
  const int code = reseal.Run();
  if (code != SQLITE_OK) return Error(code, "seal anew");
  return {};
}

/// The write-ahead log still has pages as they were: it begins anew.
void SqliteLog::Scrub() {
  const int code = statements_->checkpoint.Run();
  if (code != SQLITE_OK) LOG_WARN("store: the write-ahead log was not emptied", {"error", Error(code, "checkpoint")});
}

bool SqliteLog::MarkIsDue(const Batch& batch) const {
  // It must be there before a row goes; beyond that, a late mark only means that a start finds more history.
  if (batch.compacted == compacted_) return false;
  return !batch.forget.empty() || batch.records.empty() || batch.compacted - compacted_ >= kMarkEvery;
}

Ok SqliteLog::WriteRows(const Batch& batch) {
  int code = statements_->begin.Run();
  if (code != SQLITE_OK) return Error(code, "begin");
  for (const ItemRef& item : batch.records) TRY(Insert(*item));
  for (const ItemRef& item : batch.reseal) TRY(Reseal(*item));
  for (int64_t row : batch.forget) {
    statements_->forget.Bind(1, row);
    code = statements_->forget.Run();
    if (code != SQLITE_OK) return Error(code, "forget");
  }
  bool mark = MarkIsDue(batch);
  if (mark) {
    statements_->compacted.Bind(1, batch.compacted);
    code = statements_->compacted.Run();
    if (code != SQLITE_OK) return Error(code, "compact");
  }
  code = statements_->commit.Run();
  if (code != SQLITE_OK) return Error(code, "commit");
  if (mark) compacted_ = batch.compacted;
  return {};
}

Ok SqliteLog::Write(const Batch& batch) {
  if (!batch.records.empty() || !batch.forget.empty() || !batch.reseal.empty() || MarkIsDue(batch)) {
    Ok written = WriteRows(batch);
    if (!written.ok()) {
      // Some errors have rolled back already.
      if (sqlite3_get_autocommit(db_) == 0 && statements_->rollback.Run() != SQLITE_OK) {
        return Internal(written.status().message() + "; and it could not be rolled back");
      }
      return written;
    }
  }
  if (batch.scrub) Scrub();
  if (!batch.forget.empty() || batch.records.empty()) GiveBack();
  Measure();
  return {};
}

void SqliteLog::GiveBack() {
  auto number = [](Statement& pragma) {
    int64_t value = pragma.Step() == SQLITE_ROW ? pragma.Number(0) : 0;
    sqlite3_reset(pragma.get());
    return value;
  };
  auto spacious = [&] {
    int64_t unused = number(statements_->free_pages);
    return unused > kSparePages && unused > number(statements_->pages) / kSpareFraction;
  };
  bool much = spacious();
  if (much) {
    int code = statements_->vacuum.Run();
    // The rows are safe either way; the space is asked for again after the next compaction.
    if (code != SQLITE_OK) LOG_WARN("store: unused space was not given back", {"error", Error(code, "vacuum")});
    much = code == SQLITE_OK && spacious();
  }
  spacious_.store(much, std::memory_order_relaxed);
}

void SqliteLog::Measure() {
  int64_t total = 0;
  for (int which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* file = nullptr;
    sqlite3_int64 size = 0;
    if (sqlite3_file_control(db_, "main", which, &file) != SQLITE_OK || file == nullptr) continue;
    if (file->pMethods != nullptr && file->pMethods->xFileSize(file, &size) == SQLITE_OK) total += size;
  }
  disk_bytes_.store(total, std::memory_order_relaxed);
}

Result<Recovered> SqliteLog::Load() {
  Recovered recovered;
  Statement rows;
  Ok began;
  world_.Blocking([&] { began = BeginLoad(rows, &recovered.compacted); });
  TRY(std::move(began));
  compacted_ = recovered.compacted;
  recovered.revision = std::max(Revision{1}, recovered.compacted);

  // The pool reads and checks the next stretch while this thread puts the last one in its place.
  MonoTime now = world_.Mono();
  std::vector<ItemRef> ready;
  std::vector<ItemRef> next;
  Ok replayed;
  do {
    rt::TaskGroup group(world_, "store load");
    group.Spawn("replay", [&] {
      for (size_t i = 0; i < ready.size() && replayed.ok(); i++)
        replayed = Replay(std::move(ready[i]), now, &recovered);
    });
    Ok read;
    world_.Blocking([&] { read = ReadStretch(rows, &next); });
    group.Join();
    TRY(std::move(read));
    TRY(std::move(replayed));
    ready = std::exchange(next, {});
  } while (!ready.empty());
  Measure();
  recovered.stale = std::move(stale_);
  if (!recovered.stale.empty()) {
    LOG_INFO("store: values are sealed anew", {"values", recovered.stale.size()});
    // What they were before is overwritten, not just left behind.
    Ok scrubs;
    world_.Blocking([&] { scrubs = Run("PRAGMA secure_delete=ON"); });
    TRY(std::move(scrubs));
  }
  return recovered;
}

Ok SqliteLog::BeginLoad(Statement& rows, Revision* compacted) {
  *compacted = TRY(Query("SELECT revision FROM compacted WHERE id=1"));
  if (*compacted < 0) return Damaged("compacted revision " + std::to_string(*compacted));
  int code = rows.Prepare(db_, "SELECT row, revision, created, key, value, sum FROM log ORDER BY row");
  if (code != SQLITE_OK) return Error(code, "read");
  return {};
}

/// Up to kLoadStretch rows; none at the end.
Ok SqliteLog::ReadStretch(Statement& rows, std::vector<ItemRef>* items) {
  items->reserve(kLoadStretch);
  while (!loaded_ && items->size() < kLoadStretch) {
    int code = rows.Step();
    loaded_ = code == SQLITE_DONE;
    if (loaded_) break;
    if (code != SQLITE_ROW) return Error(code, "read");
    items->push_back(TRY(ReadRow(rows)));
  }
  return {};
}

Result<ItemRef> SqliteLog::ReadRow(Statement& rows) {
  int64_t row = rows.Number(0);
  Revision revision = rows.Number(1);
  Revision created = rows.Number(2);
  std::string_view key = rows.Blob(3);
  bool is_delete = rows.IsNull(4);
  std::string_view value = rows.Blob(4);
  uint64_t sum = RecordChecksum(row, revision, created, key, is_delete ? nullptr : &value);
  if (sum != static_cast<uint64_t>(rows.Number(5)) || row < 1 || key.empty() || created < 1 || created > revision) {
    return Damaged("row " + std::to_string(row) + " (revision " + std::to_string(revision) +
                   ") does not match its checksum");
  }
  ItemRef item = ItemRef::Make(key);
  item->create_revision = created;
  item->mod_revision = revision;
  item->row = row;
  if (is_delete) return item;
  Sealer::Opened opened;
  if (sealer_ != nullptr) opened = TRY(sealer_->Open(key, value).Context("store " + path_ + ": " + std::string(key)));
  item->value = opened.value ? std::make_shared<const std::string>(std::move(*opened.value))
                             : std::make_shared<const std::string>(value);
  if (opened.stale) stale_.push_back(item);
  return item;
}

Ok SqliteLog::Replay(ItemRef item, MonoTime now, Recovered* recovered) {
  int64_t row = item->row;
  Revision revision = item->mod_revision;
  bool is_delete = item->value == nullptr;
  std::string_view key = item->key();
  if (revision < last_loaded_) return Damaged("row " + std::to_string(row) + " is out of order");
  last_loaded_ = revision;
  recovered->row_next = row + 1;
  recovered->revision = std::max(recovered->revision, revision);
  ItemRef before;
  if (is_delete) {
    before = recovered->tree.Erase(key);
  } else {
    recovered->value_bytes += item->value->size();
    before = recovered->tree.Put(item);
  }
  if (before) recovered->value_bytes -= before->value->size();
  if (revision <= recovered->compacted) {
    // Left by a compaction that was not finished.
    if (before) recovered->forget.push_back(before->row);
    if (is_delete) recovered->forget.push_back(row);
    return {};
  }
  if (is_delete && !before) return Damaged("row " + std::to_string(row) + " deletes what is not there");
  auto event =
      std::make_shared<const Event>(Event{is_delete ? Event::Type::kDelete : Event::Type::kPut, std::string(key),
                                          item->value, before ? before->value : nullptr, revision});
  recovered->history.push_back({revision, now, std::move(before), std::move(item), std::move(event)});
  return {};
}

}  // namespace

Result<OpenedLog> OpenSqliteLog(rt::Runtime& world, const std::string& path, std::shared_ptr<const Sealer> sealer) {
  auto log = std::make_unique<SqliteLog>(world, path, std::move(sealer));
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

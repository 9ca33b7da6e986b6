#include "store/sqlite.h"

#include <sqlite3.h>

#include <cerrno>

#include "base/check.h"

namespace knarr::store {

Statement::~Statement() { sqlite3_finalize(statement_); }

int Statement::Prepare(sqlite3* db, const char* sql) {
  return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
}

void Statement::Bind(int at, int64_t number) { sqlite3_bind_int64(statement_, at, number); }

void Statement::Bind(int at, std::string_view bytes) {
  sqlite3_bind_blob64(statement_, at, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
}

void Statement::BindNull(int at) { sqlite3_bind_null(statement_, at); }
int Statement::Step() { return sqlite3_step(statement_); }
void Statement::Reset() { sqlite3_reset(statement_); }
int64_t Statement::Number(int column) { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::Blob(int column) {
  auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
  return data == nullptr ? std::string_view() : std::string_view(data, size);
}

bool Statement::IsNull(int column) { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

int Statement::Run() {
  int code = Step();
  while (code == SQLITE_ROW) code = Step();
  const int reset = sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  return code == SQLITE_DONE ? reset : code;
}

Database::~Database() { CHECK(db_ == nullptr); }

Ok Database::Open() {
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path_.c_str(), &db_, kFlags, nullptr);
  if (code != SQLITE_OK) return Error(code, "open");
  // Exclusive: no shared-memory file beside the database, and no other program that writes to it.
  return Run("PRAGMA locking_mode=EXCLUSIVE");
}

void Database::Close(bool as_it_is) {
  if (db_ == nullptr) return;
  if (as_it_is) sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  const int code = sqlite3_close(db_);
  // Only statements that were not finalized keep it from closing.
  CHECK(code == SQLITE_OK);
  db_ = nullptr;
}

Ok Database::Run(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Error(code, sql);
  return {};
}

Result<int64_t> Database::Query(const char* sql) {
  Statement statement;
  TRY(Prepare(statement, sql));
  const int code = statement.Step();
  if (code == SQLITE_ROW) return statement.Number(0);
  if (code == SQLITE_DONE) return Damaged(std::string("nothing found by ") + sql);
  return Error(code, sql);
}

Ok Database::Prepare(Statement& statement, const char* sql) {
  const int code = statement.Prepare(db_, sql);
  if (code != SQLITE_OK) return Error(code, sql);
  return {};
}

bool Database::idle() const { return sqlite3_get_autocommit(db_) != 0; }

Status Database::Damaged(std::string_view why) const {
  return Internal("store " + path_ + " is damaged: " + std::string(why) +
                  "; see what is affected with `knarr store check`");
}

bool Database::IsDamage(int code) {
  const int kind = code & 0xff;
  return kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB;
}

Status Database::Error(int code, std::string_view what) const {
  std::string why = db_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db_);
  const int system = db_ == nullptr ? 0 : sqlite3_system_errno(db_);
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
      return Status(Reason::kServerTimeout, std::move(message)).WithCode(kInsufficientStorage);
    case SQLITE_IOERR:
      if (system == ENOSPC || system == EDQUOT) return Internal(std::move(message)).WithCode(kInsufficientStorage);
      return Internal(std::move(message));
    default:
      return Internal(std::move(message));
  }
}

/// nullptr: it is not open.
sqlite3_file* Database::FileOf(int which) const {
  sqlite3_file* file = nullptr;
  if (db_ == nullptr || sqlite3_file_control(db_, "main", which, &file) != SQLITE_OK) return nullptr;
  return file == nullptr || file->pMethods == nullptr ? nullptr : file;
}

int64_t Database::SizeOf(int which) const {
  sqlite3_file* file = FileOf(which);
  sqlite3_int64 size = 0;
  return file != nullptr && file->pMethods->xFileSize(file, &size) == SQLITE_OK ? size : 0;
}

Ok Database::Sync() {
  for (const int which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* file = FileOf(which);
    const int code = file == nullptr ? SQLITE_OK : file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    if (code != SQLITE_OK) return Error(code, "sync");
  }
  return {};
}

int64_t Database::file_bytes() const { return SizeOf(SQLITE_FCNTL_FILE_POINTER); }
int64_t Database::log_bytes() const { return SizeOf(SQLITE_FCNTL_JOURNAL_POINTER); }

}  // namespace knarr::store

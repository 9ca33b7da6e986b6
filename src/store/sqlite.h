#pragma once

// SQLite as the store uses it: statements that end with their owner, and errors as Status. What its codes mean is known
// here alone.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "store/log.h"

struct sqlite3;
struct sqlite3_file;
struct sqlite3_stmt;

namespace knarr::store {

/// A prepared statement; ends with its owner, before its Database closes.
class Statement {
 public:
  Statement() = default;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();
  int Prepare(sqlite3* db, const char* sql);
  void Bind(int at, int64_t number);
  /// The bytes must stay until Run.
  void Bind(int at, std::string_view bytes);
  void BindNull(int at);
  int Step();
  void Reset();
  int64_t Number(int column);
  std::string_view Blob(int column);
  bool IsNull(int column);
  /// Runs it to its end and makes it ready for the next time. SQLITE_OK when done.
  int Run();

 private:
  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  explicit Database(std::string path) : path_(std::move(path)) {}
  /// CHECKs that it is closed.
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Makes the file when it is not there. Takes the exclusive lock at the first access.
  Ok Open();
  bool is_open() const { return db_ != nullptr; }
  /// REQUIRES: no statement is left. With `as_it_is`, nothing is written any more.
  void Close(bool as_it_is = false);

  Ok Run(const char* sql);
  /// The first column of the first row.
  Result<int64_t> Query(const char* sql);
  Ok Prepare(Statement& statement, const char* sql);
  /// No transaction is open.
  bool idle() const;

  /// Unavailable: another process has it. InternalError: damaged, or the disk failed. ServerTimeout, code 507: the disk
  /// is full.
  Status Error(int code, std::string_view what) const;
  Status Damaged(std::string_view why) const;
  /// The code tells of damage.
  static bool IsDamage(int code);
  /// Of the database, and of its write-ahead log.
  int64_t file_bytes() const;
  int64_t log_bytes() const;
  /// What was written, to either of them, is on the disk.
  Ok Sync();

  sqlite3* get() const { return db_; }
  const std::string& path() const { return path_; }

 private:
  sqlite3_file* FileOf(int which) const;
  int64_t SizeOf(int which) const;
  const std::string path_;
  sqlite3* db_ = nullptr;
};

}  // namespace knarr::store

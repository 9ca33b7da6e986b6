#include "store/rewrite.h"

#include <sqlite3.h>

#include "base/path.h"

namespace knarr::store {

DatabaseWriter::~DatabaseWriter() {
  insert_.reset();
  database_.Close(true);
}

Ok DatabaseWriter::Begin() {
  TRY(database_.Open());
  TRY(SetUp(database_));
  // Nothing is at stake before the rename: no journal, and one sync, by Finish.
  TRY(database_.Run("PRAGMA journal_mode=OFF"));
  TRY(database_.Run("PRAGMA synchronous=OFF"));
  TRY(CheckFormat(database_));
  TRY(database_.Run("BEGIN IMMEDIATE"));
  insert_ = std::make_unique<Statement>();
  return database_.Prepare(*insert_, kInsertRecord);
}

Ok DatabaseWriter::Add(const Record& record) {
  BindRecord(*insert_, record);
  const int code = insert_->Run();
  if (code != SQLITE_OK) return database_.Error(code, "append");
  return {};
}

Ok DatabaseWriter::Finish(Revision compacted) {
  insert_.reset();
  TRY(WriteMark(database_, compacted));
  TRY(database_.Run("COMMIT"));
  database_.Close();
  return {};
}

Ok Replace(rt::FileSystem& files, const std::string& path) {
  {
    const std::unique_ptr<rt::File> written = TRY(files.Open(path + ".partial", rt::OpenMode::kReadWrite));
    TRY(written->Sync());
  }
  TRY(files.Rename(path + ".partial", path + ".new"));
  TRY(files.SyncDirectory(DirName(path)));
  return FinishReplace(files, path);
}

Ok FinishReplace(rt::FileSystem& files, const std::string& path) {
  for (const char* left : {".partial", ".partial-journal"}) TRY(files.Remove(path + left));
  if (!files.Exists(path + ".new")) return {};
  // In this order: the old log must never meet the new database.
  for (const char* old : {"-wal", "-journal"}) TRY(files.Remove(path + old));
  TRY(files.SyncDirectory(DirName(path)));
  TRY(files.Rename(path + ".new", path));
  return files.SyncDirectory(DirName(path));
}

}  // namespace knarr::store

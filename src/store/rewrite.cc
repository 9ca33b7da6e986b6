#include "store/rewrite.h"

#include <sqlite3.h>

#include "base/log.h"
#include "base/path.h"
#include "store/folder.h"
#include "store/journal_reader.h"

namespace knarr::store {

namespace {

Ok RemovePartial(rt::FileSystem& files, const std::string& path) {
  for (const char* left : {".partial", ".partial-journal"}) TRY(files.Remove(path + left));
  return {};
}

}  // namespace

Replacement::Replacement(rt::Runtime& runtime, std::string path)
    : runtime_(runtime), path_(std::move(path)), partial_(path_ + ".partial"), database_(partial_) {}

Replacement::~Replacement() {
  insert_.reset();
  if (database_.is_open()) runtime_.Blocking([this] { database_.Close(true); });
  const Ok removed = RemovePartial(runtime_.files(), path_);
  if (!removed.ok())
    LOG_WARN("store: an unfinished database is left, until the next start", {"error", removed.status()});
}

Ok Replacement::Begin() {
  TRY(FinishReplace(runtime_.files(), path_));
  TRY(MakeDatabaseFile(runtime_.files(), partial_));
  Ok made;
  runtime_.Blocking([&] { made = MakeTables(); });
  return made;
}

Ok Replacement::MakeTables() {
  TRY(database_.Open());
  // Nothing is at stake before the rename: no journal, and one sync, by Replace.
  TRY(database_.Run("PRAGMA journal_mode=OFF"));
  TRY(database_.Run("PRAGMA synchronous=OFF"));
  TRY(SetUp(database_));
  TRY(CheckFormat(database_, runtime_.Random()));
  TRY(database_.Run("BEGIN IMMEDIATE"));
  insert_ = std::make_unique<Statement>();
  return database_.Prepare(*insert_, kInsertRecord);
}

Ok Replacement::Add(const Record& record) {
  BindRecord(*insert_, record);
  const int code = insert_->Run();
  if (code != SQLITE_OK) return database_.Error(code, "append");
  return {};
}

Ok Replacement::Finish(Revision compacted) {
  Ok finished;
  runtime_.Blocking([&] {
    insert_.reset();
    finished = WriteMark(database_, compacted);
    if (finished.ok()) finished = database_.Run("COMMIT");
    database_.Close(!finished.ok());
  });
  return finished;
}

Ok Replacement::Replace() {
  rt::FileSystem& files = runtime_.files();
  {
    const std::unique_ptr<rt::File> written = TRY(files.Open(partial_, rt::OpenMode::kReadWrite));
    TRY(written->Sync());
  }
  TRY(files.Rename(partial_, path_ + ".new"));
  TRY(files.SyncDirectory(DirName(path_)));
  return FinishReplace(files, path_);
}

Ok FinishReplace(rt::FileSystem& files, const std::string& path) {
  TRY(RemovePartial(files, path));
  if (!files.Exists(path + ".new")) return {};
  // In this order: the old log must never meet the new database. (The old journal would not count for it.)
  for (const char* old : {"-wal", "-journal"}) TRY(files.Remove(path + old));
  TRY(RemoveJournal(files, DirName(path)));
  TRY(files.SyncDirectory(DirName(path)));
  TRY(files.Rename(path + ".new", path));
  return files.SyncDirectory(DirName(path));
}

}  // namespace knarr::store

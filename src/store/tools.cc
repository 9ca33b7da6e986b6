#include "store/tools.h"

#include <algorithm>

#include "store/rewrite.h"
#include "store/stopped.h"

namespace knarr::store {

namespace {

constexpr size_t kPiece = 1 << 20;

Ok NotWhole(const Record& record) {
  return Internal("row " + std::to_string(record.row) + " of the store is damaged: see `knarr store check`");
}

/// The state of a store that must be whole, and its mark.
struct Whole {
  StateOfRecords state;
  Revision compacted = 0;
  Revision revision = 1;
  uint64_t records = 0;
};

Result<Whole> ReadWhole(StoppedStore& store) {
  if (store.trouble()) return *store.trouble();
  Whole whole;
  Ok marked;
  store.runtime().Blocking([&] {
    const Result<Revision> mark = ReadMark(store.database());
    if (mark.ok()) whole.compacted = *mark;
    if (!mark.ok()) marked = mark.status();
  });
  TRY(std::move(marked));
  std::optional<std::string> unreadable;
  TRY(store.ScanAll(
      [&](const Record& record) -> Ok {
        if (!record.Good() || record.revision < whole.state.revision()) return NotWhole(record);
        whole.state.Add(record);
        whole.records++;
        return {};
      },
      [&](int64_t, int64_t, const std::string& why) { unreadable = why; }));
  if (unreadable) return store.database().Damaged(*unreadable);
  whole.revision = std::max(whole.state.revision(), whole.compacted);
  return whole;
}

/// Calls `visit` for what is alive, in order.
Ok VisitLive(StoppedStore& store, const StateOfRecords& state, const std::function<Ok(const Record&)>& visit) {
  const std::vector<int64_t> rows = state.LiveRows();
  size_t next = 0;
  return store.ScanAll(
      [&](const Record& record) -> Ok {
        if (next == rows.size() || rows[next] != record.row) return {};
        next++;
        return visit(record);
      },
      [](int64_t, int64_t, const std::string&) {});
}

Ok ReadPieces(rt::Runtime& runtime, const std::string& file, const std::function<Ok(std::string_view)>& take) {
  const std::unique_ptr<rt::File> open = TRY(runtime.files().Open(file, rt::OpenMode::kRead));
  for (int64_t at = 0;;) {
    const std::string piece = TRY(open->ReadAt(at, kPiece));
    if (piece.empty()) return {};
    TRY(take(piece));
    at += static_cast<int64_t>(piece.size());
  }
}

Result<BackupInfo> ReadBackup(rt::Runtime& runtime, const std::string& file, const BackupReader::Visit& visit) {
  BackupReader reader;
  TRY(ReadPieces(runtime, file, [&](std::string_view piece) { return reader.Read(piece, visit); }).Context(file));
  return reader.End().Context(file);
}

/// Whether something is there that a restore would take away.
Ok CheckEmpty(rt::Runtime& runtime, const std::string& directory) {
  const Result<StoreStats> stats = StatsOfFolder(runtime, directory);
  if (stats.Failed(Reason::kNotFound) || (stats.ok() && stats->keys == 0)) return {};
  if (stats.Failed(Reason::kServiceUnavailable)) return stats.status().WithContext("stop the server first");
  const std::string has = stats.ok() ? std::to_string(stats->keys) + " keys" : "something that can't be read";
  return AlreadyExists("the store in " + directory + " has " + has + ": it is replaced only with --force");
}

}  // namespace

Result<CheckReport> CheckFolder(rt::Runtime& runtime, const std::string& directory) {
  StoppedStore store(runtime, directory);
  TRY(store.Open());
  CheckReport report;
  if (store.trouble()) {
    report.Add({.why = store.trouble()->message()});
    return report;
  }
  Ok checked;
  runtime.Blocking([&] {
    const Result<Revision> mark = ReadMark(store.database());
    if (mark.ok()) report.compacted = *mark;
    if (!mark.ok()) report.Add({.why = mark.status().message()});
    Scan scan;
    while (checked.ok() && !scan.done) checked = CheckSome(store.database(), scan, kScanStretch, report);
    if (checked.ok() && !report.Unreadable()) checked = CheckStructure(store.database(), report);
  });
  TRY(std::move(checked));
  report.revision = std::max(report.revision, report.compacted);
  report.disk_bytes = store.disk_bytes();
  return report;
}

Result<StoreStats> StatsOfFolder(rt::Runtime& runtime, const std::string& directory) {
  StoppedStore store(runtime, directory);
  TRY(store.Open());
  const Whole whole = TRY(ReadWhole(store));
  StoreStats stats;
  stats.revision = whole.revision;
  stats.compacted = whole.compacted;
  stats.keys = whole.state.keys();
  stats.value_bytes = whole.state.value_bytes();
  stats.history_events = whole.records - whole.state.keys();
  stats.disk_bytes = store.disk_bytes();
  return stats;
}

Result<Reclaimed> CompactFolder(rt::Runtime& runtime, const std::string& directory) {
  StoppedStore store(runtime, directory);
  TRY(store.Open());
  const Whole whole = TRY(ReadWhole(store));
  Reclaimed done;
  done.compacted = whole.revision;
  done.disk_bytes_before = store.disk_bytes();
  DatabaseWriter writer(store.path());
  Ok wrote;
  runtime.Blocking([&] { wrote = writer.Begin(); });
  TRY(std::move(wrote));
  TRY(VisitLive(store, whole.state, [&](const Record& record) { return writer.Add(record); }));
  runtime.Blocking([&] { wrote = writer.Finish(whole.revision); });
  TRY(std::move(wrote));
  store.Close();
  TRY(Replace(runtime.files(), store.path()));
  done.disk_bytes = TRY(runtime.files().Stat(store.path())).size;
  return done;
}

Result<BackupInfo> BackupFolder(rt::Runtime& runtime, const std::string& directory,
                                const std::function<Ok(std::string_view)>& sink) {
  StoppedStore store(runtime, directory);
  TRY(store.Open());
  const Whole whole = TRY(ReadWhole(store));
  BackupWriter writer;
  std::string out;
  writer.Begin(whole.revision, out);
  // Read on the blocking pool in stretches, written here between two of them.
  const std::vector<int64_t> rows = whole.state.LiveRows();
  size_t next = 0;
  Scan scan;
  while (!scan.done) {
    Ok read;
    runtime.Blocking([&] {
      read = ScanSome(
          store.database(), scan, kScanStretch,
          [&](const Record& record) -> Ok {
            if (next == rows.size() || rows[next] != record.row) return {};
            next++;
            writer.Add(record, out);
            return {};
          },
          [](int64_t, int64_t, const std::string&) {});
    });
    TRY(std::move(read));
    if (out.size() < kPiece) continue;
    TRY(sink(out));
    out.clear();
  }
  writer.End(out);
  TRY(sink(out));
  return BackupInfo{whole.revision, rows.size()};
}

Result<BackupInfo> CheckBackup(rt::Runtime& runtime, const std::string& file) {
  return ReadBackup(runtime, file, [](const Record&) { return Ok(); });
}

Result<BackupInfo> RestoreFolder(rt::Runtime& runtime, const std::string& directory, const std::string& file,
                                 const RestoreOptions& options) {
  TRY(CheckBackup(runtime, file));
  if (!options.force) TRY(CheckEmpty(runtime, directory));
  rt::FileSystem& files = runtime.files();
  TRY(files.MakeDirectories(directory, 0700));
  TRY(files.Chmod(directory, 0700));
  const auto lock = TRY(LockFolder(runtime, directory).Context("stop the server first"));
  const std::string path = DatabasePath(directory);
  TRY(FinishReplace(files, path));
  TRY(MakeDatabaseFile(files, path + ".partial"));
  DatabaseWriter writer(path);
  Ok wrote;
  runtime.Blocking([&] { wrote = writer.Begin(); });
  TRY(std::move(wrote));
  const BackupInfo info = TRY(ReadBackup(runtime, file, [&](const Record& record) { return writer.Add(record); }));
  runtime.Blocking([&] { wrote = writer.Finish(info.revision + options.bump); });
  TRY(std::move(wrote));
  TRY(Replace(files, path));
  return info;
}

}  // namespace knarr::store

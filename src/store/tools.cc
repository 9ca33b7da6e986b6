#include "store/tools.h"

#include <algorithm>

#include "store/rewrite.h"
#include "store/stopped.h"

namespace knarr::store {

namespace {

constexpr size_t kPiece = 1 << 20;

/// A restored store goes on no further than this: the end of numbers must stay far away.
constexpr Revision kRevisionMost = Revision{1} << 62;

Ok NotWhole(const Record& record) {
  return Internal("row " + std::to_string(record.row) + " of the store is damaged: see `knarr store check`");
}

/// The state of a store that must be whole, and its mark.
struct Whole {
  StateOfRecords state;
  Revision compacted = 0;
  Revision revision = 1;
  uint64_t history = 0;  ///< those that a watch may still want
};

Result<Whole> ReadWhole(StoppedStore& store) {
  if (store.trouble()) return *store.trouble();
  Whole whole;
  if (store.journal_trouble()) return *store.journal_trouble();
  whole.compacted = TRY(store.Compacted());
  std::optional<std::string> unreadable;
  TRY(store.ScanAll(
      [&](const Record& record) -> Ok {
        if (!record.Good() || record.revision < whole.state.revision()) return NotWhole(record);
        whole.state.Add(record);
        if (record.revision > whole.compacted) whole.history++;
        return {};
      },
      [&](int64_t, int64_t, const std::string& why) { unreadable = why; }));
  if (unreadable) return store.database().Damaged(*unreadable);
  whole.revision = std::max(whole.state.revision(), whole.compacted);
  return whole;
}

/// Calls `visit` for what is alive, in order, and `pause` in the fiber from time to time and at the end. Everything was
/// read before, but the disk may fail between the two: what is not as it was then is an error.
Ok VisitLive(
    StoppedStore& store, const StateOfRecords& state, const std::function<Ok(const Record&)>& visit,
    const std::function<Ok()>& pause = [] { return Ok(); }) {
  const std::vector<int64_t> rows = state.LiveRows();
  size_t next = 0;
  std::optional<std::string> unreadable;
  TRY(store.ScanAll(
      [&](const Record& record) -> Ok {
        if (next == rows.size() || rows[next] != record.row) return {};
        if (!record.Good()) return NotWhole(record);
        next++;
        return visit(record);
      },
      [&](int64_t, int64_t, const std::string& why) { unreadable = why; }, pause));
  if (unreadable) return store.database().Damaged(*unreadable);
  if (next != rows.size()) return store.database().Damaged("row " + std::to_string(rows[next]) + " is gone");
  return {};
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
  if (store.journal_trouble()) report.Add({.why = store.journal_trouble()->message()});
  const Result<Revision> mark = store.Compacted();
  if (mark.ok()) report.compacted = *mark;
  if (!mark.ok()) report.Add({.why = mark.status().message()});
  Ok checked;
  runtime.Blocking([&] {
    Scan scan;
    while (checked.ok() && !scan.done) checked = store.Check(scan, report);
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
  stats.history_events = whole.history;
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
  Replacement anew(runtime, store.path());
  TRY(anew.Begin());
  TRY(VisitLive(store, whole.state, [&](const Record& record) { return anew.Add(record); }));
  TRY(anew.Finish(whole.revision));
  store.Close();
  TRY(anew.Replace());
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
  const auto add = [&](const Record& record) -> Ok {
    writer.Add(record, out);
    return {};
  };
  const auto write = [&]() -> Ok {
    if (out.size() < kPiece) return {};
    TRY(sink(out));
    out.clear();
    return {};
  };
  TRY(VisitLive(store, whole.state, add, write));
  writer.End(out);
  TRY(sink(out));
  return BackupInfo{whole.revision, whole.state.keys()};
}

Result<BackupInfo> CheckBackup(rt::Runtime& runtime, const std::string& file) {
  return ReadBackup(runtime, file, [](const Record&) { return Ok(); });
}

Result<BackupInfo> RestoreFolder(rt::Runtime& runtime, const std::string& directory, const std::string& file,
                                 const RestoreOptions& options) {
  const BackupInfo checked = TRY(CheckBackup(runtime, file));
  if (options.bump < 0 || options.bump > kRevisionMost - checked.revision) {
    return BadRequest("the store can't go on " + std::to_string(options.bump) + " revisions behind revision " +
                      std::to_string(checked.revision) + " of " + file);
  }
  if (!options.force) TRY(CheckEmpty(runtime, directory));
  rt::FileSystem& files = runtime.files();
  TRY(files.MakeDirectories(directory, 0700));
  TRY(files.Chmod(directory, 0700));
  const auto lock = TRY(LockFolder(runtime, directory).Context("stop the server first"));
  const std::string path = DatabasePath(directory);
  Replacement anew(runtime, path);
  TRY(anew.Begin());
  const BackupInfo info = TRY(ReadBackup(runtime, file, [&](const Record& record) { return anew.Add(record); }));
  if (info.revision != checked.revision) return BadRequest(file + " was changed while it was read");
  TRY(anew.Finish(info.revision + options.bump));
  TRY(anew.Replace());
  return info;
}

}  // namespace knarr::store

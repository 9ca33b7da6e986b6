#pragma once

// The files of a store that is stopped, opened with the folder's lock: the database, and what a server that was killed
// has left in the journal. Reading them changes neither.

#include <string>
#include <unordered_map>

#include "store/folder.h"
#include "store/scan.h"

namespace knarr::store {

constexpr size_t kScanStretch = 1000;

class StoppedStore {
 public:
  explicit StoppedStore(rt::Runtime& runtime, const std::string& directory)
      : runtime_(runtime), directory_(directory), database_(DatabasePath(directory)) {}
  ~StoppedStore() { Close(); }

  /// Takes the lock, finishes what was cut short, opens. Damage that keeps it from opening is kept for `trouble`.
  Ok Open();
  void Close();
  /// Why the database can't be read at all.
  const std::optional<Status>& trouble() const { return trouble_; }
  /// The mark of the compaction.
  Result<Revision> Compacted();
  /// Reads some more records, adds what it finds. On the blocking pool.
  Ok Check(Scan& scan, CheckReport& report) { return CheckSome(database_, journal_, scan, kScanStretch, report); }
  /// All records, on the blocking pool; `visit` and `unreadable` run there, `pause` in the fiber, after each stretch.
  Ok ScanAll(
      const std::function<Ok(const Record&)>& visit,
      const std::function<void(int64_t first, int64_t last, const std::string& why)>& unreadable,
      const std::function<Ok()>& pause = [] { return Ok(); });

  rt::Runtime& runtime() { return runtime_; }
  rt::FileSystem& files() { return runtime_.files(); }
  Database& database() { return database_; }
  const std::string& directory() const { return directory_; }
  std::string path() const { return DatabasePath(directory_); }
  int64_t disk_bytes() const { return database_.file_bytes() + database_.log_bytes() + journal_.disk_bytes(); }
  /// Why the journal can't be read, if there is one.
  const std::optional<Status>& journal_trouble() const { return journal_trouble_; }

 private:
  rt::Runtime& runtime_;
  const std::string directory_;
  std::unique_ptr<rt::FileLock> lock_;
  Database database_;
  JournalLeft journal_;
  std::optional<Status> trouble_;
  std::optional<Status> journal_trouble_;
};

/// What the records come to: the newest of each key. Keys alone, no values.
class StateOfRecords {
 public:
  struct Place {
    int64_t row = 0;
    Revision revision = 0;
    size_t bytes = 0;
    bool deleted = false;
  };
  void Add(const Record& record);
  const Place* Find(std::string_view key) const;
  /// The rows of what is alive, in order.
  std::vector<int64_t> LiveRows() const;
  size_t keys() const { return keys_; }
  size_t value_bytes() const { return value_bytes_; }
  Revision revision() const { return revision_; }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, Place, Hash, std::equal_to<>> places_;
  size_t keys_ = 0;
  size_t value_bytes_ = 0;
  Revision revision_ = 1;
};

}  // namespace knarr::store

#include <algorithm>

#include "rt/file_system.h"
#include "store/core.h"
#include "store/sqlite_log.h"

namespace knarr::store {

namespace {

constexpr const char* kFile = "store.db";

/// Durability by assumption.
class MemoryLog : public Log {
 public:
  MemoryLog(rt::Runtime& world, Duration commit_time) : world_(world), commit_time_(commit_time) {}
  Ok Append(const Batch&) override {
    // On the flush fiber, which nobody cancels.
    if (commit_time_ > Duration::zero()) TRY(world_.Sleep(commit_time_));
    return {};
  }
  int64_t disk_bytes() const override { return 0; }
  void Close() override {}

 private:
  rt::Runtime& world_;
  const Duration commit_time_;
};

}  // namespace

Result<std::unique_ptr<Store>> OpenEmbedded(rt::Runtime& world, EmbeddedOptions options) {
  if (!options.directory.starts_with('/')) {
    return BadRequest("store: the folder \"" + options.directory + "\" is not an absolute path");
  }
  rt::FileSystem& files = world.files();
  // 0700 and 0600: Secrets lie in it.
  TRY(files.MakeDirectories(options.directory, 0700));
  TRY(files.Chmod(options.directory, 0700));
  std::string path = options.directory + "/" + kFile;
  // Only when absent: closing a descriptor of the file would drop this process's locks on it.
  if (!files.Exists(path)) {
    auto made = files.Open(path, rt::OpenMode::kCreateNew, 0600);
    if (!made.ok() && !made.Failed(Reason::kAlreadyExists)) return made.status();
    // SQLite syncs the folder when it first writes; the folder's own entry is ours to care for.
    TRY(files.SyncDirectory(options.directory.substr(0, std::max<size_t>(options.directory.rfind('/'), 1))));
  }
  OpenedLog opened = TRY(OpenSqliteLog(world, path, options.sealer));
  CoreOptions core{.history = {.events_max = options.history_events_max,
                               .bytes_max = options.history_bytes_max,
                               .age_max = options.history_age_max},
                   .queue_max = std::max<size_t>(options.queue_max, 1)};
  return std::unique_ptr<Store>(
      std::make_unique<Core>(world, core, std::move(opened.log), std::move(opened.recovered)));
}

std::unique_ptr<Store> OpenMemory(rt::Runtime& world, Duration commit_time) {
  return std::make_unique<Core>(world, CoreOptions{}, std::make_unique<MemoryLog>(world, commit_time), Recovered{});
}

}  // namespace knarr::store

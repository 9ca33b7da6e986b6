#include <algorithm>

#include "rt/file_system.h"
#include "store/core.h"
#include "store/folder.h"
#include "store/journaled_log.h"
#include "store/rewrite.h"

namespace knarr::store {

namespace {

/// Durability by assumption.
class MemoryLog : public Log {
 public:
  MemoryLog(rt::Runtime& world, Duration commit_time) : world_(world), commit_time_(commit_time) {}
  Ok Append(const Batch&) override {
    // On the flush fiber, which nobody cancels.
    if (commit_time_ > Duration::zero()) TRY(world_.Sleep(commit_time_));
    return {};
  }
  Ok Recover(const std::function<Contents()>&, bool) override { return {}; }
  Ok Check(Scan& scan, CheckReport&) override {
    scan.done = true;
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
  // 0700 and 0600: Secrets lie in it.
  TRY(world.files().MakeDirectories(options.directory, 0700));
  TRY(world.files().Chmod(options.directory, 0700));
  auto lock = TRY(LockFolder(world, options.directory));
  const std::string path = DatabasePath(options.directory);
  TRY(FinishReplace(world.files(), path));
  TRY(MakeDatabaseFile(world.files(), path));
  OpenedLog opened = TRY(OpenJournaledLog(world, {.path = path, .sealer = options.sealer, .lock = std::move(lock)}));
  CoreOptions core{.history = {.events_max = options.history_events_max,
                               .bytes_max = options.history_bytes_max,
                               .age_max = options.history_age_max},
                   .disk_history_bytes_min = options.disk_history_bytes_min,
                   .queue_max = std::max<size_t>(options.queue_max, 1),
                   .waiting_max = options.waiting_max,
                   .on_health = std::move(options.on_health)};
  return std::unique_ptr<Store>(
      std::make_unique<Core>(world, std::move(core), std::move(opened.log), std::move(opened.recovered)));
}

std::unique_ptr<Store> OpenMemory(rt::Runtime& world, Duration commit_time) {
  return std::make_unique<Core>(world, CoreOptions{}, std::make_unique<MemoryLog>(world, commit_time), Recovered{});
}

}  // namespace knarr::store

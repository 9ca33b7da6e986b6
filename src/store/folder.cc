#include "store/folder.h"

#include "base/path.h"

namespace knarr::store {

std::string DatabasePath(const std::string& directory) { return directory + "/store.db"; }

Result<std::unique_ptr<rt::FileLock>> LockFolder(rt::Runtime& runtime, const std::string& directory) {
  auto lock = std::make_unique<rt::FileLock>(runtime);
  TRY(lock->Open(directory + "/lock"));
  if (!lock->TryLockExclusive()) {
    return Unavailable("store " + DatabasePath(directory) + " is in use by another knarr server");
  }
  return lock;
}

Ok MakeDatabaseFile(rt::FileSystem& files, const std::string& path) {
  // Only when absent: closing a descriptor of the file would drop this process's locks on it.
  if (files.Exists(path)) return {};
  const auto made = files.Open(path, rt::OpenMode::kCreateNew, 0600);
  if (!made.ok() && !made.Failed(Reason::kAlreadyExists)) return made.status();
  // SQLite syncs the folder when it first writes; the folder's own entry is ours to care for.
  return files.SyncDirectory(DirName(DirName(path)));
}

}  // namespace knarr::store

#include "node/log_rotation.h"

#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"

namespace knarr::node {
namespace {

/// What was rotated of a log, the oldest first: whole paths.
Result<std::vector<std::string>> RotatedOf(rt::FileSystem& files, const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = path.substr(0, slash);
  const std::string prefix = path.substr(slash + 1) + ".";
  std::vector<std::string> out;
  const auto entries = files.List(directory);  // sorted, and so are the times in the names
  if (entries.Failed(Reason::kNotFound)) return out;
  if (!entries.ok()) return entries.status();
  for (const rt::DirectoryEntry& entry : *entries) {
    if (entry.name.starts_with(prefix)) out.push_back(directory + "/" + entry.name);
  }
  return out;
}

/// "2026-11-21T10:00:00Z" → "20261121-100000"
std::string Stamp(WallTime now) {
  std::string out;
  for (const char c : FormatTime(now)) {
    if (c >= '0' && c <= '9') out += c;
    if (c == 'T') out += '-';
  }
  return out;
}

Ok Rotate(rt::Runtime& runtime, runtime::Runtime& containers, const runtime::ContainerStatus& container) {
  rt::FileSystem& files = runtime.files();
  const std::string& path = container.log_path;
  const std::vector<std::string> rotated = TRY(RotatedOf(files, path));
  // With the one that is made now, and the one that is written.
  for (size_t i = 0; i + kLogFilesMax < rotated.size() + 2; ++i) TRY(files.Remove(rotated[i]));
  const std::string aside = path + "." + Stamp(runtime.Wall());
  TRY(files.Rename(path, aside));
  const Ok reopened = containers.ReopenLog(container.id);
  if (reopened.ok()) return {};
  // It goes on in the file it has open, which must keep the name that readers know.
  const rt::Shield shield(runtime);
  if (!files.Exists(path)) TRY(files.Rename(aside, path));
  return reopened;
}

}  // namespace

Ok RotateLogs(rt::Runtime& runtime, runtime::Runtime& containers) {
  for (const runtime::ContainerStatus& container : TRY(containers.ListContainers())) {
    if (container.state != runtime::ContainerState::kRunning || container.log_path.empty()) continue;
    const auto info = runtime.files().Stat(container.log_path);
    if (!info.ok() || info->size <= kLogSizeMax) continue;
    const Ok rotated = Rotate(runtime, containers, container);
    TRY(runtime.CheckCancelled());
    // Its end may have come between.
    if (rotated.ok() || rotated.Failed(Reason::kConflict)) continue;
    LOG_WARN("log not rotated", {"path", container.log_path}, {"error", rotated.status()});
  }
  return {};
}

Ok RemoveLog(rt::FileSystem& files, const std::string& path) {
  if (path.empty()) return {};
  for (const std::string& rotated : TRY(RotatedOf(files, path))) TRY(files.Remove(rotated));
  return files.Remove(path);
}

}  // namespace knarr::node

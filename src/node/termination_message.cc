#include "node/termination_message.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/logs.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

// The kubelet's MaxContainerTerminationMessageLength, …LogLength and …LogLines, MaxPodTerminationMessageLogLength.
constexpr int64_t kMessageMax = 4096;
constexpr size_t kLogBytesMax = 2048;
constexpr int64_t kLogLinesMax = 80;
constexpr size_t kPodMax = 12 << 10;

Result<std::string> ReadEnd(rt::Runtime& runtime, const std::string& path) {
  // Nothing, as a rule: every step goes through another thread, and the end of the container is to be told.
  const int64_t size = TRY(runtime.files().Stat(path)).size;
  if (size == 0) return std::string();
  const auto file = TRY(runtime.files().Open(path, rt::OpenMode::kRead));
  return file->ReadAt(std::max<int64_t>(0, size - kMessageMax), kMessageMax);
}

Result<std::string> ReadLogEnd(rt::Runtime& runtime, const std::string& path) {
  const auto reader = TRY(LogReader::Open(runtime, {.path = path, .tail_lines = kLogLinesMax}));
  std::string out;
  for (;;) {
    const std::string text = TRY(reader->Read());
    if (text.empty()) return out;
    out += text;
    if (out.size() > kLogBytesMax) out.erase(0, out.size() - kLogBytesMax);
  }
}

}  // namespace

std::string TerminationLogOf(const std::string& directory, std::string_view container, uint32_t attempt) {
  return fmt::format("{}/containers/{}/{}", directory, container, attempt);
}

Ok MakeTerminationLog(rt::Runtime& runtime, const std::string& path) {
  rt::FileSystem& files = runtime.files();
  TRY(files.MakeDirectories(path.substr(0, path.rfind('/'))));
  TRY(files.WriteFile(path, "", 0666));
  return files.Chmod(path, 0666);  // whatever our umask is
}

std::string ReadTerminationMessage(rt::Runtime& runtime, const std::string& directory,
                                   api::core_v1::Container container, const runtime::ContainerStatus& ended) {
  std::string text;
  if (!container.termination_message_path().empty()) {
    const std::string path = TerminationLogOf(directory, ended.name, ended.attempt);
    Result<std::string> read = ReadEnd(runtime, path);
    if (!read.ok() && !read.Failed(Reason::kNotFound)) {
      return fmt::format("Error on reading termination log {}: {}", path, read.status().message());
    }
    if (read.ok()) text = std::move(*read);
  }
  // What could not even be started has no log.
  const bool asks_log = container.termination_message_policy() == "FallbackToLogsOnError" && ended.exit_code != 0 &&
                        ended.reason != "ContainerCannotRun";
  if (!text.empty() || !asks_log) return text;
  Result<std::string> log = ReadLogEnd(runtime, ended.log_path);
  if (log.ok()) return std::move(*log);
  return "Error on reading termination message from logs: " + log.status().message();
}

size_t TerminationMessageMax(api::core_v1::Pod pod) {
  const auto spec = pod.spec();
  const size_t count = spec.containers().size() + spec.init_containers().size() + spec.ephemeral_containers().size();
  return kPodMax / std::max<size_t>(1, count);
}

}  // namespace knarr::node

#include "apiserver/audit/log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace knarr::apiserver {
namespace {

constexpr size_t kQueueMax = 10000;
constexpr size_t kQueueBytesMax = 64 << 20;
constexpr Duration kDay = std::chrono::hours(24);
constexpr int64_t kMegabyte = 1 << 20;
// Where a name's timestamp stands: audit-2026-01-02T15-04-05.000.log
constexpr size_t kStampSize = 23;

/// "/d/audit.log" as "/d/", "audit", ".log".
struct PathParts {
  std::string folder;
  std::string base;
  std::string extension;
};
PathParts PartsOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t begin = slash == std::string::npos ? 0 : slash + 1;
  const size_t dot = path.rfind('.');
  const size_t end = dot == std::string::npos || dot <= begin ? path.size() : dot;
  return {path.substr(0, begin), path.substr(begin, end - begin), path.substr(end)};
}

/// 2026-01-02T15-04-05.000
std::string StampOf(WallTime now) {
  std::string text = FormatNanoTime(now);  // 2026-01-02T15:04:05.000000000Z
  std::ranges::replace(text, ':', '-');
  const size_t dot = text.find('.');
  std::string fraction = dot == std::string::npos ? "" : text.substr(dot + 1, 3);
  while (!fraction.empty() && (fraction.back() < '0' || fraction.back() > '9')) fraction.pop_back();
  fraction.resize(3, '0');
  return text.substr(0, 19) + "." + fraction;
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::Create(rt::Runtime& world, const AuditOptions& options) {
  if (options.policy.empty() && options.path.empty()) return std::unique_ptr<AuditLog>();
  if (options.policy.empty()) {
    LOG_WARN("no requests are logged: there is a file for the audit log, but no policy", {"file", options.path});
    return std::unique_ptr<AuditLog>();
  }
  AuditPolicy policy = TRY(AuditPolicy::Parse(options.policy).Context("audit policy"));
  if (options.path.empty()) {
    LOG_WARN("no requests are logged: there is an audit policy, but no file for the log");
    return std::unique_ptr<AuditLog>();
  }
  auto log = std::make_unique<AuditLog>(world, options, std::move(policy));
  TRY(log->OpenFile().Context("audit log"));
  return log;
}

AuditLog::AuditLog(rt::Runtime& world, AuditOptions options, AuditPolicy policy)
    : world_(world), options_(std::move(options)), policy_(std::move(policy)), wake_(world), tasks_(world, "audit") {}
AuditLog::~AuditLog() = default;

void AuditLog::AddMetrics(knarr::Registry& metrics) {
  events_ = &metrics.AddCounter("apiserver_audit_event_total", "Events made for the audit log.", {}).With({});
  auto& levels = metrics.AddCounter("apiserver_audit_level_total", "Requests by what is logged of them.", {"level"});
  for (size_t i = 0; i < levels_.size(); ++i) levels_[i] = &levels.With({LevelText(static_cast<AuditLevel>(i))});
  errors_ =
      &metrics.AddCounter("apiserver_audit_error_total", "Events that did not come into the audit log.", {"plugin"})
           .With({"log"});
}

void AuditLog::Start() {
  tasks_.Spawn("write", [this] {
    while (wake_.Wait().ok()) Drain();
  });
}

void AuditLog::Stop() {
  {
    const store::Lock::Guard guard(lock_);
    if (std::exchange(stopped_, true)) return;
  }
  tasks_.StopAndJoin();
  Drain();
  file_.reset();
}

void AuditLog::Drop(size_t lines) {
  dropped_.fetch_add(lines, std::memory_order_relaxed);
  if (errors_ != nullptr) errors_->Add(static_cast<double>(lines));
}

void AuditLog::Write(std::string line) {
  if (events_ != nullptr) events_->Add();
  bool first = false;
  bool full = false;
  {
    const store::Lock::Guard guard(lock_);
    full = stopped_ || queue_.size() >= kQueueMax || queued_bytes_ + line.size() > kQueueBytesMax;
    if (!full) {
      first = queue_.empty();
      queued_bytes_ += line.size();
      queue_.push_back(std::move(line));
    }
  }
  if (full) Drop(1);
  // Whoever finds the queue empty wakes the writer; the others' lines go along.
  if (first) {
    if (world_.OnThisThread()) {
      wake_.Set();
    } else {
      world_.Post([this] { wake_.Set(); });
    }
  }
}

void AuditLog::Drain() {
  while (true) {
    wake_.Reset();
    std::vector<std::string> lines;
    {
      const store::Lock::Guard guard(lock_);
      lines.swap(queue_);
      queued_bytes_ = 0;
    }
    if (lines.empty()) return;
    std::string text;
    for (const std::string& line : lines) text.append(line).append("\n");
    const Ok written = WriteOut(text);
    if (written.ok()) {
      failing_ = false;
      continue;
    }
    Drop(lines.size());
    file_.reset();
    if (!std::exchange(failing_, true)) {
      LOG_ERROR("audit events are lost", {"path", options_.path}, {"error", written.status()});
    }
  }
}

Ok AuditLog::WriteOut(const std::string& text) {
  if (file_ == nullptr) TRY(OpenFile());
  const int64_t most = options_.max_size_megabytes * kMegabyte;
  if (most > 0 && file_size_ > 0 && file_size_ + static_cast<int64_t>(text.size()) > most) TRY(Rotate());
  TRY(file_->Append(text));
  file_size_ += static_cast<int64_t>(text.size());
  return {};
}

Ok AuditLog::OpenFile() {
  rt::FileSystem& files = world_.files();
  const bool standard_output = options_.path == "-";
  const std::string folder = PartsOf(options_.path).folder;
  if (!standard_output && !folder.empty()) TRY(files.MakeDirectories(folder, 0700));
  file_ = TRY(files.Open(standard_output ? "/dev/stdout" : options_.path,
                         standard_output ? rt::OpenMode::kReadWrite : rt::OpenMode::kCreate, 0600));
  file_size_ = 0;
  if (!standard_output) file_size_ = TRY(file_->Size());
  return {};
}

Ok AuditLog::Rotate() {
  if (options_.path == "-") return {};
  const PathParts parts = PartsOf(options_.path);
  file_.reset();
  TRY(world_.files().Rename(
      options_.path, fmt::format("{}{}-{}{}", parts.folder, parts.base, StampOf(world_.Wall()), parts.extension)));
  TRY(RemoveOld());
  return OpenFile();
}

Ok AuditLog::RemoveOld() {
  const PathParts parts = PartsOf(options_.path);
  const std::string prefix = parts.base + "-";
  std::vector<std::string> backups;
  for (const rt::DirectoryEntry& entry : TRY(world_.files().List(parts.folder.empty() ? "." : parts.folder))) {
    const bool named = entry.name.starts_with(prefix) && entry.name.ends_with(parts.extension) &&
                       entry.name.size() == prefix.size() + kStampSize + parts.extension.size();
    if (named) backups.push_back(entry.name);
  }
  // Names of one form sort by their times, the newest last.
  std::ranges::sort(backups);
  const std::string oldest = StampOf(world_.Wall() - options_.max_age_days * kDay);
  for (size_t i = 0; i < backups.size(); ++i) {
    const bool surplus = options_.max_backups > 0 && backups.size() - i > static_cast<size_t>(options_.max_backups);
    const bool aged = options_.max_age_days > 0 && backups[i].substr(prefix.size(), kStampSize) < oldest;
    if (surplus || aged) TRY(world_.files().Remove(parts.folder + backups[i]));
  }
  return {};
}

}  // namespace knarr::apiserver

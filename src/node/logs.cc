#include "node/logs.h"

#include <algorithm>

#include "node/file_watch.h"
#include "rt/file_system.h"
#include "rt/sync.h"

namespace knarr::node {
namespace {

constexpr size_t kBlock = 64 << 10;
constexpr size_t kLineMax = 256 << 10;  // the shim writes shorter lines; more is a damaged file

class CriLogReader : public LogReader {
 public:
  CriLogReader(rt::Runtime& runtime, LogReaderOptions options)
      : runtime_(runtime), options_(std::move(options)), wake_(runtime) {}

  ~CriLogReader() override {
    if (watch_ != nullptr) watch_->Stop();
  }

  Ok Start() {
    if (options_.follow) {
      // Before the first read, so that nothing written in between is missed.
      watch_ = TRY(FileWatch::Start(runtime_, options_.path, [this] { wake_.Set(); }));
    }
    TRY(OpenFile());
    if (options_.tail_lines && file_ != nullptr) offset_ = TRY(FindTail(*options_.tail_lines));
    return {};
  }

  Result<std::string> Read() override {
    std::string out;
    while (out.empty() && !done_) {
      wake_.Reset();
      const bool ended = !options_.follow || options_.ended();
      TRY(ReadSome(out));
      if (!out.empty() || at_end_ == false) continue;
      if (ended) {
        done_ = true;
      } else {
        TRY(wake_.Wait());
        TRY(OpenFile());
      }
    }
    return out;
  }

  void Wake() override { wake_.Set(); }

 private:
  /// Opens the file if it is there by now, or again when it was rotated away and its rest has been read.
  Ok OpenFile() {
    Result<rt::FileInfo> info = runtime_.files().Stat(options_.path);
    if (info.Failed(Reason::kNotFound)) return {};
    if (!info.ok()) return info.status();
    if (file_ != nullptr && info->inode == inode_) return {};
    if (file_ != nullptr && TRY(file_->Size()) > offset_) return {};
    Result<std::unique_ptr<rt::File>> opened = runtime_.files().Open(options_.path, rt::OpenMode::kRead);
    if (opened.Failed(Reason::kNotFound)) return {};
    if (!opened.ok()) return opened.status();
    file_ = std::move(opened).value();
    inode_ = info->inode;
    offset_ = 0;
    rest_.clear();
    return {};
  }

  Ok ReadSome(std::string& out) {
    at_end_ = true;
    if (file_ == nullptr) return {};
    std::string block = TRY(file_->ReadAt(offset_, kBlock));
    at_end_ = block.empty();
    offset_ += static_cast<int64_t>(block.size());
    rest_ += block;
    size_t from = 0;
    while (!done_) {
      const size_t newline = rest_.find('\n', from);
      if (newline == std::string::npos) break;
      Emit(std::string_view(rest_).substr(from, newline - from), out);
      from = newline + 1;
    }
    rest_.erase(0, from);
    if (rest_.size() > kLineMax) rest_.clear();
    return {};
  }

  void Emit(std::string_view line, std::string& out) {
    std::optional<LogEntry> entry = ParseLogLine(line);
    if (!entry) return;
    if (options_.since) {
      Result<WallTime> when = ParseTime(entry->timestamp);
      if (when.ok() && *when < *options_.since) return;
      options_.since.reset();  // entries are in order
    }
    std::string text;
    if (options_.timestamps && !in_line_) text.append(entry->timestamp).append(" ");
    text.append(entry->text);
    if (!entry->partial) text += '\n';
    in_line_ = entry->partial;
    if (options_.limit_bytes) {
      const auto left = static_cast<size_t>(std::max<int64_t>(0, *options_.limit_bytes));
      if (text.size() >= left) {
        text.resize(left);
        done_ = true;
      }
      *options_.limit_bytes -= static_cast<int64_t>(text.size());
    }
    out += text;
  }

  /// The offset behind the newline that ends the line before the last `lines` ones.
  Result<int64_t> FindTail(int64_t lines) {
    int64_t at = TRY(file_->Size());
    if (lines <= 0) return at;
    bool last = true;  // the newline that ends the last line does not count
    while (at > 0) {
      const int64_t from = std::max<int64_t>(0, at - static_cast<int64_t>(kBlock));
      std::string block = TRY(file_->ReadAt(from, static_cast<size_t>(at - from)));
      for (size_t i = block.size(); i > 0; --i) {
        if (block[i - 1] != '\n') {
          last = false;
          continue;
        }
        if (last) {
          last = false;
          continue;
        }
        if (--lines == 0) return from + static_cast<int64_t>(i);
      }
      at = from;
    }
    return int64_t{0};
  }

  rt::Runtime& runtime_;
  LogReaderOptions options_;
  rt::Event wake_;
  std::unique_ptr<FileWatch> watch_;
  std::unique_ptr<rt::File> file_;
  uint64_t inode_ = 0;
  int64_t offset_ = 0;
  std::string rest_;      // the beginning of a line whose end is not read yet
  bool in_line_ = false;  // the entry before was partial
  bool at_end_ = false;
  bool done_ = false;
};

}  // namespace

std::optional<LogEntry> ParseLogLine(std::string_view line) {
  LogEntry entry;
  const size_t time_end = line.find(' ');
  if (time_end == std::string_view::npos || time_end < 20) return std::nullopt;
  const size_t stream_end = line.find(' ', time_end + 1);
  if (stream_end == std::string_view::npos) return std::nullopt;
  entry.timestamp = line.substr(0, time_end);
  entry.stream = line.substr(time_end + 1, stream_end - time_end - 1);
  if (entry.stream != "stdout" && entry.stream != "stderr") return std::nullopt;
  size_t tag_end = line.find(' ', stream_end + 1);
  if (tag_end == std::string_view::npos) tag_end = line.size();
  const std::string_view tag = line.substr(stream_end + 1, tag_end - stream_end - 1);
  if (tag.empty() || (tag.front() != 'F' && tag.front() != 'P')) return std::nullopt;
  entry.partial = tag.front() == 'P';
  entry.text = tag_end < line.size() ? line.substr(tag_end + 1) : std::string_view();
  return entry;
}

Result<std::unique_ptr<LogReader>> LogReader::Open(rt::Runtime& runtime, LogReaderOptions options) {
  auto reader = std::make_unique<CriLogReader>(runtime, std::move(options));
  TRY(reader->Start());
  return std::unique_ptr<LogReader>(std::move(reader));
}

}  // namespace knarr::node

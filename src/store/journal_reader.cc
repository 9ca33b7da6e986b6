#include "store/journal_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/path.h"

namespace knarr::store {

namespace {

constexpr std::string_view kPrefix = "journal-";
constexpr size_t kPiece = 4 << 20;

Result<std::string> ReadAll(rt::FileSystem& files, const std::string& path) {
  const std::unique_ptr<rt::File> file = TRY(files.Open(path, rt::OpenMode::kRead));
  std::string bytes;
  while (true) {
    const std::string piece = TRY(file->ReadAt(static_cast<int64_t>(bytes.size()), kPiece));
    if (piece.empty()) return bytes;
    bytes += piece;
  }
}

std::string Places(const std::string& path, size_t offset) {
  return BaseName(path) + " is damaged at byte " + std::to_string(offset);
}

}  // namespace

std::string JournalPath(const std::string& directory, uint64_t number) {
  return directory + "/" + std::string(kPrefix) + std::to_string(number);
}

bool IsJournal(std::string_view name) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size();
}

Result<std::vector<std::string>> ListJournal(rt::FileSystem& files, const std::string& directory) {
  std::vector<std::string> paths;
  for (const rt::DirectoryEntry& entry : TRY(files.List(directory))) {
    if (IsJournal(entry.name)) paths.push_back(directory + "/" + entry.name);
  }
  return paths;
}

Ok RemoveJournal(rt::FileSystem& files, const std::string& directory) {
  const std::vector<std::string> paths = TRY(ListJournal(files, directory));
  for (const std::string& path : paths) TRY(files.Remove(path));
  return paths.empty() ? Ok() : files.SyncDirectory(directory);
}

JournalRun ReadRun(std::string_view bytes, const JournalMark& mark) {
  JournalRun run;
  // A frame counts with this sequence; a later one says that those between are lost.
  uint64_t expected = 0;
  const auto head_at = [&](size_t at) -> std::optional<FrameHead> {
    // The search for a later frame looks at every place: most are ruled out by this alone.
    uint64_t generation = 0;
    if (bytes.size() - at < sizeof generation) return std::nullopt;
    std::memcpy(&generation, bytes.data() + at, sizeof generation);
    return generation == mark.generation ? ReadHead(bytes.substr(at)) : std::nullopt;
  };
  const auto take = [&](Frame frame, size_t at) {
    run.end = at + FrameBytes(frame.head);
    expected = frame.head.sequence + 1;
    run.frames.push_back(std::move(frame));
  };
  while (true) {
    const size_t at = run.end;
    if (at >= bytes.size()) return run;
    std::optional<FrameHead> here = head_at(at);
    if (here && expected != 0 && here->sequence != expected) here.reset();
    std::optional<Frame> next = here ? ReadFrame(*here, bytes.substr(at)) : std::nullopt;
    if (next) {
      take(std::move(*next), at);
      continue;
    }
    // The end, unless something of the same use of the file follows.
    size_t later = at + kFrameAlign;
    for (; later < bytes.size(); later += kFrameAlign) {
      const std::optional<FrameHead> head = head_at(later);
      if (!head || head->sequence < std::max(expected, mark.applied + 1)) continue;
      next = ReadFrame(*head, bytes.substr(later));
      if (next) break;
    }
    if (later >= bytes.size()) return run;
    run.holes.push_back({at, run.frames.size()});
    take(std::move(*next), later);
  }
}

const Record* JournalLeft::Instead(int64_t row) const {
  const auto found = instead_.find(row);
  return found == instead_.end() ? nullptr : &resealed_[found->second];
}

const JournalLeft::Entry* JournalLeft::damage() const {
  const auto found = std::ranges::find_if(entries_, [](const Entry& entry) { return entry.lost_last != 0; });
  return found == entries_.end() ? nullptr : &*found;
}

class JournalReader {
 public:
  JournalReader(rt::FileSystem& files, const JournalMark& mark) : files_(files), mark_(mark) {}

  Result<JournalLeft> Read(const std::string& directory) {
    left_.sequence_ = mark_.applied;
    for (const std::string& path : TRY(ListJournal(files_, directory))) TRY(ReadOne(path));
    std::ranges::sort(runs_, {}, [](const Run& run) { return run.frames.frames.front().head.sequence; });
    for (Run& run : runs_) Take(run);
    EndHole(kRowMax);
    Overlay();
    return std::move(left_);
  }

 private:
  struct Run {
    std::string path;
    std::string_view all;
    JournalRun frames;
  };

  Ok ReadOne(const std::string& path) {
    left_.bytes_.push_back(TRY(ReadAll(files_, path)));
    const std::string& bytes = left_.bytes_.back();
    left_.disk_bytes_ += static_cast<int64_t>(bytes.size());
    JournalRun run = ReadRun(bytes, mark_);
    if (!run.frames.empty() && run.frames.back().head.sequence > mark_.applied) {
      runs_.push_back({path, bytes, std::move(run)});
      return {};
    }
    left_.unused_.push_back({path, 0, bytes.size()});
    left_.bytes_.pop_back();
    return {};
  }

  void Take(Run& run) {
    auto hole = run.frames.holes.begin();
    for (size_t i = 0; i < run.frames.frames.size(); i++) {
      Frame& frame = run.frames.frames[i];
      for (; hole != run.frames.holes.end() && hole->before == i; ++hole) {
        if (frame.head.sequence > mark_.applied + 1) BeginHole(Places(run.path, hole->offset));
      }
      if (frame.head.sequence <= left_.sequence_) continue;
      if (frame.head.sequence != left_.sequence_ + 1) {
        BeginHole(std::to_string(frame.head.sequence - left_.sequence_ - 1) + " of its groups of changes are missing");
      }
      TakeFrame(frame);
    }
    left_.in_use_.push_back({run.path, run.frames.frames.back().head.sequence, run.all.size()});
    left_.tail_ = run.frames.end;
    const size_t last = FrameBytes(run.frames.frames.back().head);
    left_.last_frame_ = run.all.substr(run.frames.end - last, last);
  }

  void TakeFrame(const Frame& frame) {
    left_.sequence_ = frame.head.sequence;
    if (frame.head.row_first != 0) EndHole(frame.head.row_first - 1);
    for (const Record& record : frame.records) left_.entries_.push_back({record, 0, ""});
    if (frame.head.row_last != 0) row_last_ = frame.head.row_last;
    left_.compacted_ = std::max(left_.compacted_, frame.compacted);
    left_.resealed_.insert(left_.resealed_.end(), frame.reseal.begin(), frame.reseal.end());
    // A delete may go only behind the value that it hides: when that one's turn is lost, neither goes.
    if (!damaged_) left_.forgotten_.insert(left_.forgotten_.end(), frame.forget.begin(), frame.forget.end());
    left_.places_.push_back({frame.head.sequence, FrameBytes(frame.head), row_last_, left_.forgotten_.size()});
  }

  void BeginHole(const std::string& why) {
    damaged_ = true;
    if (hole_) return;
    hole_ = JournalLeft::Entry{{}, kRowMax, "the journal's file " + why};
    // 0: behind all rows of the database.
    hole_->record.row = row_last_ == 0 ? 0 : row_last_ + 1;
  }

  void EndHole(int64_t row_last) {
    if (!hole_) return;
    hole_->lost_last = std::max(row_last, hole_->record.row);
    left_.entries_.push_back(std::move(*hole_));
    hole_.reset();
  }

  void Overlay() {
    left_.gone_.insert(left_.forgotten_.begin(), left_.forgotten_.end());
    left_.row_last_ = row_last_;
    for (const int64_t row : left_.forgotten_) left_.row_last_ = std::max(left_.row_last_, row);
    for (size_t i = 0; i < left_.resealed_.size(); i++) left_.instead_[left_.resealed_[i].row] = i;
    std::erase_if(left_.entries_, [this](const JournalLeft::Entry& entry) {
      return entry.lost_last == 0 && left_.gone_.contains(entry.record.row);
    });
    for (JournalLeft::Entry& entry : left_.entries_) {
      const Record* instead = entry.lost_last == 0 ? left_.Instead(entry.record.row) : nullptr;
      if (instead != nullptr) entry.record = *instead;
    }
  }

  rt::FileSystem& files_;
  const JournalMark mark_;
  JournalLeft left_;
  std::vector<Run> runs_;
  std::optional<JournalLeft::Entry> hole_;
  bool damaged_ = false;
  int64_t row_last_ = 0;
};

Result<JournalLeft> ReadJournal(rt::FileSystem& files, const std::string& directory, const JournalMark& mark) {
  return JournalReader(files, mark).Read(directory);
}

}  // namespace knarr::store

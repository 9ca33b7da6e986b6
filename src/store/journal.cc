#include "store/journal.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "base/path.h"

namespace knarr::store {

namespace {

/// Writes end at such a border, so that no page is read back only to be written in part.
constexpr size_t kBlock = 4096;
/// By which a file grows.
constexpr size_t kStretch = 256 << 10;
/// What the buffer keeps for the next frame.
constexpr size_t kBufferMost = 2 << 20;
constexpr size_t kZeros = 1 << 20;

uint64_t NumberOf(std::string_view path) {
  uint64_t number = 0;
  path.remove_prefix(path.rfind('-') + 1);
  std::from_chars(path.data(), path.data() + path.size(), number);
  return number;
}

}  // namespace

void Journal::Begin(uint64_t generation) {
  CHECK(now_ == nullptr && full_.empty() && spare_.empty());
  generation_ = generation;
  sequence_ = 0;
}

Result<std::unique_ptr<Journal::Part>> Journal::OpenPart(const JournalLeft::File& file) {
  auto part = std::make_unique<Part>();
  part->path = file.path;
  part->file = TRY(world_.files().Open(file.path, rt::OpenMode::kReadWrite));
  part->last = file.last;
  part->bytes = file.bytes;
  number_ = std::max(number_, NumberOf(file.path) + 1);
  return part;
}

Ok Journal::Resume(const JournalMark& mark, const JournalLeft& left) {
  Begin(mark.generation);
  sequence_ = left.sequence();
  // The database may have what they say only in the kernel's memory: a checkpoint releases them.
  for (const JournalLeft::File& file : left.unused()) full_.push_back(TRY(OpenPart(file)));
  for (const JournalLeft::File& file : left.in_use()) full_.push_back(TRY(OpenPart(file)));
  if (!left.in_use().empty()) {
    now_ = std::move(full_.back());
    full_.pop_back();
    now_->tail = left.tail();
    Tell("a start goes on in the middle of the journal");
    // Written anew, not only synced: the kernel forgets what it once failed to write.
    const std::string_view last = left.last_frame();
    TRY(now_->file->WriteAt(static_cast<int64_t>(now_->tail - last.size()), last));
    TRY(now_->file->Sync());
  }
  return bytes() == 0 ? Ok() : world_.files().SyncDirectory(directory_);
}

Result<std::unique_ptr<Journal::Part>> Journal::Make() {
  auto part = std::make_unique<Part>();
  part->path = JournalPath(directory_, number_++);
  part->file = TRY(world_.files().Open(part->path, rt::OpenMode::kCreateNew, 0600));
  // Its frames are as durable as its name.
  Ok synced = world_.files().SyncDirectory(directory_);
  if (!synced.ok()) {
    TRY(world_.files().Remove(part->path));
    return synced.status();
  }
  return part;
}

Ok Journal::Turn(size_t about) {
  if (now_ != nullptr && (now_->tail == 0 || now_->tail + about <= file_bytes_)) return {};
  unprepared_ = false;
  std::unique_ptr<Part> next;
  if (!spare_.empty()) {
    next = std::move(spare_.back());
    spare_.pop_back();
    next->tail = 0;
    next->last = 0;
    Tell("a file of the journal is used again");
  } else {
    next = TRY(Make());
    if (now_ != nullptr) Tell("the journal gets another file");
  }
  if (now_ != nullptr) full_.push_back(std::move(now_));
  now_ = std::move(next);
  return {};
}

bool Journal::wants_spare() const {
  if (now_ == nullptr || !spare_.empty() || unprepared_) return false;
  return now_->tail >= file_bytes_ / 2 && bytes() <= most_;
}

void Journal::Prepare() {
  const size_t size = file_bytes_;
  Result<std::unique_ptr<Part>> part = Make();
  Ok filled = part.ok() ? Fill(**part, size) : Ok(part.status());
  unprepared_ = !filled.ok();
  if (!part.ok()) return;
  if (filled.ok()) {
    Tell("a file of the journal is made before it is needed");
    (*part)->bytes = size;
    spare_.push_back(std::move(*part));
    return;
  }
  // What stays of it says nothing: the next start uses it.
  (void)world_.files().Remove((*part)->path);
}

Ok Journal::Fill(const Part& part, size_t bytes) const {
  const std::string zeros(std::min(bytes, kZeros), '\0');
  for (size_t at = 0; at < bytes; at += zeros.size()) {
    const std::string_view some = std::string_view(zeros).substr(0, std::min(zeros.size(), bytes - at));
    TRY(part.file->WriteAt(static_cast<int64_t>(at), some));
  }
  return part.file->Sync();
}

Ok Journal::Write(const Part& part, size_t about, Revision compacted, const std::function<Ok(FrameWriter& frame)>& fill,
                  size_t& written) {
  frame_.Begin();
  TRY(fill(frame_));
  size_t least = 0;
  const size_t end = part.tail + about;
  if (end > part.bytes) least = std::max(std::min(end + kStretch, file_bytes_), end);
  const std::string_view bytes =
      frame_.End(generation_, sequence_ + 1, compacted, part.tail, kBlock, least / kBlock * kBlock);
  TRY(part.file->WriteAt(static_cast<int64_t>(part.tail), bytes));
  written = bytes.size();
  return part.file->Sync();
}

Ok Journal::Append(size_t about, Revision compacted, const std::function<Ok(FrameWriter& frame)>& fill,
                   Failure& failure) {
  failure = Failure::kNotThere;
  TRY(Turn(about));
  size_t written = 0;
  Ok done;
  writing_ = true;
  // One trip for all of it: there, the files work in place.
  world_.Blocking([&] { done = Write(*now_, about, compacted, fill, written); });
  writing_ = false;
  if (written > 0) failure = Failure::kUnknown;
  now_->bytes = std::max(now_->bytes, now_->tail + written);
  if (!done.ok() && written == 0) {
    // All of the frame may be there, and only zeros behind it not: before anybody hears that it is not, it is not. When
    // there is no space for that, there was none for the frame's beginning.
    const Ok blotted = Blot();
    if (!blotted.ok() && blotted.status().code() != kInsufficientStorage) failure = Failure::kUnknown;
  }
  TRY(std::move(done));
  sequence_++;
  frame_bytes_ = frame_.frame_bytes();
  now_->last = sequence_;
  now_->tail += frame_bytes_;
  frame_.Shrink(kBufferMost);
  return {};
}

Ok Journal::Blot() {
  if (now_ == nullptr) return {};
  Tell("what a failed write may have left is overwritten");
  const size_t end = (now_->tail + kFrameHead + kBlock - 1) / kBlock * kBlock;
  TRY(now_->file->WriteAt(static_cast<int64_t>(now_->tail), std::string(end - now_->tail, '\0')));
  now_->bytes = std::max(now_->bytes, end);
  return now_->file->Sync();
}

void Journal::SetSizes(size_t file, size_t most) {
  file_bytes_ = file;
  most_ = most;
}

void Journal::Release(uint64_t applied) {
  while (!full_.empty() && full_.front()->last <= applied) {
    (full_.front()->retired ? retired_ : spare_).push_back(std::move(full_.front()));
    full_.pop_front();
  }
}

void Journal::Retire() {
  CHECK(!writing_);
  if (now_ != nullptr) full_.push_back(std::move(now_));
  for (const auto& part : full_) part->retired = true;
  for (auto& part : spare_) retired_.push_back(std::move(part));
  spare_.clear();
}

Ok Journal::Zero() {
  while (!retired_.empty()) {
    TRY(Fill(*retired_.back(), retired_.back()->bytes));
    retired_.back()->retired = false;
    spare_.push_back(std::move(retired_.back()));
    retired_.pop_back();
  }
  return {};
}

Ok Journal::Trim() {
  while (spare_.size() > 1 && bytes() > most_) {
    const std::unique_ptr<Part> part = std::move(spare_.back());
    spare_.pop_back();
    TRY(world_.files().Remove(part->path));
  }
  return {};
}

void Journal::Close() {
  now_.reset();
  full_.clear();
  spare_.clear();
  retired_.clear();
}

Ok Journal::Remove() {
  Close();
  return RemoveJournal(world_.files(), directory_);
}

size_t Journal::bytes() const {
  size_t all = now_ == nullptr ? 0 : now_->bytes;
  for (const auto& part : full_) all += part->bytes;
  for (const auto& part : spare_) all += part->bytes;
  for (const auto& part : retired_) all += part->bytes;
  return all;
}

}  // namespace knarr::store

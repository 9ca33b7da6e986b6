#include "store/backlog.h"

#include <algorithm>

#include "base/check.h"

namespace knarr::store {

void Backlog::Begin(const JournalMark& applied, Revision compacted) {
  *this = Backlog();
  applied_ = applied;
  compacted_ = compacted;
}

void Backlog::Resume(const JournalLeft& left, const std::vector<ItemRef>& items, const std::vector<ItemRef>& resealed) {
  for (const ItemRef& item : items) rows_.push_back({item->row, item});
  if (!rows_.empty()) {
    row_last_ = rows_.back().row;
    revision_ = rows_.back().item->mod_revision;
    taken_ = rows_.front().row - 1;
  }
  compacted_ = std::max(compacted_, left.compacted());
  forget_.assign(left.forgotten().begin(), left.forgotten().end());
  reseal_.assign(resealed.begin(), resealed.end());
  for (const JournalLeft::Place& place : left.places()) {
    bytes_ += place.bytes;
    // Those of rows of the journal itself are not among them: all with the first frame, so that none is late.
    frames_.push_back({place.sequence, place.bytes, place.row_last, place.forgotten, reseal_.size()});
  }
}

void Backlog::Add(uint64_t sequence, size_t frame_bytes, const Log::Batch& batch) {
  for (const ItemRef& item : batch.records) {
    CHECK(item->row > row_last_);
    row_last_ = item->row;
    revision_ = item->mod_revision;
    rows_.push_back({item->row, item});
  }
  for (const ItemRef& item : batch.reseal) {
    // What is still to be written is sealed then.
    if (item->row <= taken_ || rows_.empty() || item->row < rows_.front().row) reseal_.push_back(item);
  }
  for (const int64_t row : batch.forget) Forget(row);
  compacted_ = std::max(compacted_, batch.compacted);
  bytes_ += frame_bytes;
  frames_.push_back({sequence, frame_bytes, row_last_, forgets_gone_ + forget_.size(), reseals_gone_ + reseal_.size()});
}

void Backlog::Forget(int64_t row) {
  const auto found = row <= taken_ ? rows_.end() : std::ranges::lower_bound(rows_, row, {}, &Row::row);
  if (found == rows_.end() || found->row != row) {
    forget_.push_back(row);
  } else {
    found->item = {};
  }
}

void Backlog::Purge(size_t rows) {
  purge_ = std::min(rows, forget_.size());
  std::sort(forget_.begin(), forget_.begin() + static_cast<ptrdiff_t>(purge_));
  // Whose turn it was no longer matters. Until all are gone, no frame of theirs counts as applied: a start forgets
  // them. Frames in front, whose rows are gone already, may.
  for (Waiting& frame : frames_) {
    if (frame.forgets > forgets_gone_) frame.forgets = std::max(frame.forgets, forgets_gone_ + purge_);
  }
}

Backlog::Step Backlog::Begun() const {
  Step step;
  step.mark = applied_;
  step.compacted = compacted_;
  return step;
}

Backlog::Step Backlog::TakePurge(size_t rows) {
  CHECK(purging());
  Step step = Begun();
  step.forgets = std::min(purge_, rows);
  step.forget.assign(forget_.begin(), forget_.begin() + static_cast<ptrdiff_t>(step.forgets));
  return step;
}

Backlog::Step Backlog::TakeFrames(size_t bytes, size_t rows) {
  CHECK(!purging() || frames_free());
  Step step = Begun();
  size_t at = 0;
  while (step.frames < frames_.size() && (step.frames == 0 || (step.value_bytes < bytes && step.forgets < rows))) {
    const Waiting& frame = frames_[step.frames];
    // It forgets rows of the purge, or some behind it: all of the purge would have to go with this step.
    if (purging() && frame.forgets > forgets_gone_) break;
    step.frames++;
    step.mark.applied = frame.sequence;
    for (; at < rows_.size() && rows_[at].row <= frame.row_last; at++) {
      const ItemRef& item = rows_[at].item;
      if (!item) {
        step.skipped++;
        continue;
      }
      step.records.push_back(item);
      if (item->value) step.value_bytes += item->value->size();
    }
    taken_ = std::max(taken_, frame.row_last);
    step.forgets = static_cast<size_t>(frame.forgets - std::min(frame.forgets, forgets_gone_));
    step.reseals = static_cast<size_t>(frame.reseals - std::min(frame.reseals, reseals_gone_));
  }
  step.forget.assign(forget_.begin(), forget_.begin() + static_cast<ptrdiff_t>(step.forgets));
  // Within one transaction their order is of no account, and neighbours share pages.
  std::ranges::sort(step.forget);
  step.reseal.assign(reseal_.begin(), reseal_.begin() + static_cast<ptrdiff_t>(step.reseals));
  return step;
}

void Backlog::Done(const Step& step) {
  for (size_t i = 0; i < step.frames; i++) {
    const Waiting& frame = frames_.front();
    bytes_ -= frame.bytes;
    while (!rows_.empty() && rows_.front().row <= frame.row_last) rows_.pop_front();
    frames_.pop_front();
  }
  forget_.erase(forget_.begin(), forget_.begin() + static_cast<ptrdiff_t>(step.forgets));
  forgets_gone_ += step.forgets;
  purge_ -= std::min(purge_, step.forgets);
  reseal_.erase(reseal_.begin(), reseal_.begin() + static_cast<ptrdiff_t>(step.reseals));
  reseals_gone_ += step.reseals;
  applied_ = step.mark;
}

void Backlog::Undone() {
  taken_ = rows_.empty() ? row_last_ : rows_.front().row - 1;
  // What was forgotten meanwhile is not written at all; for the database there is nothing to do then.
  for (const int64_t row : forget_) {
    const auto found = std::ranges::lower_bound(rows_, row, {}, &Row::row);
    if (found != rows_.end() && found->row == row) found->item = {};
  }
}

size_t Backlog::records() const {
  return static_cast<size_t>(std::ranges::count_if(rows_, [](const Row& row) { return static_cast<bool>(row.item); }));
}

}  // namespace knarr::store

// What the backlog says to be done to the database, beside a model of it: after each step, killed there, the journal's
// frames behind the mark and the rows of the database must be all that there is.

#include "store/backlog.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>

namespace knarr::store {
namespace {

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) { backlog_.Begin({.generation = 7, .applied = 0}, 0); }

  void Run() {
    for (int i = 0; i < 400 && !testing::Test::HasFailure(); i++) {
      switch (UpTo(6)) {
        case 0:
        case 1:
          Append();
          break;
        case 2:
          // Also one that cuts another short.
          if (!step_) backlog_.Purge(1 + UpTo(UpTo(2) == 0 ? 3 : 30));
          break;
        case 3:
          if (!step_ && !backlog_.empty()) step_ = Take(1 + UpTo(40), 1 + UpTo(20));
          break;
        case 4:
          End(true);
          break;
        default:
          if (UpTo(4) == 0) End(false);
      }
      Check();
    }
    End(true);
    while (!backlog_.empty()) {
      step_ = Take(1 << 20, 1 << 20);
      End(true);
      Check();
    }
    EXPECT_EQ(database_, alive_);
    EXPECT_EQ(backlog_.bytes(), 0u);
    EXPECT_EQ(backlog_.records(), 0u);
  }
  size_t between() const { return between_; }

 private:
  struct Frame {
    std::set<int64_t> records;
    std::vector<int64_t> forget;
    Revision compacted = 0;
  };
  uint64_t UpTo(uint64_t bound) { return random_() % bound; }

  /// Frames that can, may come in the middle of a purge.
  Backlog::Step Take(size_t bytes, size_t rows) {
    const bool purges = backlog_.purging() && (!backlog_.frames_free() || UpTo(2) == 0);
    between_ += backlog_.purging() && !purges;
    return purges ? backlog_.TakePurge(rows) : backlog_.TakeFrames(bytes, rows);
  }

  void Append() {
    Log::Batch batch;
    Frame frame;
    for (uint64_t n = UpTo(5); n > 0; n--) {
      ItemRef item = ItemRef::Make("k");
      item->row = item->mod_revision = item->create_revision = ++row_;
      if (UpTo(4) != 0) item->value = std::make_shared<const std::string>(10, 'v');
      batch.records.push_back(std::move(item));
      frame.records.insert(row_);
    }
    // Any that is there, of this frame as well: the oldest ones are not always first.
    alive_.insert(frame.records.begin(), frame.records.end());
    for (uint64_t n = UpTo(6); n > 0 && !alive_.empty(); n--) {
      auto gone = alive_.begin();
      std::advance(gone, static_cast<ptrdiff_t>(UpTo(alive_.size())));
      batch.forget.push_back(*gone);
      alive_.erase(gone);
    }
    batch.compacted = static_cast<Revision>(++sequence_);
    frame.forget = batch.forget;
    frame.compacted = batch.compacted;
    frames_[sequence_] = std::move(frame);
    backlog_.Add(sequence_, 100, batch);
  }

  void End(bool done) {
    if (!step_) return;
    const Backlog::Step step = *std::exchange(step_, std::nullopt);
    if (!done) return backlog_.Undone();
    for (const ItemRef& item : step.records) {
      EXPECT_TRUE(database_.insert(item->row).second) << item->row;
      brought_ = item->row;
    }
    for (const int64_t row : step.forget) database_.erase(row);
    EXPECT_GE(step.mark.applied, mark_.applied);
    mark_ = step.mark;
    compacted_ = step.compacted;
    backlog_.Done(step);
    EXPECT_EQ(backlog_.applied().applied, mark_.applied);
  }

  /// A start, if it were killed now.
  void Check() {
    std::set<int64_t> rows = database_;
    std::set<int64_t> gone;
    Revision compacted = compacted_;
    size_t bytes = 0;
    for (auto frame = frames_.upper_bound(mark_.applied); frame != frames_.end(); ++frame) {
      rows.insert(frame->second.records.begin(), frame->second.records.end());
      gone.insert(frame->second.forget.begin(), frame->second.forget.end());
      compacted = std::max(compacted, frame->second.compacted);
      bytes += 100;
    }
    for (const int64_t row : gone) rows.erase(row);
    EXPECT_EQ(rows, alive_);
    EXPECT_EQ(compacted, static_cast<Revision>(sequence_));
    EXPECT_EQ(backlog_.bytes(), bytes);
    // Rows whose frame's turn has not come are gone only when the mark of the compaction says that they may be.
    for (auto frame = frames_.upper_bound(static_cast<uint64_t>(compacted_)); frame != frames_.end(); ++frame) {
      for (const int64_t row : frame->second.forget) EXPECT_TRUE(database_.contains(row) || row > brought_) << row;
    }
  }

  std::mt19937_64 random_;
  Backlog backlog_;
  std::optional<Backlog::Step> step_;
  std::map<uint64_t, Frame> frames_;
  std::set<int64_t> alive_;
  std::set<int64_t> database_;
  JournalMark mark_{.generation = 7, .applied = 0};
  Revision compacted_ = 0;
  int64_t brought_ = 0;  ///< the last row that came to the database
  int64_t row_ = 0;
  uint64_t sequence_ = 0;
  size_t between_ = 0;  ///< times that frames came in the middle of a purge
};

TEST(Backlog, KilledBehindAnyStepNothingIsMissingAndNothingComesBack) {
  size_t between = 0;
  for (uint64_t seed = 1; seed <= 60 && !testing::Test::HasFailure(); seed++) {
    SCOPED_TRACE(seed);
    Model model(seed);
    model.Run();
    between += model.between();
  }
  EXPECT_GT(between, 100u);
}

}  // namespace
}  // namespace knarr::store

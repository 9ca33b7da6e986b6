#pragma once

// What the journal has and the database has not: records to be written there, rows to be taken out, values that were
// sealed anew. In memory, where all of it is anyway; the journal's files are read only by the next start.
//
// A record that is forgotten before its turn never reaches the database: with the values that change often that is most
// of them. Rows of the database that are forgotten go with the next step, whatever frame said so: it is durable, and a
// start that finds the row gone already is content.

#include <cstdint>
#include <deque>
#include <vector>

#include "store/journal_reader.h"
#include "store/log.h"

namespace knarr::store {

class Backlog {
 public:
  /// What one transaction brings to the database.
  struct Step {
    JournalMark mark;  ///< behind it
    Revision compacted = 0;
    std::vector<ItemRef> records;
    std::vector<ItemRef> reseal;
    std::vector<int64_t> forget;
    size_t value_bytes = 0;
    size_t skipped = 0;  ///< records that were forgotten before their turn
    // How much of the backlog it is.
    size_t frames = 0;
    size_t forgets = 0;
    size_t reseals = 0;
  };

  void Begin(const JournalMark& applied, Revision compacted);
  /// What a start found; `items`: of its entries.
  void Resume(const JournalLeft& left, const std::vector<ItemRef>& items, const std::vector<ItemRef>& resealed);
  /// A frame that is durable.
  void Add(uint64_t sequence, size_t frame_bytes, const Log::Batch& batch);

  /// The rows that were forgotten first, so many, are to go in their order: neighbours share pages.
  /// REQUIRES: no step is taken that is not done.
  void Purge(size_t rows);
  bool purging() const { return purge_ > 0; }
  /// The oldest frame forgets nothing that is still there: its turn need not wait for the end of a purge.
  bool frames_free() const { return !frames_.empty() && frames_.front().forgets <= forgets_gone_; }
  /// Of a purge so many rows. It stays until Done. REQUIRES: purging().
  Step TakePurge(size_t rows);
  /// The oldest frames, until their records have so many bytes, at least one, with the rows that they forget, about so
  /// many; in the middle of a purge only those that forget nothing that is still there. It stays until Done.
  /// REQUIRES: frames_free(), or no purge.
  Step TakeFrames(size_t bytes, size_t rows);
  /// The step is in the database.
  void Done(const Step& step);
  /// Nothing of the step that was taken is in the database.
  void Undone();

  bool empty() const { return frames_.empty() && forget_.empty() && reseal_.empty(); }
  /// Of the frames.
  size_t bytes() const { return bytes_; }
  size_t forgotten() const { return forget_.size(); }
  /// Records that are still to be written.
  size_t records() const;
  Revision revision() const { return revision_; }  ///< of the newest record it had; 0: none yet
  const JournalMark& applied() const { return applied_; }

 private:
  struct Row {
    int64_t row = 0;
    ItemRef item;  ///< empty: forgotten
  };
  struct Waiting {
    uint64_t sequence = 0;
    size_t bytes = 0;
    int64_t row_last = 0;  ///< of this frame's records and all in front
    uint64_t forgets = 0;  ///< of all rows ever forgotten, how many come before its end
    uint64_t reseals = 0;
  };
  void Forget(int64_t row);
  Step Begun() const;

  JournalMark applied_;
  Revision compacted_ = 0;
  Revision revision_ = 0;
  std::deque<Waiting> frames_;
  std::deque<Row> rows_;
  int64_t row_last_ = 0;
  int64_t taken_ = 0;  ///< rows up to here may be in the database
  std::deque<int64_t> forget_;
  uint64_t forgets_gone_ = 0;
  size_t purge_ = 0;  ///< of forget_, those that a purge still has to take
  std::deque<ItemRef> reseal_;
  uint64_t reseals_gone_ = 0;
  size_t bytes_ = 0;
};

}  // namespace knarr::store

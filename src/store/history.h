#pragma once

// The changes since the last compaction, oldest first: what watches begin with, and what At() undoes.
//
// The world thread appends and trims; any thread reads through a View, which is a fixed stretch of it. Changes lie in
// chunks that views share; a view never looks at the slots behind its end, so the writer may fill them meanwhile.

#include <array>
#include <memory>
#include <vector>

#include "store/tree.h"

namespace knarr::store {

/// One put or delete, with the items on both sides of it.
struct Change {
  Revision revision = 0;
  MonoTime time;
  ItemRef before;  ///< empty for a create
  ItemRef after;   ///< of a delete: the record of it, without a value
  EventPtr event;
};

/// What a change keeps in memory beyond the current state, about.
size_t ChangeBytes(const Change& change);

class History {
 public:
  static constexpr size_t kChunk = 128;
  using Chunk = std::array<Change, kChunk>;
  using Chunks = std::vector<std::shared_ptr<Chunk>>;

  class View {
   public:
    View() = default;
    size_t size() const { return end_ - begin_; }
    const Change& at(size_t index) const {
      size_t slot = begin_ + index;
      return (*(*chunks_)[slot / kChunk])[slot % kChunk];
    }
    /// The index of the first change behind the revision; size() when there is none.
    size_t After(Revision revision) const;

   private:
    friend class History;
    std::shared_ptr<const Chunks> chunks_;
    size_t begin_ = 0;  ///< slots from the first chunk's first
    size_t end_ = 0;
  };

  void Append(Change change);
  /// Drops the oldest. REQUIRES: count <= size().
  void Trim(size_t count);
  const View& view() const { return view_; }

 private:
  View view_;
};

}  // namespace knarr::store

#include "store/history.h"

#include "base/check.h"

namespace knarr::store {

size_t ChangeBytes(const Change& change) {
  constexpr size_t kFixed = sizeof(Change) + sizeof(Event) + sizeof(Item) + 64;
  size_t bytes = kFixed + 2 * change.after->key().size();
  if (change.before && change.before->value) bytes += change.before->value->size();
  return bytes;
}

size_t History::View::After(Revision revision) const {
  size_t low = 0;
  size_t high = size();
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (at(middle).revision > revision) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

void History::Append(Change change) {
  size_t chunk = view_.end_ / kChunk;
  if (view_.chunks_ == nullptr || chunk == view_.chunks_->size()) {
    // Views hold the old list of chunks; a longer one costs a copy once in kChunk changes.
    auto longer = view_.chunks_ ? std::make_shared<Chunks>(*view_.chunks_) : std::make_shared<Chunks>();
    longer->push_back(std::make_shared<Chunk>());
    view_.chunks_ = std::move(longer);
  }
  (*(*view_.chunks_)[chunk])[view_.end_ % kChunk] = std::move(change);
  view_.end_++;
}

void History::Trim(size_t count) {
  CHECK(count <= view_.size());
  view_.begin_ += count;
  size_t unused = view_.begin_ / kChunk;
  if (unused == 0) return;
  const Chunks& chunks = *view_.chunks_;
  view_.chunks_ = std::make_shared<Chunks>(chunks.begin() + static_cast<ptrdiff_t>(unused), chunks.end());
  view_.begin_ -= unused * kChunk;
  view_.end_ -= unused * kChunk;
}

}  // namespace knarr::store

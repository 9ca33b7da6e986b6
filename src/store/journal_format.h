#pragma once

// What lies in the journal's files: one frame after another, each a batch of the log as a whole.
//
// A frame counts when its head and its body match their checksums, it is of the database's generation (a number that
// each new database draws: the journal of another one says nothing about it), and its sequence follows that of the
// frame in front. What lies behind the last frame of a file is of no account: padding, what was torn in a crash, or
// frames of an earlier use of the file, whose sequences are lower.
//
// All numbers little-endian. Frames begin at multiples of eight bytes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/format.h"

namespace knarr::store {

constexpr size_t kFrameHead = 64;
constexpr size_t kFrameAlign = 8;

struct FrameHead {
  uint64_t generation = 0;
  uint64_t sequence = 0;
  uint32_t body_bytes = 0;
  uint32_t records = 0;
  int64_t row_first = 0;  ///< of its records; 0: it has none
  int64_t row_last = 0;
  Revision revision_last = 0;
  uint64_t body_sum = 0;
};

/// A batch as it was written; its texts point into the bytes it was read from.
struct Frame {
  FrameHead head;
  Revision compacted = 0;
  std::vector<Record> records;  ///< in the order of their rows
  std::vector<Record> reseal;
  std::vector<int64_t> forget;
};

/// With padding.
size_t FrameBytes(const FrameHead& head);

/// Makes a frame; the bytes are kept for the next one.
class FrameWriter {
 public:
  void Begin();
  /// In the order of their rows, and before anything else.
  void AddRecord(const Record& record);
  void AddReseal(const Record& record);
  void AddForget(int64_t row);
  /// The frame, and zeros behind it until the whole has a size for which (`at` + size) is a multiple of `block`, or so
  /// that `at` + size is at least `least`.
  std::string_view End(uint64_t generation, uint64_t sequence, Revision compacted, size_t at, size_t block,
                       size_t least);
  /// Without the zeros. Behind End.
  size_t frame_bytes() const { return frame_bytes_; }
  /// Gives memory back that only a large frame needed.
  void Shrink(size_t most);

 private:
  void Add(const Record& record);
  std::string bytes_;
  size_t frame_bytes_ = 0;
  FrameHead head_;
  uint32_t reseals_ = 0;
  std::vector<int64_t> forget_;
};

/// The head that begins the bytes; nullopt: there is none, or it does not match its checksum.
std::optional<FrameHead> ReadHead(std::string_view bytes);
/// The whole frame, of the head that begins the bytes; nullopt when something is missing or damaged.
std::optional<Frame> ReadFrame(const FrameHead& head, std::string_view bytes);
/// What the body says, without its checksum; false when that makes no sense.
bool ParseBody(std::string_view body, Frame& frame);

}  // namespace knarr::store

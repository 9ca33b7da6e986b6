// Files of a store's journal, whatever is in them: what is read of them is in bounds and in order, and what was written
// is read back. The checksums of a frame that begins the input are mended, so that its body is looked at.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "store/checksum.h"
#include "store/journal_reader.h"

using namespace knarr::store;  // a fuzz target is a program of its own

namespace {

constexpr JournalMark kMark{.generation = 0x6c616e72756f6a, .applied = 2};

/// The frame with its checksums as they should be; its size is made to fit.
void Mend(std::string& bytes, size_t at) {
  if (bytes.size() - at < kFrameHead) return;
  const auto put = [&](size_t offset, auto number) { std::memcpy(bytes.data() + at + offset, &number, sizeof number); };
  uint64_t sequence = 0;
  uint32_t body = 0;
  std::memcpy(&sequence, bytes.data() + at + 8, sizeof sequence);
  std::memcpy(&body, bytes.data() + at + 16, sizeof body);
  if (body > bytes.size() - at - kFrameHead) body = static_cast<uint32_t>(bytes.size() - at - kFrameHead);
  put(0, kMark.generation);
  put(16, body);
  put(48, BytesChecksum(std::string_view(bytes).substr(at + kFrameHead, body), sequence));
  put(56, BytesChecksum(std::string_view(bytes).substr(at, 56), kMark.generation));
}

void CheckFrame(const Frame& frame) {
  int64_t row = 0;
  FrameWriter writer;
  writer.Begin();
  for (const Record& record : frame.records) {
    if (record.row <= row || record.key.empty() || !record.Good()) std::abort();
    row = record.row;
    writer.AddRecord(record);
  }
  for (const Record& record : frame.reseal) writer.AddReseal(record);
  for (const int64_t gone : frame.forget) writer.AddForget(gone);
  const std::string_view again = writer.End(kMark.generation, frame.head.sequence, frame.compacted, 0, 8, 0);
  const auto head = ReadHead(again);
  if (!head) std::abort();
  const auto read = ReadFrame(*head, again);
  if (!read || read->records.size() != frame.records.size() || read->forget != frame.forget) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  Mend(bytes, 0);
  if (const auto head = ReadHead(bytes)) {
    const size_t next = FrameBytes(*head);
    if (next < bytes.size()) Mend(bytes, next);
  }
  const JournalRun run = ReadRun(bytes, kMark);
  uint64_t sequence = 0;
  for (const Frame& frame : run.frames) {
    if (frame.head.sequence <= sequence || frame.head.generation != kMark.generation) std::abort();
    sequence = frame.head.sequence;
    CheckFrame(frame);
  }
  for (const JournalRun::Hole& hole : run.holes) {
    if (hole.offset >= bytes.size() || hole.before >= run.frames.size()) std::abort();
  }
  return 0;
}

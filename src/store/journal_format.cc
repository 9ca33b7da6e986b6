#include "store/journal_format.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "store/checksum.h"

namespace knarr::store {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

namespace {

/// What a damaged or hostile length may claim: no key and no value is longer, sealing adds a little.
constexpr uint32_t kKeyMost = 4096;
constexpr uint32_t kValueMost = 17 << 20;
constexpr uint32_t kNoValue = UINT32_MAX;
/// The mark, and how many are sealed anew and forgotten.
constexpr size_t kBodyHead = 8 + 4 + 4;
/// Row, revisions, sizes of key and value.
constexpr size_t kRecordHead = 8 + 8 + 8 + 4 + 4;

template <typename Number>
void Put(std::string& out, Number number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <typename Number>
void PutAt(std::string& out, size_t at, Number number) {
  std::memcpy(out.data() + at, &number, sizeof number);
}

template <typename Number>
Number Take(std::string_view bytes, size_t& at) {
  Number number;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  at += sizeof number;
  return number;
}

size_t Aligned(size_t size, size_t to) { return (size + to - 1) / to * to; }

bool TakeRecord(std::string_view body, size_t& at, std::vector<Record>& out) {
  if (body.size() - at < kRecordHead) return false;
  Record record;
  record.row = Take<int64_t>(body, at);
  record.revision = Take<Revision>(body, at);
  record.created = Take<Revision>(body, at);
  const auto key_bytes = Take<uint32_t>(body, at);
  const auto value_bytes = Take<uint32_t>(body, at);
  record.is_delete = value_bytes == kNoValue;
  const size_t value_size = record.is_delete ? 0 : value_bytes;
  if (key_bytes == 0 || key_bytes > kKeyMost || value_size > kValueMost) return false;
  if (body.size() - at < key_bytes + value_size) return false;
  record.key = body.substr(at, key_bytes);
  record.value = body.substr(at + key_bytes, value_size);
  at += key_bytes + value_size;
  if (record.row < 1 || record.created < 1 || record.created > record.revision) return false;
  record.sum = record.Checksum();
  out.push_back(record);
  return true;
}

}  // namespace

size_t FrameBytes(const FrameHead& head) { return Aligned(kFrameHead + head.body_bytes, kFrameAlign); }

void FrameWriter::Begin() {
  head_ = {};
  reseals_ = 0;
  forget_.clear();
  bytes_.assign(kFrameHead + kBodyHead, '\0');
}

void FrameWriter::Add(const Record& record) {
  Put(bytes_, record.row);
  Put(bytes_, record.revision);
  Put(bytes_, record.created);
  Put(bytes_, static_cast<uint32_t>(record.key.size()));
  Put(bytes_, record.is_delete ? kNoValue : static_cast<uint32_t>(record.value.size()));
  bytes_ += record.key;
  if (!record.is_delete) bytes_ += record.value;
}

void FrameWriter::AddRecord(const Record& record) {
  CHECK(reseals_ == 0 && record.row > head_.row_last);
  if (head_.records == 0) head_.row_first = record.row;
  head_.row_last = record.row;
  head_.revision_last = record.revision;
  head_.records++;
  Add(record);
}

void FrameWriter::AddReseal(const Record& record) {
  reseals_++;
  Add(record);
}

void FrameWriter::AddForget(int64_t row) { forget_.push_back(row); }

std::string_view FrameWriter::End(uint64_t generation, uint64_t sequence, Revision compacted, size_t at, size_t block,
                                  size_t least) {
  bytes_.append(reinterpret_cast<const char*>(forget_.data()), forget_.size() * sizeof(int64_t));
  CHECK(bytes_.size() - kFrameHead <= UINT32_MAX);
  PutAt(bytes_, kFrameHead, compacted);
  PutAt(bytes_, kFrameHead + 8, reseals_);
  PutAt(bytes_, kFrameHead + 12, static_cast<uint32_t>(forget_.size()));
  head_.generation = generation;
  head_.sequence = sequence;
  head_.body_bytes = static_cast<uint32_t>(bytes_.size() - kFrameHead);
  head_.body_sum = BytesChecksum(std::string_view(bytes_).substr(kFrameHead), sequence);
  std::string head;
  Put(head, head_.generation);
  Put(head, head_.sequence);
  Put(head, head_.body_bytes);
  Put(head, head_.records);
  Put(head, head_.row_first);
  Put(head, head_.row_last);
  Put(head, head_.revision_last);
  Put(head, head_.body_sum);
  Put(head, BytesChecksum(head, generation));
  std::ranges::copy(head, bytes_.begin());
  frame_bytes_ = Aligned(bytes_.size(), kFrameAlign);
  bytes_.resize(std::max(Aligned(at + bytes_.size(), block), least) - at, '\0');
  return bytes_;
}

void FrameWriter::Shrink(size_t most) {
  if (bytes_.capacity() > most) bytes_ = {};
  if (forget_.capacity() * sizeof(int64_t) > most) forget_ = {};
}

std::optional<FrameHead> ReadHead(std::string_view bytes) {
  if (bytes.size() < kFrameHead) return std::nullopt;
  FrameHead head;
  size_t at = 0;
  head.generation = Take<uint64_t>(bytes, at);
  head.sequence = Take<uint64_t>(bytes, at);
  head.body_bytes = Take<uint32_t>(bytes, at);
  head.records = Take<uint32_t>(bytes, at);
  head.row_first = Take<int64_t>(bytes, at);
  head.row_last = Take<int64_t>(bytes, at);
  head.revision_last = Take<Revision>(bytes, at);
  head.body_sum = Take<uint64_t>(bytes, at);
  const uint64_t sum = BytesChecksum(bytes.substr(0, at), head.generation);
  if (Take<uint64_t>(bytes, at) != sum || head.body_bytes < kBodyHead) return std::nullopt;
  // None is the first's predecessor, and none has no successor.
  if (head.sequence == 0 || head.sequence == UINT64_MAX) return std::nullopt;
  return head;
}

std::optional<Frame> ReadFrame(const FrameHead& head, std::string_view bytes) {
  if (bytes.size() < kFrameHead + head.body_bytes) return std::nullopt;
  const std::string_view body = bytes.substr(kFrameHead, head.body_bytes);
  if (BytesChecksum(body, head.sequence) != head.body_sum) return std::nullopt;
  Frame frame;
  frame.head = head;
  if (!ParseBody(body, frame)) return std::nullopt;
  return frame;
}

bool ParseBody(std::string_view body, Frame& frame) {
  if (body.size() < kBodyHead) return false;
  size_t at = 0;
  frame.compacted = Take<Revision>(body, at);
  const auto reseals = Take<uint32_t>(body, at);
  const auto forgets = Take<uint32_t>(body, at);
  // Before anything is reserved: none of them is smaller.
  const size_t rest = body.size() - at;
  if (frame.head.records > rest / kRecordHead || reseals > rest / kRecordHead || forgets > rest / sizeof(int64_t)) {
    return false;
  }
  frame.records.reserve(frame.head.records);
  int64_t row = 0;
  for (uint32_t i = 0; i < frame.head.records; i++) {
    if (!TakeRecord(body, at, frame.records) || frame.records.back().row <= row) return false;
    row = frame.records.back().row;
  }
  for (uint32_t i = 0; i < reseals; i++) {
    if (!TakeRecord(body, at, frame.reseal)) return false;
  }
  if (body.size() - at != forgets * sizeof(int64_t)) return false;
  frame.forget.reserve(forgets);
  for (uint32_t i = 0; i < forgets; i++) frame.forget.push_back(Take<int64_t>(body, at));
  return frame.compacted >= 0;
}

}  // namespace knarr::store

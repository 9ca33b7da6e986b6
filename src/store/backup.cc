#include "store/backup.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "store/checksum.h"
#include "store/format.h"

namespace knarr::store {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

namespace {

constexpr std::string_view kMagic = "KNARRBK1";
constexpr char kRecordTag = 'R';
constexpr char kEndTag = 'E';
constexpr size_t kPiece = 256 << 10;
/// No key and no value is longer; sealing adds a little.
constexpr uint32_t kKeyMost = 4096;
constexpr uint32_t kValueMost = 17 << 20;
/// Tag, sizes of key and value, revisions, checksum.
constexpr size_t kRecordHead = 1 + 4 + 4 + 8 + 8 + 8;
constexpr size_t kHead = kMagic.size() + 8 + 8;
constexpr size_t kEnd = 1 + 8 + 8;

template <typename Number>
void Put(std::string& out, Number number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <typename Number>
Number Take(std::string_view bytes, size_t& at) {
  Number number;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  at += sizeof number;
  return number;
}

uint64_t Chain(uint64_t sum, uint64_t next) { return std::rotl(sum, 17) * 0x9e3779b97f4a7c15 ^ next; }

uint64_t HeadChecksum(Revision revision) { return RecordChecksum(0, revision, 0, kMagic, nullptr); }

/// Rows have no meaning in a backup.
uint64_t ChecksumOf(const Record& record) {
  return RecordChecksum(0, record.revision, record.created, record.key, &record.value);
}

class StateBackup : public BackupSource {
 public:
  StateBackup(std::shared_ptr<const TreeSnapshot> state, const Sealer* sealer)
      : state_(std::move(state)), sealer_(sealer) {}

  Result<bool> Next(std::string& out) override {
    if (at_ == 0) Collect(out);
    const size_t enough = out.size() + kPiece;
    while (at_ < items_.size() && out.size() < enough) {
      const Item& item = *items_[at_++];
      Record record;
      record.revision = item.mod_revision;
      record.created = item.create_revision;
      record.key = item.key();
      record.value = *item.value;
      std::optional<std::string> sealed;
      if (sealer_ != nullptr) sealed = TRY(sealer_->Seal(record.key, record.value));
      if (sealed) record.value = *sealed;
      writer_.Add(record, out);
    }
    if (at_ < items_.size()) return true;
    if (ended_) return false;
    ended_ = true;
    writer_.End(out);
    return true;
  }

 private:
  void Collect(std::string& out) {
    if (begun_) return;
    begun_ = true;
    writer_.Begin(state_->revision(), out);
    for (Tree::Cursor cursor(state_->tree(), ""); cursor.item() != nullptr; cursor.Next()) {
      items_.push_back(cursor.item());
    }
    std::ranges::sort(items_, [](const Item* a, const Item* b) {
      return a->mod_revision != b->mod_revision ? a->mod_revision < b->mod_revision : a->row < b->row;
    });
  }

  const std::shared_ptr<const TreeSnapshot> state_;
  const Sealer* const sealer_;
  BackupWriter writer_;
  std::vector<const Item*> items_;
  size_t at_ = 0;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<BackupSource> MakeBackup(std::shared_ptr<const TreeSnapshot> state, const Sealer* sealer) {
  return std::make_unique<StateBackup>(std::move(state), sealer);
}

void BackupWriter::Begin(Revision revision, std::string& out) {
  out += kMagic;
  Put(out, revision);
  Put(out, HeadChecksum(revision));
  sum_ = HeadChecksum(revision);
}

void BackupWriter::Add(const Record& record, std::string& out) {
  const uint64_t sum = ChecksumOf(record);
  out += kRecordTag;
  Put(out, static_cast<uint32_t>(record.key.size()));
  Put(out, static_cast<uint32_t>(record.value.size()));
  Put(out, record.created);
  Put(out, record.revision);
  Put(out, sum);
  out += record.key;
  out += record.value;
  sum_ = Chain(sum_, sum);
  count_++;
}

void BackupWriter::End(std::string& out) const {
  out += kEndTag;
  Put(out, count_);
  Put(out, Chain(sum_, count_));
}

Ok BackupReader::Read(std::string_view bytes, const Visit& visit) {
  buffer_ += bytes;
  while (TRY(ReadOne(visit))) {
  }
  buffer_.erase(0, at_);
  offset_ += at_;
  at_ = 0;
  return {};
}

/// False: it needs more bytes.
Result<bool> BackupReader::ReadOne(const Visit& visit) {
  const std::string_view rest = std::string_view(buffer_).substr(at_);
  const auto wrong = [&](std::string_view what) {
    return BadRequest("the backup is damaged at byte " + std::to_string(offset_ + at_) + ": " + std::string(what));
  };
  size_t at = 0;
  if (part_ == Part::kHead) {
    const size_t magic = std::min(rest.size(), kMagic.size());
    if (rest.substr(0, magic) != kMagic.substr(0, magic)) return BadRequest("the file is no backup of a knarr store");
    if (rest.size() < kHead) return false;
    at = kMagic.size();
    info_.revision = Take<Revision>(rest, at);
    if (info_.revision < 1 || Take<uint64_t>(rest, at) != HeadChecksum(info_.revision)) return wrong("its head");
    sum_ = HeadChecksum(info_.revision);
    part_ = Part::kRecords;
    at_ += at;
    return true;
  }
  if (rest.empty()) return false;
  if (part_ == Part::kEnd) return wrong("something follows its end");
  if (rest.front() == kEndTag) {
    if (rest.size() < kEnd) return false;
    at = 1;
    if (Take<uint64_t>(rest, at) != info_.records) return wrong("the number of records");
    if (Take<uint64_t>(rest, at) != Chain(sum_, info_.records)) return wrong("the checksum over all records");
    part_ = Part::kEnd;
    at_ += at;
    return true;
  }
  if (rest.front() != kRecordTag) return wrong("no record begins here");
  if (rest.size() < kRecordHead) return false;
  at = 1;
  const auto key_size = Take<uint32_t>(rest, at);
  const auto value_size = Take<uint32_t>(rest, at);
  if (key_size == 0 || key_size > kKeyMost || value_size > kValueMost) return wrong("a record's size");
  if (rest.size() < kRecordHead + key_size + value_size) return false;
  Record record;
  record.created = Take<Revision>(rest, at);
  record.revision = Take<Revision>(rest, at);
  const auto sum = Take<uint64_t>(rest, at);
  record.key = rest.substr(at, key_size);
  record.value = rest.substr(at + key_size, value_size);
  if (sum != ChecksumOf(record)) return wrong("a record does not match its checksum");
  if (record.revision < last_ || record.revision > info_.revision || record.created < 1 ||
      record.created > record.revision) {
    return wrong("a record's revision");
  }
  last_ = record.revision;
  info_.records++;
  record.row = static_cast<int64_t>(info_.records);
  sum_ = Chain(sum_, sum);
  TRY(visit(record));
  at_ += at + key_size + value_size;
  return true;
}

Result<BackupInfo> BackupReader::End() const {
  if (part_ == Part::kEnd) return info_;
  return BadRequest("the backup ends after " + std::to_string(offset_ + buffer_.size()) + " bytes, in the middle");
}

}  // namespace knarr::store

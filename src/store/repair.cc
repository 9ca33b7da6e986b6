// The repair of a store that is stopped.

#include <algorithm>

#include "base/path.h"
#include "base/strings.h"
#include "store/rewrite.h"
#include "store/stopped.h"
#include "store/tools.h"

namespace knarr::store {

namespace {

constexpr size_t kPiece = 1 << 20;
/// How far revisions may have gone in records at the end that can't be read.
constexpr Revision kUnseenRevisions = 1000000;

/// A line of the file that takes what is damaged: JSON, with bytes as base64.
std::string QuarantineLine(const Record& record, std::string_view why) {
  const std::string value = record.is_delete ? "null" : "\"" + Base64Encode(record.value) + "\"";
  return "{\"row\":" + std::to_string(record.row) + ",\"revision\":" + std::to_string(record.revision) +
         ",\"created\":" + std::to_string(record.created) + ",\"key\":\"" + Base64Encode(record.key) +
         "\",\"value\":" + value + ",\"why\":\"" + std::string(why) + "\"}\n";
}

class Repair {
 public:
  explicit Repair(StoppedStore& store) : store_(store), anew_(store.runtime(), store.path()) {}

  Result<CheckReport> Run() {
    const Result<Revision> mark = store_.Compacted();
    if (mark.ok()) mark_ = *mark;
    if (!mark.ok()) NoteMark(mark.status());
    if (store_.journal_trouble()) NoteJournal(*store_.journal_trouble());
    TRY(anew_.Begin());
    TRY(store_.ScanAll([this](const Record& record) { return Take(record); },
                       [this](int64_t first, int64_t last, const std::string& why) { Skip(first, last, why); }));
    report_.disk_bytes = store_.disk_bytes();
    if (!unreadable_) TRY(LookAtStructure());
    if (report_.damaged == 0) {
      report_.compacted = mark_;
      report_.revision = std::max(state_.revision(), mark_);
      return report_;
    }
    Settle();
    TRY(Quarantine());
    TRY(anew_.Finish(report_.compacted));
    if (unreadable_) TRY(KeepOld());
    store_.Close();
    TRY(anew_.Replace());
    return report_;
  }

 private:
  Ok LookAtStructure() {
    const uint64_t before = report_.damaged;
    Ok looked;
    store_.runtime().Blocking([&] { looked = CheckStructure(store_.database(), report_); });
    unreadable_ = report_.damaged > before;
    return looked;
  }

  void NoteMark(const Status& why) {
    mark_lost_ = true;
    report_.Add({.why = why.message()});
  }

  /// Which of its frames would count is not known: they are kept beside the new store, and are lost to it.
  void NoteJournal(const Status& why) {
    unreadable_ = true;
    mark_lost_ = true;
    report_.Add({.why = why.message()});
  }

  Ok Take(const Record& record) {
    const bool in_order = record.revision >= state_.revision();
    if (!record.Good() || !in_order) {
      Damage damage = DamageOf(record);
      if (record.Good()) damage.why = "is out of order";
      lines_ += QuarantineLine(record, damage.why);
      Bound(record.row);
      report_.Add(std::move(damage));
      return {};
    }
    // Revisions of what was lost in front of this one are not beyond it.
    hidden_ = std::min(hidden_, record.revision);
    lost_ = std::max(lost_, hidden_);
    hidden_ = 0;
    const StateOfRecords::Place* before = state_.Find(record.key);
    const bool orphan = record.is_delete && (before == nullptr || before->deleted);
    if (orphan && record.revision > mark_) lost_ = std::max(lost_, record.revision);
    state_.Add(record);
    last_row_ = record.row;
    report_.records++;
    return anew_.Add(record);
  }

  void Skip(int64_t first, int64_t last, const std::string& why) {
    unreadable_ = true;
    lines_ +=
        "{\"row\":" + std::to_string(first) + ",\"rowEnd\":" + std::to_string(last) + ",\"why\":\"unreadable\"}\n";
    Bound(last);
    report_.Add({.row = first, .row_end = last, .why = "can't be read: " + why});
  }

  /// A record up to this row is lost: its revision is no further from the last good one's than its row.
  void Bound(int64_t row) {
    const Revision most = row >= kRowMax ? kUnseenRevisions : row - last_row_;
    hidden_ = std::max(hidden_, std::max(state_.revision(), mark_) + most);
  }

  /// The mark behind everything that is lost, so that what is left is a state without gaps; and what became of whom.
  void Settle() {
    lost_ = std::max(lost_, hidden_);
    const Revision newest = std::max(state_.revision(), lost_);
    // A mark may be behind every record.
    report_.compacted = mark_lost_ ? newest + kUnseenRevisions : std::max(mark_, lost_);
    report_.revision = std::max(newest, report_.compacted);
    for (Damage& damage : report_.damages) {
      if (damage.why.starts_with(kStructure)) {
        damage.outcome = "made anew from the records that can be read";
      } else if (damage.row == 0 && store_.journal_trouble() && damage.why == store_.journal_trouble()->message()) {
        damage.outcome = "its files are kept; what only they had is lost";
      } else if (damage.row == 0) {
        damage.outcome = "made anew: the history is gone, the objects are there";
      } else if (damage.key.empty()) {
        damage.outcome = "dropped; which objects they were can't be read";
      } else {
        damage.outcome = OutcomeOf(damage);
      }
    }
  }

  std::string OutcomeOf(const Damage& damage) const {
    const StateOfRecords::Place* place = state_.Find(damage.key);
    if (place != nullptr && place->row > damage.row) return "moved away; newer records of it are good";
    if (place == nullptr || place->deleted) return "moved away; the object is lost";
    return "moved away; the object is as it was at revision " + std::to_string(place->revision);
  }

  /// A name beside the database that is not taken.
  std::string FreeName(const std::string& stem, const std::string& end) {
    for (int number = 1;; number++) {
      const std::string name = store_.directory() + "/" + stem + std::to_string(number) + end;
      if (!store_.files().Exists(name)) return name;
    }
  }

  Ok Quarantine() {
    if (lines_.empty()) return {};
    report_.quarantine = FreeName("damaged-", ".jsonl");
    return store_.files().WriteFileAtomic(report_.quarantine, lines_, 0600);
  }

  Ok Copy(const std::string& from, const std::string& to) {
    const auto source = TRY(store_.files().Open(from, rt::OpenMode::kRead));
    const auto copy = TRY(store_.files().Open(to, rt::OpenMode::kCreateNew, 0600));
    for (int64_t at = 0;;) {
      const std::string piece = TRY(source->ReadAt(at, kPiece));
      if (piece.empty()) break;
      TRY(copy->Append(piece));
      at += static_cast<int64_t>(piece.size());
    }
    return copy->Sync();
  }

  Ok KeepOld() {
    const std::string name = FreeName("damaged-", ".db");
    TRY(Copy(store_.path(), name));
    // A server that was killed left its last changes there, and only there.
    const std::string log = "-wal";
    if (store_.files().Exists(store_.path() + log)) TRY(Copy(store_.path() + log, name + log));
    for (const std::string& path : TRY(ListJournal(store_.files(), store_.directory()))) {
      TRY(Copy(path, name + "-" + BaseName(path)));
    }
    report_.quarantine += (report_.quarantine.empty() ? "" : ", ") + name;
    return {};
  }

  StoppedStore& store_;
  Replacement anew_;
  CheckReport report_;
  StateOfRecords state_;
  std::string lines_;
  Revision mark_ = 0;
  bool mark_lost_ = false;
  bool unreadable_ = false;
  int64_t last_row_ = 0;
  Revision hidden_ = 0;  ///< the highest revision of what was lost since the last good record
  Revision lost_ = 0;    ///< and of all
};

}  // namespace

Result<CheckReport> RepairFolder(rt::Runtime& runtime, const std::string& directory) {
  StoppedStore store(runtime, directory);
  TRY(store.Open());
  if (store.trouble()) {
    return Internal(store.trouble()->message() + "; nothing can be read of it: restore a backup (knarr store restore)");
  }
  return Repair(store).Run();
}

}  // namespace knarr::store

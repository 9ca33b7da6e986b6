#include "store/load.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "store/format.h"

namespace knarr::store {

namespace {

constexpr size_t kLoadStretch = 2000;

class Loader {
 public:
  Loader(rt::Runtime& world, Database& database, const Sealer* sealer, const JournalLeft& journal)
      : world_(world), database_(database), sealer_(sealer), journal_(journal) {}
  Result<Loaded> Load();

 private:
  Ok Begin();
  Ok ReadStretch(std::vector<ItemRef>* items);
  /// Of the database, then of the journal; empty behind the last one.
  Result<ItemRef> ReadNext();
  Result<ItemRef> ItemOf(const Record& record);
  Ok Replay(ItemRef item, MonoTime now);

  rt::Runtime& world_;
  Database& database_;
  const Sealer* sealer_;
  const JournalLeft& journal_;
  Statement rows_;
  Recovered recovered_;
  Revision last_loaded_ = 0;
  bool rows_done_ = false;
  size_t entries_done_ = 0;
  std::vector<ItemRef> stale_;
  std::vector<ItemRef> journaled_;
  std::vector<ItemRef> resealed_;
};

Result<Loaded> Loader::Load() {
  Ok began;
  world_.Blocking([&] { began = Begin(); });
  TRY(std::move(began));
  recovered_.revision = std::max(Revision{1}, recovered_.compacted);

  // The pool reads and checks the next stretch while this thread puts the last one in its place.
  MonoTime now = world_.Mono();
  std::vector<ItemRef> ready;
  std::vector<ItemRef> next;
  Ok replayed;
  do {
    rt::TaskGroup group(world_, "store load");
    group.Spawn("replay", [&] {
      for (size_t i = 0; i < ready.size() && replayed.ok(); i++) replayed = Replay(std::move(ready[i]), now);
    });
    Ok read;
    world_.Blocking([&] { read = ReadStretch(&next); });
    group.Join();
    TRY(std::move(read));
    TRY(std::move(replayed));
    ready = std::exchange(next, {});
  } while (!ready.empty());
  recovered_.stale = std::move(stale_);
  // A row that the journal forgets may have been the last one: its number must not come again.
  recovered_.row_next = std::max(recovered_.row_next, journal_.row_last() + 1);
  return Loaded{std::move(recovered_), std::move(journaled_), std::move(resealed_)};
}

Ok Loader::Begin() {
  recovered_.compacted = std::max(TRY(ReadMark(database_)), journal_.compacted());
  TRY(database_.Prepare(rows_, kSelectRecords));
  rows_.Bind(1, 1);
  return {};
}

/// Up to kLoadStretch rows; none at the end.
Ok Loader::ReadStretch(std::vector<ItemRef>* items) {
  items->reserve(kLoadStretch);
  while (items->size() < kLoadStretch) {
    ItemRef item = TRY(ReadNext());
    if (!item) break;
    items->push_back(std::move(item));
  }
  return {};
}

Result<ItemRef> Loader::ReadNext() {
  while (!rows_done_) {
    const int code = rows_.Step();
    rows_done_ = code == SQLITE_DONE;
    if (rows_done_) break;
    if (code != SQLITE_ROW) return database_.Error(code, "read");
    const Record record = RecordAt(rows_);
    if (!record.Good()) {
      return database_.Damaged("row " + std::to_string(record.row) + " (revision " + std::to_string(record.revision) +
                               ") does not match its checksum");
    }
    if (journal_.Gone(record.row)) continue;
    const Record* instead = journal_.Instead(record.row);
    ItemRef item = TRY(ItemOf(instead != nullptr ? *instead : record));
    if (instead != nullptr) resealed_.push_back(item);
    return item;
  }
  if (entries_done_ == journal_.entries().size()) return ItemRef();
  ItemRef item = TRY(ItemOf(journal_.entries()[entries_done_++].record));
  journaled_.push_back(item);
  return item;
}

Result<ItemRef> Loader::ItemOf(const Record& record) {
  ItemRef item = ItemRef::Make(record.key);
  item->create_revision = record.created;
  item->mod_revision = record.revision;
  item->row = record.row;
  if (record.is_delete) return item;
  Sealer::Opened opened;
  if (sealer_ != nullptr) {
    opened = TRY(
        sealer_->Open(record.key, record.value).Context("store " + database_.path() + ": " + std::string(record.key)));
  }
  item->value = opened.value ? std::make_shared<const std::string>(std::move(*opened.value))
                             : std::make_shared<const std::string>(record.value);
  if (opened.stale) stale_.push_back(item);
  return item;
}

Ok Loader::Replay(ItemRef item, MonoTime now) {
  int64_t row = item->row;
  Revision revision = item->mod_revision;
  bool is_delete = item->value == nullptr;
  std::string_view key = item->key();
  if (revision < last_loaded_) return database_.Damaged("row " + std::to_string(row) + " is out of order");
  last_loaded_ = revision;
  recovered_.row_next = row + 1;
  recovered_.revision = std::max(recovered_.revision, revision);
  ItemRef before;
  if (is_delete) {
    before = recovered_.tree.Erase(key);
  } else {
    recovered_.value_bytes += item->value->size();
    before = recovered_.tree.Put(item);
  }
  if (before) recovered_.value_bytes -= before->value->size();
  if (revision <= recovered_.compacted) {
    // Left by a compaction that was not finished.
    if (before) recovered_.forget.push_back(before->row);
    if (is_delete) recovered_.forget.push_back(row);
    return {};
  }
  if (is_delete && !before) return database_.Damaged("row " + std::to_string(row) + " deletes what is not there");
  auto event =
      std::make_shared<const Event>(Event{is_delete ? Event::Type::kDelete : Event::Type::kPut, std::string(key),
                                          item->value, before ? before->value : nullptr, revision});
  recovered_.history.push_back({revision, now, std::move(before), std::move(item), std::move(event)});
  return {};
}

}  // namespace

Result<Loaded> LoadAll(rt::Runtime& world, Database& database, const Sealer* sealer, const JournalLeft& journal) {
  return Loader(world, database, sealer, journal).Load();
}

}  // namespace knarr::store

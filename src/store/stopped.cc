#include "store/stopped.h"

#include <algorithm>

#include "store/rewrite.h"

namespace knarr::store {

Ok StoppedStore::Open() {
  if (!files().Exists(directory_)) return NotFound("there is no store in " + directory_);
  lock_ = TRY(LockFolder(runtime_, directory_));
  TRY(FinishReplace(files(), path()));
  if (!files().Exists(path())) return NotFound("there is no store in " + directory_);
  Ok opened;
  Result<JournalMark> mark = JournalMark();
  runtime_.Blocking([&] {
    opened = database_.Open();
    if (opened.ok()) opened = SetUp(database_);
    if (opened.ok()) opened = CheckFormat(database_, runtime_.Random());
    if (opened.ok()) mark = ReadJournalMark(database_);
  });
  // What it says of damage is for the caller; of another program's file, or a newer format, for the user at once.
  if (opened.Failed(Reason::kInternalError) && opened.status().message().find(" is damaged: ") != std::string::npos) {
    trouble_ = opened.status();
    return {};
  }
  TRY(std::move(opened));
  if (!mark.ok()) {
    journal_trouble_ = mark.status();
    return {};
  }
  journal_ = TRY(ReadJournal(files(), directory_, *mark));
  return {};
}

Result<Revision> StoppedStore::Compacted() {
  Result<Revision> mark = Revision{0};
  runtime_.Blocking([&] { mark = ReadMark(database_); });
  return std::max(TRY(std::move(mark)), journal_.compacted());
}

void StoppedStore::Close() {
  if (!database_.is_open()) return;
  if (runtime_.current() != nullptr) {
    runtime_.Blocking([&] { database_.Close(trouble_.has_value()); });
  } else {
    database_.Close(trouble_.has_value());
  }
}

Ok StoppedStore::ScanAll(const std::function<Ok(const Record&)>& visit,
                         const std::function<void(int64_t first, int64_t last, const std::string& why)>& unreadable,
                         const std::function<Ok()>& pause) {
  Scan scan;
  while (!scan.done) {
    Ok scanned;
    runtime_.Blocking([&] { scanned = ScanSome(database_, journal_, scan, kScanStretch, visit, unreadable); });
    TRY(std::move(scanned));
    TRY(pause());
    TRY(runtime_.CheckCancelled());
  }
  return {};
}

void StateOfRecords::Add(const Record& record) {
  revision_ = std::max(revision_, record.revision);
  auto at = places_.find(record.key);
  if (at == places_.end()) at = places_.emplace(std::string(record.key), Place{.deleted = true}).first;
  Place& place = at->second;
  if (!place.deleted) {
    keys_--;
    value_bytes_ -= place.bytes;
  }
  place = {record.row, record.revision, record.value.size(), record.is_delete};
  if (!place.deleted) {
    keys_++;
    value_bytes_ += place.bytes;
  }
}

const StateOfRecords::Place* StateOfRecords::Find(std::string_view key) const {
  const auto at = places_.find(key);
  return at == places_.end() ? nullptr : &at->second;
}

std::vector<int64_t> StateOfRecords::LiveRows() const {
  std::vector<int64_t> rows;
  rows.reserve(keys_);
  for (const auto& [key, place] : places_) {
    if (!place.deleted) rows.push_back(place.row);
  }
  std::ranges::sort(rows);
  return rows;
}

}  // namespace knarr::store

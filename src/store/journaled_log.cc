#include "store/journaled_log.h"

#include <sqlite3.h>

#include <atomic>
#include <utility>

#include "base/log.h"
#include "base/path.h"
#include "rt/file_system.h"
#include "store/load.h"
#include "store/rewrite.h"
#include "store/scan.h"

namespace knarr::store {

namespace {

constexpr size_t kCheckStretch = 256;
/// Beside the database, to see whether there is space again.
constexpr size_t kProbeBytes = 1 << 20;
std::string ProbePath(const std::string& path) { return path + ".probe"; }
/// About what a record needs besides its key and value, sealed or not.
constexpr size_t kRecordBytes = 160;
constexpr size_t kFrameBytes = 128;

size_t BytesOf(const std::vector<ItemRef>& items) {
  size_t bytes = 0;
  for (const ItemRef& item : items) {
    bytes += kRecordBytes + item->key().size() + (item->value ? item->value->size() : 0);
  }
  return bytes;
}

class JournaledLog : public Log {
 public:
  JournaledLog(rt::Runtime& world, LogOptions options)
      : world_(world),
        path_(std::move(options.path)),
        sealer_(std::move(options.sealer)),
        lock_(std::move(options.lock)),
        probe_(std::move(options.probe)),
        table_(world, path_, sealer_),
        journal_(world, DirName(path_), probe_),
        applier_(world, table_, journal_, backlog_, options.limits, probe_) {}

  Result<Recovered> Open();
  /// After an Open that failed: the files stay as they are.
  void Abandon() {
    applier_.Stop();
    world_.Blocking([this] { table_.Close(true); });
  }

  Ok Append(const Batch& batch) override;
  void Tidy(const Live& live, bool hurry) override {
    applier_.SetLive(live);
    if (hurry) applier_.Hurry();
  }
  Result<bool> Settled() override {
    Measure();
    return applier_.Settled();
  }
  Ok Recover(const std::function<Contents()>& contents, bool anew) override;
  Ok Check(Scan& scan, CheckReport& report) override;
  size_t ForgetRoom() const override { return applier_.forget_room(); }
  void OnChange(std::function<void()> changed) override { applier_.OnChange(std::move(changed)); }
  Ok Health() override;
  const Sealer* sealer() const override { return sealer_.get(); }
  int64_t disk_bytes() const override {
    return applier_.database_bytes() + journal_bytes_.load(std::memory_order_relaxed);
  }
  void Close() override;

 private:
  Status Refused(const Status& why);
  Ok Fill(const Batch& batch, FrameWriter& frame) const;
  Ok Probe();
  Ok WriteAnew(const Contents& contents, Replacement& anew) const;
  Ok VerifyAnew(size_t records);
  Ok CheckJournal(CheckReport& report);
  void Measure() { journal_bytes_.store(static_cast<int64_t>(journal_.bytes()), std::memory_order_relaxed); }

  rt::Runtime& world_;
  const std::string path_;
  const std::shared_ptr<const Sealer> sealer_;
  std::unique_ptr<rt::FileLock> lock_;
  const RareProbe probe_;
  RecordTable table_;
  Journal journal_;
  Backlog backlog_;
  Applier applier_;
  bool suspect_ = false;  ///< what is on the disk may differ from what was written
  std::atomic<int64_t> journal_bytes_ = 0;
};

Result<Recovered> JournaledLog::Open() {
  Ok opened;
  JournalMark mark;
  world_.Blocking([&] {
    opened = table_.Open();
    if (!opened.ok()) return;
    const Result<JournalMark> read = ReadJournalMark(table_.database());
    if (read.ok()) mark = *read;
    if (!read.ok()) opened = read.status();
  });
  TRY(std::move(opened));
  const JournalLeft left = TRY(ReadJournal(world_.files(), DirName(path_), mark));
  if (left.damage() != nullptr) return table_.database().Damaged(left.damage()->why);
  Loaded loaded = TRY(LoadAll(world_, table_.database(), sealer_.get(), left));
  if (left.in_use().empty()) {
    // The first frame of a generation must not be longer on the disk than the generation is: an upgrade a moment ago,
    // or a server that was killed in its first one, may have left that in the kernel's memory alone.
    Ok synced;
    world_.Blocking([&] { synced = table_.database().Sync(); });
    TRY(std::move(synced));
  }
  TRY(journal_.Resume(mark, left));
  backlog_.Begin(mark, loaded.recovered.compacted);
  backlog_.Resume(left, loaded.journaled, loaded.resealed);
  applier_.Begin();
  Measure();
  if (!loaded.recovered.stale.empty()) {
    LOG_INFO("store: values are sealed anew", {"values", loaded.recovered.stale.size()});
    Ok scrubs;
    world_.Blocking([&] { scrubs = table_.Scrubs(); });
    TRY(std::move(scrubs));
  }
  return std::move(loaded.recovered);
}

Ok JournaledLog::Fill(const Batch& batch, FrameWriter& frame) const {
  std::optional<std::string> keep;
  for (const ItemRef& item : batch.records) frame.AddRecord(TRY(SealedRecord(*item, sealer_.get(), keep)));
  for (const ItemRef& item : batch.reseal) frame.AddReseal(TRY(SealedRecord(*item, sealer_.get(), keep)));
  for (const int64_t row : batch.forget) frame.AddForget(row);
  return {};
}

Ok JournaledLog::Health() {
  const auto& failure = applier_.failure();
  if (!failure || failure->Is(Reason::kServerTimeout)) return {};
  return Refused(*failure);
}

/// Of a batch that is not even begun.
Status JournaledLog::Refused(const Status& why) {
  suspect_ = suspect_ || !why.Is(Reason::kServerTimeout);
  return Status(Reason::kServerTimeout, why.message()).WithCode(why.code());
}

Ok JournaledLog::Append(const Batch& batch) {
  const size_t about =
      kFrameBytes + BytesOf(batch.records) + BytesOf(batch.reseal) + batch.forget.size() * sizeof(int64_t);
  const Ok room = applier_.MakeRoom(about);
  if (!room.ok()) return Refused(room.status());
  Journal::Failure failure{};
  const Ok written =
      journal_.Append(about, batch.compacted, [&](FrameWriter& frame) { return Fill(batch, frame); }, failure);
  if (written.ok()) backlog_.Add(journal_.sequence(), journal_.frame_bytes(), batch);
  applier_.Appended(written.ok() && batch.scrub);
  Measure();
  if (written.ok()) return {};
  const Status why = written.status().WithContext("store " + path_);
  if (failure == Journal::Failure::kNotThere) return Status(Reason::kServerTimeout, why.message()).WithCode(why.code());
  suspect_ = true;
  return why.Is(Reason::kServerTimeout) ? Internal(why.message()) : why;
}

Ok JournaledLog::Recover(const std::function<Contents()>& contents, bool rewrite) {
  applier_.Stop();
  const auto& failure = applier_.failure();
  suspect_ = suspect_ || (failure && !failure->Is(Reason::kServerTimeout));
  if (!rewrite && !suspect_ && table_.is_open()) {
    Ok probed = Probe();
    if (probed.ok()) applier_.Go();
    return probed;
  }
  suspect_ = true;
  if (probe_) probe_("everything is written anew");
  Replacement anew(world_, path_);
  TRY(anew.Begin());
  const Contents all = contents();
  Ok written;
  world_.Blocking([&] { written = WriteAnew(all, anew); });
  TRY(std::move(written));
  TRY(anew.Finish(all.compacted));
  // Until here the old files are as they were, for whoever starts next.
  world_.Blocking([&] { table_.Close(true); });
  journal_.Close();
  TRY(anew.Replace());
  JournalMark mark;
  Ok opened;
  world_.Blocking([&] {
    opened = table_.Open();
    if (opened.ok()) opened = VerifyAnew(all.records.size());
    if (!opened.ok()) return;
    const Result<JournalMark> read = ReadJournalMark(table_.database());
    if (read.ok()) mark = *read;
    if (!read.ok()) opened = read.status();
  });
  TRY(std::move(opened));
  journal_.Begin(mark.generation);
  backlog_.Begin(mark, all.compacted);
  applier_.Begin();
  suspect_ = false;
  Measure();
  applier_.Go();
  return {};
}

/// Whether there is space again, for more than the next few bytes.
Ok JournaledLog::Probe() {
  const std::string path = ProbePath(path_);
  Ok wrote;
  {
    const auto file = world_.files().Open(path, rt::OpenMode::kTruncate);
    wrote = file.ok() ? (*file)->Append(std::string(kProbeBytes, '\0')) : Ok(file.status());
    if (wrote.ok()) wrote = (*file)->Sync();
  }
  TRY(world_.files().Remove(path));
  TRY(std::move(wrote));
  TRY(journal_.Blot());
  Ok marked;
  world_.Blocking([&] { marked = table_.Probe(); });
  if (marked.ok()) marked = applier_.Retry();
  suspect_ = suspect_ || (!marked.ok() && !marked.Failed(Reason::kServerTimeout));
  return marked;
}

Ok JournaledLog::WriteAnew(const Contents& contents, Replacement& anew) const {
  for (const ItemRef& item : contents.records) {
    std::optional<std::string> keep;
    const Record record = TRY(SealedRecord(*item, sealer_.get(), keep));
    TRY(anew.Add(record));
  }
  return {};
}

Ok JournaledLog::VerifyAnew(size_t records) {
  CheckReport report;
  Scan scan;
  while (!scan.done) TRY(CheckSome(table_.database(), {}, scan, kCheckStretch, report));
  if (report.damaged == 0 && report.records == records) return {};
  return table_.database().Damaged("of " + std::to_string(records) + " records that were written anew, " +
                                   std::to_string(report.records) + " are there");
}

Ok JournaledLog::Check(Scan& scan, CheckReport& report) {
  const auto alone = TRY(applier_.Exclude());
  Ok checked;
  world_.Blocking([&] {
    Database& database = table_.database();
    // What counts is on the disk, not in the cache.
    sqlite3_db_release_memory(database.get());
    if (scan.next == 1) {
      const Result<Revision> mark = ReadMark(database);
      if (mark.ok()) report.compacted = *mark;
      if (!mark.ok()) report.Add({.why = mark.status().message()});
    }
    checked = CheckSome(database, {}, scan, kCheckStretch, report);
    if (checked.ok() && scan.done) checked = CheckJournal(report);
  });
  report.disk_bytes = disk_bytes();
  return checked;
}

/// What is not in the database must be in the journal's files, each frame of it.
Ok JournaledLog::CheckJournal(CheckReport& report) {
  const JournalLeft left = TRY(ReadJournal(world_.files(), DirName(path_), backlog_.applied()));
  const JournalLeft::Entry* damage = left.damage();
  if (damage != nullptr) {
    report.Add({.row = damage->record.row, .row_end = damage->lost_last, .why = damage->why});
  } else if (left.sequence() != journal_.sequence()) {
    report.Add({.why = "the journal's last " + std::to_string(journal_.sequence() - left.sequence()) +
                       " groups of changes are damaged or missing"});
  }
  report.records += backlog_.records();
  report.revision = std::max(report.revision, backlog_.revision());
  report.compacted = std::max(report.compacted, left.compacted());
  return {};
}

void JournaledLog::Close() {
  applier_.Stop();
  Ok finished;
  if (suspect_ || !table_.is_open()) finished = Internal("it is not certain what is on the disk");
  if (finished.ok() && applier_.failure()) finished = *applier_.failure();
  if (finished.ok()) finished = applier_.Finish();
  world_.Blocking([&] { table_.Close(!finished.ok()); });
  // Else the next start reads them.
  if (finished.ok()) finished = journal_.Remove();
  if (!finished.ok()) LOG_WARN("store: closed with a journal beside the database", {"why", finished.status()});
  journal_.Close();
  lock_.reset();
}

}  // namespace

Result<OpenedLog> OpenJournaledLog(rt::Runtime& world, LogOptions options) {
  // Left by a server that was killed on a full disk.
  TRY(world.files().Remove(ProbePath(options.path)));
  auto log = std::make_unique<JournaledLog>(world, std::move(options));
  Result<Recovered> recovered = log->Open();
  if (!recovered.ok()) {
    log->Abandon();
    return recovered.status();
  }
  return OpenedLog{std::move(log), std::move(recovered).value()};
}

}  // namespace knarr::store

#include "store/applier.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "rt/background.h"

namespace knarr::store {

namespace {

/// The whole store takes no more than three times what is alive: what the database leaves of a little less is the
/// journal's, within bounds in parts of what is alive.
constexpr size_t kDiskPercent = 265;
constexpr size_t kFixedBytes = 512 << 10;
constexpr size_t kJournalLeastPart = 2;
constexpr size_t kJournalMostTimes = 2;
/// Files of the journal.
constexpr size_t kFiles = 16;
constexpr size_t kFileMost = 8 << 20;
/// SQLite's log is emptied into the database when it has such a part of what is alive.
constexpr size_t kLogPart = 8;
/// It keeps so many times that of its size: to make it anew each time costs more than the writing.
constexpr size_t kLogKeptTimes = 2;
/// Forgotten rows wait until they are such a part of all keys, or their frame's turn comes: each costs the pages around
/// it, and of many at once some are the same. So many go at a time: about a page each that is written twice, and a sync
/// of the journal waits for what a checkpoint has just written.
constexpr size_t kForgetStepMost = 128;
constexpr size_t kForgetMost = 4096;
constexpr size_t kForgetPart = 8;
/// So many times what a purge begins with may wait for one: a compaction then gives up no more for now.
constexpr size_t kForgetRoomTimes = 2;
/// While writers are slowed, a row is taken out for so many records that are brought; while the journal is only
/// filling, for each. If more are forgotten than that in the long run, frames come to rows that are still there, which
/// go first then.
constexpr size_t kRecordsPerForget = 2;
/// Steps between two that give unused space back while writers are slowed.
constexpr size_t kStepsBetween = 8;
/// Of what is alive, the part that one transaction brings.
constexpr size_t kStepPart = 32;
constexpr size_t kStepLeast = 64 << 10;
/// Writers are slowed by no more than this.
constexpr Duration kSlowMost = std::chrono::milliseconds(5);
/// Unused space of the database that is given back is more than such a part of it.
constexpr int64_t kSparePart = 5;
constexpr int64_t kSparePartHurried = 10;
constexpr Duration kGiveBackFor = std::chrono::milliseconds(1);
constexpr Duration kRetryAfter = std::chrono::seconds(1);

}  // namespace

Applier::Applier(rt::Runtime& world, RecordTable& table, Journal& journal, Backlog& backlog,
                 const JournalLimits& limits, RareProbe probe)
    : world_(world),
      table_(table),
      journal_(journal),
      backlog_(backlog),
      limits_(limits),
      probe_(std::move(probe)),
      turn_(world),
      progress_(world) {
  Resize({});
}

void Applier::SetLive(const Log::Live& live) {
  Resize(live);
  // What was little may be much now.
  Start();
}

size_t Applier::log_limit() const { return std::clamp(live_bytes_ / kLogPart, limits_.log_least, limits_.log_most); }

void Applier::Resize(const Log::Live& live) {
  live_bytes_ = live.bytes;
  const size_t live_bytes = live.bytes;
  const size_t all = live_bytes * kDiskPercent / 100;
  const auto others = static_cast<size_t>(database_bytes());
  const size_t left = all - std::min(all, others + kFixedBytes);
  const size_t wanted = std::clamp(left, live_bytes / kJournalLeastPart, live_bytes * kJournalMostTimes);
  const size_t most = std::clamp(wanted, limits_.least, limits_.most);
  const size_t file = std::clamp(most / kFiles, std::min(limits_.file_least, kFileMost), kFileMost);
  journal_.SetSizes(file, most);
  // Two files are never quite in use: the one that is written to, and the one that is being applied.
  full_ = most;
  slow_ = most - std::min(most, 2 * file);
  begin_ = most - std::min(most, 3 * file);
  enough_ = begin_ - std::min(begin_, file);
  forgotten_many_ = std::clamp(live.keys / kForgetPart, limits_.forget_least, kForgetMost);
}

bool Applier::StepDue() const {
  if (hurry_ || scrub_) return backlog_.purging() || backlog_.applied().applied < through_;
  if (backlog_.bytes() > (catching_up_ ? enough_ : begin_)) return true;
  return backlog_.purging() || backlog_.forgotten() >= forgotten_many_;
}

bool Applier::Due() const {
  if (StepDue() || journal_.wants_spare()) return true;
  return scrub_ || (hurry_ && (unsynced_ || spacious_));
}

void Applier::Start() {
  if (running_ || stopped_ || failure_ || !Due()) return;
  running_ = true;
  world_.Post([this] { Run(); });
}

void Applier::Run() {
  while (!stopped_ && !failure_ && Due()) {
    catching_up_ = backlog_.bytes() > enough_;
    const Ok done = One();
    if (!done.ok()) Fail(done.status());
    progress_.NotifyAll();
    if (on_change_ && forget_room() > 0) on_change_();
  }
  catching_up_ = false;
  if (!Due()) hurry_ = false;
  running_ = false;
  progress_.NotifyAll();
}

void Applier::Fail(const Status& why) {
  LOG_WARN("store: the database does not take what the journal has", {"error", why});
  Tell("the database does not take what the journal has");
  failure_ = why;
  failed_at_ = world_.Mono();
  // On a full disk writing goes on, as long as the journal has room.
  if (on_change_ && !why.Is(Reason::kServerTimeout)) on_change_();
}

/// A step, or what is left to do when there is none.
Ok Applier::One() {
  // Nobody cancels this fiber.
  const auto turn = MUST(turn_.Lock());
  if (stopped_) return {};
  if (journal_.wants_spare()) journal_.Prepare();
  const bool step = StepDue();
  if (step || spacious_) TRY(Step());
  const bool waits = journal_.Releases(backlog_.applied().applied) && !journal_.has_spare();
  const bool last = (hurry_ || scrub_) && !StepDue() && !spacious_;
  if (table_.log_bytes() >= log_limit() || waits || last) TRY(Checkpoint());
  if (last && scrub_) TRY(Scrub());
  return journal_.Trim();
}

/// Records when the journal is filling, so that there is room in it, and rows that were forgotten in between; else
/// those first, so that their number stays small.
Backlog::Step Applier::Next() {
  if (backlog_.empty()) return {};
  if (backlog_.forgotten() >= forgotten_many_ && !backlog_.purging()) backlog_.Purge(kForgetMost);
  const size_t rows = std::min((forgotten_many_ + 1) / 2, kForgetStepMost);
  const size_t enough = crowded() ? rows * kRecordsPerForget : rows;
  const bool filling = backlog_.bytes() > begin_ && brought_ < enough;
  if (backlog_.purging() && !(filling && backlog_.frames_free())) {
    brought_ = 0;
    return backlog_.TakePurge(rows);
  }
  const size_t bytes = std::clamp(live_bytes_ / kStepPart, std::min(limits_.step, kStepLeast), limits_.step);
  if (backlog_.purging()) Tell("records are brought in the middle of a purge");
  Backlog::Step step = backlog_.TakeFrames(bytes, rows);
  brought_ += step.records.size();
  return step;
}

/// Whether a step may give unused space back, if there is much.
bool Applier::GivesBack(const Backlog::Step& step) {
  if (!spacious_ && step.forget.empty()) return false;
  // Writers that are slowed wait for it, but a compaction must also end while there are such.
  if (crowded() && ++since_given_ < kStepsBetween) return false;
  since_given_ = 0;
  return true;
}

size_t Applier::forget_room() const {
  // Nothing will become of those that wait: whoever compacts is to hear of it.
  if (failure_) return SIZE_MAX;
  const size_t most = crowded() ? 0 : kForgetRoomTimes * forgotten_many_;
  return most - std::min(most, backlog_.forgotten());
}

Ok Applier::Step() {
  const Backlog::Step step = Next();
  const bool brings = step.frames > 0 || !step.forget.empty() || !step.reseal.empty();
  const bool looks = GivesBack(step);
  bool spacious = spacious_;
  // What comes next uses it again: to move pages about costs more than it gives, but for much of it.
  const int64_t part = hurry_ ? kSparePartHurried : kSparePart;
  Ok done;
  const size_t log_kept = kLogKeptTimes * log_limit();
  world_.Blocking([&] {
    const rt::Background background(world_);
    done = table_.KeepLog(log_kept);
    if (done.ok() && brings) done = table_.Apply(step);
    if (!done.ok() || !looks) return;
    spacious = table_.Spacious(part);
    if (!spacious) return;
    done = table_.GiveBack(part, kGiveBackFor);
    spacious = table_.Spacious(part);
  });
  spacious_ = spacious;
  if (step.skipped > 0) Tell("a record is superseded and forgotten before it comes to the database");
  if (looks && spacious) Tell("space is given back");
  database_bytes_.store(table_.disk_bytes(), std::memory_order_relaxed);
  unsynced_ = true;
  if (!done.ok()) {
    backlog_.Undone();
    return done;
  }
  if (brings) backlog_.Done(step);
  // There is room from here on: a checkpoint that may follow need not be waited for.
  progress_.NotifyAll();
  return {};
}

Ok Applier::Checkpoint() {
  if (!unsynced_) return {};
  Ok done;
  world_.Blocking([&] {
    const rt::Background background(world_);
    done = table_.Checkpoint();
  });
  TRY(std::move(done));
  unsynced_ = false;
  database_bytes_.store(table_.disk_bytes(), std::memory_order_relaxed);
  journal_.Release(backlog_.applied().applied);
  return {};
}

Ok Applier::Scrub() {
  scrub_ = false;
  Ok done;
  world_.Blocking([&] { done = table_.Truncate(); });
  if (done.ok()) done = journal_.Zero();
  // On a full disk it is tried again.
  if (!done.ok()) scrub_ = true;
  return done;
}

/// There may be space again: after a while it is tried.
void Applier::Forgive() {
  if (!failure_ || !failure_->Is(Reason::kServerTimeout)) return;
  if (world_.Mono() - failed_at_ >= kRetryAfter) failure_.reset();
}

Ok Applier::MakeRoom(size_t bytes) {
  Forgive();
  if (failure_ && !failure_->Is(Reason::kServerTimeout)) return *failure_;
  const auto wanted = [&] { return backlog_.bytes() + bytes; };
  if (wanted() <= slow_ || backlog_.bytes() == 0) return {};
  Start();
  // On the flush fiber, which nobody cancels.
  const size_t over = std::min(wanted(), full_) - std::min(slow_, full_);
  const auto part = static_cast<double>(over) / static_cast<double>(std::max<size_t>(full_ - slow_, 1));
  const MonoTime until = world_.Mono() + std::chrono::duration_cast<Duration>(kSlowMost * part);
  if (running_ && over > 0) Tell("a writer is slowed");
  while (running_ && wanted() > slow_ && world_.Mono() < until) (void)progress_.Wait(until);
  while (wanted() > full_ && backlog_.bytes() > 0) {
    if (failure_) return *failure_;
    Start();
    if (!running_) break;
    Tell("a writer waits for room in the journal");
    (void)progress_.Wait();
  }
  return {};
}

void Applier::Appended(bool scrub) {
  if (scrub) {
    scrub_ = true;
    journal_.Retire();
    through_ = journal_.sequence();
  }
  progress_.NotifyAll();
  Start();
}

void Applier::Hurry() {
  Forgive();
  // Of what comes meanwhile nobody asks.
  through_ = journal_.sequence();
  if (!hurry_) {
    hurry_ = true;
    spacious_ = true;
  }
  Start();
}

Result<bool> Applier::Settled() const {
  if (failure_) return *failure_;
  return !hurry_;
}

void Applier::Stop() {
  stopped_ = true;
  if (world_.current() == nullptr) {
    CHECK(!running_);
    return;
  }
  const rt::Shield shield(world_);
  (void)progress_.WaitUntil([this] { return !running_; });
}

void Applier::Go() {
  stopped_ = false;
  Start();
}

Ok Applier::Finish() {
  CHECK(stopped_ && !running_);
  while (!backlog_.empty()) {
    TRY(Step());
    if (table_.log_bytes() >= log_limit()) TRY(Checkpoint());
  }
  Ok done;
  world_.Blocking([&] { done = table_.Truncate(); });
  TRY(std::move(done));
  if (!scrub_) return {};
  journal_.Retire();
  journal_.Release(journal_.sequence());
  return journal_.Zero();
}

Ok Applier::Retry() {
  if (!failure_) return {};
  failure_.reset();
  const auto turn = TRY(turn_.Lock());
  Ok done = Step();
  if (done.ok()) done = Checkpoint();
  if (!done.ok()) failure_ = done.status();
  return done;
}

void Applier::Begin() {
  failure_.reset();
  hurry_ = scrub_ = spacious_ = catching_up_ = false;
  unsynced_ = true;
  database_bytes_.store(table_.disk_bytes(), std::memory_order_relaxed);
}

}  // namespace knarr::store

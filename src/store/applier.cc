#include "store/applier.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace knarr::store {

namespace {

/// The whole store takes no more than three times what is alive: what the database leaves of a little less is the
/// journal's, within bounds in parts of what is alive.
constexpr size_t kDiskQuarters = 11;
constexpr size_t kJournalLeastPart = 2;
constexpr size_t kJournalMostTimes = 2;
/// Files of the journal.
constexpr size_t kFiles = 8;
constexpr size_t kFileMost = 8 << 20;
/// SQLite's log is emptied into the database when it has such a part of what is alive.
constexpr size_t kLogPart = 8;
/// Rows that go with a step: each may cost a page, and the more there are the more of them share one. When they are as
/// many as such a part of all keys they do not wait for records to go with.
constexpr size_t kForgetMost = 1024;
constexpr size_t kForgetLeast = 64;
constexpr size_t kForgetPart = 16;
/// Writers are slowed by no more than this.
constexpr Duration kSlowMost = std::chrono::milliseconds(5);
constexpr Duration kGiveBackFor = std::chrono::milliseconds(2);
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
  SetLive({});
}

size_t Applier::log_limit() const { return std::clamp(live_bytes_ / kLogPart, limits_.log_least, limits_.log_most); }

void Applier::SetLive(const Log::Live& live) {
  live_bytes_ = live.bytes;
  const size_t live_bytes = live.bytes;
  const size_t all = live_bytes * kDiskQuarters / 4;
  const size_t others = static_cast<size_t>(database_bytes()) + log_limit();
  const size_t left = all - std::min(all, others);
  const size_t wanted = std::clamp(left, live_bytes / kJournalLeastPart, live_bytes * kJournalMostTimes);
  const size_t most = std::clamp(wanted, limits_.least, limits_.most);
  const size_t file = std::clamp(most / kFiles, std::min(limits_.file_least, kFileMost), kFileMost);
  journal_.SetSizes(file, most);
  // Two files are never quite in use: the one that is written to, and the one that is being applied.
  full_ = most;
  slow_ = most - std::min(most, 2 * file);
  begin_ = most - std::min(most, 3 * file);
  enough_ = begin_ - std::min(begin_, file);
  forgotten_many_ = std::clamp(live.keys / kForgetPart, kForgetLeast, kForgetMost);
}

bool Applier::StepDue() const {
  if (hurry_ || scrub_) return !backlog_.empty();
  if (backlog_.bytes() > (catching_up_ ? enough_ : begin_)) return true;
  return backlog_.forgotten() > forgotten_many_;
}

bool Applier::Due() const {
  if (StepDue()) return true;
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
}

/// A step, or what is left to do when there is none.
Ok Applier::One() {
  // Nobody cancels this fiber.
  const auto turn = MUST(turn_.Lock());
  if (stopped_) return {};
  const bool step = StepDue();
  if (step || spacious_) TRY(Step());
  const bool waits = journal_.Releases(backlog_.applied().applied) && !journal_.has_spare();
  const bool last = (hurry_ || scrub_) && !StepDue();
  if (table_.log_bytes() >= log_limit() || waits || last) TRY(Checkpoint());
  if (!step && scrub_) TRY(Scrub());
  return journal_.Trim();
}

Ok Applier::Step() {
  Backlog::Step step;
  if (!backlog_.empty()) step = backlog_.Take(limits_.step, kForgetMost);
  const bool brings = step.frames > 0 || !step.forget.empty() || !step.reseal.empty();
  const bool looks = spacious_ || !step.forget.empty();
  bool spacious = spacious_;
  Ok done;
  world_.Blocking([&] {
    if (brings) done = table_.Apply(step);
    if (!done.ok() || !looks) return;
    spacious = table_.Spacious();
    if (!spacious) return;
    done = table_.GiveBack(kGiveBackFor);
    spacious = table_.Spacious();
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
  return {};
}

Ok Applier::Checkpoint() {
  if (!unsynced_) return {};
  Ok done;
  world_.Blocking([&] { done = table_.Checkpoint(); });
  TRY(std::move(done));
  unsynced_ = false;
  database_bytes_.store(table_.disk_bytes(), std::memory_order_relaxed);
  journal_.Release(backlog_.applied().applied);
  return {};
}

Ok Applier::Scrub() {
  // A frame that is on its way is applied first.
  if (!backlog_.empty() || unsynced_) return {};
  if (!journal_.Retire()) return progress_.Wait();
  journal_.Release(journal_.sequence());
  scrub_ = false;
  Ok done;
  world_.Blocking([&] { done = table_.Truncate(); });
  TRY(std::move(done));
  return journal_.ZeroSpare();
}

Ok Applier::MakeRoom(size_t bytes) {
  if (failure_) {
    if (!failure_->Is(Reason::kServerTimeout)) return *failure_;
    if (world_.Mono() - failed_at_ >= kRetryAfter) failure_.reset();
  }
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
  scrub_ = scrub_ || scrub;
  progress_.NotifyAll();
  Start();
}

void Applier::Hurry() {
  hurry_ = true;
  Start();
}

Result<bool> Applier::Settled() const {
  if (failure_) return *failure_;
  return !running_ && backlog_.empty() && !unsynced_ && !spacious_;
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
  journal_.Retire();
  journal_.Release(journal_.sequence());
  return scrub_ ? journal_.ZeroSpare() : Ok();
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

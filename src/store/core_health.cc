// What the store does about a disk that fails, and with its files while it runs.

#include <algorithm>

#include "base/log.h"
#include "store/backup.h"
#include "store/core.h"

namespace knarr::store {

namespace {

/// Between two attempts to make the log whole: short at first, longer while it fails or soon fails again.
constexpr Duration kHealFirst = std::chrono::milliseconds(500);
constexpr Duration kHealMost = std::chrono::seconds(5);
constexpr Duration kHealthyAfter = std::chrono::seconds(30);
constexpr Duration kReclaimStep = std::chrono::milliseconds(20);
constexpr Duration kReclaimPause = std::chrono::milliseconds(1);
constexpr size_t kReclaimChanges = 1000;

}  // namespace

Status NoSpace(const Status& why) {
  return Status(Reason::kUnknown, "mvcc: database space exceeded: " + why.message()).WithCode(500);
}

void Core::SetBroken(const Status& why) {
  LOG_ERROR("store: a write failed; the store is read-only until the disk is well again", {"error", why});
  broken_ = why.code() == kInsufficientStorage
                ? NoSpace(why)
                : Unavailable("the store is read-only since a write failed: " + why.message());
  broken_since_ = world_.Mono();
  if (options_.on_health) options_.on_health(*broken_);
}

void Core::StartHealing() {
  if (healing_ || closed_) return;
  healing_ = true;
  // A disk that fails again soon is not worth so many attempts.
  const bool soon = healed_at_ != MonoTime::min() && world_.Mono() - healed_at_ < kHealthyAfter;
  heal_after_ = soon ? std::min(2 * heal_after_, kHealMost) : kHealFirst;
  world_.Post([this] { Heal(); });
}

void Core::Heal() {
  bool told = false;
  while (true) {
    // Until then, or closed. Nobody cancels this fiber.
    (void)heal_.WaitUntil([this] { return closed_; }, world_.Mono() + heal_after_);
    if (closed_) break;
    const auto turn = MUST(turn_.Lock());
    const Ok recovered = Recover(false);
    if (recovered.ok()) {
      Healed();
      break;
    }
    if (!told) LOG_WARN("store: it stays read-only; trying again and again", {"error", recovered.status()});
    told = true;
    heal_after_ = std::min(2 * heal_after_, kHealMost);
  }
  healing_ = false;
  idle_.NotifyAll();
}

Ok Core::Recover(bool anew) {
  size_t left_out = 0;
  bool rewritten = false;
  TRY(log_->Recover(
      [&] {
        rewritten = true;
        left_out = forget_.size();
        return Everything();
      },
      anew));
  if (!rewritten) return {};
  // Only those: what a compaction gave up meanwhile was written, and must go as before.
  forget_.erase(forget_.begin(), forget_.begin() + static_cast<ptrdiff_t>(left_out));
  stale_.clear();
  return {};
}

void Core::Healed() {
  LOG_INFO("store: changes are taken again", {"after", FormatDuration(world_.Mono() - broken_since_)});
  broken_.reset();
  healed_at_ = world_.Mono();
  Publish();
  if (options_.on_health) options_.on_health({});
  if (!forget_.empty() || !stale_.empty()) {
    tidy_up_ = true;
    StartFlush();
  }
}

Log::Contents Core::Everything() const {
  Log::Contents all;
  all.compacted = disk_compacted_;
  const auto add = [&](const ItemRef& item) {
    if (item) all.records.push_back(item);
  };
  for (Tree::Cursor cursor(timeline_.tree(), ""); cursor.item() != nullptr; cursor.Next()) {
    add(ItemRef::Adopt(ItemRef::Retain(cursor.item())));
  }
  const History::View& view = timeline_.history();
  for (size_t i = view.After(disk_compacted_); i < view.size(); i++) {
    add(view.at(i).before);
    add(view.at(i).after);
  }
  std::ranges::sort(all.records, {}, [](const ItemRef& item) { return item->row; });
  const auto twice = std::ranges::unique(all.records, {}, [](const ItemRef& item) { return item->row; });
  all.records.erase(twice.begin(), twice.end());
  return all;
}

Core::Inside::~Inside() {
  core_.inside_--;
  if (core_.closed_ && core_.inside_ == 0) core_.idle_.NotifyAll();
}

Result<CheckReport> Core::Check() {
  CHECK(world_.OnThisThread() && world_.current() != nullptr);
  const Inside inside(*this);
  CheckReport report;
  Scan scan;
  Ok checked = Writable();
  while (checked.ok() && !scan.done) {
    // Writers take their turns in between.
    const auto turn = turn_.Lock();
    checked = turn.ok() ? Writable() : Ok(turn.status());
    if (checked.ok()) checked = log_->Check(scan, report);
  }
  report.revision = timeline_.revision();
  TRY(std::move(checked));
  return report;
}

Result<CheckReport> Core::Repair() {
  const Inside inside(*this);
  CheckReport report = TRY(Check());
  if (report.damaged == 0) return report;
  {
    const rt::Shield shield(world_);
    const auto turn = MUST(turn_.Lock());  // shielded
    TRY(Writable());
    Ok repaired = Recover(true);
    // Where it stands now is not certain: the old files, or the new ones. Nothing that waits may go there.
    if (!repaired.ok()) Fail({}, repaired.status());
    TRY(std::move(repaired));
  }
  for (Damage& damage : report.damages) damage.outcome = "written anew from the server's memory";
  LOG_WARN("store: damage was repaired from memory", {"places", report.damaged});
  return report;
}

std::unique_ptr<BackupSource> Core::StartBackup() {
  return MakeBackup(timeline_.board()->Read()->latest, log_->sealer());
}

Result<Reclaimed> Core::Reclaim() {
  const Inside inside(*this);
  Reclaimed done;
  done.disk_bytes_before = log_->disk_bytes();
  // In steps: to let go of a long history takes its time, and writers want theirs.
  const Revision target = timeline_.revision();
  while (timeline_.compacted() < target) {
    // At the pace of the log: what it can't forget yet need not be given up yet.
    if (forget_.size() > kReclaimChanges) {
      TRY(Writable());
      TRY(world_.Sleep(kReclaimPause));
      continue;
    }
    const History::View& history = timeline_.history();
    const bool last = history.size() <= kReclaimChanges;
    TRY(Compact(last ? target : std::min(target, history.at(kReclaimChanges - 1).revision)));
    TRY(world_.Sleep(kReclaimPause));
  }
  done.compacted = timeline_.compacted();
  TRY(Writable());
  // What an earlier compaction left over as well.
  tidy_up_ = true;
  StartFlush();
  while (tidy_up_ && !closed_ && !broken_) TRY(world_.Sleep(kReclaimStep));
  TRY(Writable());
  log_->Tidy({.bytes = timeline_.value_bytes(), .keys = timeline_.tree().size()}, true);
  while (!closed_ && !broken_ && !TRY(log_->Settled())) TRY(world_.Sleep(kReclaimStep));
  TRY(Writable());
  Publish();
  done.disk_bytes = log_->disk_bytes();
  return done;
}

}  // namespace knarr::store

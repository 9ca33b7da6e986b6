#pragma once

// Brings what the journal has to the database: in a fiber of its own that works while there is something to do, in
// steps on the blocking pool, behind the writers' backs. It begins when the journal has grown to a part of what the
// disk may take; the later, the more records have been superseded and need not be brought at all. When it falls behind,
// writers are slowed, a little at first; only a journal that is full lets them wait.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "rt/sync.h"
#include "store/backlog.h"
#include "store/journal.h"
#include "store/record_table.h"

namespace knarr::store {

/// By which the sizes go that follow from what is alive.
struct JournalLimits {
  size_t least = 1 << 20;   ///< the journal may always have so much…
  size_t most = 128 << 20;  ///< …and never more
  size_t file_least = 256 << 10;
  size_t log_least = 256 << 10;  ///< the same for SQLite's write-ahead log
  size_t log_most = 2 << 20;
  size_t step = 512 << 10;   ///< values brought by one transaction
  size_t forget_least = 64;  ///< forgotten rows may always wait until they are so many
};

class Applier {
 public:
  Applier(rt::Runtime& world, RecordTable& table, Journal& journal, Backlog& backlog, const JournalLimits& limits,
          RareProbe probe);

  /// What the state has, by which the sizes go.
  void SetLive(const Log::Live& live);
  /// In front of an append of so many bytes. ServerTimeout: the journal is full, and can't be emptied. Any other error:
  /// the database can't be trusted any more.
  Ok MakeRoom(size_t bytes);
  /// Something was appended, or could not be. `scrub`: what is in the journal and was in the database so far is to be
  /// overwritten.
  void Appended(bool scrub);
  /// What there is to do is done without waiting for more.
  void Hurry();
  /// What there was at the last Hurry is in the database, and unused space is given back; the error that keeps it from
  /// that.
  Result<bool> Settled() const;

  /// While it lives, nobody touches the database and what is applied stays the same.
  Result<rt::Mutex::Guard> Exclude() { return turn_.Lock(); }
  /// Waits for the fiber; no other begins before Go.
  void Stop();
  void Go();
  /// Everything, now, and no writer may be there. REQUIRES: stopped.
  Ok Finish();
  /// Tries again what failed. Ok: it goes.
  Ok Retry();
  /// `changed` is called when the database can't be trusted any more, and when it has come on.
  void OnChange(std::function<void()> changed) { on_change_ = std::move(changed); }
  /// So many rows may be forgotten by the next batch; none when those that were are still too many, or the journal is
  /// filling.
  size_t forget_room() const;
  /// Why nothing is brought to the database any more.
  const std::optional<Status>& failure() const { return failure_; }
  /// A new database.
  void Begin();

  /// Any thread.
  int64_t database_bytes() const { return database_bytes_.load(std::memory_order_relaxed); }

 private:
  void Resize(const Log::Live& live);
  bool crowded() const { return backlog_.bytes() > slow_; }
  void Start();
  void Run();
  bool StepDue() const;
  bool Due() const;
  Ok One();
  Ok Step();
  Backlog::Step Next();
  bool GivesBack(const Backlog::Step& step);
  Ok Checkpoint();
  Ok Scrub();
  void Fail(const Status& why);
  void Forgive();
  size_t log_limit() const;
  void Tell(std::string_view rare) const {
    if (probe_) probe_(rare);
  }

  rt::Runtime& world_;
  RecordTable& table_;
  Journal& journal_;
  Backlog& backlog_;
  const JournalLimits limits_;
  const RareProbe probe_;

  size_t live_bytes_ = 0;
  // Of the frames that are not applied: where it begins and stops; from where on writers are slowed, and wait.
  size_t begin_ = 0;
  size_t enough_ = 0;
  size_t slow_ = 0;
  size_t full_ = 0;
  size_t forgotten_many_ = 0;

  bool running_ = false;
  bool stopped_ = false;
  bool catching_up_ = false;  ///< it began, and goes on until `enough_`
  bool hurry_ = false;
  size_t brought_ = 0;     ///< records, since rows were last taken out
  size_t since_given_ = 0;  ///< steps, since unused space was last given back
  bool scrub_ = false;
  uint64_t through_ = 0;   ///< up to which frame those two want it
  bool unsynced_ = true;   ///< the database has something that no checkpoint has followed
  bool spacious_ = false;  ///< unused space is to be given back
  std::optional<Status> failure_;
  MonoTime failed_at_{};
  std::function<void()> on_change_;
  std::atomic<int64_t> database_bytes_ = 0;
  rt::Mutex turn_;
  rt::WaitQueue progress_;
};

}  // namespace knarr::store

#pragma once

// What makes a store durable: a log of records, appended in groups.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "store/maintenance.h"
#include "store/tree.h"

namespace knarr::store {

/// HTTP's code for an error of a full disk.
constexpr int kInsufficientStorage = 507;

/// How far the reading of all records has come.
struct Scan {
  int64_t next = 1;  ///< the row from which on nothing was read
  int64_t last_row = 0;
  Revision last_revision = 0;
  bool rows_done = false;  ///< what follows is the journal's
  size_t entries = 0;      ///< of those, how many were read
  bool done = false;
};

class Log {
 public:
  struct Batch {
    std::vector<ItemRef> records;  ///< in the order of their rows; without a value: a delete
    std::vector<int64_t> forget;   ///< rows that nothing needs any more
    std::vector<ItemRef> reseal;   ///< rows that are to be sealed anew, in their place; gone ones are left alone
    bool scrub = false;            ///< what was sealed anew is to leave no trace of its older form
    Revision compacted = 0;        ///< kept with `forget`: history up to here is gone
  };
  /// All that it should hold.
  struct Contents {
    std::vector<ItemRef> records;  ///< in the order of their rows
    Revision compacted = 0;
  };

  virtual ~Log() = default;
  /// Suspends until the batch is on the disk as a whole, or (error) nothing of it counts. Reason kServerTimeout: the
  /// batch is certainly not there. Any other: it may turn up after a restart. Code kInsufficientStorage: the disk is
  /// full. After an error nothing is appended before a Recover.
  virtual Ok Append(const Batch& batch) = 0;
  /// What the state has.
  struct Live {
    size_t bytes = 0;
    size_t keys = 0;
  };
  /// How many rows a batch may forget without making the writers of those behind it wait.
  virtual size_t ForgetRoom() const { return SIZE_MAX; }
  /// Between two batches: what is alive, by which the sizes go. `hurry`: what was forgotten is to leave the disk
  /// without waiting for more to do.
  virtual void Tidy(const Live& live, bool hurry) { (void)live, (void)hurry; }
  /// What was appended has its last place, and unused space is given back; with `hurry`, that comes by itself. An
  /// error: it does not.
  virtual Result<bool> Settled() { return true; }
  /// After an Append that failed: Ok when it can be written again, and holds what it should and nothing more. May be
  /// tried again. When it can't be trusted any more, or `anew`, all of `contents` is written to a new place.
  virtual Ok Recover(const std::function<Contents()>& contents, bool anew) = 0;
  /// Any thread.
  virtual int64_t disk_bytes() const = 0;
  /// Reads the next records, compares each with its checksum, and reports. The scan is done behind the last one.
  virtual Ok Check(Scan& scan, CheckReport& report) = 0;
  /// What seals values on their way to the disk; null: nothing.
  virtual const Sealer* sealer() const { return nullptr; }
  /// `changed` is called, on the world thread, when the log finds out by itself that it can't go on (Health says why),
  /// and when there is room again to forget rows.
  virtual void OnChange(std::function<void()> changed) { (void)changed; }
  /// An error: as the next Append would fail, so that nobody has to wait for one.
  virtual Ok Health() { return {}; }
  /// Must be the last call.
  virtual void Close() = 0;
};

}  // namespace knarr::store

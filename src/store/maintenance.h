#pragma once

// Looking after a store's files while it runs. (For a store that is stopped: store/tools.h.)

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "store/sealer.h"
#include "store/store.h"

namespace knarr::store {

/// No row is as high.
constexpr int64_t kRowMax = int64_t{1} << 62;

/// Something on the disk that is not as it was written.
struct Damage {
  int64_t row = 0;        ///< of the record, or the first of a stretch that can't be read; 0: it is no record's
  int64_t row_end = 0;    ///< the last one of the stretch; kRowMax: all that follow
  Revision revision = 0;  ///< 0: not known
  std::string key;        ///< "": not known
  std::string why;
  std::string outcome;  ///< what a repair did about it
};

struct CheckReport {
  static constexpr size_t kDamagesMax = 1000;
  uint64_t records = 0;  ///< read and found good
  Revision revision = 0;
  Revision compacted = 0;
  int64_t disk_bytes = 0;
  uint64_t damaged = 0;         ///< all of them
  std::vector<Damage> damages;  ///< no more than kDamagesMax of them
  std::string quarantine;       ///< the file to which a repair moved them; "": nothing was moved
  /// Some records could not be read at all.
  bool Unreadable() const {
    for (const Damage& damage : damages) {
      if (damage.row != 0 && damage.key.empty()) return true;
    }
    return false;
  }
  void Add(Damage damage) {
    damaged++;
    if (damages.size() < kDamagesMax) damages.push_back(std::move(damage));
  }
};

/// A backup, piece by piece: the state at one revision, from memory, however long it takes to read.
class BackupSource {
 public:
  virtual ~BackupSource() = default;
  /// Appends some bytes to `out`; false behind the last ones. Any thread, one at a time.
  virtual Result<bool> Next(std::string& out) = 0;
};

struct Reclaimed {
  Revision compacted = 0;
  int64_t disk_bytes_before = 0;
  int64_t disk_bytes = 0;
};

/// What an engine with files of its own can do while it runs. World fibers.
class Maintenance {
 public:
  virtual ~Maintenance() = default;
  virtual Result<CheckReport> Check() = 0;
  /// What is damaged on the disk is written anew from memory, which has all of it.
  virtual Result<CheckReport> Repair() = 0;
  virtual std::unique_ptr<BackupSource> StartBackup() = 0;
  /// Forgets all history and waits until the space is given back, for as long as the fiber may.
  virtual Result<Reclaimed> Reclaim() = 0;
};

}  // namespace knarr::store

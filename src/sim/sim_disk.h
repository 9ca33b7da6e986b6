#pragma once

// The disk under a simulated cluster's store: slow or fast, full at times, and what is left of a crash. (What a disk
// may do to the database file itself, torn and lost and reordered writes and flipped bits, is tried where the file is:
// tests/sim/fault_vfs.h.)

#include <cstdint>
#include <map>
#include <memory>

#include "rt/runtime.h"
#include "sim/journal.h"
#include "store/core.h"
#include "store/log.h"

namespace knarr::sim {

/// What its owner sets, and what the store wrote.
struct SimDisk {
  Duration commit_time{};
  bool full = false;
  /// When it last refused something.
  MonoTime refused{};
  /// Nobody writes any more; what is being written is there afterwards, or not.
  bool off = false;

  // What is on it.
  std::map<int64_t, store::ItemRef> rows = {};
  int64_t row_next = 1;
  store::Revision compacted = 0;
};

/// `disk` outlives it. It notices when rows are written twice, or forgotten that are not there.
std::unique_ptr<store::Log> MakeSimLog(rt::Runtime& runtime, SimDisk& disk, Journal& journal);

/// What a store finds that starts on it.
store::Recovered ReadSimDisk(const SimDisk& disk, MonoTime now);

}  // namespace knarr::sim

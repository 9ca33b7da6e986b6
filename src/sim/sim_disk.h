#pragma once

// The disk under a simulated cluster's store: slow or fast, and full at times. (What a disk may do to the database file
// itself, torn and lost and reordered writes and flipped bits, is tried where the file is: tests/sim/fault_vfs.h.)

#include <memory>
#include <set>

#include "rt/runtime.h"
#include "sim/journal.h"
#include "store/log.h"

namespace knarr::sim {

/// What its owner sets.
struct SimDisk {
  Duration commit_time{};
  bool full = false;
  /// When it last refused something.
  MonoTime refused{};
};

/// `disk` outlives it. It notices when rows are written twice, or forgotten that are not there.
std::unique_ptr<store::Log> MakeSimLog(rt::Runtime& runtime, SimDisk& disk, Journal& journal);

}  // namespace knarr::sim

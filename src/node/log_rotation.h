#pragma once

// What containers print is kept within bounds on the disk, as the kubelet does: a log that has grown beyond 10 MiB is
// renamed ("0.log.20261121-100000") and goes on in a new file; the current one and the newest four of them are kept.

#include <cstdint>
#include <string>

#include "base/status.h"
#include "base/time.h"
#include "rt/file_system.h"
#include "rt/runtime.h"
#include "runtime/runtime.h"

namespace knarr::node {

/// The kubelet's containerLogMaxSize, containerLogMaxFiles and containerLogMonitorInterval.
inline constexpr int64_t kLogSizeMax = 10 << 20;
inline constexpr size_t kLogFilesMax = 5;
inline constexpr Duration kLogsEvery = 10s;

/// Looks once at the log of every container that runs. One that can't be rotated does not keep the others.
Ok RotateLogs(rt::Runtime& runtime, runtime::Runtime& containers);

/// The log of a container that is gone, with what was rotated; fine if there is none.
Ok RemoveLog(rt::FileSystem& files, const std::string& path);

}  // namespace knarr::node

#pragma once

// What controllers ask of pods.

#include <string_view>

#include "api/core_v1.h"
#include "base/time.h"

namespace knarr::controller {

/// Condition Ready is True.
bool IsReady(api::core_v1::Pod pod);
/// Ready for at least `min_ready`; otherwise `left` (when not null) is how long it still takes, if it is ready at all.
bool IsAvailable(api::core_v1::Pod pod, Duration min_ready, WallTime now, Duration* left = nullptr);
/// Neither finished nor being deleted.
bool IsActive(api::core_v1::Pod pod);
/// Phase Succeeded or Failed.
bool IsFinished(api::core_v1::Pod pod);

/// Whether `a` is to be deleted rather than `b` when there are too many: unassigned first, then pending, not ready,
/// lower deletion cost, more pods of the set on its node, ready for less long, more restarts, younger.
struct DeletionRank {
  api::core_v1::Pod pod;
  int pods_on_node = 0;
};
bool DeleteFirst(const DeletionRank& a, const DeletionRank& b);

}  // namespace knarr::controller

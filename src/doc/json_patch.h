#pragma once

// JSON Patch (RFC 6902) with the errors and the liberties of evanphx/json-patch v4, which is what users of the
// Kubernetes API meet: "-" and negative array indices, replacing a member that is not there.

#include <cstddef>

#include "base/status.h"
#include "doc/value.h"

namespace knarr::doc {

inline constexpr size_t kPatchOperationsMax = 10'000;
/// Bytes of JSON that the copy operations of one patch may add up to.
inline constexpr size_t kPatchCopyBytesMax = 3 << 20;

/// Applies the operations to `target` in place. BadRequest when `patch` is no list of operations,
/// RequestEntityTooLarge when there are too many, Invalid when one does not apply; `target` is then left half changed.
Ok ApplyJsonPatch(const Value& patch, Value& target, Arena& arena);

}  // namespace knarr::doc

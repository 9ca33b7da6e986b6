#pragma once

// Joins two streams: what comes out of one goes into the other.

#include "net/stream.h"
#include "rt/runtime.h"

namespace knarr::net {

/// Copies both ways until both directions have ended (each end is passed on as a half-close) or one breaks; then both
/// are closed. Cancelled when the fiber is.
Ok Splice(rt::Runtime& runtime, Stream& one, Stream& other);

}  // namespace knarr::net
